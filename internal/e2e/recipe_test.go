package e2e

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/recipe"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/roster"
)

// recipeProgram returns a program that a recipe is for, of the folder that the environment names.
func recipeProgram(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(os.Getenv("STEPWARD_TEST_RECIPES"), name)
	if _, err := os.Stat(path); err != nil || os.Getenv("STEPWARD_TEST_RECIPES") == "" {
		t.Skipf("STEPWARD_TEST_RECIPES names no folder with %s: run make recipes", name)
	}
	return path
}

// cook registers a client as its recipe does, and returns what the page prints for the other side.
func cook(t *testing.T, s *server.Server, id, address string) (printed []string) {
	t.Helper()
	r, known := recipe.ByID(id)
	if !known {
		t.Fatalf("there is no recipe %s", id)
	}
	c := r.Client(address)
	c.ID, c.CreatedAt = id, time.Now().Truncate(time.Millisecond)
	c.UpdatedAt = c.CreatedAt
	v := recipe.Values{Issuer: s.Config.Issuer.String(), ClientID: c.ID, Address: address}
	if len(c.RedirectURIs) > 0 {
		v.Redirect = c.RedirectURIs[0]
	}
	if !c.Public() {
		v.Secret = c.AddSecret(c.CreatedAt).Reveal()
	}
	if faults := c.Faults(s.Config.Policy); len(faults) > 0 {
		t.Fatal(faults)
	}
	if err := s.DB.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	for _, snippet := range r.Snippets {
		printed = append(printed, snippet.Fill(v))
	}
	return printed
}

// joinGroups puts a user into new groups.
func joinGroups(t *testing.T, s *server.Server, userID string, names []string) {
	t.Helper()
	groups := roster.New(s.DB)
	for _, name := range names {
		g := directory.Group{ID: "g-" + name, Name: name, CreatedAt: time.Now(), UpdatedAt: time.Now()}
		if err := errors.Join(groups.CreateGroup(t.Context(), g), groups.AddMembers(t.Context(), g.ID, []string{userID}, time.Now())); err != nil {
			t.Fatal(err)
		}
	}
}

// arrives signs somebody in to an application, and returns its page.
func arrives(t *testing.T, d *server.Demo, address string) (*person, page) {
	t.Helper()
	p := newPerson(t, d.Config.Issuer.String(), "")
	p.signUp(p.open("/account"), "ada@example.com")
	at := p.open(address)
	for range 8 {
		switch at.name {
		case "login", "stepup":
			at = p.ceremony(at)
		case "consent":
			at = p.submit(at, "consent-allow", nil)
		default:
			return p, at
		}
	}
	t.Fatal("went round in circles")
	return p, at
}

// oauth2-proxy with the configuration that the recipe prints; it wants a secret for its cookies, as the comment there
// says.
func TestTheRecipeOfOAuth2Proxy(t *testing.T) {
	t.Parallel()
	program := recipeProgram(t, "oauth2-proxy")
	d := startDemo(t)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	printed := cook(t, d.Server, "oauth2-proxy", "http://localhost:"+port)
	config := filepath.Join(t.TempDir(), "oauth2-proxy.cfg")
	text := strings.Replace(printed[0], `cookie_secret = ""`, `cookie_secret = "`+strings.Repeat("s", 32)+`"`, 1)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, program, "--config", config, "--http-address", address, "--upstream", "static://200", "--cookie-secure=false", "--skip-provider-button")
	await(t, address)
	p, at := arrives(t, d, "http://localhost:"+port+"/")
	if at.status != 200 || at.body != "Authenticated" {
		t.Fatalf("%s: %.500s", at, at.body)
	}
	if at := p.open("http://localhost:" + port + "/oauth2/userinfo"); !strings.Contains(at.body, `"email":"ada@example.com"`) {
		t.Errorf("%s: %s", at, at.body)
	}
}

// Authlib in Flask: the printed lines, in the smallest program around them.
func TestTheRecipeOfPython(t *testing.T) {
	t.Parallel()
	program := recipeProgram(t, "python")
	d := startDemo(t)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	printed := cook(t, d.Server, "python", "http://localhost:"+port)
	app := filepath.Join(t.TempDir(), "app.py")
	around := "from flask import Flask, redirect, session\napp = Flask(__name__)\napp.secret_key = 'x'\n" + printed[0] +
		"\n\n@app.get('/')\ndef home():\n    return session['user']['email']\n\napp.run(port=" + port + ")\n"
	if err := os.WriteFile(app, []byte(around), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, program, app)
	await(t, address)
	if _, at := arrives(t, d, "http://localhost:"+port+"/login"); at.status != 200 || at.body != "ada@example.com" {
		t.Errorf("%s: %.1000s", at, at.body)
	}
}

