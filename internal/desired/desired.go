// Package desired brings clients, groups, claims, policy and roles into a state that somebody described as a whole, by
// the operations of package admin.
//
//	Apply ─▶ a transaction that is undone: the plan and every fault ─▶ what needs the network
//	      ─▶ a transaction that stays, if it leads to the same plan: all of it or nothing
//
// The plan is what the operations did in a transaction, so it is exact, and every rule and event is theirs.
package desired

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A State is what is described. What it does not name is left as it is.
type State struct {
	Clients []Client
	Groups  []Group
	Claims  []directory.Claim
	Policy  config.Document           // null: the default
	Roles   map[string]directory.Role // by e-mail address
}

// A Client is a client with defaults filled in ([Normal]). Nil Secrets are not for the state to say.
type Client struct {
	idp.Client
	Disabled *bool // nil: not for the state to say
}

// A Group is a group without its members.
type Group struct {
	Name, Description string
	Within            []string // names
	Claims            adminapi.ClaimValues
}

// Options say how a state is applied.
type Options struct {
	Source string // the name under which the objects are managed; required
	Prune  bool   // remove what this source managed and no longer names
	DryRun bool
	Expect string // the digest of the only plan to apply; empty: any
}

// lockNames are held in a transaction of Apply, so that nobody changes what it has read.
var lockNames = []string{"apply", "policy", "claims", "groups", "owners"}

// errUndo ends a transaction that must change nothing.
var errUndo = errors.New("undo")

// Apply makes a state so, or with DryRun only plans it. What is wrong with the state is returned at once, and nothing
// changes (directory.Faults, whose fields are paths such as clients[2].redirect_uris). admin.ErrStale if something
// changed between plan and apply.
func Apply(
	ctx context.Context, ops *admin.Operations, by admin.Actor, s State, o Options,
) (plan adminapi.Plan, err error) {
	by.Channel = admin.ChannelApply
	if err := ops.MayRead(ctx, by); err != nil {
		return plan, err
	}
	if o.Source == "" {
		return plan, directory.Faults{{Field: "source", Text: "is missing"}}
	}
	if err := s.Faults().Err(); err != nil {
		return plan, err
	}
	first, err := run(ctx, ops, by, s, o, "")
	if err != nil {
		return plan, err
	}
	if o.Expect != "" && o.Expect != first.plan.Digest {
		return plan, admin.ErrStale
	}
	if err := first.checkAfar(ctx, ops); err != nil {
		return plan, err
	}
	if o.DryRun || !first.plan.Drift() {
		return first.plan, nil
	}
	second, err := run(ctx, ops, by, s, o, first.plan.Digest)
	if err != nil {
		return plan, err
	}
	if second.policyChanged {
		ops.Policy.Changed(ctx)
	}
	second.plan.Applied = true
	return second.plan, nil
}

// Release makes a source manage nothing any more, and returns how many things it managed. They stay as they are.
func Release(ctx context.Context, ops *admin.Operations, by admin.Actor, source string) (n int, err error) {
	if err := ops.MayChange(ctx, by); err != nil {
		return 0, err
	}
	marks := declared.New(ops.DB())
	all, err := marks.All(ctx)
	if err != nil {
		return 0, err
	}
	for _, m := range all {
		if m.Source == source {
			n++
		}
	}
	return n, marks.Replace(ctx, source, nil)
}

// run does everything in a transaction, and undoes it unless it leads to the plan with this digest; "" undoes it.
func run(
	ctx context.Context, ops *admin.Operations, by admin.Actor, s State, o Options, digest string,
) (*work, error) {
	w := &work{state: s, options: o, by: by}
	err := ops.DB().Transact(ctx, "apply a state", lockNames, func(tx *store.DB) (err error) {
		if w.ops, err = ops.Within(ctx, tx, s.Policy); err != nil {
			return err
		}
		if err := w.all(ctx, tx); err != nil {
			return err
		}
		switch {
		case digest == "":
			return errUndo
		case w.plan.Digest != digest:
			return admin.ErrStale
		}
		return nil
	})
	switch {
	case len(w.faults) > 0: // after the first, a database may refuse whatever follows
		return w, w.faults
	case errors.Is(err, errUndo):
		return w, nil
	case err != nil:
		return w, fmt.Errorf("apply: %w", err)
	}
	return w, nil
}

// checkAfar checks the clients that would change with what needs the network.
func (w *work) checkAfar(ctx context.Context, ops *admin.Operations) error {
	var faults directory.Faults
	for i, c := range w.state.Clients {
		if !w.changedClients[c.ID] {
			continue
		}
		err := ops.Clients.CheckAfar(ctx, c.Client)
		if found, ok := errors.AsType[directory.Faults](err); ok {
			faults = append(faults, below(fmt.Sprintf("clients[%d]", i), found)...)
		} else if err != nil {
			return err
		}
	}
	return faults.Err()
}

// below returns faults with the path of what they are about.
func below(path string, faults directory.Faults) directory.Faults {
	var out directory.Faults
	for _, f := range faults {
		if f.Field != "" {
			f.Field = "." + f.Field
		}
		out = append(out, directory.Fault{Field: path + f.Field, Text: f.Text})
	}
	return out
}
