package backup

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/transfer"
)

// Copy is the command.
type Copy struct {
	From   string `required:"" placeholder:"STORE" help:"Where to copy from: a data folder, \"database-url\" for the database of that setting, a postgres:// URL without a password, or @FILE with a URL in it."`
	To     string `required:"" placeholder:"STORE" help:"Where to copy to, in the same form. It must be empty."`
	Anyway bool   `help:"Copy although servers are connected. What they write after the beginning is not in the copy."`
	manage.Output
}

// Help is the long help text.
func (Copy) Help() string {
	return "Copies the whole durable store: from a data folder into Postgres, back, or between two of a kind. Both " +
		"ends are read completely and compared, table by table: the number of rows, and a hash of their content. " +
		"The target is written in one transaction, so that it is complete or empty.\n\n" +
		"Stop the servers first, and start them on the target afterwards, with the same operator's key. The copy " +
		"itself needs no key. Sessions are not copied, so people sign in again; refresh tokens go on.\n\n" +
		"    stepward copy --from ./stepward-data --to database-url"
}

func (c Copy) Run(e *manage.Env) error {
	from, err := c.place(e, c.From)
	if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	to, err := c.place(e, c.To)
	if err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	if !transfer.IsURL(from) && missing(filepath.Join(from, transfer.FileName)) {
		return fmt.Errorf("--from: there is no store in %s", from)
	}
	return c.copy(e.Context(), from, to)
}

// place reads a store as the command line names it: a folder or a URL.
func (c Copy) place(e *manage.Env, text string) (string, error) {
	switch file, isFile := strings.CutPrefix(text, "@"); {
	case isFile:
		content, err := os.ReadFile(file)
		if err != nil {
			return "", errors.New(config.FileReason(err))
		}
		return strings.TrimRight(string(content), "\r\n"), nil
	case text == "database-url":
		cfg, err := e.LoadWithoutMail()
		if err != nil {
			return "", err
		}
		if cfg.Embedded() {
			return "", errors.New("database-url is not set")
		}
		return cfg.DatabaseURL.Reveal(), nil
	case transfer.IsURL(text):
		if u, err := url.Parse(text); err == nil && u.User != nil {
			if _, has := u.User.Password(); has || u.Query().Has("password") {
				return "", errors.New("others on this machine can read a password on the command line: " +
					"write the URL into a file, and name it as @FILE")
			}
		}
	}
	return text, nil
}

func (c Copy) copy(ctx context.Context, from, to string) error {
	source, err := c.open(ctx, "--from", from)
	if err != nil {
		return err
	}
	defer source.Close()
	if err := source.DB.CheckSchema(ctx); errors.Is(err, store.ErrOlderSchema) {
		return fmt.Errorf("--from: %w; run stepward migrate on it first", err)
	} else if err != nil {
		return fmt.Errorf("--from: %w", err)
	}
	target, err := c.open(ctx, "--to", to)
	if err != nil {
		return err
	}
	defer target.Close()
	if err := target.DB.Migrate(ctx); err != nil {
		return fmt.Errorf("--to: %w", err)
	}
	begin, shown := time.Now(), time.Now()
	copied, err := transfer.Copy(ctx, source, target, func(table string, done, total int64) {
		if time.Since(shown) > time.Second {
			shown = time.Now()
			fmt.Fprintf(os.Stderr, "%s: %d of %d\n", table, done, total)
		}
	})
	if errors.Is(err, transfer.ErrNotEmpty) {
		return fmt.Errorf("--to: %w; nothing was changed", err)
	}
	if err != nil {
		return fmt.Errorf("%w; the target is unchanged", err)
	}
	out := copies{Tables: []copiedTable{}}
	for _, t := range copied {
		out.Rows += t.Rows
		out.Tables = append(out.Tables, copiedTable{t.Table, t.Rows, fmt.Sprintf("%x", t.Hash)})
	}
	return c.Print(out, func(t manage.Text) {
		for _, table := range out.Tables {
			if table.Rows > 0 {
				t.Line("%-20s %10d  %s", table.Table, table.Rows, table.Hash[:16])
			}
		}
		t.Line("copied %d rows in %s; both ends are the same\n"+
			"Start the servers on the target, with the same operator's key. Do not start them on the source again.",
			out.Rows, time.Since(begin).Round(100*time.Millisecond))
	})
}

// copies says as JSON what was copied.
type copies struct {
	Rows   int64         `json:"rows"`
	Tables []copiedTable `json:"tables"`
}

type copiedTable struct {
	Table string `json:"table"`
	Rows  int64  `json:"rows"`
	Hash  string `json:"hash"` // hexadecimal
}

func (c Copy) open(ctx context.Context, flag, where string) (*transfer.Place, error) {
	place, err := transfer.OpenPlace(ctx, where)
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("%s: a server runs on %s; stop it first", flag, where)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	servers, err := place.Servers(ctx)
	if err == nil && servers > 0 && !c.Anyway {
		err = fmt.Errorf("servers are connected (%d connections); stop them first. "+
			"What they write during the copy would be lost; --anyway copies all the same", servers)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", flag, err), place.Close())
	}
	return place, nil
}
