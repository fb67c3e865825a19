package server

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/store"
)

// keysFault names the setting that keeps the signing keys from being used.
func keysFault(cfg *config.Config, err error) error {
	switch {
	case errors.Is(err, keys.ErrOperatorKey):
		const message = "is not the operator's key that the signing keys in the database are sealed under, " +
			"nor is key-previous"
		return config.Faults{cfg.Fault("key", message, err)}
	case cfg.KeyAgent != "" && !errors.Is(err, idp.ErrUnavailable) && !errors.Is(err, context.Canceled):
		return config.Faults{cfg.Fault("key-agent", err.Error(), err)}
	default:
		return fmt.Errorf("signing keys: %w", err)
	}
}

// SigningKeys returns the key ring, with the key agent if one is configured.
func SigningKeys(cfg *config.Config, db *store.DB, operator [][]byte) (*keys.Ring, error) {
	wrapper, err := keys.NewWrapper(operator[0], operator[1:]...)
	if err != nil {
		return nil, fmt.Errorf("key wrapper: %w", err)
	}
	ring := keys.Config{DB: db, Wrapper: wrapper, Every: cfg.KeyRotation}
	if cfg.KeyAgent != "" {
		ring.Agent = keys.NewAgent(cfg.KeyAgent)
	}
	return keys.New(ring)
}
