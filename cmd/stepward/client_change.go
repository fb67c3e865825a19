package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
)

// storedClient loads a client from the database, even a disabled one.
func storedClient(ctx context.Context, db *store.DB, id string) (idp.Client, error) {
	client, err := db.StoredClient(ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		return client, fmt.Errorf("there is no client with the ID %s; see: stepward client list", id)
	}
	if err != nil {
		return client, fmt.Errorf("load client: %w", err)
	}
	return client, nil
}

type clientSetCmd struct {
	ID   string `arg:"" help:"Client ID."`
	File string `arg:"" optional:"" default:"-" help:"File with the client as JSON, as printed by show. Default: standard input."`
}

func (c clientSetCmd) Run(e *env) error {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return errors.New(config.FileReason(err))
		}
		defer file.Close()
		in = file
	}
	var changed idp.Client
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields() // a misspelt member would otherwise be lost
	err := decoder.Decode(&changed)
	if _, more := decoder.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows the client")
	}
	if err != nil {
		return fmt.Errorf("not a client as stepward client show prints it: %s", jsonReason(err))
	}
	return e.writing(func(cfg *config.Config, db *store.DB) error {
		registered, err := storedClient(e.ctx, db, c.ID)
		if err != nil {
			return err
		}
		if changed.ID != c.ID {
			return fmt.Errorf("client_id is %q; a client's ID cannot change", changed.ID)
		}
		now := time.Now()
		changed.Secrets, changed.DisabledAt = registered.Secrets, registered.DisabledAt
		changed.CreatedAt, changed.UpdatedAt = registered.CreatedAt, now
		changed.RegistrationHash, changed.UsedAt = registered.RegistrationHash, registered.UsedAt
		if !changed.Dynamic { // now the operator's own client: not removed when unused, and unable to change itself
			changed.RegistrationHash, changed.UsedAt = "", time.Time{}
		}
		if faults := changed.Faults(cfg.Policy); len(faults) > 0 {
			return errors.New("invalid client:\n  " + strings.Join(faults, "\n  "))
		}
		fetch, err := server.OutboundOf(cfg)
		if err != nil {
			return err
		}
		if err := client.CheckSector(e.ctx, fetch, changed); err != nil {
			return fmt.Errorf("invalid client: %w", err)
		}
		event := idp.NewEvent(idp.EventClientChanged, "", now)
		event.ClientID = c.ID
		if err := db.PutClient(e.ctx, changed, event); err != nil {
			return fmt.Errorf("change client: %w", err)
		}
		fmt.Println("changed; running servers notice within 5 seconds")
		return nil
	})
}

type clientDisableCmd struct {
	ID string `arg:"" help:"Client ID."`
}

func (c clientDisableCmd) Run(e *env) error {
	return switchClient(e, c.ID, idp.EventClientDisabled, (*store.DB).DisableClient, "already disabled",
		"disabled; its tokens are revoked, and running servers reject it within 5 seconds")
}

type clientEnableCmd struct {
	ID string `arg:"" help:"Client ID."`
}

func (c clientEnableCmd) Run(e *env) error {
	return switchClient(e, c.ID, idp.EventClientEnabled, (*store.DB).EnableClient, "already enabled",
		"enabled; running servers notice within 5 seconds")
}

func switchClient(
	e *env, id string, kind idp.EventKind,
	change func(*store.DB, context.Context, string, time.Time, ...idp.Event) error, already, done string,
) error {
	return e.writing(func(_ *config.Config, db *store.DB) error {
		if _, err := storedClient(e.ctx, db, id); err != nil {
			return err
		}
		event := idp.NewEvent(kind, "", time.Now())
		event.ClientID = id
		err := change(db, e.ctx, id, time.Now(), event)
		if errors.Is(err, idp.ErrNotFound) {
			return errors.New(already)
		}
		if err != nil {
			return fmt.Errorf("change client: %w", err)
		}
		fmt.Println(done)
		return nil
	})
}
