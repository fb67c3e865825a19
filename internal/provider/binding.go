package provider

import "github.com/stepward/stepward/internal/idp"

// holds reports whether whoever presents a token has proven the key that it is bound to (RFC 7800 §3). A bound token is
// never taken for a bearer token.
func holds(of idp.Confirmation) bool { return !of.Bound() }
