package users

import (
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/manage"
)

type userDisableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	manage.Flags
}

func (c userDisableCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "disable user", func(api *manage.API) error {
		user, err := manage.FindUser(api, c.User)
		if err != nil {
			return err
		}
		ended, err := api.Users.Disable(api.Context, user.ID)
		if err != nil {
			return err
		}
		if ended.Already {
			return c.Say(ended, fmt.Sprintf("already disabled; %d sessions ended", ended.Sessions))
		}
		return c.Say(ended, fmt.Sprintf("disabled; %d sessions ended, and all tokens are revoked", ended.Sessions))
	})
}

type userSignOutCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	manage.Flags
}

func (c userSignOutCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "sign the user out", func(api *manage.API) error {
		user, err := manage.FindUser(api, c.User)
		if err != nil {
			return err
		}
		ended, err := api.Users.SignOut(api.Context, user.ID)
		if err != nil {
			return err
		}
		return c.Say(ended, fmt.Sprintf("%d sessions ended, and the tokens issued in them", ended.Sessions))
	})
}

type userEnableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	manage.Flags
}

func (c userEnableCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "enable user", func(api *manage.API) error {
		user, err := manage.FindUser(api, c.User)
		if err != nil {
			return err
		}
		now, err := api.Users.Enable(api.Context, user.ID)
		if manage.Refused(err, "not_disabled") {
			return errors.New("this user is not disabled")
		}
		if err != nil {
			return err
		}
		return c.Say(now, "enabled; the user may sign in again")
	})
}
