package users

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type userShowCmd struct {
	User string `arg:"" help:"E-mail address or user ID."`
	manage.Flags
}

// shown is a user with what belongs to them, as JSON.
type shown struct {
	adminapi.User
	adminapi.Standing
	Passkeys     []adminapi.Passkey        `json:"passkeys"`
	Applications []adminapi.Application    `json:"applications"`
	RecoveryLink *adminapi.WaitingRecovery `json:"recovery_link,omitempty"`
}

func (c userShowCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "load user", func(api *manage.API) error {
		out, err := look(api, c.User)
		if err != nil {
			return err
		}
		return c.Print(out, out.text)
	})
}

func look(api *manage.API, name string) (out shown, err error) {
	if out.User, err = manage.FindUser(api, name); err != nil {
		return out, err
	}
	if out.Passkeys, err = manage.Collect(api.Users.Passkeys(api.Context, out.ID), 0); err != nil {
		return out, err
	}
	if out.Applications, err = manage.Collect(api.Users.Applications(api.Context, out.ID), 0); err != nil {
		return out, err
	}
	if out.Standing, err = api.Users.Standing(api.Context, out.ID); err != nil {
		return out, err
	}
	link, err := api.Users.WaitingRecovery(api.Context, out.ID)
	if manage.Refused(err, "not_found") {
		return out, nil
	}
	out.RecoveryLink = &link
	return out, err
}

func (s shown) text(t manage.Text) {
	t.Pair("user id", s.ID)
	t.Pair("e-mail", s.Email+map[bool]string{true: " (confirmed)", false: " (not confirmed)"}[s.EmailVerified])
	t.Pair("name", s.Name)
	t.Pair("role", s.Role)
	t.Pair("created", moment(s.CreatedAt))
	if s.DisabledAt != nil {
		t.Pair("disabled", moment(*s.DisabledAt))
	}
	for _, k := range s.Passkeys {
		used := "never used"
		if k.LastUsedAt != nil {
			used = "last used " + moment(*k.LastUsedAt)
		}
		t.Pair("passkey", fmt.Sprintf("%s  %q, %s", k.ID, k.Name, used))
	}
	if len(s.Passkeys) == 0 {
		t.Pair("passkey", "none; stepward user invite "+s.Email)
	}
	switch link := s.RecoveryLink; {
	case link == nil:
	case link.ApprovedBy != "":
		t.Pair("recovery link", "approved by "+link.ApprovedBy+", until "+moment(link.Until))
	default:
		t.Pair("recovery link", "waits for a second admin until "+moment(link.Until)+": "+link.ApproveAt)
	}
	for _, name := range s.Groups {
		t.Pair("group", name)
	}
	for _, name := range slices.Sorted(maps.Keys(s.Claims)) {
		t.Pair("claim", name+" = "+string(s.Claims[name]))
	}
	for _, a := range s.Applications {
		t.Pair("application", a.ClientID+"  "+strings.Join(a.Scopes, " "))
	}
}

// moment writes a time as this machine has it.
func moment(at time.Time) string { return at.Local().Format(time.DateTime) }
