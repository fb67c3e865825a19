package config_test

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
)

func TestRulesForPasskeysAreRead(t *testing.T) {
	const model = "2fc0579f-8113-47ea-b116-bb5a8db9202a"
	load := func(environ ...string) (*config.Config, error) {
		return config.Load(config.Sources{Environ: environ})
	}
	c, err := load("STEPWARD_PASSKEY_KIND=device-bound", "STEPWARD_PASSKEY_MODELS_FORBIDDEN="+model+", "+model)
	if err != nil || !c.DeviceBound || len(c.ForbiddenModels) != 2 || c.ForbiddenModels[0].String() != model {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []string{"YubiKey", "2fc0579f811347eab116bb5a8db9202a", "{" + model + "}", model + "x"} {
		if _, err := load("STEPWARD_PASSKEY_MODELS_FORBIDDEN=" + bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	for _, missing := range []string{"STEPWARD_ATTESTATION=direct", "STEPWARD_METADATA_PATH=/x"} {
		if _, err := load("STEPWARD_PASSKEY_MODELS="+model, missing); err == nil ||
			!strings.Contains(err.Error(), "no model could prove what it is") {
			t.Errorf("with %s: %v", missing, err)
		}
	}
	if _, err := load("STEPWARD_PASSKEY_MODELS="+model, "STEPWARD_ATTESTATION=direct", "STEPWARD_METADATA_PATH=/x"); err != nil {
		t.Error(err)
	}
	for _, rule := range []string{"group:finance proven", "role:admin allowed=" + model} {
		if _, err := load("STEPWARD_PASSKEY_RULES="+rule, "STEPWARD_ATTESTATION=direct"); err == nil ||
			!strings.Contains(err.Error(), "passkey-rules") || !strings.Contains(err.Error(), "no model could prove what it is") {
			t.Errorf("%s: %v", rule, err)
		}
	}
	if c, err := load("STEPWARD_PASSKEY_RULES=role:admin forbidden=" + model); err != nil ||
		len(c.PasskeyRules) != 1 || len(c.PasskeyRules[0].Need.Forbidden) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}
