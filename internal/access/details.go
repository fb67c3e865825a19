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

// Limits of authorization_details. They are stored with the family and copied into the token, which stays below
// maxToken.
const (
	maxDetails      = 4 << 10 // bytes
	maxDetailCount  = 10
	maxDetailsDepth = 8
	maxNumber       = 32 // characters
)

// InvalidDetails returns an error of RFC 9396 §5.
func InvalidDetails(description string) error {
	return oauth.Refuse("invalid_authorization_details", description)
}

// Details reads the authorization_details parameter. Each element must have a registered type that the client may use,
// and match the schema of that type.
func (cat Catalog) Details(c idp.Client, s string) (idp.Details, error) {
	details, err := parseDetails(s)
	if err != nil {
		return nil, InvalidDetails(err.Error())
	}
	for _, d := range details {
		t, known := cat.Policy.DetailTypes[d.Type]
		if !known || !slices.Contains(c.DetailTypes, d.Type) {
			return nil, InvalidDetails("a type is unknown or not allowed for the client")
		}
		if err := t.Valid(d.Value()); err != nil { // its text is about the schema, and may repeat input
			return nil, InvalidDetails("an element does not match the schema of its type")
		}
	}
	return details, nil
}

// parseDetails parses authorization_details strictly: one JSON array of distinct objects with a type, without duplicate
// members (two parsers could take different ones) and nothing after it, limited in length, number and depth. Empty text
// is an empty list.
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
			return nil, errors.New("an element is duplicated")
		}
		if err := bounded(detail.Value(), 2); err != nil { // the array is the first level
			return nil, err
		}
		size += len(detail.JSON)
	}
	if size > maxDetails { // JSON escapes some characters
		return nil, fmt.Errorf("longer than %d bytes", maxDetails)
	}
	return details, nil
}

// bounded rejects deep nesting, and short numbers that are expensive to compare with a schema: 1e999999.
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

// inner calls bounded for the members of an object or array.
func inner(value any, level int) error {
	switch value.(type) {
	case map[string]any, []any:
		level++
	}
	return bounded(value, level)
}
