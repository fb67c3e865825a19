package clients

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type clientSetCmd struct {
	ID   string `arg:"" help:"Client ID."`
	File string `arg:"" optional:"" default:"-" help:"File with the client as JSON, as printed by show. Default: standard input."`
	manage.Flags
}

func (c clientSetCmd) Run(e *manage.Env) error {
	changed, err := c.read()
	if err != nil {
		return err
	}
	return c.Flags.Run(e, manage.Writes, "invalid client", func(api *manage.API) error {
		if changed.ID != c.ID {
			return fmt.Errorf("invalid client: client_id is %q; a client's ID cannot change", changed.ID)
		}
		now, _, err := api.Clients.Replace(api.Context, adminapi.Any, changed)
		if err != nil {
			return unknown(c.ID, err)
		}
		return c.Say(now, "changed; running servers notice within 5 seconds")
	})
}

// read returns the client in the file.
func (c clientSetCmd) read() (changed adminapi.Client, err error) {
	in := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return changed, errors.New(config.FileReason(err))
		}
		defer file.Close()
		in = file
	}
	decoder := json.NewDecoder(in)
	decoder.DisallowUnknownFields() // a misspelt member would otherwise be lost
	err = decoder.Decode(&changed)
	if _, more := decoder.Token(); err == nil && more != io.EOF {
		err = errors.New("something follows the client")
	}
	if err != nil {
		err = fmt.Errorf("not a client as stepward client show prints it: %s", jsonReason(err))
	}
	return changed, err
}

type clientDisableCmd struct {
	ID string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c clientDisableCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "change client", func(api *manage.API) error {
		if err := api.Clients.Disable(api.Context, c.ID); err != nil {
			return switched(c.ID, "already disabled", err)
		}
		return tell(c.Flags, api, c.ID, "disabled; its tokens are revoked, and running servers reject it within 5 seconds")
	})
}

type clientEnableCmd struct {
	ID string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c clientEnableCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "change client", func(api *manage.API) error {
		if err := api.Clients.Enable(api.Context, c.ID); err != nil {
			return switched(c.ID, "already enabled", err)
		}
		return tell(c.Flags, api, c.ID, "enabled; running servers notice within 5 seconds")
	})
}

// switched says why a client could not be disabled or enabled.
func switched(id, already string, err error) error {
	if manage.Refused(err, "already") {
		return errors.New(already)
	}
	return unknown(id, err)
}

// tell prints a client as JSON, or else a sentence about it.
func tell(f manage.Flags, api *manage.API, id, sentence string) error {
	client, _, err := api.Clients.Get(api.Context, id)
	if err != nil {
		return err
	}
	return f.Say(client, sentence)
}
