package e2e

import (
	"encoding/json"
	"html"
	"maps"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template/parse"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/recovery"
)

// waysOut are the hooks of buttons and links with which a person leaves a page without doing what it asks.
var waysOut = []string{"cancel", "consent-deny", "other-no", "codes-skip", "passkey-skip", "deletion-leave"}

// Pages in the house whose way on is its navigation, and one that goes on by itself.
var otherWaysOn = []string{
	"account/sessions.html", "console/client-form.html", "console/explain.html", "console/group-new.html", "console/user-invite.html",
	"authorize/form_post.html",
}

var (
	linkOrButton = regexp.MustCompile(`(?s)<(?:a|button)\b((?:[^>"]|"[^"]*")*)>(.*?)</(?:a|button)>`)
	saysBack     = regexp.MustCompile(`\{\{t "(?:cancel|cancel\.to|notnow|verify\.other|signup\.signin|[a-z.]+\.(?:back|stay|not|deny))"`)
	included     = regexp.MustCompile(`\{\{template "([a-z-]+)"[^}]*\}\}`)
	variable     = regexp.MustCompile(`\{\{.*?\}\}`)
	wordOf       = regexp.MustCompile(`\{\{(?:t|plain) "([a-z.]+)"`)
	argument     = regexp.MustCompile(`\\\{[a-z]+\\\}`)
	pageTitle    = regexp.MustCompile(`<title>(.*) – Stepward</title>`)
)

// A leaving template is one from whose page a button or link leads away.
type leaving struct {
	title     *regexp.Regexp // of its page
	addresses []string       // of the links, as they stand in the template
	actions   []string       // of the forms whose buttons they are
}

// leavingTemplates finds them in all rooms, with the shared parts that they include.
func leavingTemplates(t *testing.T) map[string]leaving {
	t.Helper()
	var english map[string]any
	if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "internal/words/en.json"))), &english); err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, pattern := range []string{"internal/*/pages/*.html", "internal/*/*/pages/*.html"} {
		more, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(more), err)
		}
		files = append(files, slices.DeleteFunc(more, func(f string) bool { return strings.Contains(f, "testdata") })...)
	}
	defined := func(file string) map[string]*parse.Tree {
		trees, tree := map[string]*parse.Tree{}, parse.New(filepath.Base(file))
		tree.Mode = parse.SkipFuncCheck
		if _, err := tree.Parse(read(t, file), "", "", trees); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		return trees
	}
	found := map[string]leaving{}
	for _, file := range files {
		if strings.HasPrefix(filepath.Base(file), "_") {
			continue // parts of other pages
		}
		parts := defined(filepath.Join(root, "internal/web/pages/layout.html"))
		shared, err := filepath.Glob(filepath.Join(filepath.Dir(file), "_*.html"))
		if err != nil {
			t.Fatal(err)
		}
		shared = append(shared, filepath.Join(root, "internal/desk/parts/_parts.html"))
		for _, other := range append(shared, file) {
			maps.Copy(parts, defined(other))
		}
		name := strings.TrimPrefix(filepath.ToSlash(file), filepath.ToSlash(root)+"/internal/")
		name = path.Join(strings.TrimSuffix(path.Dir(name), "/pages"), path.Base(name))
		content := withParts(parts, "content", 0)
		found[name] = leavesBy(t, name, content)
		if name != "web/layout.html" && len(found[name].addresses)+len(found[name].actions) == 0 && !strings.Contains(content, "<a ") && !slices.Contains(otherWaysOn, name) {
			t.Errorf("%s has no way on but the one that it asks for", name)
		}
		if title := parts["title"]; title == nil || len(found[name].addresses)+len(found[name].actions) == 0 {
			delete(found, name)
		} else {
			found[name] = leaving{titles(english, title.Root.String()), found[name].addresses, found[name].actions}
		}
	}
	return found
}

// withParts is the text of a template with that of every template it includes.
func withParts(parts map[string]*parse.Tree, name string, depth int) string {
	tree := parts[name]
	if tree == nil || depth > 5 {
		return ""
	}
	text := tree.Root.String()
	return included.ReplaceAllStringFunc(text, func(m string) string {
		return withParts(parts, included.FindStringSubmatch(m)[1], depth+1)
	})
}

