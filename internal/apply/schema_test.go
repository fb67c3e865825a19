package apply

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	schema "github.com/stepward/stepward/internal/adminapi/file"
	"github.com/stepward/stepward/internal/config"
)

var update = flag.Bool("update", false, "write docs/stepward.schema.json")

func TestThePublishedSchemaIsTheOneThatIsChecked(t *testing.T) {
	text, err := schema.Schema()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("..", "..", "docs", "stepward.schema.json")
	if *update {
		if err := os.WriteFile(path, append(text, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	published, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(bytes.TrimSpace(published), text) {
		t.Errorf("docs/stepward.schema.json is not up to date (%v); run: go test ./internal/apply -update", err)
	}
	var read struct {
		Defs map[string]struct {
			Properties map[string]any
			Required   []string
		} `json:"$defs"`
	}
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"created_at", "updated_at", "disabled_at", "usage", "dynamic"} {
		if _, there := read.Defs["DesiredClient"].Properties[name]; there {
			t.Errorf("a file may say %s of a client", name)
		}
	}
	if n := len(read.Defs["Desired"].Properties["policy"].(map[string]any)["properties"].(map[string]any)); n != len(config.PolicyKeys()) {
		t.Errorf("%d sections of the policy", n)
	}
}
