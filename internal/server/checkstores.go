package server

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/store/rpid"
)

// claimRPID refuses an issuer on another host than that of the passkeys in the database, unless new-rp-id says so.
func claimRPID(ctx context.Context, cfg *config.Config, db *store.DB) error {
	host := cfg.PasskeyHost()
	recorded, err := rpid.Claim(ctx, db, host, cfg.NewRPID == host)
	if err != nil {
		return err
	}
	return otherRPID(cfg, recorded)
}

// CheckStores reports what New would refuse about the stores: that they cannot be reached, that the passkeys in the
// database are for another host, or that its signing keys are sealed under another key. It changes nothing, and makes
// no embedded store that is not there yet.
func CheckStores(ctx context.Context, cfg *config.Config) error {
	if cfg.Embedded() { // its ephemeral store belongs to the server that may be running
		if _, err := os.Stat(filepath.Join(cfg.DataDir, "stepward.db")); err != nil {
			return nil
		}
		return checkDatabase(ctx, cfg)
	}
	err := checkDatabase(ctx, cfg)
	redis, redisErr := OpenEphemeral(ctx, cfg, nil, slog.New(slog.DiscardHandler)) // the error says it
	if redisErr == nil {
		return errors.Join(err, redis.Close())
	}
	var faults, more config.Faults
	if errors.As(err, &faults) && errors.As(redisErr, &more) {
		return append(faults, more...)
	}
	return cmp.Or(err, redisErr)
}

func checkDatabase(ctx context.Context, cfg *config.Config) error {
	db, err := OpenStore(ctx, cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := db.CheckSchema(ctx); errors.Is(err, store.ErrOlderSchema) {
		return nil // serve migrates; nothing is recorded yet
	} else if err != nil {
		return err
	}
	if _, err := policies.New(db).Effective(ctx, cfg); err != nil {
		return err
	}
	recorded, err := rpid.Read(ctx, db, cfg.PasskeyHost())
	if err != nil {
		return err
	}
	if cfg.NewRPID != cfg.PasskeyHost() {
		if err := otherRPID(cfg, recorded); err != nil {
			return err
		}
	}
	return checkSealed(ctx, cfg, db)
}

// checkSealed reports signing keys that the operator's key does not open.
func checkSealed(ctx context.Context, cfg *config.Config, db *store.DB) error {
	operator := [][]byte{make([]byte, 32)} // of no installation: a new one that serve makes opens nothing either
	if _, err := os.Stat(cfg.KeyPath()); cfg.Key != "" || cfg.KeyCommand != "" || err == nil {
		if operator, err = operatorkey.Load(ctx, cfg); err != nil {
			return err
		}
	}
	ring, err := SigningKeys(cfg, db, operator)
	if err != nil {
		return err
	}
	if _, err := ring.Current(ctx); err != nil {
		return keysFault(cfg, err)
	}
	return nil
}

func otherRPID(cfg *config.Config, recorded rpid.Record) error {
	host := cfg.PasskeyHost()
	if recorded.Passkeys == 0 || recorded.Host == host {
		return nil
	}
	which := fmt.Sprintf("%d passkeys in this database are", recorded.Passkeys)
	if recorded.Passkeys == 1 {
		which = "a passkey in this database is"
	}
	if recorded.Host == "" {
		return config.Faults{cfg.Fault("issuer", fmt.Sprintf("%s for a host that is not recorded; "+
			"if it is %s, set new-rp-id to %s once", which, host, host), nil)}
	}
	return config.Faults{cfg.Fault("issuer", fmt.Sprintf("%s for %s and would not work under %s; "+
		"set issuer back, or set rp-id to %s, or set new-rp-id to %s to go on without them",
		which, recorded.Host, host, recorded.Host, host), nil)}
}
