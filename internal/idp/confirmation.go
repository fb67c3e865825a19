package idp

// A Confirmation names the key that a token is bound to (the cnf claim, RFC 7800 §3): whoever presents the token proves
// that he holds the key. The zero value is that of a bearer token.
type Confirmation struct {
	JKT string `json:"jkt,omitempty"`      // RFC 7638 thumbprint of the key that signs DPoP proofs (RFC 9449 §6.1)
	X5T string `json:"x5t#S256,omitempty"` // SHA-256 of the TLS client certificate (RFC 8705 §3.1)
}

// Bound reports whether there is a key to prove.
func (c Confirmation) Bound() bool { return c != Confirmation{} }

// TokenType is how a token with this confirmation is presented (RFC 9449 §5; RFC 8705 has no type of its own).
func (c Confirmation) TokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}
