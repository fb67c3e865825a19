package stepup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"time"
)

// Claims are the claims of a verified token. Unmarshal the payload of a JWT access token (RFC 9068 §2.2), an ID token
// (OIDC Core §2) or an introspection response (RFC 7662 §2.2) into it.
type Claims struct {
	Issuer   string
	Subject  string
	ClientID string
	Audience []string
	Scopes   []string
	Expiry   time.Time // zero: unknown

	// ACR, AMR and AuthTime describe the authentication behind the token (RFC 9470 §6).
	ACR      string
	AMR      []string
	AuthTime time.Time // zero: unknown

	// Bound means that the token has a cnf claim: it may be used only with a proof of its key (RFC 9449, RFC 8705).
	// [Require] rejects such a token, because it does not check proofs.
	Bound bool

	// Raw is the JSON that the claims were read from, for other claims.
	Raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler. A claim of the wrong type is an error, never a zero value. Unlike in
// encoding/json, names are case-sensitive: a custom claim "ACR" is not the acr.
func (c *Claims) UnmarshalJSON(data []byte) error {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(data, &all); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	var (
		got              Claims
		audience         texts
		scope            string
		expiry, authTime numericDate
	)
	for name, into := range map[string]any{
		"iss": &got.Issuer, "sub": &got.Subject, "client_id": &got.ClientID, "aud": &audience, "scope": &scope,
		"exp": &expiry, "acr": &got.ACR, "amr": &got.AMR, "auth_time": &authTime,
	} {
		if value, ok := all[name]; ok {
			if err := json.Unmarshal(value, into); err != nil {
				return fmt.Errorf("claims: %s: %w", name, err)
			}
		}
	}
	got.Audience, got.Scopes = audience, fields(scope)
	got.Expiry, got.AuthTime = time.Time(expiry), time.Time(authTime)
	got.Bound = len(all["cnf"]) > 0 && string(all["cnf"]) != "null"
	got.Raw = append(json.RawMessage(nil), data...)
	*c = got
	return nil
}

// reaches reports whether the acr claim satisfies an acr value.
func (c Claims) reaches(value string) bool {
	return c.ACR != "" && (c.ACR == value || c.ACR == "phrh" && value == "phr")
}

// texts is one string or an array of strings (RFC 7519 §4.1.3).
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// numericDate is a time in seconds since 1970, possibly with a fraction (RFC 7519 §2).
type numericDate time.Time

func (d *numericDate) UnmarshalJSON(data []byte) error {
	var seconds *float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	if seconds == nil || *seconds == 0 {
		return nil // some providers send 0 for unknown; it must not become 1970
	}
	const year9999 = 253402300799 // larger values are milliseconds mistaken for seconds
	if *seconds < 0 || *seconds > year9999 {
		return errors.New("date out of range")
	}
	whole, fraction := math.Modf(*seconds)
	*d = numericDate(time.Unix(int64(whole), int64(fraction*1e9)))
	return nil
}
