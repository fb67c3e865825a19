package manage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

type Keys struct {
	List   keysListCmd   `cmd:"" help:"List the signing keys."`
	Rotate keysRotateCmd `cmd:"" help:"Replace the active signing keys now; the old ones stay published for their signatures. With --operator: encrypt everything under another operator's key."`
	Revoke keysRevokeCmd `cmd:"" help:"Withdraw a signing key at once, because somebody else has it. Says first what stops working."`
}

type keysListCmd struct{ Output }

// listedKey is a signing key as JSON.
type listedKey struct {
	ID             string     `json:"kid"`
	Algorithm      string     `json:"alg"`
	State          string     `json:"state"`
	CreatedAt      time.Time  `json:"created_at"`
	PublishedUntil *time.Time `json:"published_until,omitempty"` // missing: in use
}

func (c keysListCmd) Run(e *Env) error {
	return e.Reading(func(_ *config.Config, db *store.DB) error {
		stored, err := db.SigningKeys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		list := []listedKey{}
		for _, k := range stored {
			row := listedKey{ID: k.ID, Algorithm: string(k.Algorithm), State: string(k.State), CreatedAt: k.CreatedAt.UTC()}
			if !k.ExpiresAt.IsZero() {
				row.PublishedUntil = new(k.ExpiresAt.UTC())
			}
			list = append(list, row)
		}
		return c.Print(list, func(t Text) {
			t.Line("KEY ID\tALGORITHM\tSTATE\tCREATED\tPUBLISHED UNTIL")
			for _, k := range list {
				t.Line("%s\t%s\t%s\t%s\t%s", k.ID, k.Algorithm, k.State, Day(&k.CreatedAt), cmp.Or(Day(k.PublishedUntil), "in use"))
			}
		})
	})
}

type keysRotateCmd struct {
	Operator bool `help:"Encrypt everything that is stored under an older operator's key (key-previous) under the current one (key). Servers may run. In an embedded installation this also makes the new key."`
	Finish   bool `help:"With --operator, in an embedded installation whose server was restarted since: drop the old key from stepward.key."`
	Output
}

func (c keysRotateCmd) Run(e *Env) error {
	if c.Finish && !c.Operator {
		return errors.New("--finish belongs to --operator")
	}
	return e.Writing(func(cfg *config.Config, db *store.DB) error {
		if c.Operator {
			return c.rotateOperator(e, cfg, db)
		}
		ring, err := signingKeys(e, cfg, db)
		if err != nil {
			return err
		}
		if err := ring.RotateNow(e.ctx, time.Now()); err != nil {
			return fmt.Errorf("rotate keys: %w", err)
		}
		return c.Say(map[string]bool{"rotated": true}, "rotated; running servers sign with the new keys within 5 seconds")
	})
}

func signingKeys(e *Env, cfg *config.Config, db *store.DB) (*keys.Ring, error) {
	operator, err := operatorkey.Load(e.ctx, cfg)
	if err != nil {
		return nil, err
	}
	return server.SigningKeys(cfg, db, operator)
}

// rotateOperator encrypts everything under the current operator's key. An embedded installation has its key in a file,
// and gets a new one first. The old one stays in the file as long as a server may still encrypt under it.
func (c keysRotateCmd) rotateOperator(e *Env, cfg *config.Config, db *store.DB) error {
	inFile := cfg.Key == "" && cfg.KeyCommand == ""
	switch {
	case c.Finish && !inFile:
		return errors.New("--finish is for the key in the data folder; remove key-previous from the settings instead")
	case inFile && !c.Finish:
		if _, err := operatorkey.Load(e.ctx, cfg); err != nil { // makes the first key
			return err
		}
		if err := operatorkey.Prepend(cfg); err != nil {
			return err
		}
	}
	operator, err := operatorkey.Load(e.ctx, cfg)
	if err != nil {
		return err
	}
	wrapper, err := keys.NewWrapper(operator[0], operator[1:]...)
	if err != nil {
		return err
	}
	if _, err := keys.LoadSecrets(e.ctx, db, operator); err != nil { // of an installation from before
		return rotateFault(err)
	}
	n, err := keys.Reseal(e.ctx, db, wrapper, time.Now())
	if err != nil {
		return rotateFault(err)
	}
	done := resealed{Encrypted: n}
	if !inFile {
		return c.Print(done, func(t Text) {
			t.Line(encrypted, n)
			if len(operator) == 1 {
				t.Line("key-previous is not set, so there was no other key to change from.")
				return
			}
			t.Line("When no server has the old key as key any more, remove key-previous. " +
				"Keep it with the backups from before.")
		})
	}
	if lock, err := engine.LockFolder(cfg.DataDir); err == nil {
		defer lock.Close()
	} else if !c.Finish {
		done.Finish = true
		return c.Print(done, func(t Text) {
			t.Line(encrypted, n)
			t.Line("%s has the new key and the old one. Restart the server, and then run: "+
				"stepward keys rotate --operator --finish", cfg.KeyPath())
		})
	}
	if err := operatorkey.DropOld(cfg); err != nil {
		return err
	}
	return c.Print(done, func(t Text) {
		t.Line(encrypted, n)
		t.Line("%s has only the new key. Keep a copy in another place, and the old one with the backups from before.",
			cfg.KeyPath())
	})
}

