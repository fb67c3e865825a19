package backup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/transfer"
)

// Restore is the command.
type Restore struct {
	File         string `arg:"" optional:"" help:"Backup to restore. Not with --afterwards."`
	Replace      bool   `help:"Replace the store that is there. It is kept beside the restored one, and what was revoked in it since the backup stays revoked."`
	BringBack    bool   `name:"bring-back" help:"With --replace: bring back passkeys, users, clients and so on that were removed since the backup."`
	KeepSessions bool   `name:"keep-sessions" help:"Do not end sessions and refresh tokens. Those that were revoked since the backup work again, unless the replaced store says that they were revoked."`
	Afterwards   bool   `help:"The store was restored by other means (pg_restore, point-in-time recovery): do only what has to follow."`
	manage.Output
}

// Help is the long help text.
func (Restore) Help() string {
	return "Puts a backup into the data folder. Stop the server first. The backup is checked before anything " +
		"changes, and brought to the schema of this program.\n\n" +
		"A backup knows nothing of what was revoked since. So all sessions end, refresh tokens stop working, and " +
		"one-time links, registration tokens and waiting recoveries are removed. With --replace, everything that " +
		"was removed or disabled in the store that is replaced stays so: passkeys, users, roles, clients and " +
		"their secrets, recovery codes, memberships, withdrawn signing keys. Its events are kept. Without that " +
		"store, passkeys and recovery codes that were removed since the backup work again: remove them again.\n\n" +
		"The operator's key of the backup must be in the folder (stepward.key), or set as key, before the server " +
		"starts. The restore itself does not need it; if there is one, it is tried."
}

func (c Restore) Run(e *manage.Env) error {
	switch {
	case c.Afterwards && (c.File != "" || c.Replace || c.BringBack):
		return errors.New("--afterwards takes no file, and neither --replace nor --bring-back")
	case !c.Afterwards && c.File == "":
		return errors.New("name the backup: stepward restore FILE")
	case c.BringBack && !c.Replace:
		return errors.New("--bring-back needs --replace: without a store to replace, everything of the backup comes back")
	}
	cfg, err := e.LoadWithoutMail()
	if err != nil {
		return err
	}
	if c.Afterwards {
		return c.afterwards(e.Context(), cfg)
	}
	if !cfg.Embedded() {
		return errors.New("this is for the embedded store. Restore Postgres with pg_restore or to a point in time, " +
			"and then run: stepward restore --afterwards")
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return readable(err)
	}
	lock, err := lockFolder(cfg)
	if err != nil {
		return err
	}
	defer lock.Close()
	return c.restore(e.Context(), cfg)
}

func lockFolder(cfg *config.Config) (io.Closer, error) {
	lock, err := engine.LockFolder(cfg.DataDir)
	if errors.Is(err, store.ErrInUse) {
		return nil, fmt.Errorf("a server runs on %s; stop it first", cfg.DataDir)
	}
	return lock, err
}

const theyAreBack = "passkeys, recovery codes and anything else that was removed since the backup are back: " +
	"remove them again"

// restore prepares the store in a folder of its own, and then puts it into its place in one step.
func (c Restore) restore(ctx context.Context, cfg *config.Config) error {
	place := filepath.Join(cfg.DataDir, transfer.FileName)
	if !missing(place) && !c.Replace {
		return fmt.Errorf("%s exists; restore into an empty folder, or replace it with --replace", place)
	}
	report, err := c.inspect(ctx)
	if err != nil {
		return err
	}
	folder, err := os.MkdirTemp(cfg.DataDir, ".restore-*")
	if err != nil {
		return readable(err)
	}
	defer os.RemoveAll(folder) //nolint:errcheck // it is empty if all went well
	fresh := filepath.Join(folder, transfer.FileName)
	if err := transfer.CopyFile(c.File, fresh); err != nil {
		return readable(err)
	}
	var carried []transfer.Carried
	families, err := c.prepare(ctx, folder, report, func() (err error) {
		if missing(place) || c.BringBack {
			return nil
		}
		if carried, err = transfer.CarryRevocations(ctx, fresh, place); err != nil {
			return fmt.Errorf("%w\n%s cannot be read, so nothing tells what was revoked since the backup. "+
				"To go on without, add --bring-back", err, place)
		}
		return nil
	})
	if err != nil {
		return err
	}
	keyless, err := checkServable(ctx, cfg, folder)
	if err != nil {
		return err
	}
	if !c.KeepSessions {
		if err := transfer.RemoveStore(cfg.EphemeralPath()); err != nil {
			return readable(err)
		}
	}
	aside, err := transfer.Swap(fresh, place, time.Now())
	if err != nil {
		return readable(err)
	}
	if err := c.tell(report, carried, families, aside); err != nil {
		return err
	}
	if keyless {
		out := os.Stdout
		if c.JSON() {
			out = os.Stderr
		}
		fmt.Fprintf(out, "\nThe operator's key is missing: put the one of this backup into %s before the server starts.\n",
			cfg.KeyPath())
	}
	return nil
}

// inspect checks the backup as a whole.
func (c Restore) inspect(ctx context.Context) (transfer.Report, error) {
	report, err := transfer.Inspect(ctx, c.File)
	switch {
	case errors.Is(err, transfer.ErrNoBackup):
		return report, fmt.Errorf("%s is not a backup of Stepward; is it encrypted or compressed?", c.File)
	case errors.Is(err, transfer.ErrDamaged):
		return report, fmt.Errorf("%s is damaged, nothing was changed: %w", c.File, err)
	case err != nil:
		return report, readable(err)
	}
	return report, nil
}