func titles(english map[string]any, template string) *regexp.Regexp {
	var all []string
	for _, m := range wordOf.FindAllStringSubmatch(template, -1) {
		word, _ := english[m[1]].(string)
		all = append(all, argument.ReplaceAllString(regexp.QuoteMeta(word), ".+"))
	}
	return regexp.MustCompile(`^(?:` + strings.Join(all, "|") + `)$`)
}

// leavesBy finds what leads away. What a person reads as leading away must have a hook that says so.
func leavesBy(t *testing.T, name, text string) (l leaving) {
	t.Helper()
	for _, at := range linkOrButton.FindAllStringSubmatchIndex(text, -1) {
		tag, says := text[at[2]:at[3]], text[at[4]:at[5]]
		out := slices.Contains(waysOut, attr(tag, "data-test"))
		if script := strings.Contains(tag, "data-passkey-cancel"); saysBack.MatchString(says) && !out && !script {
			t.Errorf(`%s: %s leads away, and has no data-test="cancel"`, name, text[at[0]:at[1]])
		}
		if href := regexp.MustCompile(`href="((?:[^"{]|\{\{.*?\}\})*)"`).FindStringSubmatch(tag); out && href != nil {
			l.addresses = append(l.addresses, href[1])
		} else if out {
			forms := regexp.MustCompile(`<form\b[^>]*`).FindAllString(text[:at[0]], -1)
			l.actions = append(l.actions, attr(forms[len(forms)-1], "action"))
		}
	}
	return l
}

// A person who does not want what a page asks gets away from it: to the application, which is told, or to another page.
// Each template is visited. Where no visit is written, at least the address that it leads to exists.
func TestEveryWayOutLeadsSomewhere(t *testing.T) {
	t.Parallel()
	w := newWalk(t)
	templates := leavingTemplates(t)
	if len(templates) < 25 {
		t.Fatalf("%d templates have a way out", len(templates))
	}
	seen := map[string]bool{}
	for _, visit := range w.visits() {
		template, _, _ := strings.Cut(visit.template, " ")
		title := templates[template].title
		if title == nil {
			t.Errorf("%s has no way out any more", template)
			continue
		}
		p, at := visit.reach()
		if m := pageTitle.FindStringSubmatch(at.body); m == nil || !title.MatchString(html.UnescapeString(m[1])) {
			t.Errorf("%s: at %v, titled %q, and not at %v", visit.template, at, m, title)
			continue
		}
		seen[template] = true
		left := 0
		for _, hook := range waysOut {
			if strings.Contains(at.body, `data-test="`+hook+`"`) {
				left++
				w.arrived(visit.template, leaveBy(p, at, hook))
			}
		}
		if left == 0 {
			t.Errorf("%s: no way out of %v", visit.template, at)
		}
	}
	w.at(w.eve, "/account") // whatever she left before
	for _, template := range slices.Sorted(maps.Keys(templates)) {
		if !seen[template] {
			w.exists(template, templates[template])
		}
	}
}

// exists holds that the addresses in a template are those of pages and forms.
func (w *walk) exists(template string, l leaving) {
	w.t.Helper()
	for _, address := range append(l.addresses, l.actions...) {
		path, _, _ := strings.Cut(variable.ReplaceAllString(address, "x"), "?")
		if !strings.HasPrefix(path, "/") {
			w.t.Errorf("%s: only a visit can tell where %s leads", template, address)
			continue
		}
		at := w.eve.open(path)
		if slices.Contains(l.actions, address) {
			at = w.eve.read(w.eve.http.PostForm(w.eve.issuer+path, nil))
		}
		if strings.Contains(at.body, "There’s no page here") || at.status == 405 || at.status >= 500 {
			w.t.Errorf("%s leads to %v", template, at)
		}
	}
}

// leaveBy follows the link, or presses the button, with this hook.
func leaveBy(p *person, at page, hook string) page {
	p.t.Helper()
	link := regexp.MustCompile(`<a\b[^>]*data-test="` + hook + `"[^>]*>`).FindString(at.body)
	if link == "" {
		return p.submit(at, hook, nil)
	}
	target, err := at.url.Parse(attr(link, "href"))
	if err != nil {
		p.t.Fatal(err)
	}
	return p.open(target.String())
}

