package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"github.com/stepward/stepward/internal/config/policy"
)

// A Document is a policy that is kept in the store: sections by key, in the form that they have in the YAML file, as
// JSON. Sections that the flags, the environment or the file set are theirs alone.
type Document map[string]json.RawMessage

// MaxDocument limits a document, in bytes of JSON. Every replica keeps it in memory, and checks all of it on a change.
const MaxDocument = 256 << 10

// storedPolicy is the source of what a document says.
const storedPolicy = "the stored policy"

// PolicyKeys are the keys of a document, in the order of the documentation.
func PolicyKeys() []string {
	keys := slices.Sorted(maps.Keys(policy.Keys))
	for _, s := range Settings {
		if s.InPolicy {
			keys = append(keys, s.Name)
		}
	}
	return keys
}

// ReadDocument reads a document from YAML, of which JSON is a part. path names it in the faults. A section that is
// empty is null. The error is Faults; that the values are good is for [Config.With] to say.
func ReadDocument(path string, content []byte) (Document, error) {
	in := inputs{values: map[string]value{}, lines: map[string]string{}, written: map[string]any{}}
	if len(content) > MaxDocument {
		in.fault("policy", path, fmt.Sprintf("is larger than %d KiB", MaxDocument>>10))
		return nil, in.faults
	}
	keys := PolicyKeys()
	in.readYAML(yamlText{"policy", path, func(key string) bool { return slices.Contains(keys, key) }}, content)
	d := Document{}
	put := func(key, source string, v any) {
		text, err := encode(v)
		if err != nil {
			in.fault(key, source, "cannot be written as JSON: "+oneLine(err))
		}
		d[key] = text
	}
	for key, source := range in.lines {
		put(key, source, in.written[key])
	}
	for key, v := range in.values {
		if v.text == "" {
			d[key] = json.RawMessage("null")
			continue
		}
		put(key, v.source, v.text)
	}
	if len(in.faults) > 0 {
		return nil, in.faults
	}
	return d, nil
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// encode writes JSON that the YAML parser reads as well.
func encode(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(v)
	return bytes.TrimSpace(b.Bytes()), err
}

// Text returns the document as it is stored.
func (d Document) Text() (string, error) {
	kept := maps.Clone(d)
	maps.DeleteFunc(kept, func(_ string, v json.RawMessage) bool { return isNull(v) })
	text, err := encode(kept)
	return string(text), err
}

func isNull(v json.RawMessage) bool { return len(v) == 0 || string(bytes.TrimSpace(v)) == "null" }

// With returns the settings with a document below those that were set at the start: what it says takes the place of
// the defaults alone. c is not changed, and another document takes the place of one that c has. The error is Faults.
func (c *Config) With(d Document, version int64) (*Config, error) {
	in := c.inputs
	in.values, in.lines, in.written = maps.Clone(in.values), maps.Clone(in.lines), maps.Clone(in.written)
	open := maps.Clone(d)
	maps.DeleteFunc(open, func(key string, v json.RawMessage) bool { return isNull(v) || c.Locked(key) != "" })
	text, err := encode(open)
	if err != nil || len(text) > MaxDocument {
		in.fault("policy", storedPolicy, fmt.Sprintf("is not JSON of at most %d KiB", MaxDocument>>10))
		return nil, in.faults
	}
	keys := PolicyKeys()
	in.readYAML(yamlText{"policy", storedPolicy, func(key string) bool { return slices.Contains(keys, key) }}, text)
	for key := range open {
		if v, given := in.values[key]; given && v.text == "" {
			in.values[key] = c.inputs.values[key]
		}
	}
	changed, err := in.build()
	if err != nil {
		return nil, err
	}
	changed.inputs, changed.Policy.Version = c.inputs, version
	changed.Version, changed.Adapt = c.Version, c.Adapt
	changed.effective = in
	if c.Adapt != nil {
		c.Adapt(changed)
	}
	return changed, nil
}

// Locked returns where a section was set at the start ("stepward.yaml:3"), which no document changes; "" if it was not.
func (c *Config) Locked(key string) string {
	if source, set := c.inputs.lines[key]; set {
		return source
	}
	if v, set := c.inputs.values[key]; set && v.source != "default" {
		return v.source
	}
	return ""
}

// A Section is a part of the policy as it counts.
type Section struct {
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`  // null: nothing is set
	Source string          `json:"source"` // "default", "the stored policy", "stepward.yaml:3", "STEPWARD_SIGN_UP", "--sign-up"
	Locked bool            `json:"locked"` // set at the start, and only to be changed there
}

// Sections returns the policy as it counts, in the order of PolicyKeys.
func (c *Config) Sections() []Section {
	in := c.effective
	if in.values == nil {
		in = c.inputs
	}
	var sections []Section
	for _, key := range PolicyKeys() {
		s := Section{Key: key, Value: json.RawMessage("null"), Source: "default", Locked: c.Locked(key) != ""}
		if source, set := in.lines[key]; set {
			s.Source = source
			s.Value, _ = encode(in.written[key]) // it was read from YAML or JSON
		} else if v, set := in.values[key]; set {
			s.Source = v.source
			s.Value, _ = encode(v.text)
		}
		sections = append(sections, s)
	}
	return sections
}

// YAML returns the section as it stands in a file for ReadDocument, below a comment that says where it comes from. What
// does not come from the stored policy is a comment altogether.
func (s Section) YAML() (string, error) {
	lines, err := s.Text()
	if err != nil {
		return "", err
	}
	source := s.Source
	if s.Locked {
		source = "locked: " + source
	}
	if s.Source != storedPolicy {
		lines = "# " + strings.ReplaceAll(lines, "\n", "\n# ")
	}
	return "\n# " + source + "\n" + lines, nil
}

// Text returns the section as it stands in a file for ReadDocument, without a line break at its end.
func (s Section) Text() (string, error) {
	var v any
	if err := json.Unmarshal(s.Value, &v); err != nil {
		return "", fmt.Errorf("section %s: %w", s.Key, err)
	}
	text, err := yaml.Marshal(map[string]any{s.Key: v})
	if err != nil {
		return "", fmt.Errorf("section %s: %w", s.Key, err)
	}
	return strings.TrimRight(string(text), "\n"), nil
}

// Line returns the line of a YAML text where a setting stands that a fault names ("scopes.payouts.description"), or
// else the entry it belongs to; 0: nowhere.
func Line(text, setting string) (line int) {
	file, err := parser.ParseBytes([]byte(text), 0)
	if err != nil || len(file.Docs) == 0 {
		return 0
	}
	node := ast.Node(file.Docs[0].Body)
	for setting != "" {
		entries, _ := node.(ast.MapNode)
		if entries == nil {
			return line
		}
		node = nil
		for at := entries.MapRange(); at.Next(); {
			key := at.Key().GetToken()
			rest, found := strings.CutPrefix(setting, key.Value)
			if found && (rest == "" || rest[0] == '.' || rest[0] == '[') { // names may have dots
				node, line = at.Value(), key.Position.Line
				setting = strings.TrimPrefix(rest, ".")
				break
			}
		}
		if node == nil {
			return line
		}
	}
	return line
}
