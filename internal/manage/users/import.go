package users

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
)

type userImportCmd struct {
	File   string        `arg:"" help:"CSV file, with a heading. groups are separated by semicolons."`
	DryRun bool          `name:"dry-run" help:"Only say what is wrong."`
	Mail   bool          `name:"mail" help:"Mail the links instead of printing them as CSV."`
	TTL    time.Duration `name:"ttl" default:"168h" help:"How long the links are valid, 5m to 168h."`
	manage.Output
}

func (c userImportCmd) Run(e *manage.Env) error {
	file, err := os.Open(c.File)
	if err != nil {
		return errors.New(config.FileReason(err))
	}
	defer file.Close()
	change := e.Writing
	if c.Mail {
		change = e.Mailing
	}
	return manage.With(change, func(_ *config.Config, ops *admin.Operations) error {
		if c.DryRun {
			p, err := ops.Users.Preview(e.Context(), manage.Operator, file)
			if err != nil {
				return manage.Told(c.File, err)
			}
			return c.report(p)
		}
		links := csv.NewWriter(os.Stdout)
		p, err := ops.Users.Import(e.Context(), manage.Operator, file, c.TTL, c.Mail, func(inv admin.Invitation) error {
			if c.Mail {
				return nil
			}
			return links.Write([]string{inv.User.Email, inv.Link.Reveal(), inv.Until.Format(time.RFC3339)})
		})
		links.Flush()
		switch {
		case errors.Is(err, admin.ErrWrongRows):
			return c.report(p)
		case err != nil:
			return manage.Told(c.File, err)
		case c.Mail:
			fmt.Printf("%d invitations are in the outbox: a running server delivers them\n", p.Rows)
		}
		return links.Error()
	})
}

// report prints what is wrong with the file; rows that are wrong are an error.
func (c userImportCmd) report(p admin.Preview) error {
	if c.JSON() {
		if err := manage.PrintJSON(p); err != nil {
			return err
		}
	} else {
		for _, row := range p.Faults {
			fmt.Printf("line %d (%s): %s\n", row.Line, row.Email, strings.ReplaceAll(row.Faults.Error(), "\n", "; "))
		}
		if p.Wrong > len(p.Faults) {
			fmt.Printf("… and %d more\n", p.Wrong-len(p.Faults))
		}
		if p.Wrong == 0 {
			fmt.Printf("no faults; rows: %d\n", p.Rows)
		}
	}
	if p.Wrong > 0 {
		return fmt.Errorf("%d of %d rows are wrong; nobody was invited", p.Wrong, p.Rows)
	}
	return nil
}
