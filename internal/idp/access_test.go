package idp

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// risky has two windows of different lengths, each named by a scope, a resource and a type.
var risky = Policy{
	ActionClasses: map[string]ActionClass{"short": {Name: "short", Window: time.Minute}, "long": {Name: "long", Window: time.Hour}},
	Scopes:        map[string]Scope{"s": {ActionClass: "short"}, "l": {ActionClass: "long"}, "lost": {ActionClass: "nowhere"}},
	Resources:     map[string]Resource{"both": {ActionClasses: []string{"long", "short"}}, "none": {}},
	DetailTypes:   map[string]DetailType{"t": {ActionClass: "short"}, "free": {}},
}

func TestActionClassesComeFromScopesResourcesAndDetails(t *testing.T) {
	for _, tc := range []struct {
		access Access
		want   string
	}{
		{Access{Scopes: []string{"openid"}, Resources: []string{"none", "elsewhere"}, Details: Details{{Type: "free"}, {Type: "unknown"}}}, ""},
		{Access{Scopes: []string{"s", "l"}}, "short long"},
		{Access{Resources: []string{"both"}}, "long short"},
		{Access{Details: Details{{Type: "t"}}}, "short"},
		{Access{Scopes: []string{"l"}, Resources: []string{"both"}, Details: Details{{Type: "t"}}}, "long short"},
	} {
		var names []string
		for _, class := range risky.ActionClassesOf(tc.access) {
			names = append(names, class.Name)
		}
		if got := strings.Join(names, " "); got != tc.want {
			t.Errorf("%v: got %q, want %q", tc.access, got, tc.want)
		}
	}
}

func TestOpenDropsEachPartWhenItsWindowEnds(t *testing.T) {
	all := Access{
		Scopes: []string{"openid", "s", "l", "lost"}, Resources: []string{"none", "both", "elsewhere"},
		Details: Details{{Type: "t"}, {Type: "free"}, {Type: "unknown"}},
	}
	by := Assurance{AuthTime: noon, ActionClasses: []string{"short", "long"}}
	at := func(d time.Duration) time.Time { return noon.Add(d) }
	for _, tc := range []struct {
		name  string
		by    Assurance
		now   time.Time
		open  Access
		until time.Time
	}{
		{
			"both open", by, at(time.Minute - 1),
			Access{[]string{"openid", "s", "l"}, []string{"none", "both", "elsewhere"}, Details{{Type: "t"}, {Type: "free"}}},
			at(time.Minute),
		},
		{"the short window ended", by, at(time.Minute), Access{[]string{"openid", "l"}, []string{"none", "elsewhere"}, Details{{Type: "free"}}}, at(time.Hour)},
		{"both ended", by, at(time.Hour), Access{[]string{"openid"}, []string{"none", "elsewhere"}, Details{{Type: "free"}}}, time.Time{}},
		{
			"one never opened, or closed by the user",
			Assurance{AuthTime: noon, ActionClasses: []string{"short"}},
			noon,
			Access{[]string{"openid", "s"}, []string{"none", "elsewhere"}, Details{{Type: "t"}, {Type: "free"}}},
			at(time.Minute),
		},
		{"no authentication", Assurance{}, noon, Access{[]string{"openid"}, []string{"none", "elsewhere"}, Details{{Type: "free"}}}, time.Time{}},
	} {
		open, until := risky.Open(all, tc.by, tc.now)
		if diff := cmp.Diff(tc.open, open); diff != "" || !until.Equal(tc.until) {
			t.Errorf("%s: until %v, want %v; (-want +got):\n%s", tc.name, until, tc.until, diff)
		}
		if !risky.Holds(open, tc.by, tc.now) || risky.Holds(all, tc.by, tc.now) {
			t.Errorf("%s: Holds disagrees with Open", tc.name)
		}
	}
}

func TestAClosedWindowIsNoLongerOpen(t *testing.T) {
	s := &Session{UserID: "u", SeenAt: noon, Authentications: []HeldAuthentication{held("a", time.Minute, opened("payments", "keys"), hardware)}}
	need := Requirement{ActionClasses: []ActionClass{policy.ActionClasses["payments"]}}
	if s.CloseWindow("b", "payments") || s.CloseWindow("a", "unknown") || !s.CloseWindow("a", "payments") || s.CloseWindow("a", "payments") {
		t.Error("CloseWindow must succeed once, and only for an open window")
	}
	if _, check := policy.Choose(s, "", need, false, noon); check != CheckActionClass {
		t.Errorf("after closing: got check %q", check)
	}
	got, check := policy.Choose(s, "", Requirement{}, false, noon)
	if diff := cmp.Diff([]string{"keys"}, got.ActionClasses); diff != "" || check != "" {
		t.Errorf("check %q; the other window must stay open (-want +got): %s", check, diff)
	}
	s.AddAuthentication(held("b", 0, opened("payments")).Authentication)
	if _, check := policy.Choose(s, "", need, false, noon); check != "" {
		t.Errorf("after another step-up: got check %q", check)
	}
}

func TestDetailsAreRenderedWithTheDescriptionOfTheirType(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tc := range []struct{ description, detail, want string }{
		{"Pay {amount} {currency} to {creditor.name}", `{"amount":1.50,"currency":"EUR","creditor":{"name":"Acme"}}`, "Pay 1.50 EUR to Acme"},
		{"Pay {amount}", `{}`, "Pay –"},
		{"Pay {a.b.c}", `{"a":{"b":1}}`, "Pay –"},
		{"{a}, {b}, {c}", `{"a":true,"b":false,"c":null}`, "yes, no, –"},
		{"See {a}", `{"a":["x",1,{"b":2},[]]}`, "See x, 1, –, –"},
		{"See {a}", `{"a":{"b":2}}`, "See –"},
		{"See {a}", `{"a":" one\n\ttwo\u202ethree\u200b\u0000four  "}`, "See one two three four"},
		{"See {a}", `{"a":"{b}","b":"no"}`, "See {b}"},
		{"See {a}", `{"a":"` + long + `"}`, "See " + long[:119] + "…"},
	} {
		var d Detail
		if err := json.Unmarshal([]byte(tc.detail), &d); err != nil {
			t.Fatal(err)
		}
		got := DetailType{Description: tc.description}.Words(d)
		if got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.detail, got, tc.want)
		}
	}
	many := DetailType{Description: strings.Repeat("{a}", 6)}.Words(Detail{JSON: `{"a":"` + long + `"}`})
	if n := len([]rune(many)); n != maxWords {
		t.Errorf("%d characters, want %d", n, maxWords)
	}
	for description, ok := range map[string]bool{
		"Pay {amount} to {creditor.name}": true, "Pay": true, "{": false, "}": false, "{}": false, "{a": false, "{a b}": false, "{a{b}}": false, "a}": false,
	} {
		if (TemplateFault(description) == "") != ok {
			t.Errorf("%q: %q", description, TemplateFault(description))
		}
	}
}

func TestDetailsAtResources(t *testing.T) {
	ds := Details{{JSON: `{"type":"a"}`}, {JSON: `{"locations":["x","y"],"type":"a"}`}, {JSON: `{"locations":"x","type":"b"}`}}
	if diff := cmp.Diff(ds, ds.At([]string{"y"})); diff != "" {
		t.Error(diff)
	}
	if got := ds.At([]string{"z"}); len(got) != 2 {
		t.Errorf("%v", got)
	}
}
