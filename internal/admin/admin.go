// Package admin holds the operations of administration: each once, with its validation, permission and event. Commands,
// console, API, SCIM and apply only call them.
//
//	ops.Users.Change(ctx, actor, id, change) ─▶ who acts? may they? is it valid? ─▶ one batch with the event
//
// An operation returns [*Denied] if the actor may not, [directory.Faults] if the input is wrong, [ErrStale] if the
// object has changed since the caller read it, idp.ErrNotFound, or an error of the store.
package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/store/roster"
)

// ConfirmFor is how long a confirmation of the actor (a step-up of class admin) allows changes.
const ConfirmFor = 5 * time.Minute

// ErrStale says that the object has changed since the caller read it: read it again.
var ErrStale = errors.New("changed in the meantime")

// A Channel is the door that an operation came through.
type Channel string

const (
	ChannelCommand Channel = "command"
	ChannelConsole Channel = "console"
	ChannelAPI     Channel = "api"
	ChannelSCIM    Channel = "scim"
	ChannelApply   Channel = "apply"
)

// An Actor is the party that asks for an operation. The role of a person is read anew for each operation.
type Actor struct {
	Channel Channel
	// UserID is the acting person; empty: the operator at the command line, or a client acting for itself.
	UserID string
	// ClientID is the client that acts, or through which the person acts; Role is what a client may do that acts for
	// itself.
	ClientID string
	Role     directory.Role
	// ConfirmedAt is when the person last confirmed with a step-up of class admin.
	ConfirmedAt time.Time

	// File is the hash of the file that is applied (ChannelApply).
	File string

	SessionID, Address, Agent, RequestID string
}

// Operator is the person at the command line, who has the database anyway.
func Operator() Actor { return Actor{Channel: ChannelCommand} }

// A Denied says why an actor may not do something.
type Denied struct {
	Rule string // role, disabled, step_up, higher_role, own_role, last_owner, managed
	Text string // a sentence for people
}

func (d *Denied) Error() string { return d.Text }

// Config wires the operations.
type Config struct {
	DB        *store.DB
	Ephemeral ephemeral.Store // nil: opened with Open when an operation ends sessions
	// Open opens the ephemeral store, for commands that need it only sometimes; the operation closes what it returns.
	Open   func(context.Context) (ephemeral.Store, error)
	Policy idp.Policy
	// Settings are those of the program, for the operations on the policy: with or without the policy of the store.
	Settings *config.Config
	// PolicyChanged is called after the policy was changed, so that it counts here at once; nil: it counts when this
	// process looks for it.
	PolicyChanged func(context.Context)
	Issuer        string
	Mailer        *mail.Mailer // nil: nothing can be mailed
	// ApproveRecovery means that a recovery link works only once a second admin has approved it, unless it was made at
	// the command line.
	ApproveRecovery bool
	// DirectoryReachesRoles means that directories may change and disable people with a role, but owners.
	DirectoryReachesRoles bool
	// CheckClient returns what is wrong with a client besides [idp.Client.Faults]: what needs the network or the settings.
	CheckClient func(context.Context, idp.Client) directory.Faults
}

// Operations are all operations, by what they are about. They are safe for concurrent use.
type Operations struct {
	Users   *Users
	Groups  *Groups
	Clients *Clients
	Claims  *Claims
	Events  *Events
	Policy  *Policy
}

// New returns the operations.
func New(cfg Config) *Operations {
	o := office{cfg: cfg, roster: roster.New(cfg.DB), registry: registry.New(cfg.DB), marks: declared.New(cfg.DB)}
	return &Operations{
		Users: &Users{o}, Groups: &Groups{o}, Clients: &Clients{o}, Claims: &Claims{o}, Events: &Events{o},
		Policy: &Policy{o, policies.New(cfg.DB)},
	}
}

// MayRead returns a *Denied unless the actor may read what admins read.
func (o *Operations) MayRead(ctx context.Context, by Actor) error {
	_, err := o.Users.admit(ctx, by, reading)
	return err
}

// office is what all operations share.
type office struct {
	cfg      Config
	roster   *roster.Roster
	registry *registry.Registry
	marks    *declared.Marks
}

// power is what an operation needs.
type power string

const (
	reading    power = "read"
	supporting power = "support" // recovery links and sign-outs
	changing   power = "change"
)

