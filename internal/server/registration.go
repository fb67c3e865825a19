package server

import (
	"fmt"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/config"
)

// registrationOf returns the settings for applications that register themselves.
func registrationOf(cfg *config.Config) (client.Registration, error) {
	r := client.Registration{
		Mode: client.RegistrationMode(cfg.Registration), Scopes: cfg.RegistrationScopes, Policy: cfg.RegistrationPolicy,
		Most: cfg.RegistrationLimit,
	}
	if cfg.StatementJWKSPath == "" {
		return r, nil
	}
	keys, err := ReadJWKS(cfg.StatementJWKSPath)
	if err != nil {
		return r, err
	}
	for i, key := range keys.Keys {
		if !key.Valid() || !key.IsPublic() {
			return r, fmt.Errorf("key %d of %q is not a valid public key", i+1, cfg.StatementJWKSPath)
		}
	}
	r.Statements = client.Statements{Issuer: cfg.StatementIssuer, Keys: keys.Keys}
	return r, nil
}
