package adminapi_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stepward/stepward/pkg/adminapi"
)

// TestNoAnswerIsOutsideTheDocument runs schemathesis, a fuzzer that we did not write, against the API: it makes requests
// from the OpenAPI document, right and wrong ones, and checks each answer against it. "make contract" installs it.
func TestNoAnswerIsOutsideTheDocument(t *testing.T) {
	program := os.Getenv("STEPWARD_TEST_SCHEMATHESIS")
	if program == "" {
		t.Skip("STEPWARD_TEST_SCHEMATHESIS does not name the program: run make contract")
	}
	front := httptest.NewUnstartedServer(nil)
	issuer := "http://" + strings.Replace(front.Listener.Addr().String(), "127.0.0.1", "localhost", 1)
	h := open(t, "STEPWARD_ISSUER="+issuer)
	var answers [6]atomic.Int64
	front.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		h.Handler.ServeHTTP(rec, r)
		answers[rec.Code/100].Add(1)
		maps.Copy(w.Header(), rec.Header())
		w.WriteHeader(rec.Code)
		_, _ = w.Write(rec.Body.Bytes())
	})
	front.Start()
	t.Cleanup(front.Close)
	run := exec.CommandContext(t.Context(), program, "run", issuer+adminapi.Path+"/openapi.json",
		"--header", "Authorization: Bearer "+h.robot(adminapi.ScopeWrite).Reveal(),
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance",
		"--phases", "examples,coverage,fuzzing", "--max-time", cmp.Or(os.Getenv("STEPWARD_TEST_SCHEMATHESIS_SECONDS"), "30"),
		"--max-failures", "20", "--generation-database", "none", "--suppress-health-check", "all", "--no-color", "--no-shrink", "--warnings", "off")
	run.Dir = t.TempDir()
	text, err := run.CombinedOutput()
	t.Logf("%s", text)
	if err != nil {
		t.Errorf("schemathesis: %v", err)
	}
	ok, refused := answers[2].Load(), answers[4].Load()
	t.Logf("%d requests succeeded, %d were refused", ok, refused)
	if ok == 0 || refused == 0 {
		t.Error("the fuzzer saw nothing of the API")
	}
}

// A document is the OpenAPI document, against which the tests of this package check the answers that they get.
type document struct {
	paths  map[string]any
	schema func(pointer string) (*jsonschema.Schema, error)
}

func readDocument(text string) (document, error) {
	whole, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		return document{}, err
	}
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	if err := c.AddResource("mem:///openapi.json", whole); err != nil {
		return document{}, err
	}
	paths, _ := whole.(map[string]any)["paths"].(map[string]any)
	return document{paths, func(pointer string) (*jsonschema.Schema, error) { return c.Compile("mem:///openapi.json#" + pointer) }}, nil
}

// template returns the path of the document that a request is for; "" if none.
func (d document) template(path string) string {
	parts := strings.Split(path, "/")
	for template := range d.paths {
		wanted := strings.Split(template, "/")
		same := len(wanted) == len(parts)
		for i := 0; same && i < len(parts); i++ {
			same = wanted[i] == parts[i] || strings.HasPrefix(wanted[i], "{")
		}
		if same && !(template == "/users/{id}" && path == "/users/invitations") {
			return template
		}
	}
	return ""
}

// check returns what is wrong with an answer.
func (d document) check(method, path string, got reply) error {
	template := d.template(path)
	if template == "" {
		return nil
	}
	media, _, _ := strings.Cut(got.Header.Get("Content-Type"), ";")
	if got.StatusCode == 204 {
		if got.body != "" {
			return errors.New("204 with a body")
		}
		return nil
	}
	escape := strings.NewReplacer("~", "~0", "/", "~1", "{", "%7B", "}", "%7D")
	pointer := "/paths/" + escape.Replace(template) + "/" + strings.ToLower(method) + "/responses/" + strconv.Itoa(got.StatusCode) +
		"/content/" + escape.Replace(media) + "/schema"
	schema, err := d.schema(pointer)
	if err != nil {
		return fmt.Errorf("the document says nothing of this answer: %w", err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	if err != nil {
		return err
	}
	return schema.Validate(body)
}

func TestTheDocumentListsEveryOperationWithItsScope(t *testing.T) {
	h := open(t)
	got := h.call(200, "GET", "/openapi.json", "", nil)
	var doc struct {
		OpenAPI string `json:"openapi"`
		Paths   map[string]map[string]struct {
			ID       string                `json:"operationId"`
			Security []map[string][]string `json:"security"`
			Errors   map[string]any        `json:"responses"`
		} `json:"paths"`
	}
	h.Must(json.Unmarshal([]byte(got.body), &doc))
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	ids := map[string]bool{}
	for path, methods := range doc.Paths {
		for method, op := range methods {
			scopes := op.Security[0]["stepward"]
			if len(scopes) != 1 || !slices.Contains(adminapi.Scopes(), scopes[0]) {
				t.Errorf("%s %s: scopes %v", method, path, scopes)
			}
			reads := method == "get"
			if reads != strings.HasSuffix(scopes[0], ":read") {
				t.Errorf("%s %s needs %s", method, path, scopes[0])
			}
			if op.ID == "" || ids[op.ID] {
				t.Errorf("%s %s: operation %q", method, path, op.ID)
			}
			ids[op.ID] = true
			if _, ok := op.Errors["401"]; !ok {
				t.Errorf("%s %s says nothing of 401", method, path)
			}
			// Whatever the document lists is behind the door.
			at := strings.NewReplacer("{", "x", "}", "").Replace(path)
			h.problem(401, "token_required", strings.ToUpper(method), at, "", nil)
		}
	}
	if len(ids) < 45 {
		t.Errorf("%d operations", len(ids))
	}
}
