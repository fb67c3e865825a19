package config_test

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/config/policy"
)

var update = flag.Bool("update", false, "rewrite docs/configuration.md")

func TestConfigurationPageIsGenerated(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "configuration.md")
	if *update {
		if err := os.WriteFile(page, []byte(markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(markdown(), string(got)); diff != "" {
		t.Errorf("run go test ./internal/config -update:\n%s", diff)
	}
}

// markdown returns docs/configuration.md.
func markdown() string {
	var b strings.Builder
	b.WriteString(`# Configuration

<!-- Generated from internal/config by "go test ./internal/config -update". Do not edit. -->

Stepward starts without any settings. It takes each setting from the first of these that has it:

1. flags: ` + "`--issuer https://id.example.com`" + ` (secrets only as files: ` + "`--key-file /run/secrets/key`" + `),
2. the environment: ` + "`STEPWARD_ISSUER`, or `STEPWARD_ISSUER_FILE`" + ` naming a file that contains the value,
3. a YAML file named by ` + "`--config`" + ` or ` + "`STEPWARD_CONFIG`" + `: ` + "`issuer: https://id.example.com`" + `,
4. the defaults below.

` + "`stepward config check`" + ` reads the settings as ` + "`serve`" + ` would, and reports all faults at once.

| setting | variable | default | |
|-|-|-|-|
`)
	for _, s := range config.Settings {
		def, help := "–", s.Help
		if s.InPolicy {
			help += " ◆"
		}
		if s.Default != "" {
			def = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Flag(), s.Env(), def, strings.ReplaceAll(help, "|", "\\|"))
	}
	b.WriteString("\n◆ and the settings below may also stand in the policy, which is kept in the store and changes " +
		"without a restart ([stepward policy](admin.md#policy)). There they come after 3 and before the defaults.\n")
	b.WriteString("\nSettings with a structure, in the YAML file or the policy only:\n\n| key | |\n|-|-|\n")
	for _, key := range slices.Sorted(maps.Keys(policy.Keys)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", key, policy.Keys[key])
	}
	b.WriteString("\nFor example:\n\n```yaml\n" + config.Example + "```\n")
	return b.String()
}
