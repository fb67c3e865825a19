package server

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// ReadJWKS reads the public keys of a client. What they are good for is for idp.Client.Faults to say.
func ReadJWKS(path string) (*jose.JSONWebKeySet, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read JWK set: %w", err)
	}
	var set jose.JSONWebKeySet
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, fmt.Errorf(`%s is not a JWK set, {"keys": […]}, of keys that are known here: %w`, path, err)
	}
	return &set, nil
}
