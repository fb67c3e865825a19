package words

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// faultFiles are where operations find out what is wrong with an input that a person types into the console.
var faultFiles = regexp.MustCompile(`^\.\./(directory/(claim|group|release)|idp/(certificate|client_\w+)|admin/(claims|clients|groups|import|users)|` +
	`admin/sheet/sheet|provision/(provision|settings)|provision/pages/pages|console/(clients|clientform|groups|import|mappings)|console/rules/claims)\.go$`)

// unasked are parts of faults that no form of the console can cause: its registration came over the API.
var unasked = regexp.MustCompile(`jwks key|more than \d+ keys|exclude each other|software_version|dynamic clients|serves |request_uri|` +
	`request_object|signing_alg|sector_identifier|subject_type|authorization_signed|tls_client_auth_s|is limited to 1024 bytes|` +
	`needs jwks or jwks_uri|require_pushed|a client.s ID cannot|only for private_key_jwt|fits no key|for a resource_server|needs a key that|^email,name|^stepward `)

// saidIn returns what a file reports as faults, with samples for values.
func saidIn(file *ast.File) (said []string) {
	add := func(e ast.Expr) {
		if s, ok := sampleOf(e); ok && strings.Contains(s, " ") {
			said = append(said, s)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.KeyValueExpr:
			if name := nameOf(n.Key); name == "Text" || strings.HasPrefix(name, "Claim") {
				add(n.Value)
			}
		case *ast.ReturnStmt: // of a function that says what is wrong; "" if nothing
			if len(n.Results) == 1 {
				add(n.Results[0])
			}
		case *ast.CallExpr:
			for i, e := range n.Args {
				if i < 2 && slices.Contains([]string{"rule", "fault", "wrong", "Fault", "append", "when"}, nameOf(n.Fun)) {
					add(e)
				}
			}
		}
		return true
	})
	return said
}

// known reports whether the catalogue has a fault: as it is, or after the name of the member that it begins with.
func known(said string) bool {
	_, rest, _ := strings.Cut(said, " ")
	for _, s := range []string{said, rest, strings.TrimSuffix(rest, "x") + "is missing", "cannot change" + strings.TrimPrefix(said, "x")} {
		if _, ok := Fault(s); ok {
			return true
		}
	}
	return false
}

func nameOf(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name
	case *ast.SelectorExpr:
		return e.Sel.Name
	}
	return ""
}

var verbs = regexp.MustCompile(`%[qdsv]`)

// sampleOf returns an expression as a sentence with samples for its values.
func sampleOf(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		s, ok := literal(e)
		return verbs.ReplaceAllStringFunc(s, func(v string) string {
			return map[string]string{"%q": `"x"`, "%d": "7", "%s": "x", "%v": "x"}[v]
		}), ok
	case *ast.BinaryExpr:
		a, _ := sampleOf(e.X)
		b, _ := sampleOf(e.Y)
		return a + b, e.Op == token.ADD
	case *ast.CallExpr:
		if nameOf(e.Fun) == "Sprintf" {
			return sampleOf(e.Args[0])
		}
		return "x", false
	}
	return "x", false
}

func TestEveryFaultOfAFormIsInTheCatalogue(t *testing.T) {
	found := 0
	for _, name := range sources(t, ".go") {
		if !faultFiles.MatchString(name) {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, said := range saidIn(file) {
			if found++; unasked.MatchString(said) {
				continue
			}
			if !known(said) {
				t.Errorf("%s: not in the catalogue: %s", name, said)
			}
		}
	}
	if found < 80 {
		t.Errorf("%d faults found", found)
	}
}

// Every fault is recognised as itself: no other one takes its sentence.
func TestAFaultIsRecognisedByItsSentence(t *testing.T) {
	samples := map[string]any{"n": 7, "fault": T("fault.missing"), "field": "jwks_uri", "list": "a, b and c"}
	for key, m := range English().messages() {
		if !strings.HasPrefix(key, faultKeys) {
			continue
		}
		want := T(key)
		for _, name := range m.placeholders() {
			value := samples[name]
			if value == nil {
				value = "the " + name
			}
			want.Args = append(want.Args, name, value)
		}
		said := English().Text(want)
		got, ok := Fault(strings.NewReplacer("“", `"`, "”", `"`, "’", "'").Replace(said))
		if !ok || got.Key != key || English().Text(got) != said {
			t.Errorf("%s %q is taken for %s %q", key, said, got.Key, English().Text(got))
		}
	}
}

func TestAFaultIsSaidInTheLanguageOfThePage(t *testing.T) {
	for said, want := range map[string]string{
		"is missing":                                           "Fehlt.",
		`"https://a.example/#x" has a fragment`:                "„https://a.example/#x“: Enthält ein Fragment (#).",
		`line 3: "</bdi><b>" is not configured`:                "Zeile 3: „</bdi><b>“: Ist nicht eingerichtet.",
		`jwks must be one of ES256, RS256`:                     "jwks: Muss eines von diesen sein: ES256, RS256.",
		"must not be RS256 under policy fapi2":                 "Darf nicht RS256 sein (Regeln: fapi2)",
		`default of "dept" must be at most 1000 bytes`:         "Vorgabe für „dept“: Darf höchstens 1000 Byte lang sein.",
		`"" is not an e-mail address`:                          "„“ ist keine E-Mail-Adresse.",
		`there is no group "is missing"`:                       "Es gibt keine Gruppe „is missing“.",
		"something else is wrong":                              "",
		"":                                                     "",
		`"a": "b": "c": "d": "e": is missing`:                  "",
		strings.Repeat("x", maxFault) + " is missing":          "",
		"has more than 99999999999999999999999 rows; split it": "",
	} {
		got, ok := Fault(said)
		if text := ByTag("de").Text(got); ok != (want != "") || ok && text != want {
			t.Errorf("%.80q: %v %q, want %q", said, ok, text, want)
		}
	}
	got, _ := Fault(`there is no group "<b>"`)
	if html := ByTag("de").HTML(got); strings.Contains(string(html), "<b>") {
		t.Errorf("a value is not escaped: %s", html)
	}
}