// Spring Boot with the printed application.yml, and one class around it: testdata/spring.
func TestTheRecipeOfJava(t *testing.T) {
	t.Parallel()
	program := recipeProgram(t, filepath.Join("..", "spring", "spring-1.jar"))
	d := startDemo(t)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	printed := cook(t, d.Server, "java", "http://localhost:"+port)
	config := filepath.Join(t.TempDir(), "application.yml")
	if err := os.WriteFile(config, []byte(printed[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	keepRunning(t, "java", "-jar", program, "--server.port="+port, "--spring.config.additional-location=file:"+config)
	awaitFor(t, time.Minute, address)
	if _, at := arrives(t, d, "http://localhost:"+port+"/"); at.status != 200 || at.body != "ada@example.com" {
		t.Errorf("%s: %.1000s", at, at.body)
	}
}

// The OIDC method of Vault, with what the printed commands write; testdata/vault has the method without the rest of
// Vault.
func TestTheRecipeOfVault(t *testing.T) {
	t.Parallel()
	program := recipeProgram(t, "vault-oidc")
	d := startDemo(t)
	const address = "https://vault.example.com"
	printed := cook(t, d.Server, "vault", address)
	method := start(t, nil, program)
	type answer struct {
		Data             map[string]any
		Alias, Error     string
		Groups, Policies []string
	}
	ask := func(operation, path string, data map[string]any) (a answer) {
		t.Helper()
		if err := json.NewEncoder(method.in).Encode(map[string]any{"operation": operation, "path": path, "data": data}); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(must(method.out.ReadBytes('\n')), &a); err != nil || a.Error != "" {
			t.Fatalf("%s: %v %s", path, err, a.Error)
		}
		return a
	}
	for command := range strings.SplitSeq(strings.ReplaceAll(printed[0], "\\\n", " "), "\n") {
		path, pairs, writes := strings.Cut(strings.TrimPrefix(command, "vault write auth/oidc/"), " ")
		if !writes || !strings.HasPrefix(command, "vault write") {
			continue
		}
		data := map[string]any{}
		for _, pair := range strings.Fields(pairs) {
			name, value, _ := strings.Cut(pair, "=")
			if before, repeated := data[name]; repeated {
				value = before.(string) + "," + value
			}
			data[name] = value
		}
		ask("update", path, data)
	}
	redirect := address + "/ui/vault/auth/oidc/oidc/callback"
	p := newPerson(t, d.Config.Issuer.String(), redirect)
	p.signUp(p.open("/account"), "ada@example.com")
	signIn := func() answer {
		t.Helper()
		begun := ask("update", "oidc/auth_url", map[string]any{"role": "default", "redirect_uri": redirect})
		at := p.through(p.open(begun.Data["auth_url"].(string)))
		return ask("read", "oidc/callback", map[string]any{"state": at.Get("state"), "code": at.Get("code")})
	}
	first := signIn()
	joinGroups(t, d.Server, first.Alias, []string{"operators"})
	if got := signIn(); got.Alias != first.Alias || !slices.Equal(got.Policies, []string{"default"}) || !slices.Equal(got.Groups, []string{"operators"}) {
		t.Errorf("%+v", got)
	}
}

// An MCP server as the recipe describes it, and a client that only knows its address; both are the official SDK.
func TestTheRecipeOfMCP(t *testing.T) {
	t.Parallel()
	python := recipeProgram(t, "python")
	address, dir := freeAddress(t), t.TempDir()
	_, port, _ := strings.Cut(address, ":")
	r, _ := recipe.ByID("mcp")
	settings, ca := filepath.Join(dir, "stepward.yaml"), filepath.Join(dir, "ca.pem")
	text := r.Snippets[0].Fill(recipe.Values{Address: "http://localhost:" + port})
	if err := errors.Join(os.WriteFile(settings, []byte(text), 0o600), writePEM(ca, "CERTIFICATE", opCA.cert.Raw)); err != nil {
		t.Fatal(err)
	}
	o := newOP(t, "STEPWARD_CONFIG="+settings)
	printed := cook(t, o.Server, "mcp", "http://localhost:"+port)
	serves := regexp.MustCompile(`jq '\.serves = (\[.*\])'`).FindStringSubmatch(printed[1])
	c := must(o.DB.StoredClient(t.Context(), "mcp"))
	if err := errors.Join(json.Unmarshal([]byte(serves[1]), &c.Serves), o.DB.PutClient(t.Context(), c)); err != nil {
		t.Fatal(err)
	}
	var metadata struct {
		Resource             string
		AuthorizationServers []string `json:"authorization_servers"`
	}
	if err := json.Unmarshal([]byte(printed[2]), &metadata); err != nil {
		t.Fatal(err)
	}
	introspection := regexp.MustCompile(`-u '(\S+)' \\\s+(\S+)`).FindStringSubmatch(printed[4])
	environ, folder := []string{"SSL_CERT_FILE=" + ca}, must(filepath.Abs(filepath.Join("testdata", "mcp")))
	start(t, environ, python, filepath.Join(folder, "server.py"), metadata.Resource, metadata.AuthorizationServers[0],
		introspection[2], introspection[1], port)
	await(t, address)
	get := func(path string) answer { return o.send("GET", "http://"+address+path, nil) }
	if got := get("/").header.Get("WWW-Authenticate"); !strings.Contains(got, strings.TrimPrefix(printed[3], "WWW-Authenticate: Bearer ")) {
		t.Errorf("the SDK answers %s, the recipe says %s", got, printed[3])
	}
	var served struct {
		Resource             string
		AuthorizationServers []string `json:"authorization_servers"`
	}
	get("/.well-known/oauth-protected-resource").read(t, &served)
	if !reflect.DeepEqual(served, metadata) {
		t.Errorf("the SDK serves %+v, the recipe says %+v", served, metadata)
	}

	var document string
	document = outside(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{
			"client_id": document, "client_name": "Agent", "redirect_uris": []string{"https://agent.example/callback"},
			"token_endpoint_auth_method": "none", "grant_types": []string{"authorization_code", "refresh_token"},
		})
	})) + "/client.json"
	client := start(t, environ, python, filepath.Join(folder, "client.py"), "http://"+address+"/", document)
	p := o.person()
	p.stopAt = "https://agent.example/callback"
	line := must(client.out.ReadString('\n'))
	at, pages := p.arrive(p.open(strings.TrimSpace(line)))
	t.Logf("the browser saw %q and ended at %s", pages, at)
	if _, err := io.WriteString(client.in, at.url.String()+"\n"); err != nil {
		t.Fatal(err)
	}
	if whose, err := client.out.ReadString('\n'); err != nil || len(strings.TrimSpace(whose)) < 10 {
		t.Errorf("the tool answered %q, %v", whose, err)
	}
}

