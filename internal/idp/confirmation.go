package idp

// A Confirmation names the key that a token is bound to (the cnf claim, RFC 7800 §3). To use the token, its sender must
// prove possession of that key. The zero value means a bearer token.
type Confirmation struct {
	JKT string `json:"jkt,omitempty"`      // RFC 7638 thumbprint of the key that signs DPoP proofs (RFC 9449 §6.1)
	X5T string `json:"x5t#S256,omitempty"` // SHA-256 of the TLS client certificate (RFC 8705 §3.1)
}

// Bound reports whether the token is bound to a key.
func (c Confirmation) Bound() bool { return c != Confirmation{} }

// TokenType is the token_type (RFC 9449 §5; RFC 8705 has no type of its own).
func (c Confirmation) TokenType() string {
	if c.JKT != "" {
		return "DPoP"
	}
	return "Bearer"
}
