// Package backup has the commands that move the whole durable store: backup, restore and copy.
package backup

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store/transfer"
)

// Backup is the command.
type Backup struct {
	File    string `arg:"" help:"File to write. Only its owner can read it."`
	Replace bool   `help:"Replace the file if it exists. The old one stays until the new one is complete."`
	manage.Output
}

// Help is the long help text.
func (Backup) Help() string {
	return "Writes the embedded store (stepward.db) as it is at one moment into one file, while the server runs, and " +
		"reads the file back: its structure, its references, and the number of rows are checked.\n\n" +
		"It needs no operator's key, and the file does not contain that key: signing keys in it are encrypted. " +
		"Keep the key (stepward.key) once, in another place. Sessions (ephemeral.db) are not in it either.\n\n" +
		"On Postgres, use pg_dump, or a copy into a folder: stepward copy --from database-url --to FOLDER."
}

func (c Backup) Run(e *manage.Env) error {
	cfg, err := e.LoadWithoutMail()
	if err != nil {
		return err
	}
	if !cfg.Embedded() {
		return errors.New("this is for the embedded store. For Postgres, use pg_dump, " +
			"or write a copy: stepward copy --from database-url --to FOLDER")
	}
	report, err := transfer.Backup(e.Context(), cfg.DataDir, c.File, c.Replace, time.Now())
	switch {
	case errors.Is(err, transfer.ErrExists):
		return fmt.Errorf("%s exists; name another file, or replace it with --replace", c.File)
	case errors.Is(err, fs.ErrNotExist) && missing(filepath.Join(cfg.DataDir, transfer.FileName)):
		return fmt.Errorf("there is no store in %s; name the folder with --data-dir", cfg.DataDir)
	case err != nil:
		return fmt.Errorf("backup: %w", readable(err))
	}
	return c.Print(written{c.File, held(report)}, func(t manage.Text) {
		t.Line("%s: %s, read back without a fault\n%s\nNot in it: the operator's key, without which it cannot be served. "+
			"Keep %s in another place.", c.File, size(report.Size), contents(report), keyName(cfg))
	})
}

// written is a backup as JSON.
type written struct {
	File string `json:"file"`
	content
}

// content is what a backup holds, as JSON.
type content struct {
	Schema int64            `json:"schema"`
	Size   int64            `json:"size"` // bytes
	MadeAt *time.Time       `json:"made_at,omitempty"`
	Rows   map[string]int64 `json:"rows"` // by table
}

func held(r transfer.Report) content {
	out := content{Schema: r.Schema, Size: r.Size, Rows: r.Rows}
	if !r.MadeAt.IsZero() {
		out.MadeAt = new(r.MadeAt.UTC())
	}
	return out
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// readable turns an error of the file system into a sentence.
func readable(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return errors.New(config.FileReason(err))
	}
	return err
}

func keyName(cfg *config.Config) string {
	if cfg.Key != "" || cfg.KeyCommand != "" {
		return "the one of the settings"
	}
	return cfg.KeyPath()
}

// shown are the tables that an operator can compare with what they know.
var shown = []string{"users", "passkeys", "clients", "grants", "families", "signing_keys"}

// contents says what is in a file, in one line.
func contents(r transfer.Report) string {
	var parts []string
	for _, name := range shown {
		parts = append(parts, fmt.Sprintf("%s %d", strings.ReplaceAll(name, "_", " "), r.Rows[name]))
	}
	return fmt.Sprintf("schema %d; %s, events %d", r.Schema, strings.Join(parts, ", "), r.Rows["journal"]+r.Rows["events"])
}

// size writes a number of bytes for people.
func size(n int64) string {
	units := []string{"bytes", "kB", "MB", "GB", "TB"}
	value, i := float64(n), 0
	for ; value >= 1000 && i < len(units)-1; i++ {
		value /= 1000
	}
	if i == 0 {
		return fmt.Sprintf("%d bytes", n)
	}
	return fmt.Sprintf("%.1f %s", value, units[i])
}
