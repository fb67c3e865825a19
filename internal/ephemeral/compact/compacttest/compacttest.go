// Package compacttest checks lists of fields for package compact.
package compacttest

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral/compact"
)

// Check reports fields that are missing in a list: it fills each field of a value that JSON would store, writes the
// value and reads it again. leave are types that are left empty.
func Check[T any](t *testing.T, fields func(*compact.Codec, *T), leave ...any) {
	t.Helper()
	var full, read, empty T
	skip := map[reflect.Type]bool{}
	for _, v := range leave {
		skip[reflect.TypeOf(v)] = true
	}
	n := 0
	fill(reflect.ValueOf(&full).Elem(), skip, &n)
	stored, err := compact.Encode(&full, fields)
	if err == nil {
		err = compact.Decode(stored, &read, fields)
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(full, read); diff != "" {
		t.Errorf("read again (-want +got):\n%s", diff)
	}
	read = empty
	none, err := compact.Encode(&empty, fields)
	if err == nil {
		err = compact.Decode(none, &read, fields)
	}
	if err != nil || !reflect.DeepEqual(read, empty) {
		t.Errorf("empty: %+v, %v", read, err)
	}
	for i := range stored { // a prefix is an older form, or damaged; it never panics
		read = empty
		_ = compact.Decode(stored[:i], &read, fields)
	}
}

func fill(v reflect.Value, skip map[reflect.Type]bool, n *int) {
	*n++
	switch x := v.Addr().Interface().(type) {
	case *time.Time:
		*x = time.Unix(int64(*n)*1e6, int64(*n)).UTC()
		return
	}
	if skip[v.Type()] {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprint("text ", *n))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Int16, reflect.Int8:
		v.SetInt(int64(*n))
	case reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), skip, n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), skip, n)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).Tag.Get("json") != "-" {
				fill(v.Field(i), skip, n)
			}
		}
	default:
		panic(fmt.Sprintf("compacttest cannot fill a %s", v.Type()))
	}
}
