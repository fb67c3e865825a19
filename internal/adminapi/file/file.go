// Package file has the JSON schema of a file for stepward apply, which is that of the request to the admin API as well.
package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Strict makes huma tell upper case from lower case. Its settings are variables of that package.
var Strict = sync.OnceFunc(func() { huma.ValidateStrictCasing, huma.DefaultArrayNullable = true, false })

// Narrow takes what only the server says out of the schemas of a file.
func Narrow(schemas huma.Registry) *huma.Schema {
	root := schemas.Schema(reflect.TypeFor[adminapi.Desired](), true, "")
	client := schemas.SchemaFromRef("#/components/schemas/DesiredClient")
	for _, name := range []string{"dynamic", "created_at", "updated_at", "disabled_at", "usage", "managed_by"} {
		delete(client.Properties, name)
	}
	client.Required = []string{"client_id", "client_name"}
	client.PrecomputeMessages()
	file := schemas.SchemaFromRef("#/components/schemas/Desired")
	policy := file.Properties["policy"]
	policy.Properties, policy.AdditionalProperties = map[string]*huma.Schema{}, false
	for _, name := range config.PolicyKeys() {
		policy.Properties[name] = &huma.Schema{}
	}
	policy.PrecomputeMessages()
	file.Properties["roles"].AdditionalProperties = true // huma's paths do not survive a dot in a name
	return root
}

// Schema returns the JSON schema of a file for stepward apply, which is that of the request as well.
func Schema() ([]byte, error) {
	Strict()
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	Narrow(schemas)
	schemas.SchemaFromRef("#/components/schemas/Desired").Properties["roles"].AdditionalProperties = &huma.Schema{
		Type: huma.TypeString, Enum: []any{"owner", "admin", "support", "auditor", "none"},
	}
	text, err := json.Marshal(schemas.Map())
	if err != nil {
		return nil, err
	}
	var defs map[string]json.RawMessage
	text = bytes.ReplaceAll(text, []byte("#/components/schemas/"), []byte("#/$defs/"))
	if err := json.Unmarshal(text, &defs); err != nil {
		return nil, err
	}
	for name := range defs {
		if name != "Desired" && !bytes.Contains(text, []byte(`"#/$defs/`+name+`"`)) {
			delete(defs, name)
		}
	}
	return json.MarshalIndent(map[string]any{
		"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "stepward.yaml",
		"description": "The desired state of a Stepward server, for: stepward apply -f stepward.yaml",
		"$ref":        "#/$defs/Desired", "$defs": defs,
	}, "", "  ")
}

// Check returns what is wrong with a file by its schema, by path.
func Check(value any) (faults directory.Faults) {
	Strict()
	schemas := huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer)
	var result huma.ValidateResult
	huma.Validate(schemas, Narrow(schemas), huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &result)
	object, _ := value.(map[string]any)
	roles, _ := object["roles"].(map[string]any)
	for _, email := range slices.Sorted(maps.Keys(roles)) {
		if _, ok := roles[email].(string); !ok {
			faults = append(faults, directory.Fault{Field: "roles." + email, Text: "expected string"})
		}
	}
	for _, err := range result.Errors {
		detail, ok := errors.AsType[*huma.ErrorDetail](err)
		if !ok {
			detail = &huma.ErrorDetail{Message: err.Error()}
		}
		faults = append(faults, directory.Fault{Field: detail.Location, Text: detail.Message})
	}
	return faults
}
