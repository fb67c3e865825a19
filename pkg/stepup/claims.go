package stepup

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Claims are what a verified token says. Unmarshal the payload of a JWT access token (RFC 9068 §2.2), of an ID token
// (OIDC Core §2) or an introspection response (RFC 7662 §2.2) into it.
type Claims struct {
	Issuer   string
	Subject  string
	ClientID string
	Audience []string
	Scopes   []string
	Expiry   time.Time // zero: not said

	// ACR, AMR and AuthTime describe the authentication that the token comes from (RFC 9470 §6).
	ACR      string
	AMR      []string
	AuthTime time.Time // zero: not said

	// Bound says that the token carries a cnf claim: it works only together with a proof of its key (RFC 9449, RFC 8705).
	// [Require] refuses such a token, because it does not check proofs.
	Bound bool

	// Raw is the JSON they were read from, for what is not above.
	Raw json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler. A claim of the wrong type is an error, never a zero value.
func (c *Claims) UnmarshalJSON(data []byte) error {
	var wire struct {
		Issuer   string          `json:"iss"`
		Subject  string          `json:"sub"`
		ClientID string          `json:"client_id"`
		Audience texts           `json:"aud"`
		Scope    string          `json:"scope"`
		Expiry   numericDate     `json:"exp"`
		ACR      string          `json:"acr"`
		AMR      []string        `json:"amr"`
		AuthTime numericDate     `json:"auth_time"`
		Confirm  json.RawMessage `json:"cnf"`
	}
	if err := json.Unmarshal(data, &wire); err != nil {
		return fmt.Errorf("claims: %w", err)
	}
	*c = Claims{
		Issuer: wire.Issuer, Subject: wire.Subject, ClientID: wire.ClientID, Audience: wire.Audience,
		Scopes: strings.Fields(wire.Scope), Expiry: time.Time(wire.Expiry),
		ACR: wire.ACR, AMR: wire.AMR, AuthTime: time.Time(wire.AuthTime),
		Bound: len(wire.Confirm) > 0 && string(wire.Confirm) != "null",
		Raw:   append(json.RawMessage(nil), data...),
	}
	return nil
}

// reaches reports whether the acr claim satisfies an acr value.
func (c Claims) reaches(value string) bool {
	return c.ACR != "" && (c.ACR == value || c.ACR == "phrh" && value == "phr")
}

// texts is one string or several (RFC 7519 §4.1.3).
type texts []string

func (t *texts) UnmarshalJSON(data []byte) error {
	var one string
	if json.Unmarshal(data, &one) == nil {
		*t = texts{one}
		return nil
	}
	return json.Unmarshal(data, (*[]string)(t))
}

// numericDate is seconds since 1970, possibly with a fraction (RFC 7519 §2).
type numericDate time.Time

func (d *numericDate) UnmarshalJSON(data []byte) error {
	var seconds *float64
	if err := json.Unmarshal(data, &seconds); err != nil {
		return err
	}
	if seconds == nil {
		return nil
	}
	const year9999 = 253402300799 // beyond it lie milliseconds taken for seconds
	if *seconds <= 0 || *seconds > year9999 {
		return errors.New("date out of range")
	}
	whole, fraction := math.Modf(*seconds)
	*d = numericDate(time.Unix(int64(whole), int64(fraction*1e9)))
	return nil
}
