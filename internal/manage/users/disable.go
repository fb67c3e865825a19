package users

import (
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
)

type userDisableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userDisableCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		user, err := manage.FindMember(e.Context(), ops, c.User)
		if err != nil {
			return err
		}
		ended, already, err := ops.Users.Disable(e.Context(), manage.Operator, user.ID)
		if err != nil {
			return manage.Told("disable user", err)
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

func (c userEnableCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		user, err := manage.FindMember(e.Context(), ops, c.User)
		if err != nil {
			return err
		}
		err = ops.Users.Enable(e.Context(), manage.Operator, user.ID)
		if errors.Is(err, admin.ErrNotDisabled) {
			return errors.New("this user is not disabled")
		}
		if err != nil {
			return manage.Told("enable user", err)
		}
		fmt.Println("enabled; the user may sign in again")
		return nil
	})
}
