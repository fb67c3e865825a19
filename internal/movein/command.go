package movein

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// Import has a command for each provider.
type Import struct {
	PocketID pocketIDCmd `cmd:"" name:"pocket-id" help:"Move in from Pocket ID: its SQLite file, or its Postgres database."`
	Keycloak keycloakCmd `cmd:"" name:"keycloak" help:"Move in from Keycloak: the export of a realm."`
}

// options are the flags of every import.
type options struct {
	From       string `required:"" placeholder:"URL" help:"Address at which people used the other provider: https://id.example.com. Their passkeys are made for its host."`
	DryRun     bool   `name:"dry-run" help:"Only say what would come, what cannot, and why."`
	Unverified bool   `help:"Also bring passkeys whose registration did not require user verification. Somebody who finds such a security key, and it has no PIN, can set one and sign in."`
	manage.Output
}

// run moves the source that open returns in, and prints the report.
func (o options) run(e *manage.Env, open func(ctx context.Context) (source, func() error, error)) error {
	from, err := url.Parse(o.From)
	if err != nil || from.Scheme != "https" && from.Scheme != "http" || from.Hostname() == "" {
		return fmt.Errorf("--from %q must be the address of the other provider, such as https://id.example.com", o.From)
	}
	src, closeSource, err := open(e.Context())
	if err != nil {
		return err
	}
	defer closeSource() //nolint:errcheck // it was only read
	return e.Operating(func(cfg *config.Config, db *store.DB, ops *admin.Operations) error {
		report, err := move(e.Context(), Config{
			DB: db, Settings: cfg, Ops: ops, FromHost: strings.ToLower(from.Hostname()), DryRun: o.DryRun,
			Unverified: o.Unverified,
		}, src)
		if err != nil {
			return fmt.Errorf("nothing was changed: %w", readable(err))
		}
		if o.JSON() {
			return manage.PrintJSON(report)
		}
		return report.Print(os.Stdout)
	})
}

// readable returns errors of files as the operator reads them.
func readable(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		return errors.New(config.FileReason(err))
	}
	return err
}

type pocketIDCmd struct {
	Database string `arg:"" help:"SQLite file of Pocket ID (data/pocket-id.db), or the postgres:// URL of its database."`
	options
}

// Help is the long help text.
func (pocketIDCmd) Help() string {
	return "Brings users, groups, custom claims, OIDC clients, consents and passkeys. Users keep their IDs, so " +
		"applications see the same sub. If the issuer here has the host of --from, the passkeys that people have go on " +
		"working.\n\n" +
		"Look first with --dry-run: it says what cannot come and why, and changes nothing. Then everything comes in one " +
		"transaction, or nothing. Run it again for what is new there: what was changed or removed here stays so.\n\n" +
		"Stop Pocket ID first, so that its file is complete. Nobody gets a role here: give yours with\n" +
		"stepward user set ADDRESS --role owner\n\n" +
		"docs/move-in.md has the whole way, and the way back."
}

func (c pocketIDCmd) Run(e *manage.Env) error {
	return c.run(e, func(ctx context.Context) (source, func() error, error) {
		src, err := openPocketID(ctx, c.Database)
		switch {
		case errors.Is(err, engine.ErrNotDatabase):
			return nil, nil, fmt.Errorf("%s is not a SQLite database, or a damaged one: %w", c.Database, err)
		case err != nil:
			return nil, nil, readable(err)
		}
		return src, src.db.Close, nil
	})
}

type keycloakCmd struct {
	Files    []string `arg:"" name:"realm.json" help:"Export of a realm: one file, or NAME-realm.json and all NAME-users-N.json."`
	Database string   `placeholder:"URL" help:"postgres:// URL of Keycloak's database, for passkeys if the export has none."`
	options
}

// Help is the long help text.
func (keycloakCmd) Help() string {
	return "Brings users, groups, OpenID Connect clients with their secrets, consents and passkeys (the credentials " +
		"webauthn-passwordless, and webauthn if the realm required user verification). Users keep their IDs, so " +
		"applications see the same sub. If the issuer here has the host of --from, the passkeys that people have go on " +
		"working. Passwords, roles, attributes and identity providers do not come.\n\n" +
		"Make the export beside the stopped Keycloak, with users and secrets; that of the console has neither:\n" +
		"kc.sh export --realm NAME --file NAME.json\n\n" +
		"Look first with --dry-run: it says what cannot come and why, and changes nothing. Then everything comes in one " +
		"transaction, or nothing. Run it again for what is new there: what was changed or removed here stays so.\n\n" +
		"docs/move-in.md has the whole way, and the way back."
}

func (c keycloakCmd) Run(e *manage.Env) error {
	return c.run(e, func(ctx context.Context) (source, func() error, error) {
		src, err := openKeycloak(ctx, c.Files, c.Database)
		if err != nil {
			return nil, nil, readable(err)
		}
		return src, src.close, nil
	})
}