// admit returns the role in which the actor may use a power, or a *Denied.
func (o office) admit(ctx context.Context, by Actor, p power) (directory.Role, error) {
	role := by.Role
	switch {
	case by.UserID != "":
		u, err := o.cfg.DB.UserByID(ctx, by.UserID)
		if errors.Is(err, idp.ErrNotFound) || err == nil && u.Disabled() {
			return "", &Denied{"disabled", "this account no longer exists or is disabled"}
		}
		if err != nil {
			return "", fmt.Errorf("load actor: %w", err)
		}
		role = u.Role
	case by.ClientID == "" && (by.Channel == ChannelCommand || by.Channel == ChannelApply):
		role = directory.RoleOwner
	}
	allowed := role == directory.RoleOwner || role == directory.RoleAdmin ||
		p == reading && role.Reads() || p == supporting && role == directory.RoleSupport
	if !allowed {
		return "", &Denied{"role", "the role " + role.Name() + " does not allow this"}
	}
	age := time.Since(by.ConfirmedAt)
	if by.UserID != "" && by.Channel != ChannelCommand && p != reading && (age > ConfirmFor || age < 0) {
		return "", &Denied{"step_up", "confirm with a passkey first"}
	}
	return role, nil
}

// touch denies an operation on a user whose role is too high for the actor's.
func (o office) touch(by Actor, role directory.Role, target idp.User) error {
	if by.Channel == ChannelSCIM && target.Role != directory.RoleUser && !o.cfg.DirectoryReachesRoles {
		return &Denied{"directory", "a directory does not reach a user with the role " + target.Role.Name() +
			", unless scim-roles allows it"}
	}
	if target.Role.Above(role) || role == directory.RoleSupport && target.Role != directory.RoleUser {
		return &Denied{
			"higher_role",
			"the role " + role.Name() + " does not reach a user with the role " + target.Role.Name(),
		}
	}
	return nil
}

// takeOver denies an operation with which the actor could sign in as the user: between equals, it would hide who acts.
func takeOver(role directory.Role, target idp.User) error {
	if role == directory.RoleOwner || role.Above(target.Role) {
		return nil
	}
	return &Denied{
		"higher_role",
		"only a higher role than " + target.Role.Name() + " can give a person access to this account",
	}
}

// event returns a record of what the actor does.
func (o office) event(by Actor, kind idp.EventKind, userID string, detail ...string) idp.Event {
	e := idp.NewEvent(kind, userID, time.Now())
	e.ActorID, e.ClientID, e.SessionID = by.UserID, by.ClientID, by.SessionID
	e.Address, e.Agent, e.RequestID = by.Address, by.Agent, by.RequestID
	e.Policy = o.cfg.Policy.Version
	e.Detail = map[string]string{"by": string(by.Channel)}
	if by.Channel == ChannelCommand {
		e.Detail["by"] = "operator"
	}
	if by.ClientID != "" { // an event about a client names that one instead
		e.Detail["through"] = by.ClientID
	}
	if by.File != "" {
		e.Detail["file"] = by.File
	}
	for i := 0; i+1 < len(detail); i += 2 {
		e.Detail[detail[i]] = detail[i+1]
	}
	return e
}

// denial turns the store's rules into what the caller is told.
func denial(err error) error {
	if errors.Is(err, store.ErrLastOwner) {
		return &Denied{"last_owner", "this is the last owner who can sign in; make another user an owner first"}
	}
	return err
}

// endSessions ends all sessions of a user, and returns their IDs.
func (o office) endSessions(ctx context.Context, userID string) (ended []string, err error) {
	err = o.withSessions(ctx, func(sessions *session.Sessions) error {
		ended, err = sessions.RevokeAll(ctx, userID, "")
		return err
	})
	return ended, err
}

// mailTo sends an e-mail that is written in the language of a user.
func (o office) mailTo(ctx context.Context, locale string, write func(mail.Writer) mail.Message) error {
	return o.cfg.Mailer.Send(ctx, write(o.cfg.Mailer.For(locale, nil)))
}

// after returns a time to store as changed at: later than was, so that two versions differ.
func after(was time.Time) time.Time {
	now := time.Now().Truncate(time.Millisecond)
	if now.After(was) {
		return now
	}
	return was.Add(time.Millisecond)
}
