package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/config"
)

func TestTheOriginsThatShareThePasskeysAreListed(t *testing.T) {
	const issuer = "STEPWARD_ISSUER=https://login.new.example"
	for name, row := range map[string]struct {
		environ []string
		host    string
		want    []string
	}{
		"none":                 {nil, "login.new.example", nil},
		"others":               {[]string{"STEPWARD_RELATED_ORIGINS=https://shop.example.org https://a.example:8443,https://shop.example.org"}, "login.new.example", []string{"https://shop.example.org", "https://a.example:8443"}},
		"after a move":         {[]string{"STEPWARD_RP_ID=id.old.example"}, "id.old.example", []string{"https://login.new.example"}},
		"the domain above":     {[]string{"STEPWARD_RP_ID=new.example"}, "new.example", nil},
		"a similar name":       {[]string{"STEPWARD_RP_ID=ew.example"}, "ew.example", []string{"https://login.new.example"}},
		"the issuer is listed": {[]string{"STEPWARD_RP_ID=id.old.example", "STEPWARD_RELATED_ORIGINS=https://login.new.example"}, "id.old.example", []string{"https://login.new.example"}},
		"five names, of one twice": {
			[]string{"STEPWARD_RELATED_ORIGINS=https://a.example https://www.a.example https://a.co.uk https://b.example https://c.example https://d.example https://e.example"},
			"login.new.example",
			[]string{"https://a.example", "https://www.a.example", "https://a.co.uk", "https://b.example", "https://c.example", "https://d.example", "https://e.example"},
		},
	} {
		c, err := config.Load(config.Sources{Environ: append([]string{issuer}, row.environ...)})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(row.want, c.PublishedOrigins()); diff != "" || c.PasskeyHost() != row.host {
			t.Errorf("%s: %s, for %s", name, diff, c.PasskeyHost())
		}
	}
	for _, row := range []struct{ want, setting string }{
		{"has 6 different names", "STEPWARD_RELATED_ORIGINS=https://a.example,https://b.example,https://c.example,https://d.example,https://e.example,https://f.co.uk"},
		{"is not the https origin", "STEPWARD_RELATED_ORIGINS=http://a.example"},
		{"is not the https origin", "STEPWARD_RELATED_ORIGINS=https://192.0.2.1"},
		{"is not the https origin", "STEPWARD_RELATED_ORIGINS=https://intranet"},
		{"has more than an origin", "STEPWARD_RELATED_ORIGINS=https://a.example/login"},
		{"is not an http(s) URL", "STEPWARD_RELATED_ORIGINS=a.example"},
		{"is not a host", "STEPWARD_RP_ID=https://id.old.example"},
		{"is not a host", "STEPWARD_RP_ID=intranet"},
		{"is a suffix under which anybody", "STEPWARD_RP_ID=co.uk"},
		{"is not the host that passkeys are made for", "STEPWARD_NEW_RP_ID=id.old.example"},
	} {
		if _, err := config.Load(config.Sources{Environ: []string{issuer, row.setting}}); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", row.setting, err)
		}
	}
	if _, err := config.Load(config.Sources{Environ: []string{"STEPWARD_RP_ID=id.old.example"}}); err == nil || !strings.Contains(err.Error(), "needs an issuer with https") {
		t.Errorf("an http issuer with passkeys of another host: %v", err)
	}
	// The sixth name is the issuer itself, which the old host must list too.
	if _, err := config.Load(config.Sources{Environ: []string{
		issuer, "STEPWARD_RP_ID=id.old.example", "STEPWARD_RELATED_ORIGINS=https://a.example,https://b.example,https://c.example,https://d.example,https://e.example",
	}}); err == nil || !strings.Contains(err.Error(), "has 6 different names") {
		t.Errorf("six names with the issuer: %v", err)
	}
}
