package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// Bounds of authorization_details: it is stored with the family and stands in the token, which stays below maxToken.
const (
	maxDetails      = 4 << 10 // bytes
	maxDetailCount  = 10
	maxDetailsDepth = 8
	maxNumber       = 32 // characters
)

// InvalidDetails is an error of RFC 9396 §5.
func InvalidDetails(description string) error {
	return oauth.Refuse("invalid_authorization_details", description)
}

// Details reads the authorization_details parameter: elements of types that are registered and that the client may ask for,
// each valid by its type's schema.
func (cat Catalog) Details(c idp.Client, s string) (idp.Details, error) {
	details, err := parseDetails(s)
	if err != nil {
		return nil, InvalidDetails(err.Error())
	}
	for _, d := range details {
		t, known := cat.Policy.DetailTypes[d.Type]
		if !known || !slices.Contains(c.DetailTypes, d.Type) {
			return nil, InvalidDetails("a type is not known here, or the client may not ask for it")
		}
		if err := t.Valid(d.Value()); err != nil { // whose words are about the schema, and may repeat what was sent
			return nil, InvalidDetails("an element does not match the schema of its type")
		}
	}
	return details, nil
}

// parseDetails reads authorization_details strictly: one JSON array of distinct objects with a type, no member twice (two
// readers could take different ones), nothing after it, bounded in length, number and depth. Empty text is none.
func parseDetails(s string) (idp.Details, error) {
	if s == "" {
		return nil, nil
	}
	if len(s) > maxDetails {
		return nil, fmt.Errorf("longer than %d bytes", maxDetails)
	}
	if err := oauth.StrictArray([]byte(s)); err != nil {
		return nil, err
	}
	var details idp.Details
	if err := json.Unmarshal([]byte(s), &details); err != nil {
		return nil, errors.New("an element is not an object")
	}
	switch {
	case len(details) == 0:
		return nil, errors.New("empty")
	case len(details) > maxDetailCount:
		return nil, fmt.Errorf("more than %d elements", maxDetailCount)
	}
	size := 0
	for i, detail := range details {
		switch {
		case detail.Type == "":
			return nil, errors.New("an element has no type")
		case slices.Contains(details[:i], detail):
			return nil, errors.New("an element comes twice")
		}
		if err := bounded(detail.Value(), 2); err != nil { // the array is the first level
			return nil, err
		}
		size += len(detail.JSON)
	}
	if size > maxDetails { // characters that JSON has to escape
		return nil, fmt.Errorf("longer than %d bytes", maxDetails)
	}
	return details, nil
}

// bounded refuses what is nested too deep, and numbers that cost more to compare with a schema than to write: 1e999999.
func bounded(value any, level int) error {
	if level > maxDetailsDepth {
		return fmt.Errorf("nested deeper than %d levels", maxDetailsDepth)
	}
	switch v := value.(type) {
	case map[string]any:
		for _, member := range v {
			if err := inner(member, level); err != nil {
				return err
			}
		}
	case []any:
		for _, element := range v {
			if err := inner(element, level); err != nil {
				return err
			}
		}
	case json.Number:
		if f, err := v.Float64(); err != nil || len(v) > maxNumber || f != 0 && (math.Abs(f) > 1e30 || math.Abs(f) < 1e-30) {
			return errors.New("a number is out of range")
		}
	}
	return nil
}

// inner is bounded for what stands in an object or array.
func inner(value any, level int) error {
	switch value.(type) {
	case map[string]any, []any:
		level++
	}
	return bounded(value, level)
}