const encrypted = "encrypted anew: %d; everything is under the current operator's key"

// resealed says as JSON what a rotation of the operator's key did.
type resealed struct {
	Encrypted int  `json:"encrypted"`
	Finish    bool `json:"finish,omitempty"` // restart the server, and run the command with --finish
}

func rotateFault(err error) error {
	if errors.Is(err, keys.ErrOperatorKey) {
		return fmt.Errorf("%w; nothing was changed. Set key to the new operator's key and key-previous to the old one", err)
	}
	return fmt.Errorf("rotate the operator's key: %w", err)
}

type keysRevokeCmd struct {
	KID string `arg:"" name:"kid" help:"Key ID, as keys list shows it."`
	Yes bool   `help:"Do it."`
	Output
}

// Help is the long help text.
func (keysRevokeCmd) Help() string {
	return "For a key that somebody else may have. A key that is only old is replaced by: stepward keys rotate."
}

func (c keysRevokeCmd) Run(e *Env) error {
	return e.Writing(func(cfg *config.Config, db *store.DB) error {
		stored, err := db.SigningKeys(e.ctx)
		if err != nil {
			return fmt.Errorf("list keys: %w", err)
		}
		i := slices.IndexFunc(stored, func(k idp.SigningKey) bool { return k.ID == c.KID })
		if i < 0 {
			return fmt.Errorf("there is no signing key %s; see: stepward keys list", c.KID)
		}
		if !c.JSON() {
			fmt.Print(whatBreaks(stored[i], cfg))
		}
		if !c.Yes {
			return errors.New("nothing was changed; say it with --yes")
		}
		ring, err := signingKeys(e, cfg, db)
		if err != nil {
			return err
		}
		err = ring.Withdraw(e.ctx, c.KID, time.Now())
		if errors.Is(err, idp.ErrNotFound) {
			return errors.New("it has left the JWKS already")
		}
		if err != nil {
			return fmt.Errorf("withdraw key: %w", err)
		}
		return c.Say(map[string]any{"kid": c.KID, "withdrawn": true}, "withdrawn; running servers refuse it within 5 seconds")
	})
}

// whatBreaks says what a withdrawal does, before it is done.
func whatBreaks(k idp.SigningKey, cfg *config.Config) string {
	text := fmt.Sprintf("%s, %s, %s since %s:\n", k.ID, k.Algorithm, k.State, k.CreatedAt.Format(time.DateOnly))
	if k.State == idp.KeyNext {
		return text + "- it has signed nothing yet; another key will be announced in its place\n"
	}
	text += fmt.Sprintf("- access tokens that it signed (they live %s) are refused: here within 5 seconds, by APIs that "+
		"verify them alone\n  when they read the JWKS again, which they may cache for %s\n",
		duration.Short(cfg.AccessTokenTTL), duration.Short(keys.PublishedFor))
	text += "- ID tokens that it signed no longer verify, and no longer serve as id_token_hint " +
		"(sign-out asks people first)\n" +
		"- sessions and refresh tokens go on: applications get new tokens with them\n"
	if k.State == idp.KeyActive {
		text += "- another key signs at once. Unless it was announced, applications that do not read the JWKS again " +
			"for an\n  unknown key refuse new tokens until their cache ends\n"
	}
	if cfg.KeyAgent != "" {
		text += "- remove it from the key agent as well\n"
	}
	return text
}
