package operatorkey_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/operatorkey"
)

func TestTheOperatorsKeyComesFromSettingsAFileOrACommand(t *testing.T) {
	const a, b = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
	want := [][]byte{make([]byte, 32), bytes.Repeat([]byte{1}, 32)}
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(a+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, environ := range map[string][]string{
		"environment": {"STEPWARD_KEY=" + a},
		"file":        {"STEPWARD_KEY_FILE=" + file},
		"command":     {"STEPWARD_KEY_COMMAND=cat " + file},
	} {
		cfg, err := config.Load(config.Sources{Environ: append(environ, "STEPWARD_KEY_PREVIOUS="+b)})
		if err != nil {
			t.Fatal(err)
		}
		got, err := operatorkey.Load(t.Context(), cfg)
		if err != nil || len(got) != 2 || !bytes.Equal(got[0], want[0]) || !bytes.Equal(got[1], want[1]) {
			t.Errorf("%s: %d keys, %v", name, len(got), err)
		}
	}
	for complaint, environ := range map[string][]string{
		"excludes key":   {"STEPWARD_KEY=" + a, "STEPWARD_KEY_COMMAND=cat " + file},
		"key-vault":      {"STEPWARD_KEY=vault:v1:abc"},
		"not 32 bytes":   {"STEPWARD_KEY_PREVIOUS=" + b + ",abc"},
		"other than 32":  {"STEPWARD_KEY_COMMAND=echo secret-thing"},
		"exit status":    {"STEPWARD_KEY_COMMAND=false"},
		"no such file":   {"STEPWARD_KEY_COMMAND=" + file + "-missing"},
		"Vault does not": {"STEPWARD_KEY=vault:v1:abc", "STEPWARD_KEY_VAULT=http://127.0.0.1:1/transit/stepward"},
	} {
		cfg, err := config.Load(config.Sources{Environ: environ})
		if err == nil {
			_, err = operatorkey.Load(t.Context(), cfg)
		}
		if err == nil || !strings.Contains(err.Error(), complaint) || strings.Contains(err.Error(), "secret-thing") {
			t.Errorf("%v: %v, want %q", environ, err, complaint)
		}
	}
}
