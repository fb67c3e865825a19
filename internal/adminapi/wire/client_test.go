package wire_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/pubkey"
	"github.com/stepward/stepward/internal/store/registry"
)

// kept are the fields that no form has: the operations keep them from the stored client.
var kept = map[string]bool{
	"Dynamic": true, "DocumentUntil": true, "Software": true,
	"CreatedAt": true, "UpdatedAt": true, "DisabledAt": true, "RegistrationHash": true, "UsedAt": true, "Secrets": true,
}

// full returns a client in which each field that a form has is set.
func full(t *testing.T) (c idp.Client) {
	t.Helper()
	fill(t, reflect.ValueOf(&c).Elem(), "")
	keys, err := pubkey.Registered([]byte(`{"keys":[{"kty":"EC","crv":"P-256","kid":"k","use":"sig","alg":"ES256",
		"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	c.JWKS = keys
	return c
}

// fill sets texts to the names of their fields, so that no two are confused.
func fill(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	if v.CanAddr() && v.Addr().Type() == reflect.TypeFor[*json.RawMessage]() {
		v.SetBytes([]byte(`"some"`))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(name)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(int64(3661 * time.Second))
	case reflect.Pointer:
		if v.Type().Elem().Kind() != reflect.Int64 {
			return // keys
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), name)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(t, v.Index(0), name)
	case reflect.Struct:
		for i := range v.NumField() {
			if name := v.Type().Field(i).Name; !kept[name] {
				fill(t, v.Field(i), name)
			}
		}
	default:
		t.Fatalf("%s has a kind that this test does not fill", v.Type())
	}
}

// A field that the API's form forgot would be lost in the next change of anything else.
func TestNoFieldOfAClientIsLostOnItsWay(t *testing.T) {
	c := full(t)
	back, err := wire.ClientOf(wire.Client(c, registry.Usage{}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, back); diff != "" {
		t.Errorf("over the API (-want +got):\n%s", diff)
	}
	out := wire.Desired(desired.State{Clients: []desired.Client{{Client: c}}}, wire.Hashed)
	again, err := wire.DesiredOf(out)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(c, again.Clients[0].Client); diff != "" {
		t.Errorf("in a file (-want +got):\n%s", diff)
	}
}