// checkServable reports why the store in folder could not be served with these settings. Without the operator's key it
// cannot tell, and returns true.
func checkServable(ctx context.Context, cfg *config.Config, folder string) (keyless bool, err error) {
	there := *cfg
	there.DataDir = folder
	if cfg.Key == "" && cfg.KeyCommand == "" {
		if missing(cfg.KeyPath()) {
			return true, nil
		}
		if err := transfer.CopyFile(cfg.KeyPath(), there.KeyPath()); err != nil {
			return false, readable(err)
		}
	}
	if err := server.CheckStores(ctx, &there); err != nil {
		return false, fmt.Errorf("the backup cannot be served with these settings, nothing was changed: %w", err)
	}
	return false, nil
}

// prepare brings the store in folder to our schema, and ends what must not come back.
func (c Restore) prepare(
	ctx context.Context, folder string, r transfer.Report, carry func() error,
) (families int64, err error) {
	db, err := store.Open(ctx, store.Config{Dir: folder})
	if err != nil {
		return 0, err
	}
	if err = db.Migrate(ctx); err != nil {
		return 0, errors.Join(err, db.Close())
	}
	if err := db.Close(); err != nil { // so that the file is complete
		return 0, err
	}
	if err := carry(); err != nil {
		return 0, err
	}
	if db, err = store.Open(ctx, store.Config{Dir: folder}); err != nil {
		return 0, err
	}
	if err = db.CheckSchema(ctx); err == nil {
		families, err = transfer.EndRestored(ctx, db, c.KeepSessions, time.Now(), c.event(r))
	}
	return families, errors.Join(err, db.Close())
}

func (c Restore) event(r transfer.Report) idp.Event {
	ev := idp.NewEvent(idp.EventRestored, "", time.Now())
	ev.Detail = map[string]string{"by": "operator", "sessions": "ended"}
	if c.KeepSessions {
		ev.Detail["sessions"] = "kept"
	}
	if !r.MadeAt.IsZero() {
		ev.Detail["made"] = r.MadeAt.UTC().Format(time.RFC3339)
	}
	return ev
}

// restored says as JSON what a restore did.
type restored struct {
	content
	Ended    int64          `json:"ended_families"`
	Sessions string         `json:"sessions"` // ended or kept
	Revoked  []stillRevoked `json:"still_revoked"`
	Aside    string         `json:"replaced,omitempty"` // the file of the store that was replaced
}

type stillRevoked struct {
	What string `json:"what"`
	N    int64  `json:"count"`
}

func (c Restore) tell(r transfer.Report, carried []transfer.Carried, families int64, aside string) error {
	out := restored{content: held(r), Ended: families, Sessions: "ended", Revoked: []stillRevoked{}, Aside: aside}
	if c.KeepSessions {
		out.Sessions = "kept"
	}
	for _, k := range carried {
		out.Revoked = append(out.Revoked, stillRevoked{k.What, int64(k.N)})
	}
	return c.Print(out, func(t manage.Text) {
		made := "at an unknown time"
		if !r.MadeAt.IsZero() {
			made = r.MadeAt.Format(time.DateTime)
		}
		t.Line("restored the backup of %s\n%s", made, contents(r))
		if c.KeepSessions {
			t.Line("sessions and refresh tokens go on")
		} else {
			t.Line("ended: all sessions, and the refresh tokens of %d families", families)
		}
		for _, k := range carried {
			t.Line("still revoked: %s %d", k.What, k.N)
		}
		if aside != "" {
			t.Line("the store that was replaced is %s; remove it when you need it no longer", aside)
		}
		if aside == "" || c.BringBack {
			t.Line(theyAreBack)
		}
	})
}

// afterwards does what has to follow a restore by other means.
func (c Restore) afterwards(ctx context.Context, cfg *config.Config) error {
	if cfg.Embedded() {
		lock, err := lockFolder(cfg)
		if err != nil {
			return err
		}
		defer lock.Close()
	}
	db, err := server.OpenStore(ctx, cfg, false)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := server.Migrate(ctx, cfg, db); err != nil {
		return err
	}
	families, err := transfer.EndRestored(ctx, db, c.KeepSessions, time.Now(), c.event(transfer.Report{}))
	if err != nil {
		return err
	}
	if c.KeepSessions {
		return c.Say(afterwards{Sessions: "kept"},
			"removed one-time links, registration tokens and waiting recoveries; sessions and refresh tokens go on")
	}
	sessions, err := endSessions(ctx, cfg, db)
	if err != nil {
		return err
	}
	return c.Say(afterwards{"ended", sessions, families},
		fmt.Sprintf("ended %d sessions, and the refresh tokens of %d families\n%s", sessions, families, theyAreBack))
}

// afterwards says as JSON what restore --afterwards did.
type afterwards struct {
	Sessions string `json:"sessions"` // ended or kept
	Ended    int    `json:"ended_sessions"`
	Families int64  `json:"ended_families"`
}

// endSessions ends the sessions of all users.
func endSessions(ctx context.Context, cfg *config.Config, db *store.DB) (ended int, err error) {
	kept, err := server.OpenEphemeral(ctx, cfg, db, manage.Logger(cfg))
	if err != nil {
		return 0, err
	}
	defer kept.Close()
	sessions := session.New(session.Config{Store: kept, Idle: cfg.SessionIdle, Absolute: cfg.SessionAbsolute})
	err = transfer.EachUser(ctx, db, func(id string) error {
		sids, err := sessions.RevokeAll(ctx, id, "")
		ended += len(sids)
		return err
	})
	return ended, err
}
