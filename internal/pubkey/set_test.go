package pubkey_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/pubkey"
)

const (
	publishedKey = `{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	privateKey   = `{"kty":"EC","crv":"P-256","kid":"1","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM","d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE"}`
)

func TestUnusablePublishedKeysAreSkipped(t *testing.T) {
	for text, want := range map[string]int{
		`{"keys":[` + publishedKey + `]}`: 1, `{"keys":[]}`: 0,
		`{"keys":[{"kty":"unheard of"},1,null,` + privateKey + `,{"kty":"oct","k":"AAAA"},` + publishedKey + `]}`: 1,
		`{"keys":[` + strings.Repeat(publishedKey+",", 11) + publishedKey + `]}`:                                  10,
		``: -1, `{}`: -1, `[]`: -1, `{"keys":null}`: -1, `{"keys":{}}`: -1, `<html>`: -1,
	} {
		keys, err := pubkey.Published([]byte(text))
		if want < 0 && err == nil || want >= 0 && (err != nil || len(keys) != want) {
			t.Errorf("%.60s: %d keys, %v", text, len(keys), err)
		}
	}
}

func TestOfARegisteredSetTheUsableKeysCount(t *testing.T) {
	const (
		other   = `{"kty":"EC","crv":"P-256","use":"enc","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		wraps   = `{"kty":"EC","crv":"P-256","key_ops":["deriveKey"],"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		checks  = `{"kty":"EC","crv":"P-256","key_ops":["verify"],"x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
		unheard = `{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"},{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}`
	)
	certified := strings.Replace(publishedKey, `{`, `{"x5c":["AAAA","`+strings.Repeat("A", 4096)+`"],"x5t":"AAAA",`, 1)
	for name, row := range map[string]struct {
		keys string
		want int    // keys; -1: an error
		told string // by Faults, of a client that signs with them
	}{
		"one":                                 {publishedKey, 1, ""},
		"for encryption besides":              {other + "," + publishedKey, 1, ""},
		"of kinds that are unheard of":        {unheard + "," + publishedKey, 1, ""},
		"for something else by key_ops":       {wraps + "," + checks, 1, ""},
		"for something else by key_ops only":  {wraps, -1, ""},
		"for encryption only":                 {other, 1, "is not for signatures"},
		"of unheard kinds only":               {`{"kty":"AKP","alg":"x","pub":"AAAA"}`, -1, ""},
		"a private one besides":               {publishedKey + "," + privateKey, 2, "is private"},
		"a secret besides":                    {publishedKey + `,{"kty":"oct","k":"AAAA"}`, 2, "is private or symmetric"},
		"with certificates that are not read": {certified, 1, ""},
		"twelve":                              {strings.Repeat(publishedKey+",", 11) + publishedKey, 12, ""},
		"none":                                {"", 0, ""},
	} {
		set, err := pubkey.Registered([]byte(`{"keys":[` + row.keys + `]}`))
		if row.want < 0 {
			if err == nil {
				t.Errorf("%s: taken", name)
			}
			continue
		}
		if err != nil || len(set.Keys) != row.want {
			t.Errorf("%s: %v, %v", name, set, err)
			continue
		}
		if text, err := json.Marshal(set); err != nil || strings.Contains(string(text), "x5") {
			t.Errorf("%s: %v %s", name, err, text)
		}
		var faults []string
		for _, key := range set.Keys {
			faults = append(faults, pubkey.Fault(key))
		}
		if faults := strings.Join(faults, ""); (faults == "") != (row.told == "") || !strings.Contains(faults, row.told) {
			t.Errorf("%s: %s", name, faults)
		}
	}
	for _, text := range []string{``, `[]`, `{}`, `{"keys":{}}`} {
		if _, err := pubkey.Registered([]byte(text)); err == nil {
			t.Errorf("%s: taken", text)
		}
	}
	if keys, err := pubkey.Published([]byte(`{"keys":[` + wraps + `,` + certified + `]}`)); err != nil || len(keys) != 1 || len(keys[0].Certificates) > 0 {
		t.Errorf("published: %v %v", keys, err)
	}
}

func FuzzPublished(f *testing.F) {
	f.Add([]byte(`{"keys":[` + publishedKey + `]}`))
	f.Add([]byte(`{"keys":[` + privateKey + `,{"kty":"oct","k":"AAAA"},{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, _ := pubkey.Published(document)
		for _, key := range keys {
			if pubkey.Fault(key) != "" {
				t.Errorf("%+v was accepted", key)
			}
		}
		if len(keys) > pubkey.MaxKeys {
			t.Errorf("%d keys", len(keys))
		}
	})
}
