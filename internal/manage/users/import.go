package users

import (
	"encoding/csv"
	"encoding/json"
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
	manage.Flags
}

func (c userImportCmd) Run(e *manage.Env) error {
	if err := c.OnlyOnStore("user import-csv"); err != nil {
		return err
	}
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
		links := c.links()
		p, err := ops.Users.Import(e.Context(), manage.Operator, file, c.TTL, c.Mail, func(inv admin.Invitation) error {
			if c.Mail {
				return nil
			}
			return links.add(invited{inv.User.Email, inv.Link.Reveal(), inv.Until.UTC()})
		})
		if errors.Is(err, admin.ErrWrongRows) {
			return c.report(p)
		}
		if end := links.end(); err == nil {
			err = end
		}
		switch {
		case err != nil:
			return manage.Told(c.File, err)
		case c.Mail && !c.JSON():
			fmt.Printf("%d invitations are in the outbox: a running server delivers them\n", p.Rows)
		}
		return nil
	})
}

// invited is a person of the file with their link, as JSON.
type invited struct {
	Email string    `json:"email"`
	Link  string    `json:"link"`
	Until time.Time `json:"until"`
}

// links prints each link once the person is stored: if the import breaks off, those that are printed work.
type links struct {
	csv  *csv.Writer // nil: a JSON array
	some bool
}

func (c userImportCmd) links() *links {
	if c.JSON() {
		return &links{}
	}
	return &links{csv: csv.NewWriter(os.Stdout)}
}

func (l *links) add(i invited) error {
	if l.csv != nil {
		return l.csv.Write([]string{i.Email, i.Link, i.Until.Format(time.RFC3339)})
	}
	text, err := json.Marshal(i)
	if err != nil {
		return err
	}
	before := ",\n"
	if !l.some {
		before = "[\n"
	}
	l.some = true
	_, err = fmt.Print(before + string(text))
	return err
}

func (l *links) end() error {
	if l.csv != nil {
		l.csv.Flush()
		return l.csv.Error()
	}
	last := "\n]\n"
	if !l.some {
		last = "[]\n"
	}
	_, err := fmt.Print(last)
	return err
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
