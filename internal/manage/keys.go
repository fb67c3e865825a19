package manage

import (
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
)

type Keys struct {
	List   keysListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keysRotateCmd `cmd:"" help:"Replace the active signing keys now; the old ones stay published for their signatures."`
}

type keysListCmd struct{}

func (keysListCmd) Run(e *Env) error {
	return e.reading(func(_ *config.Config, db *store.DB) error {
		keys, err := db.SigningKeys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "KEY ID\tALGORITHM\tSTATE\tCREATED\tPUBLISHED UNTIL")
		for _, k := range keys {
			until := "in use"
			if !k.ExpiresAt.IsZero() {
				until = k.ExpiresAt.Format(time.DateOnly)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", k.ID, k.Algorithm, k.State, k.CreatedAt.Format(time.DateOnly), until)
		}
		return w.Flush()
	})
}

type keysRotateCmd struct{}

func (keysRotateCmd) Run(e *Env) error {
	return e.writing(func(cfg *config.Config, db *store.DB) error {
		key, err := server.OperatorKey(cfg)
		if err != nil {
			return err
		}
		keys, err := server.SigningKeys(cfg, db, key)
		if err != nil {
			return err
		}
		if err := keys.RotateNow(e.ctx, time.Now()); err != nil {
			return fmt.Errorf("rotate keys: %w", err)
		}
		fmt.Println("rotated; running servers sign with the new keys within 5 seconds")
		return nil
	})
}
