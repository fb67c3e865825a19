package config_test

import (
	"maps"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/words"
	"github.com/stepward/stepward/pkg/adminapi"
)

func TestTheAdminAPIIsAResourceWithItsOwnScopes(t *testing.T) {
	c, err := config.Load(config.Sources{Environ: []string{"STEPWARD_ISSUER=https://id.example"}})
	if err != nil {
		t.Fatal(err)
	}
	r, ok := c.Policy.Resources["https://id.example/admin/api/v1"]
	if !ok || len(r.Scopes) != len(adminapi.Scopes()) {
		t.Fatalf("resource %+v of %v", r, maps.Keys(c.Policy.Resources))
	}
	for _, name := range adminapi.Scopes() {
		scope := c.Policy.Scopes[name]
		changes := strings.HasSuffix(name, ":write")
		if (scope.ActionClass == "admin") != changes || !c.Policy.ForMachines(name) {
			t.Errorf("%s: class %q, for machines %v", name, scope.ActionClass, c.Policy.ForMachines(name))
		}
		if text := words.T("scope." + name); !words.Has(text.Key) || words.English().Text(text) != scope.Description {
			t.Errorf("%s: the catalogue says %q, the policy %q", name, words.English().Text(text), scope.Description)
		}
	}
}

func TestScopesOfTheAdminAPIAreNotForOthers(t *testing.T) {
	for content, want := range map[string]string{
		"scopes: {\"stepward:admin:write\": {description: x}}": "is reserved for Stepward",
		"scopes: {\"stepward:mine\": {description: x}}":        "is reserved for Stepward",
		"registration-scopes: [openid, stepward:admin:read]":   "not for applications that register themselves",
	} {
		_, err := config.Load(config.Sources{File: write(t, "stepward.yaml", content+"\n")})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", content, err, want)
		}
	}
}
