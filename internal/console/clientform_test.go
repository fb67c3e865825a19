package console

// These tests are inside the package: they put a client through its form without a page in between.

import (
	"encoding/json"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// fill sets every member of a value that is still empty.
func fill(t *testing.T, v reflect.Value, name string) {
	t.Helper()
	switch {
	case v.Type() == reflect.TypeFor[time.Time]():
		v.Set(reflect.ValueOf(time.Unix(1700000000, 0).UTC()))
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), v.Type().Field(i).Name)
		}
	case !v.IsZero():
	case v.Kind() == reflect.String:
		v.SetString("https://app.example/" + name)
	case v.Kind() == reflect.Bool:
		v.SetBool(true)
	case v.Kind() == reflect.Int64:
		v.SetInt(int64(time.Hour))
	case v.Type() == reflect.TypeFor[[]string]():
		v.Set(reflect.ValueOf([]string{"https://app.example/" + name, "second"}))
	default:
		t.Fatalf("%s: no value for a %s", name, v.Type())
	}
}

// sent returns what a browser sends of a form that nobody has touched.
func sent(form desk.Form) url.Values {
	values := url.Values{}
	for _, section := range form.Sections {
		for _, f := range section.Fields {
			switch f.Kind {
			case desk.KindCheck:
				if f.On {
					values.Set(f.Name, "on")
				}
			case desk.KindSelect, desk.KindChecks:
				for i, c := range f.Choices {
					if c.On || f.Kind == desk.KindSelect && i == 0 {
						if f.Kind == desk.KindSelect {
							values.Del(f.Name)
						}
						values.Add(f.Name, c.Value)
					}
				}
			default:
				values.Set(f.Name, f.Value)
			}
		}
	}
	return values
}

func jsonOf(t *testing.T, c idp.Client) (members map[string]any) {
	t.Helper()
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &members)
	}
	if err != nil {
		t.Fatal(err)
	}
	return members
}

func TestAFormThatNobodyTouchedChangesNothing(t *testing.T) {
	age := 90 * time.Second
	full := idp.Client{
		Policy: idp.PolicyFAPI2, AuthMethod: idp.AuthMethodPost, JWKS: &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}},
		GrantTypes: append([]string{idp.GrantAuthorizationCode}, grantChoices...), Scopes: []string{"openid", "payouts"},
		IDTokenAlg: idp.PS256, IDTokenClaims: []string{"email", "groups", "payouts"}, AccessFormat: idp.FormatOpaque,
		DefaultMaxAge: &age, MinimumACR: idp.ACRPhishingResistantHardware,
		ClaimMappings: []directory.Mapping{{Source: "level", Claim: "lvl", Default: json.RawMessage(`7`), AccessToken: true}},
		Secrets:       []idp.ClientSecret{{ID: "1"}},
	}
	fill(t, reflect.ValueOf(&full).Elem(), "")
	bare := idp.Client{
		ID: "bare", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, GrantTypes: []string{idp.GrantAuthorizationCode},
		IDTokenAlg: idp.ES256, AccessFormat: idp.FormatJWT,
	}
	unknown := bare // what the policy no longer has must be a fault at its field, not less than before
	unknown.MinimumACR, unknown.Scopes = "gone", []string{"openid", "gone"}
	c := &Console{cfg: Config{Policy: idp.Policy{Scopes: map[string]idp.Scope{"openid": {}, "payouts": {}}}}}
	for name, was := range map[string]idp.Client{"full": full, "bare": bare, "unknown": unknown} {
		is, faults := c.readClient(was, sent(c.clientForm(was, false, nil)))
		if diff := cmp.Diff(jsonOf(t, was), jsonOf(t, is)); diff != "" || len(faults) > 0 {
			t.Errorf("%s: %v\n%s", name, faults, diff)
		}
	}
}
