// These tests are inside the package: they know the bounds of a proof, and open what a proof is parsed into.
package dpop

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
)

type (
	withHeader = dpoptest.Header
	withClaims = dpoptest.Claims
)

const uri = "https://id.example/oauth2/token"

func TestAProofNamesTheKeyThatSignedIt(t *testing.T) {
	for _, alg := range Algorithms {
		key := dpoptest.New(alg)
		p, err := Parse(key.Proof("POST", uri, withClaims{"jti": "once", "nonce": "ours"}))
		if err != nil {
			t.Fatalf("%s: %v", alg, err)
		}
		if p.Key != key.Thumbprint() || p.ID != "once" || p.Nonce != "ours" {
			t.Errorf("%s: %+v", alg, p)
		}
		if err := p.Check("POST", uri, "", time.Now()); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
}

// RFC 7638 §3.1 gives an RSA key with its thumbprint, RFC 8037 A.3 an Ed25519 key.
func TestThumbprintsMatchTheSpecifications(t *testing.T) {
	for want, k := range map[string]struct {
		alg string
		key jwk
	}{
		"NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs": {"PS256", jwk{
			Type: "RSA", E: "AQAB",
			N: "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
		}},
		"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k": {"EdDSA", jwk{Type: "OKP", Curve: "Ed25519", X: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}},
	} {
		if _, got, err := k.key.open(k.alg); err != nil || got != want {
			t.Errorf("%s: %q, %v", k.alg, got, err)
		}
	}
}

func TestInvalidProofsAreRefused(t *testing.T) {
	key, other := dpoptest.New("ES256"), dpoptest.New("ES256")
	good := key.Proof("POST", uri)
	parts := strings.Split(good, ".")
	jwkWith := func(name string, value any) withHeader {
		m := key.JWK()
		m[name] = value
		return withHeader{"jwk": m}
	}
	raw := func(header, claims string) string { return key.SignRaw([]byte(header), []byte(claims)) }
	decoded, _ := base64.RawURLEncoding.DecodeString(parts[0])
	head := string(decoded)
	body := `"jti":"a","htm":"POST","htu":"` + uri + `"`
	for name, proof := range map[string]string{
		"empty":                  "",
		"two parts":              parts[0] + "." + parts[1],
		"four parts":             good + ".",
		"five parts (JWE)":       good + ".a.b",
		"two proofs in one":      good + ", " + good,
		"padding":                good + "=",
		"line break":             parts[0] + "\n." + parts[1] + "." + parts[2],
		"long":                   key.Proof("POST", uri, withClaims{"x": strings.Repeat("x", maxProof)}),
		"no signature":           parts[0] + "." + parts[1] + ".",
		"unrelated signature":    key.SignRaw([]byte("{}"), nil)[3:],
		"changed claims":         parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte("{"+body+`,"iat":1}`)) + "." + parts[2],
		"another key's":          other.Proof("POST", uri, withHeader{"jwk": key.JWK()}),
		"no typ":                 key.Proof("POST", uri, withHeader{"typ": nil}),
		"typ JWT":                key.Proof("POST", uri, withHeader{"typ": "JWT"}),
		"typ in upper case":      key.Proof("POST", uri, withHeader{"typ": nil, "TYP": "dpop+jwt"}),
		"typ a number":           key.Proof("POST", uri, withHeader{"typ": 1}),
		"no alg":                 key.Proof("POST", uri, withHeader{"alg": nil}),
		"alg none":               key.Proof("POST", uri, withHeader{"alg": "none"}),
		"alg none, unsigned":     strings.TrimSuffix(key.Proof("POST", uri, withHeader{"alg": "none"}), parts[2]),
		"alg of another key":     key.Proof("POST", uri, withHeader{"alg": "EdDSA"}),
		"alg HS256":              key.Proof("POST", uri, withHeader{"alg": "HS256"}),
		"RS256":                  dpoptest.New("RS256").Proof("POST", uri),
		"RS256 called PS256":     dpoptest.New("RS256").Proof("POST", uri, withHeader{"alg": "PS256"}),
		"no jwk":                 key.Proof("POST", uri, withHeader{"jwk": nil}),
		"jwk a string":           key.Proof("POST", uri, withHeader{"jwk": "key"}),
		"jwk empty":              key.Proof("POST", uri, withHeader{"jwk": map[string]any{}}),
		"private jwk":            key.Proof("POST", uri, jwkWith("d", "AAAA")),
		"private jwk, not text":  key.Proof("POST", uri, jwkWith("d", 1)),
		"symmetric jwk":          key.Proof("POST", uri, jwkWith("k", "AAAA")),
		"point off the curve":    key.Proof("POST", uri, jwkWith("x", key.JWK()["y"])),
		"point too short":        key.Proof("POST", uri, jwkWith("x", "AAAA")),
		"another curve":          key.Proof("POST", uri, jwkWith("crv", "P-384")),
		"jwk with a line break":  key.Proof("POST", uri, jwkWith("x", key.JWK()["x"].(string)+"\n")),
		"weak RSA":               key.Proof("POST", uri, withHeader{"alg": "PS256", "jwk": map[string]any{"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
		"RSA without exponent":   key.Proof("POST", uri, withHeader{"alg": "PS256", "jwk": map[string]any{"kty": "RSA", "n": dpoptest.New("PS256").JWK()["n"], "e": ""}}),
		"crit":                   key.Proof("POST", uri, withHeader{"crit": []string{"exp"}, "exp": 1}),
		"b64":                    key.Proof("POST", uri, withHeader{"b64": false}),
		"member of header twice": raw(strings.Replace(head, `"typ"`, `"typ":"JWT","typ"`, 1), "{"+body+`,"iat":1}`),
		"header no object":       raw(`"x"`, "{"+body+`,"iat":1}`),
		"claims no object":       raw(head, "[]"),
		"trailing JSON":          raw(head, "{"+body+`,"iat":1}{}`),
		"claim twice":            raw(head, "{"+body+`,"iat":1,"iat":2}`),
		"no jti":                 key.Proof("POST", uri, withClaims{"jti": nil}),
		"empty jti":              key.Proof("POST", uri, withClaims{"jti": ""}),
		"jti a number":           key.Proof("POST", uri, withClaims{"jti": 1}),
		"long jti":               key.Proof("POST", uri, withClaims{"jti": strings.Repeat("j", maxID+1)}),
		"no iat":                 key.Proof("POST", uri, withClaims{"iat": nil}),
		"iat text":               key.Proof("POST", uri, withClaims{"iat": "now"}),
		"iat negative":           key.Proof("POST", uri, withClaims{"iat": -1}),
		"iat out of range":       raw(head, "{"+body+`,"iat":1e300}`),
		"long nonce":             key.Proof("POST", uri, withClaims{"nonce": strings.Repeat("n", maxNonce+1)}),
		"ath a number":           key.Proof("POST", uri, withClaims{"ath": 1}),
	} {
		if p, err := Parse(proof); err == nil {
			t.Errorf("%s: accepted as %+v", name, p)
		}
	}
}

func TestAProofIsForOneMethodOneURIAndOneToken(t *testing.T) {
	key := dpoptest.New("ES256")
	for name, tt := range map[string]struct {
		method, uri string
		change      withClaims
		token       string
		ok          bool
	}{
		"the same":                 {"POST", uri, nil, "", true},
		"with query and fragment":  {"POST", uri + "?a=b#c", nil, "", true},
		"host in upper case":       {"POST", "HTTPS://ID.Example/oauth2/token", nil, "", true},
		"default port":             {"POST", "https://id.example:443/oauth2/token", nil, "", true},
		"unknown claims, exp, nbf": {"POST", uri, withClaims{"exp": 1, "nbf": 1 << 33, "aud": "x", "b": map[string]any{}}, "", true},
		"for the token":            {"POST", uri, dpoptest.Hash("token"), "token", true},
		"a token not asked for":    {"POST", uri, dpoptest.Hash("token"), "", true},
		"an iat with a fraction":   {"POST", uri, withClaims{"iat": float64(time.Now().UnixMilli()) / 1000}, "", true},

		"another method":       {"GET", uri, nil, "", false},
		"method in lower case": {"post", uri, nil, "", false},
		"no method":            {"", uri, withClaims{"htm": nil}, "", false},
		"another path":         {"POST", "https://id.example/oauth2/par", nil, "", false},
		"path in upper case":   {"POST", "https://id.example/oauth2/TOKEN", nil, "", false},
		"longer path":          {"POST", uri + "/", nil, "", false},
		"another host":         {"POST", "https://evil.example/oauth2/token", nil, "", false},
		"another port":         {"POST", "https://id.example:444/oauth2/token", nil, "", false},
		"http":                 {"POST", "http://id.example/oauth2/token", nil, "", false},
		"http's port":          {"POST", "https://id.example:80/oauth2/token", nil, "", false},
		"user information":     {"POST", "https://id.example@evil.example/oauth2/token", nil, "", false},
		"path alone":           {"POST", "/oauth2/token", nil, "", false},
		"no address":           {"POST", uri, withClaims{"htu": nil}, "", false},
		"not for a token":      {"POST", uri, nil, "token", false},
		"for another token":    {"POST", uri, dpoptest.Hash("other"), "token", false},
		"hash in hexadecimal":  {"POST", uri, withClaims{"ath": "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"}, "token", false},
	} {
		p, err := Parse(key.Proof(tt.method, tt.uri, tt.change))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := p.Check("POST", uri, tt.token, time.Now()); (err == nil) != tt.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnEmptyPathEqualsTheRoot(t *testing.T) {
	if !sameTarget("https://id.example", "https://id.example/") || sameTarget("https://id.example", "https://id.example/x") {
		t.Error("the empty path must equal /")
	}
}

func TestAProofExpires(t *testing.T) {
	key, now := dpoptest.New("ES256"), time.Now()
	p, err := Parse(key.Proof("POST", uri, withClaims{"iat": now.Unix()}))
	if err != nil {
		t.Fatal(err)
	}
	at := time.Unix(now.Unix(), 0)
	for d, ok := range map[time.Duration]bool{
		0: true, 10 * time.Second: true, MaxAge: true, MaxAge + time.Millisecond: false, time.Hour: false,
		-10 * time.Second: true, -MaxAhead: true, -MaxAhead - time.Millisecond: false, -time.Hour: false,
	} {
		if err := p.Check("POST", uri, "", at.Add(d)); (err == nil) != ok {
			t.Errorf("%v after iat: %v", d, err)
		}
	}
	if !p.Until().Equal(at.Add(MaxAge)) {
		t.Errorf("until %v", p.Until())
	}
}

func FuzzParse(f *testing.F) {
	for _, alg := range Algorithms {
		f.Add(dpoptest.New(alg).Proof("POST", uri, withClaims{"nonce": "n", "ath": "a"}))
	}
	f.Add("a.b.c")
	f.Add("e30.e30.e30")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if len(p.Key) != 43 || p.ID == "" || strings.Count(text, ".") != 2 {
			t.Errorf("%q is %+v", text, p)
		}
		_ = p.Check("POST", uri, "token", time.Now())
	})
}

// FuzzTarget checks that an address equals its normal form, and that the normal form is stable.
func FuzzTarget(f *testing.F) {
	for _, s := range []string{uri, "HTTPS://ID.EXAMPLE:443/a?b#c", "http://[::1]:80", "https://a@b/c", "//x", "https://%41/", "https://h/%2f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		normal, ok := target(s)
		if !ok {
			return
		}
		if again, ok := target(normal); !ok || again != normal {
			t.Errorf("%q becomes %q becomes %q, %v", s, normal, again, ok)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	proof := dpoptest.New("ES256").Proof("POST", uri)
	for b.Loop() {
		if _, err := Parse(proof); err != nil {
			b.Fatal(err)
		}
	}
}
