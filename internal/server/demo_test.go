package server

import (
	"log/slog"
	"testing"

	"github.com/stepward/stepward/internal/config"
)

func TestADemoKeepsWhatItAddsUnderAStoredPolicy(t *testing.T) {
	cfg, err := config.Load(config.Sources{Environ: []string{
		"STEPWARD_DATA_DIR=" + t.TempDir(), "STEPWARD_LISTEN=localhost:0", "STEPWARD_LOG_LEVEL=warn",
	}})
	if err != nil {
		t.Fatal(err)
	}
	d, err := NewDemo(t.Context(), cfg, "localhost:0", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	changePolicy(t, d.Server, 0, "product-name: Acme\nscopes: {mine: {description: Mine}}\n")
	now := d.current.Load().cfg
	if _, added := now.Policy.Scopes["mine"]; !added || d.PolicyVersion() != 1 {
		t.Fatal("the change does not count")
	}
	_, class := now.Policy.ActionClasses["payments"]
	if _, scope := now.Policy.Scopes["payouts"]; !scope || !class || !now.SignUp {
		t.Errorf("the demo lost its scope (%v), its class (%v) or its sign-up (%v)", scope, class, now.SignUp)
	}
	changePolicy(t, d.Server, 1, "sign-up: closed\nproduct-name: Acme\nhelp-url: https://example.com/help\n")
	if d.current.Load().cfg.SignUp {
		t.Error("sign-up is open although the policy closes it")
	}
}
