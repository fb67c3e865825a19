// Package movein moves another provider in: its groups, clients and people, with the passkeys that they have.
//
//	pocket-id import, keycloak import (commands)
//	      │
//	   a source reads the other provider's data (pocketid.go; keycloak.go, realm.go)
//	      │ groups, claims, clients; people in a stream
//	   mover checks each with the rules of internal/admin and internal/passkey ──▶ Report
//	      │
//	   arrivals: one transaction, undone by a dry run
//
// Users keep their IDs, so applications see the same sub. They keep their user handles, so passkeys that are made for
// our relying party ID go on working (WebAuthn L3 §5.4.3, §7.2 step 6). Nobody gets a role here.
package movein

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/arrivals"
)

// A source is the data of another provider. Each method reads them anew.
type source interface {
	// name is how events, marks and the report call the provider.
	name() string
	// groups returns parents before the groups in them.
	groups(ctx context.Context) ([]group, error)
	claims(ctx context.Context) ([]directory.Claim, error)
	clients(ctx context.Context) ([]app, error)
	// emails passes the address of each person to f, as it is written there.
	emails(ctx context.Context, f func(email string)) error
	people(ctx context.Context, f func(person) error) error
}

// A group of another provider. key identifies it there, and parent the group that it is in.
type group struct {
	key, parent string
	directory.Group
	values []value
}

// A value of a claim, as JSON or as text that is not JSON.
type value struct{ claim, text string }

// An app is a client of another provider.
type app struct {
	idp.Client
	// restricted means that only members of groups, by key, may use it.
	restricted bool
	groups     []string
	left       string // why it cannot come; "": nothing speaks against it yet
	notes      []string
}

// A person of another provider.
type person struct {
	id       string // the sub that applications know; its bytes are the user handle
	username string
	in       admin.NewUser
	disabled bool
	created  time.Time
	groups   []string // keys
	values   []value
	keys     []key
	consents []consent
	left     string // why they cannot come
}

// A key is a passkey of another provider. rpID is the host that it is made for; "": that of Config.From.
type key struct {
	passkey.Foreign
	rpID string
	left string // why it cannot come
}

// A consent is what a person allowed a client.
type consent struct {
	clientID string
	scopes   []string
	at       time.Time
}

// Config says what to do.
type Config struct {
	DB       *store.DB
	Settings *config.Config
	Ops      *admin.Operations
	// FromHost is the host at which people used the other provider.
	FromHost string
	DryRun   bool
	// Unverified also takes passkeys that were registered without required user verification.
	Unverified bool
}

// errDryRun undoes the transaction of a dry run.
var errDryRun = errors.New("dry run")

// A mover moves one source in.
type mover struct {
	Config
	src    source
	a      *arrivals.Arrivals
	report *Report
	now    time.Time

	groupIDs map[string]string // by the key of the source
	names    map[string]string // of groups, by the key of the source
	owner    map[string]string // the key of the source that a group here stands for, by ID
	defined  map[string]directory.Claim
	known    map[string][]string // scopes of the clients that are here, by ID
}

// move reads the source and stores what can come, all of it or nothing. A second time it adds only what is new there:
// what was changed or removed here stays so.
func move(ctx context.Context, c Config, src source) (*Report, error) {
	m := &mover{
		Config: c, src: src, report: newReport(src.name(), c.DryRun), now: time.Now().Truncate(time.Millisecond),
		groupIDs: map[string]string{}, names: map[string]string{}, owner: map[string]string{}, known: map[string][]string{},
	}
	err := arrivals.Together(ctx, c.DB, m.now, func(a *arrivals.Arrivals) error {
		m.a = a
		for _, step := range []func(context.Context) error{m.host, m.claims, m.groups, m.clients, m.people} {
			if err := step(ctx); err != nil {
				return err
			}
		}
		ev := m.event(idp.EventMovedIn, "")
		for _, c := range m.report.Counts {
			ev.Detail[c.Kind] = fmt.Sprint(c.Come)
		}
		if err := a.Record(ev); err != nil {
			return err
		}
		if c.DryRun {
			return errDryRun
		}
		return nil
	})
	if errors.Is(err, errDryRun) {
		err = nil
	}
	if errors.Is(err, idp.ErrConflict) {
		err = fmt.Errorf("somebody changed users, groups or clients here at the same time; run this again: %w", err)
	}
	return m.report, err
}

// host makes our relying party ID that of the passkeys here.
func (m *mover) host(context.Context) error {
	host := m.Settings.PasskeyHost()
	recorded, err := m.a.ClaimRPID(host)
	if err == nil && recorded != host {
		err = fmt.Errorf("the passkeys here are made for %q, not for %s; see rp-id and new-rp-id in docs/configuration.md",
			recorded, host)
	}
	return err
}

// event returns a record of something that moved in.
func (m *mover) event(kind idp.EventKind, userID string, detail ...string) idp.Event {
	ev := idp.NewEvent(kind, userID, m.now)
	ev.Policy = m.Settings.Policy.Version
	ev.Detail = map[string]string{"by": "operator", "imported": m.src.name()}
	for i := 0; i+1 < len(detail); i += 2 {
		ev.Detail[detail[i]] = detail[i+1]
	}
	return ev
}

func (m *mover) mark(parts ...string) arrivals.Mark {
	return arrivals.NewMark(append([]string{m.src.name()}, parts...)...)
}

// before reports whether a thing was moved in before.
func (m *mover) before(mark arrivals.Mark) (bool, error) {
	found, err := m.a.Look(arrivals.Question{Marks: []arrivals.Mark{mark}})
	return found.Marks[mark], err
}