// A walk is what people need to reach each page of a house.
type walk struct {
	t        *testing.T
	house    *site // with recovery by codes
	ada, eve *person
}

// A visit reaches a page of this template, and says behind the name what is special about it.
type visit struct {
	template string
	reach    func() (*person, page)
}

func newWalk(t *testing.T) *walk {
	w := &walk{t: t, house: newSite(t, 1, []string{"STEPWARD_DATA_DIR=" + t.TempDir()})}
	w.ada, w.eve = w.signedUp(w.house, "ada@example.com"), w.signedUp(w.house, "eve@example.com")
	return w
}

func (w *walk) stranger(s *site) *person { return newPerson(w.t, s.issuer, appCallback) }

// signedUp is a person with an account in a house, who is signed in.
func (w *walk) signedUp(s *site, email string) *person {
	w.t.Helper()
	p := w.stranger(s)
	p.ceremony(p.signUp(p.open("/account"), email))
	return p
}

// at opens a page as somebody who confirms whatever is asked for it.
func (w *walk) at(p *person, path string) (*person, page) {
	w.t.Helper()
	at := p.open(path)
	for range 3 {
		if at.name == "login" || at.name == "stepup" {
			at = p.ceremony(at)
		}
	}
	return p, at
}

func (w *walk) follow(p *person, at page, hook string) page {
	w.t.Helper()
	link := regexp.MustCompile(`<a\b[^>]*data-test="` + hook + `"[^>]*>`).FindString(at.body)
	if link == "" {
		w.t.Fatalf("no %s on %v", hook, at)
	}
	return p.open(attr(link, "href"))
}

// asks is an authorization request of the application.
func (w *walk) asks(params ...string) string {
	options := []oauth2.AuthCodeOption{oauth2.S256ChallengeOption(oauth2.GenerateVerifier())}
	for i := 0; i < len(params); i += 2 {
		options = append(options, oauth2.SetAuthURLParam(params[i], params[i+1]))
	}
	return w.house.app.AuthCodeURL("af0ifjsldkj", options...)
}

func (w *walk) user(s *site, email string) idp.User {
	w.t.Helper()
	u, err := s.replicas[0].DB.UserByEmail(w.t.Context(), email)
	if err != nil {
		w.t.Fatal(err)
	}
	return u
}

// change stores a user differently.
func (w *walk) change(email string, how func(*idp.User)) {
	w.t.Helper()
	u := w.user(w.house, email)
	how(&u)
	if err := w.house.replicas[0].DB.UpdateUser(w.t.Context(), u); err != nil {
		w.t.Fatal(err)
	}
}

