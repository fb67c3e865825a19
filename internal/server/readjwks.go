package server

import (
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/pubkey"
)

// ReadJWKS reads the public keys of a client. idp.Client.Faults checks their use.
func ReadJWKS(path string) (*jose.JSONWebKeySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set, err := pubkey.Registered(text)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a JWK set, {"keys": […]}, with supported keys: %w`, path, err)
	}
	return set, nil
}
