package enrol

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// needOf returns which passkeys a user may add, by the rules of their groups and role.
func (en *Service) needOf(ctx context.Context, u idp.User) (directory.PasskeyNeed, error) {
	if en.cfg.Need == nil {
		return directory.PasskeyNeed{}, nil
	}
	need, err := en.cfg.Need(ctx, u)
	if err != nil {
		return need, fmt.Errorf("look for rules: %w", err)
	}
	return need, nil
}

// Kind returns in sentences which passkeys a user may add; none: all. Pages say it before the ceremony.
func (en *Service) Kind(ctx context.Context, u idp.User) ([]words.Text, error) {
	if en.cfg.Kind == nil {
		return nil, nil
	}
	return en.cfg.Kind(ctx, u)
}

// checkNeed refuses a passkey that the rules of the user's groups and role do not allow.
func (en *Service) checkNeed(ctx context.Context, u idp.User, k idp.Passkey) error {
	need, err := en.needOf(ctx, u)
	switch {
	case err != nil:
		return err
	case need.Allows(k.Kind()):
		return nil
	case need.DeviceBound && k.Synced():
		return en.wrongKind(ctx, u, passkey.ErrSynced)
	}
	return en.wrongKind(ctx, u, passkey.ErrModel)
}

// wrongKind explains passkey.ErrSynced or passkey.ErrModel, and which kind the user may add.
func (en *Service) wrongKind(ctx context.Context, u idp.User, reason error) error {
	if errors.Is(reason, passkey.ErrSynced) {
		return &web.Problem{Status: http.StatusForbidden, Code: "synced", Words: "enrol.synced", Err: reason}
	}
	problem := &web.Problem{Status: http.StatusForbidden, Code: "model", Words: "enrol.model", Err: reason}
	kind, err := en.Kind(ctx, u)
	if err != nil {
		return err
	}
	if len(kind) > 0 {
		problem.Words, problem.Args = "enrol.kind", []any{"kind", words.Sentences(kind...)}
	}
	return problem
}
