package manage

import (
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

type userDisableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userDisableCmd) Run(e *Env) error {
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		user, err := findMember(e.ctx, ops, c.User)
		if err != nil {
			return err
		}
		ended, already, err := ops.Users.Disable(e.ctx, operator, user.ID)
		if err != nil {
			return told("disable user", err)
		}
		if already {
			fmt.Printf("already disabled; %d sessions ended\n", ended)
			return nil
		}
		fmt.Printf("disabled; %d sessions ended, and all tokens are revoked\n", ended)
		return nil
	})
}

type userEnableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userEnableCmd) Run(e *Env) error {
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		user, err := findMember(e.ctx, ops, c.User)
		if err != nil {
			return err
		}
		err = ops.Users.Enable(e.ctx, operator, user.ID)
		if errors.Is(err, admin.ErrNotDisabled) {
			return errors.New("this user is not disabled")
		}
		if err != nil {
			return told("enable user", err)
		}
		fmt.Println("enabled; the user may sign in again")
		return nil
	})
}

// findUser finds a user by e-mail address or ID.
func findUser(ctx context.Context, db *store.DB, name string) (idp.User, error) {
	user, err := db.UserByID(ctx, name)
	if email, ok := directory.NormalizeEmail(name); ok {
		user, err = db.UserByEmail(ctx, email)
	}
	if errors.Is(err, idp.ErrNotFound) {
		return user, fmt.Errorf("there is no user %s; see: stepward user list", name)
	}
	if err != nil {
		return user, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}
