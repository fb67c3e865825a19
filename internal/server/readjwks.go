package server

import (
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
)

// ReadJWKS reads the public keys of a client. What they are good for is for idp.Client.Faults to say.
func ReadJWKS(path string) (*jose.JSONWebKeySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	set, err := idp.RegisteredKeys(text)
	if err != nil {
		return nil, fmt.Errorf(`%q is not a JWK set, {"keys": […]}, with keys that can be used here: %w`, path, err)
	}
	return set, nil
}