// The printed lines of Node.js, with the openid-client that the interop tests use.
func TestInteropTheRecipeOfNode(t *testing.T) {
	skipUnlessInterop(t)
	d := startDemo(t)
	address := freeAddress(t)
	_, port, _ := strings.Cut(address, ":")
	printed := cook(t, d.Server, "node", "http://localhost:"+port)
	begin, end, ok := strings.Cut(printed[0], "// at the redirect URI:\n")
	if !ok {
		t.Fatal("the recipe has another form")
	}
	folder := must(filepath.Abs(interopFolder))
	program := strings.Replace(begin, `"openid-client"`, `"`+folder+`/node_modules/openid-client/build/index.js"`, 1) + `
import http from "node:http";
http.createServer(async (r, w) => {
  if (!r.url.startsWith("/callback")) { w.writeHead(302, {location: to.href}).end(); return; }
  const currentUrl = new URL("http://localhost:` + port + `" + r.url);
  try {
` + end + `
    w.end(JSON.stringify(tokens.claims()));
  } catch (e) { w.writeHead(500).end(String(e) + " " + String(e.cause)); }
}).listen(` + port + `, "127.0.0.1");
`
	// The demo has no TLS, which openid-client accepts only when told so at the discovery.
	program = regexp.MustCompile(`(client\.discovery\([^)]*\), [^)]*)\)`).ReplaceAllString(program, `$1, undefined, {execute: [client.allowInsecureRequests]})`)
	file := filepath.Join(t.TempDir(), "app.mjs")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	start(t, nil, "node", file)
	await(t, address)
	if _, at := arrives(t, d, "http://localhost:"+port+"/"); at.status != 200 || !strings.Contains(at.body, `"aud":"node"`) {
		t.Errorf("%s: %.1000s", at, at.body)
	}
}

// The printed lines of Go compile with the library that they name.
func TestTheRecipeOfGoCompiles(t *testing.T) {
	t.Parallel()
	r, _ := recipe.ByID("go")
	text := r.Snippets[0].Fill(recipe.Values{Issuer: "https://id.example.org", ClientID: "id", Secret: "s", Redirect: "http://localhost:3000/callback"})
	program := "package main\n\nimport (\n\t\"context\"\n\t\"log\"\n\n\t\"github.com/coreos/go-oidc/v3/oidc\"\n\t\"golang.org/x/oauth2\"\n)\n\n" +
		"func main() {\nctx, state, verifier := context.Background(), \"\", oauth2.GenerateVerifier()\n" +
		strings.Replace(text, "// app.AuthCodeURL", "_ = app.AuthCodeURL", 1) + "\n}\n"
	program = strings.Replace(program, " begins a sign-in.", "", 1)
	file := filepath.Join(t.TempDir(), "main.go")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	vet := exec.Command("go", "vet", file)
	vet.Dir = root
	if out, err := vet.CombinedOutput(); err != nil {
		t.Errorf("%s\n%s", out, program)
	}
}
