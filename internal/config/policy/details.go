package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/stepward/stepward/internal/idp"
)

type detailEntry struct {
	Description string         `yaml:"description"`
	ActionClass string         `yaml:"action-class"`
	Schema      map[string]any `yaml:"schema"`
}

// maxSchema limits a schema, in bytes of JSON.
const maxSchema = 64 << 10

// detailType returns the type of authorization_details, and reports its faults.
func (e detailEntry) detailType(name string, p idp.Policy, fault func(message string)) idp.DetailType {
	t := idp.DetailType{Name: name, Description: e.Description, ActionClass: e.ActionClass}
	if !ScopeToken(name) {
		fault("must be a name without spaces, quotes or backslashes, such as payment_initiation")
	}
	if e.Description == "" {
		fault("description is missing; write what people should read, with members in braces: " +
			`"Pay {amount} to {creditor.name}"`)
	} else if reason := idp.TemplateFault(e.Description); reason != "" {
		fault("description " + reason)
	}
	if _, known := p.ActionClasses[e.ActionClass]; e.ActionClass != "" && !known {
		fault(fmt.Sprintf("action-class %q is not among action-classes", e.ActionClass))
	}
	schema, err := compile(e.Schema)
	if err != nil {
		fault("schema " + err.Error())
		return t
	}
	t.Valid = func(detail any) error {
		if err := schema.Validate(detail); err != nil {
			return fmt.Errorf("schema: %w", err)
		}
		return nil
	}
	return t
}

// compile compiles a JSON schema (draft 2020-12 unless it names another). References must stay within the schema:
// nothing is loaded.
func compile(schema map[string]any) (*jsonschema.Schema, error) {
	if len(schema) == 0 {
		return nil, errors.New("is missing; describe the members with a JSON schema")
	}
	text, err := json.Marshal(schema)
	if err != nil || len(text) > maxSchema {
		return nil, fmt.Errorf("is not JSON of at most %d bytes", maxSchema)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, fmt.Errorf("is not JSON: %w", err)
	}
	c := jsonschema.NewCompiler()
	c.UseLoader(noLoader{})
	c.AssertFormat()
	const here = "urn:stepward:schema"
	if err := c.AddResource(here, document); err != nil {
		return nil, fmt.Errorf("is not a valid JSON schema: %s", oneLine(err))
	}
	compiled, err := c.Compile(here)
	if err != nil {
		return nil, fmt.Errorf("is not a valid JSON schema: %s", oneLine(err))
	}
	return compiled, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// noLoader implements jsonschema.URLLoader. The default one reads files.
type noLoader struct{}

func (noLoader) Load(string) (any, error) {
	return nil, errors.New("references to other documents are not allowed")
}
