package rules

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/words"
)

// A group is sections that have one form. Its title is the text console.policy.group.NAME.
type group struct {
	name string
	keys []string
}

// groups are all sections: those with structure one by one, the others together with what they belong to.
var groups = []group{
	{"scopes", []string{"scopes"}},
	{"resources", []string{"resources"}},
	{"classes", []string{"action-classes"}},
	{"details", []string{"authorization-details-types"}},
	{"acr", []string{"acr-aliases", "acr-decay"}},
	{"passkeys", []string{"attestation", "passkey-kind", "passkey-models", "passkey-models-forbidden", "passkey-rules"}},
	{"people", []string{"sign-up", "recovery", "recovery-hold", "recovery-approval"}},
	{"look", []string{"product-name", "logo-url", "accent", "help-url"}},
}

func groupOf(name string) (group, bool) {
	i := slices.IndexFunc(groups, func(g group) bool { return g.name == name })
	if i < 0 {
		return group{}, false
	}
	return groups[i], true
}

// chosen are the sections with a few values; the text of each is console.policy.SECTION.VALUE.
var chosen = map[string][]string{
	"sign-up": {"closed", "open"}, "recovery": {"codes", "email-with-delay", "admin-only"},
	"recovery-approval": {"optional", "required"}, "attestation": {"none", "direct"},
	"passkey-kind": {"any", "device-bound"},
}

// listed are the sections with a list of values.
var listed = []string{"passkey-models", "passkey-models-forbidden", "passkey-rules"}

// samples show what a section looks like that has nothing yet.
var samples = map[string]string{
	"scopes":         "scopes:\n  payouts:\n    description: Pay out money on your behalf\n    action-class: payments",
	"resources":      "resources:\n  https://api.example.com:\n    description: The bookings\n    scopes: [payouts]",
	"action-classes": "action-classes:\n  payments:\n    description: make a payment\n    acr: phr\n    window: 5m",
	"authorization-details-types": "authorization-details-types:\n  payment_initiation:\n" +
		"    description: Pay {amount} to {creditor}\n    action-class: payments\n    schema:\n      type: object\n" +
		"      required: [amount, creditor]\n      properties:\n        amount: {type: string}\n" +
		"        creditor: {type: string}",
	"acr-aliases": "acr-aliases:\n  urn:example:gold:\n    acr: phrh\n    max-age: 5m",
	"acr-decay":   "acr-decay:\n  phr:\n    absolute: 24h\n    idle: 1h",
}

func structured(key string) bool { return samples[key] != "" }

// plain returns the value of a section without structure.
func plain(s config.Section) (text string) {
	_ = json.Unmarshal(s.Value, &text) // null: empty
	return text
}

func rowOf(s config.Section) row {
	shown := row{Label: words.T("console.policy.key." + s.Key), Preset: s.Source == "default"}
	if s.Locked {
		shown.Source = s.Source
	}
	value := plain(s)
	switch {
	case structured(s.Key) && string(s.Value) != "null":
		shown.Code = yamlOf(s)
	case chosen[s.Key] != nil:
		shown.Text = words.T("console.policy." + s.Key + "." + value)
	case value != "":
		shown.Text = words.T("console.plain", "text", value)
	}
	return shown
}

// yamlOf returns a section as it stands in the settings file.
func yamlOf(s config.Section) string {
	text, err := s.Text()
	if err != nil { // it was read from YAML or JSON
		return string(s.Value)
	}
	return text
}

// fieldOf returns the field of a section, with its value or what was sent.
func fieldOf(s config.Section, sent url.Values) desk.Field {
	f := desk.Field{
		Kind: desk.KindText, Name: s.Key, Key: "console.policy.key." + s.Key, Value: plain(s), Test: "policy-" + s.Key,
	}
	switch {
	case structured(s.Key):
		f.Kind, f.Value = desk.KindCode, yamlOf(s)
		if string(s.Value) == "null" {
			f.Value = "# " + strings.ReplaceAll(samples[s.Key], "\n", "\n# ") + "\n"
		}
	case slices.Contains(listed, s.Key):
		f.Kind, f.Value = desk.KindLines, strings.Join(desk.Listed(f.Value), "\n")
	}
	if sent != nil {
		f.Value = sent.Get(s.Key)
	}
	for _, value := range chosen[s.Key] {
		f.Kind = desk.KindSelect
		f.Choices = append(f.Choices, desk.Choice{
			Value: value, Text: words.T("console.policy." + s.Key + "." + value), On: value == f.Value,
		})
	}
	return f
}

// read returns the sections of a form that differ from what counts, or what cannot be read.
func (g group) read(now []config.Section, form url.Values) (config.Document, directory.Faults) {
	doc, faults := config.Document{}, directory.Faults(nil)
	for _, s := range now {
		if _, given := form[s.Key]; !given || !slices.Contains(g.keys, s.Key) || s.Locked {
			continue
		}
		if structured(s.Key) {
			value, wrong := readYAML(s.Key, form.Get(s.Key))
			faults = append(faults, wrong...)
			doc[s.Key] = value
			continue
		}
		typed := strings.TrimSpace(form.Get(s.Key))
		if slices.Contains(listed, s.Key) {
			typed = strings.Join(desk.Lines(form, s.Key), ",")
		}
		if typed == plain(s) {
			continue
		}
		doc[s.Key] = json.RawMessage("null")
		if typed != "" {
			doc[s.Key], _ = json.Marshal(typed)
		}
	}
	return doc, faults
}

// readYAML returns the value of a section that was typed as YAML; null if there is none.
func readYAML(key, text string) (json.RawMessage, directory.Faults) {
	text = strings.ReplaceAll(text, "\r\n", "\n") // as browsers send it
	doc, err := config.ReadDocument(typedPath, []byte(text))
	wrong, ok := err.(config.Faults)
	if err != nil && !ok {
		return nil, directory.Faults{{Field: key, Text: err.Error()}}
	}
	var faults directory.Faults
	for _, f := range wrong {
		said := f.Message
		if f.Setting != "policy" {
			said = f.Setting + " " + said
		}
		where := strings.Replace(f.Source, typedPath+":", typedPath+" ", 1)
		faults = append(faults, directory.Fault{Field: key, Text: where + ": " + said})
	}
	for other := range doc {
		if other != key {
			faults = append(faults, directory.Fault{Field: key, Text: other + " is another section"})
		}
	}
	if doc[key] == nil {
		return json.RawMessage("null"), faults
	}
	return doc[key], faults
}

// typedPath names what was typed, in faults with lines.
const typedPath = "line"

// located puts faults of a section beside its field, with the line where they are.
func located(faults directory.Faults, form url.Values) (out directory.Faults) {
	for _, f := range faults {
		key, _, deeper := strings.Cut(f.Field, ".")
		if !deeper || !structured(key) {
			out = append(out, f)
			continue
		}
		said := f.Field + " " + f.Text
		if line := config.Line(form.Get(key), f.Field); line > 0 {
			said = fmt.Sprintf("line %d: %s", line, said)
		}
		out = append(out, directory.Fault{Field: key, Text: said})
	}
	return out
}
