package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
)

type userDisableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userDisableCmd) Run(e *env) error {
	return e.writing(func(cfg *config.Config, db *store.DB) error {
		user, err := findUser(e.ctx, db, c.User)
		if err != nil {
			return err
		}
		now := time.Now()
		err = db.DisableUser(e.ctx, user.ID, now, idp.NewEvent(idp.EventUserDisabled, user.ID, now))
		already := errors.Is(err, idp.ErrNotFound) // an earlier attempt may have left sessions behind
		if err != nil && !already {
			return fmt.Errorf("disable user: %w", err)
		}
		// End the sessions last: sign-ins are refused from now on, so no new session can begin meanwhile.
		eph, err := server.OpenEphemeral(e.ctx, cfg, logger(cfg))
		if err != nil {
			return fmt.Errorf("the account is disabled and its tokens are revoked, but sessions remain; run this again: %w", err)
		}
		defer eph.Close()
		ended, err := session.New(session.Config{Store: eph}).RevokeAll(e.ctx, user.ID, "")
		if err != nil {
			return fmt.Errorf("the account is disabled and its tokens are revoked, but sessions remain; run this again: %w", err)
		}
		if already {
			fmt.Printf("already disabled; %d sessions ended\n", len(ended))
			return nil
		}
		fmt.Printf("disabled; %d sessions ended, and all tokens are revoked\n", len(ended))
		return nil
	})
}

type userEnableCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
}

func (c userEnableCmd) Run(e *env) error {
	return e.writing(func(_ *config.Config, db *store.DB) error {
		user, err := findUser(e.ctx, db, c.User)
		if err != nil {
			return err
		}
		now := time.Now()
		err = db.EnableUser(e.ctx, user.ID, now, idp.NewEvent(idp.EventUserEnabled, user.ID, now))
		if errors.Is(err, idp.ErrNotFound) {
			return errors.New("this user is not disabled")
		}
		if err != nil {
			return fmt.Errorf("enable user: %w", err)
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
