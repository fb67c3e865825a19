package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/geoip/geoiptest"
	"github.com/stepward/stepward/internal/idp"
)

// Sessions, events and passkeys say roughly where they were used; without a file, nothing does.
func TestTheAccountSaysRoughlyWhere(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "places.mmdb")
	content := geoiptest.File(t, geoiptest.Name{English: "Germany", German: "Deutschland"}, geoiptest.Name{English: "Munich", German: "München"})
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, settings := range [][]string{{"STEPWARD_GEOIP_PATH=" + file}, nil} {
		o := newOP(t, settings...)
		p, email := o.browser()
		p.http.Transport = comesFrom("192.0.2.7")
		p.through(p.signUp(o.client(func(*idp.Client) {}).open(p), email))
		for _, path := range []string{"/account/passkeys", "/account/sessions", "/account/activity"} {
			at := p.open(path)
			if said := strings.Contains(at.body, "near ") && strings.Contains(at.body, "Munich"); said != (settings != nil) {
				t.Errorf("%s with %v says so: %t\n%.3000s", path, settings, said, at.body)
			}
		}
	}
}
