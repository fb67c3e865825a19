package clients

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
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

func (c clientSetCmd) Run(e *manage.Env) error {
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
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		_, err := ops.Clients.Change(e.Context(), manage.Operator, c.ID, changed, time.Time{})
		if errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("there is no client with the ID %s; see: stepward client list", c.ID)
		}
		if err != nil {
			return manage.Told("invalid client", err)
		}
		fmt.Println("changed; running servers notice within 5 seconds")
		return nil
	})
}

type clientDisableCmd struct {
	ID string `arg:"" help:"Client ID."`
}

func (c clientDisableCmd) Run(e *manage.Env) error {
	return switchClient(e, c.ID, (*admin.Clients).Disable, "already disabled",
		"disabled; its tokens are revoked, and running servers reject it within 5 seconds")
}

type clientEnableCmd struct {
	ID string `arg:"" help:"Client ID."`
}

func (c clientEnableCmd) Run(e *manage.Env) error {
	return switchClient(e, c.ID, (*admin.Clients).Enable, "already enabled",
		"enabled; running servers notice within 5 seconds")
}

func switchClient(
	e *manage.Env, id string, change func(*admin.Clients, context.Context, admin.Actor, string) error,
	already, done string,
) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		err := change(ops.Clients, e.Context(), manage.Operator, id)
		switch {
		case errors.Is(err, idp.ErrNotFound):
			return fmt.Errorf("there is no client with the ID %s; see: stepward client list", id)
		case errors.Is(err, admin.ErrAlready):
			return errors.New(already)
		case err != nil:
			return manage.Told("change client", err)
		}
		fmt.Println(done)
		return nil
	})
}
