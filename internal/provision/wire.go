package provision

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

// InputOf returns the input that the API describes.
func InputOf(in adminapi.NewProvisioning) Input {
	return Input{
		BaseURL: in.BaseURL, Token: idp.Secret(in.Token), Groups: in.Groups, SendGroups: in.SendGroups,
		Attributes: in.Attributes, Claims: in.Claims, Delete: in.Delete,
	}
}

// Wire returns the form of the API.
func (v View) Wire() adminapi.Provisioning {
	return adminapi.Provisioning{
		ClientID: v.ClientID, BaseURL: v.Settings.BaseURL, Groups: some(v.Groups), SendGroups: some(v.SendGroups),
		Attributes: some(v.Settings.Attributes), Claims: v.Settings.Claims, Delete: v.Settings.Delete,
		PausedAt: moment(v.PausedAt), PausedBy: v.PausedBy, Failures: v.Failures, LastSuccess: moment(v.SentAt),
		LastError: v.LastError, LastErrorAt: moment(v.ErrorAt), Accounts: v.State.Users, Disabled: v.State.Gone,
		GroupsThere: v.State.Groups, Waiting: v.State.Waiting, Refused: v.State.Refused, RefusedError: v.State.Error,
	}
}

// Brief returns the form in a list of the API.
func (v View) Brief() adminapi.Provisioned {
	return adminapi.Provisioned{
		ClientID: v.ClientID, BaseURL: v.Settings.BaseURL, PausedAt: moment(v.PausedAt), PausedBy: v.PausedBy,
		Failures: v.Failures, LastSuccess: moment(v.SentAt), LastError: v.LastError, LastErrorAt: moment(v.ErrorAt),
	}
}

// Wire returns the form of the API.
func (p Preview) Wire() adminapi.ProvisioningPreview {
	out := adminapi.ProvisioningPreview{
		Counts: map[string]int{}, People: []adminapi.ProvisioningPerson{}, More: p.More,
	}
	for action, n := range p.Counts {
		out.Counts[string(action)] = n
	}
	for _, person := range p.People {
		out.People = append(out.People, adminapi.ProvisioningPerson{
			UserID: person.User.ID, Email: person.User.Email, Action: string(person.Action),
		})
	}
	return out
}

// some returns a list that is never null in JSON.
func some(list []string) []string { return append([]string{}, list...) }

func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}
