package apply

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Export is stepward export.
type Export struct {
	Output string `enum:"yaml,json" default:"yaml" help:"yaml or json."`
	server
}

// Help is shown by --help.
func (Export) Help() string {
	return `The file is one for stepward apply. Only the hashes of secrets are stored, so it refers to each by a
variable: set them to the secrets, or to new ones. Clients that registered themselves are left out.`
}

// Run implements the command.
func (c *Export) Run(e *manage.Env) error {
	var state adminapi.Desired
	if c.Against != "" {
		api, err := c.api(e)
		if err == nil {
			state, err = api.Export(e.Context())
		}
		if err != nil {
			return err
		}
	} else {
		err := e.Operate(false, func(_ *config.Config, ops *admin.Operations) error {
			found, err := desired.Export(e.Context(), ops, admin.Operator())
			state = wire.Desired(found, wire.Variables)
			return err
		})
		if err != nil {
			return err
		}
	}
	text, err := write(state, c.Output == "json")
	if err == nil {
		fmt.Print(text)
	}
	return err
}

// write returns a file with this state.
func write(state adminapi.Desired, asJSON bool) (string, error) {
	text, err := json.MarshalIndent(state, "", "  ")
	if err != nil || asJSON {
		return string(text) + "\n", err
	}
	if text, err = yaml.JSONToYAML(text); err != nil {
		return "", err
	}
	var out strings.Builder
	out.WriteString("# For: stepward apply -f stepward.yaml (docs/apply.md)\n")
	if string(bytes.TrimSpace(text)) == "{}" {
		return out.String(), nil
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimRight(line, "\n")
		member := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(line), "- "))
		if strings.HasPrefix(member, "value: env:") {
			line += " # only its hash is stored: set the variable to the secret, or to a new one"
		}
		out.WriteString(line + "\n")
	}
	return out.String(), nil
}
