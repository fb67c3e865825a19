package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// jsonReason words what encoding/json says.
func jsonReason(err error) string {
	var wrong *json.UnmarshalTypeError
	var syntax *json.SyntaxError
	switch {
	case errors.As(err, &wrong) && wrong.Field == "":
		return fmt.Sprintf("it is %s and must be an object", jsonNouns.Replace(wrong.Value))
	case errors.As(err, &wrong):
		return fmt.Sprintf("%s is %s and must be %s", wrong.Field, jsonNouns.Replace(wrong.Value), jsonNoun(wrong.Type))
	case errors.As(err, &syntax):
		return fmt.Sprintf("byte %d: %v", syntax.Offset, err)
	case errors.Is(err, io.EOF):
		return "it is empty"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "its end is missing"
	}
	if name, unknown := strings.CutPrefix(err.Error(), "json: unknown field "); unknown {
		return name + " is no member of a client"
	}
	return err.Error()
}

// jsonNouns completes the names of encoding/json for what it found.
var jsonNouns = strings.NewReplacer(
	"string", "a text", "number", "a number", "bool", "true or false", "array", "a list", "object", "an object",
)

// jsonNoun names what a type of Go looks like in JSON.
func jsonNoun(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Pointer:
		return jsonNoun(t.Elem())
	case reflect.String:
		return "a text"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	default:
		return "a number"
	}
}
