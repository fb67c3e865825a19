package server

import (
	"fmt"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/store"
)

// SigningKeys returns the key ring, with the key agent if one is configured.
func SigningKeys(cfg *config.Config, db *store.DB, key []byte) (*keys.Ring, error) {
	wrapper, err := keys.NewWrapper(key)
	if err != nil {
		return nil, fmt.Errorf("key wrapper: %w", err)
	}
	ring := keys.Config{DB: db, Wrapper: wrapper, Every: cfg.KeyRotation}
	if cfg.KeyAgent != "" {
		ring.Agent = keys.NewAgent(cfg.KeyAgent)
	}
	return keys.New(ring)
}