func (w *walk) visits() []visit {
	db := w.house.replicas[0].DB
	passkey := func() string {
		keys, err := db.PasskeysOf(w.t.Context(), w.user(w.house, "ada@example.com").ID)
		if err != nil {
			w.t.Fatal(err)
		}
		return keys[0].ID
	}
	strangerAt := func(path string) func() (*person, page) {
		return func() (*person, page) {
			p := w.stranger(w.house)
			return p, p.open(path)
		}
	}
	signIn := func() (*person, page) {
		p := w.stranger(w.house)
		return p, p.open(w.asks())
	}
	return []visit{
		{"login/signin.html", signIn},
		{"login/signin.html for the account", func() (*person, page) {
			p := w.stranger(w.house)
			return p, p.open("/account")
		}},
		{"login/consent.html", func() (*person, page) { return w.at(w.ada, w.asks()) }},
		{"login/stepup.html", func() (*person, page) { return w.ada, w.ada.open(w.asks("max_age", "0")) }},
		{"login/stepup.html for the account", func() (*person, page) { return w.ada, w.ada.open("/account/codes/new") }},
		{"login/select.html", func() (*person, page) { return w.ada, w.ada.open(w.asks("prompt", "select_account")) }},
		{"login/denied.html", func() (*person, page) {
			client, err := db.StoredClient(w.t.Context(), w.house.app.ClientID)
			if err != nil {
				w.t.Fatal(err)
			}
			client.ID, client.AllowedGroups = "members", []string{"staff"}
			if err := db.PutClient(w.t.Context(), client); err != nil {
				w.t.Fatal(err)
			}
			return w.ada, w.ada.open(w.asks("client_id", "members"))
		}},
		{"device/device_confirm.html", func() (*person, page) {
			client, err := db.StoredClient(w.t.Context(), w.house.app.ClientID)
			if err != nil {
				w.t.Fatal(err)
			}
			client.ID, client.AuthMethod, client.GrantTypes = "tv", idp.AuthMethodNone, []string{idp.GrantDeviceCode}
			if err := db.PutClient(w.t.Context(), client); err != nil {
				w.t.Fatal(err)
			}
			resp, err := w.ada.http.PostForm(w.house.issuer+"/oauth2/device_authorization", url.Values{"client_id": {"tv"}, "scope": {"openid"}})
			if err != nil {
				w.t.Fatal(err)
			}
			defer resp.Body.Close()
			var asked struct {
				Code string `json:"user_code"`
			}
			if err := json.NewDecoder(resp.Body).Decode(&asked); err != nil {
				w.t.Fatal(err)
			}
			_, at := w.at(w.ada, "/device")
			return w.ada, w.ada.submit(at, "device-confirm", map[string]string{"device-code": asked.Code})
		}},
		{"device/device.html", func() (*person, page) { return w.at(w.ada, "/device") }},
		{"deletion/asked.html", strangerAt("/account/delete/asked")},
		{"address/undo.html", strangerAt("/account/email/undo")},
		{"enrol/invitation.html", strangerAt("/enrol")},
		{"enrol/enrolment.html", func() (*person, page) {
			p := w.stranger(w.house)
			return p, p.enrol(p.open("/account"), "first@example.com")
		}},
		{"enrol/enrolment.html from a sign-in", func() (*person, page) {
			p, at := signIn()
			return p, p.enrol(at, "second@example.com")
		}},
		{"enrol/codes.html", func() (*person, page) {
			p := w.stranger(w.house)
			at := p.ceremony(p.enrol(p.open("/account"), "third@example.com"))
			return p, p.submit(w.follow(p, at, "codes-link"), "codes-show", nil)
		}},
		{"recovery/link.html", strangerAt("/recover/link")},
		{"recovery/stop.html", strangerAt("/recover/stop")},
		{"recovery/pin.html", func() (*person, page) {
			ada, p := w.user(w.house, "ada@example.com"), w.stranger(w.house)
			made, err := recovery.NewLink(w.t.Context(), db, w.house.issuer,
				recovery.Order{User: ada, TTL: time.Hour, PIN: true}, idp.NewEvent(idp.EventRecoveryLinkMade, ada.ID, time.Now()))
			if err != nil {
				w.t.Fatal(err)
			}
			_, token, _ := strings.Cut(made.Link.Reveal(), "#")
			return p, p.read(p.http.PostForm(w.house.issuer+"/recover/link", url.Values{"token": {token}}))
		}},
		{"otherdevice/code.html", strangerAt("/add")},
		{"logout/logout.html", func() (*person, page) { return w.ada, w.ada.open("/oauth2/end_session") }},
		{"enrol/signup.html", func() (*person, page) {
			p := w.stranger(w.house)
			return p, p.open("/signup")
		}},
		{"enrol/signup.html from a sign-in", func() (*person, page) {
			p, at := signIn()
			return p, w.follow(p, at, "signup-link")
		}},
		{"enrol/verify.html", func() (*person, page) {
			p, at := signIn()
			at = w.follow(p, at, "signup-link")
			return p, p.submit(at, "signup-submit", map[string]string{"signup-name": "Eva", "signup-email": "eva@example.com"})
		}},
		{"account/passkey-remove.html of the only one", func() (*person, page) {
			return w.at(w.ada, "/account/passkeys/"+passkey()+"/remove")
		}},
		{"account/passkey-add.html", func() (*person, page) { return w.at(w.ada, "/account/passkeys/add") }},
		{"account/passkey-remove.html", func() (*person, page) {
			_, at := w.at(w.ada, "/account/passkeys/add")
			first := w.ada.key
			w.ada.key = passkeytest.New(w.house.issuer)
			w.ada.ceremony(at)
			w.ada.key = first
			return w.at(w.ada, "/account/passkeys/"+passkey()+"/remove")
		}},
		{"account/passkey-other-new.html", func() (*person, page) { return w.at(w.ada, "/account/passkeys/other/new") }},
		{"account/passkey-other.html", func() (*person, page) {
			_, at := w.at(w.ada, "/account/passkeys/other/new")
			return w.ada, w.ada.submit(at, "other-start", nil)
		}},
		{"account/passkey-other.html once refused", func() (*person, page) { return w.at(w.ada, "/account/passkeys/other") }},
		{"account/codes.html", func() (*person, page) { return w.at(w.ada, "/account/codes") }},
		{"account/codes-begin.html", func() (*person, page) { return w.at(w.ada, "/account/codes/new") }},
		{"account/codes-new.html", func() (*person, page) {
			_, at := w.at(w.ada, "/account/codes/new")
			return w.ada, w.ada.submit(at, "codes-show", nil)
		}},
		{"account/data.html", func() (*person, page) { return w.at(w.ada, "/account/data") }},
		{"address/list.html", func() (*person, page) { return w.at(w.ada, "/account/email") }},
		{"account/remedies.html", func() (*person, page) {
			_, at := w.at(w.ada, "/account/activity")
			return w.at(w.ada, regexp.MustCompile(`/account/activity/[A-Za-z0-9_-]{10,}`).FindString(at.body))
		}},
		{"recovery/recover.html", func() (*person, page) {
			p := w.stranger(w.house)
			return p, p.open("/recover")
		}},
		{"recovery/recover.html from a sign-in", func() (*person, page) {
			p, at := signIn()
			return p, w.follow(p, at, "recover-link")
		}},
		{"recovery/code.html", func() (*person, page) {
			p, at := signIn()
			at = w.follow(p, at, "recover-link")
			return p, p.submit(at, "recover-submit", map[string]string{"recover-email": "ada@example.com"})
		}},
		{"recovery/approve.html", func() (*person, page) {
			w.change("eve@example.com", func(u *idp.User) { u.Role = directory.RoleOwner })
			ada := w.user(w.house, "ada@example.com")
			_, err := recovery.NewLink(w.t.Context(), db, w.house.issuer,
				recovery.Order{User: ada, TTL: time.Hour, Second: true}, idp.NewEvent(idp.EventRecoveryLinkMade, ada.ID, time.Now()))
			if err != nil {
				w.t.Fatal(err)
			}
			return w.at(w.eve, recovery.ApprovePath(ada.ID))
		}},
		{"recovery/wait.html", func() (*person, page) {
			s := newSite(w.t, 1, []string{"STEPWARD_DATA_DIR=" + w.t.TempDir(), "STEPWARD_RECOVERY=email-with-delay"})
			w.signedUp(s, "ada@example.com")
			former, p := newestCode(w.t, s.issuer, "ada@example.com"), w.stranger(s)
			at := p.submit(p.open("/recover"), "recover-submit", map[string]string{"recover-email": "ada@example.com"})
			code := former
			for deadline := time.Now().Add(30 * time.Second); code == former && time.Now().Before(deadline); <-time.After(20 * time.Millisecond) {
				code = newestCode(w.t, s.issuer, "ada@example.com")
			}
			return p, p.submit(at, "recover-finish", map[string]string{"recover-mailcode": code})
		}},
		{"recovery/none.html", func() (*person, page) {
			p := w.stranger(newSite(w.t, 1, []string{"STEPWARD_DATA_DIR=" + w.t.TempDir(), "STEPWARD_RECOVERY=admin-only"}))
			return p, p.open("/recover")
		}},
	}
}

// arrived holds where a way out led to: to the application with an error, or to a page that says what it is.
func (w *walk) arrived(from string, at page) {
	w.t.Helper()
	if strings.HasPrefix(at.url.String(), appCallback) {
		if q := at.url.Query(); q.Get("error") != "access_denied" || q.Get("state") != "af0ifjsldkj" {
			w.t.Errorf("from %s back to the application with %v", from, q)
		}
		return
	}
	if title := pageTitle.FindStringSubmatch(at.body); at.status != 200 || at.name == "error" || title == nil {
		w.t.Errorf("from %s to %v, titled %q", from, at, title)
	}
}
