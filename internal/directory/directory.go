// Package directory holds the nouns of administration and their rules: how people are named, the roles of the provider,
// groups, and claims that an admin defines. It knows neither HTTP nor SQL and imports nothing of ours.
package directory

import (
	"slices"
	"strings"
)

// A Fault is one thing that is wrong with an input.
type Fault struct {
	Field string `json:"field"` // as in the API's JSON; empty: the whole
	Text  string `json:"text"`  // a sentence for people, without the field's name
}

// Faults is everything that is wrong with an input. It is an error, so that an operation can return it.
type Faults []Fault

// Error lists the faults, one a line.
func (f Faults) Error() string {
	lines := make([]string, 0, len(f))
	for _, fault := range f {
		lines = append(lines, strings.TrimSpace(fault.Field+" "+fault.Text))
	}
	return strings.Join(lines, "\n")
}

// Err returns f as an error; nil if nothing is wrong.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return f
}

// Has reports whether a field is at fault.
func (f Faults) Has(field string) bool {
	return slices.ContainsFunc(f, func(fault Fault) bool { return fault.Field == field })
}
