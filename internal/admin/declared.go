package admin

import (
	"context"
	"fmt"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/policies"
)

// free denies a change of what a file manages, unless it comes from a file: the next apply would undo it.
func (o office) free(ctx context.Context, by Actor, kind declared.Kind, id string) error {
	if by.Channel == ChannelApply {
		return nil
	}
	source, err := o.marks.Of(ctx, kind, id)
	if err != nil || source == "" {
		return err
	}
	return &Denied{"managed", fmt.Sprintf("this is managed by %s: change it there, and run stepward apply", source)}
}

// ManagedBy returns the name of the file that manages an object; "" if none does.
func (o *Operations) ManagedBy(ctx context.Context, by Actor, kind declared.Kind, id string) (string, error) {
	if err := o.MayRead(ctx, by); err != nil {
		return "", err
	}
	return o.Clients.marks.Of(ctx, kind, id)
}

// DB returns the store that the operations work on.
func (o *Operations) DB() *store.DB { return o.Clients.cfg.DB }

// Within returns the same operations in a transaction of their store, under the policy as it is with these sections.
// They do not check what needs the network: [Clients.CheckAfar] does, before the transaction.
func (o *Operations) Within(ctx context.Context, tx *store.DB, sections config.Document) (*Operations, error) {
	cfg := o.Clients.cfg
	cfg.DB, cfg.CheckClient, cfg.PolicyChanged = tx, nil, nil
	if cfg.Mailer != nil {
		cfg.Mailer = cfg.Mailer.Over(tx)
	}
	v, err := policies.New(tx).Current(ctx)
	if err != nil {
		return nil, err
	}
	if next, err := v.With(cfg.Settings, sections); err == nil { // otherwise Change reports what is wrong
		cfg.Policy = next.Policy
	}
	return New(cfg), nil
}

// Changed says that the policy was changed in a transaction that has ended.
func (s *Policy) Changed(ctx context.Context) {
	if s.cfg.PolicyChanged != nil {
		s.cfg.PolicyChanged(ctx)
	}
}

// CheckAfar returns what is wrong with a client that only the network or the settings can say (Config.CheckClient).
func (s *Clients) CheckAfar(ctx context.Context, c idp.Client) error {
	if s.cfg.CheckClient == nil {
		return nil
	}
	return s.cfg.CheckClient(ctx, c).Err()
}
