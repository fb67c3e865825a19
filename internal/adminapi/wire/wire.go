// Package wire has the forms that users, passkeys, sessions, clients, claims, events, the policy and the state as a
// whole have in the admin API.
package wire

import (
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Passkey returns a passkey without its key.
func Passkey(k idp.Passkey) adminapi.Passkey {
	return adminapi.Passkey{
		ID: k.ID, Name: k.Name, AAGUID: aaguid(k.AAGUID), Synced: k.Synced(), HardwareBound: k.HardwareBound(),
		Transports: Some(k.Transports), CreatedAt: k.CreatedAt.UTC(), CreatedAgent: k.CreatedAgent,
		LastUsedAt: Moment(k.LastUsedAt), LastAgent: k.LastAgent, SuspendedAt: Moment(k.SuspendedAt),
		CounterFellAt: Moment(k.CounterRegressedAt), AttestationFmt: k.AttestationFormat,
	}
}

// aaguid returns an AAGUID as metadata statements write it.
func aaguid(b []byte) string {
	text := hex.EncodeToString(b)
	if len(text) != 32 {
		return text
	}
	return text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:]
}

// Session returns a session of a browser.
func Session(s idp.Session) adminapi.Session {
	out := adminapi.Session{
		ID: s.ID, CreatedAt: s.CreatedAt.UTC(), SeenAt: s.SeenAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(), Agent: s.Agent,
		Address: s.Address, AuthTime: s.CreatedAt.UTC(),
	}
	if n := len(s.Authentications); n > 0 {
		out.AuthTime = s.Authentications[n-1].At.UTC()
	}
	return out
}

// Application returns what a user allowed a client.
func Application(g idp.Grant) adminapi.Application {
	return adminapi.Application{
		ClientID: g.ClientID, Scopes: Some(g.Scopes), CreatedAt: g.CreatedAt.UTC(), UpdatedAt: g.UpdatedAt.UTC(),
	}
}

// User returns a user.
func User(u idp.User) adminapi.User {
	return adminapi.User{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.Name, Role: u.Role.Name(),
		Profile: profile(u.Profile), CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(),
		DisabledAt: Moment(u.DisabledAt), RecoveredAt: Moment(u.RecoveredAt),
	}
}

func profile(p idp.Profile) adminapi.Profile {
	out := adminapi.Profile{
		GivenName: p.GivenName, FamilyName: p.FamilyName, MiddleName: p.MiddleName, Nickname: p.Nickname,
		PreferredUsername: p.PreferredUsername, URL: p.URL, Picture: p.Picture, Website: p.Website, Gender: p.Gender,
		Birthdate: p.Birthdate, Zoneinfo: p.Zoneinfo, Locale: p.Locale, PhoneNumber: p.PhoneNumber,
		PhoneVerified: p.PhoneVerified,
	}
	if at := adminapi.Address(p.Address); at != (adminapi.Address{}) {
		out.Address = &at
	}
	return out
}

// ProfileOf returns the profile that a caller sends; the zero value for nil.
func ProfileOf(p *adminapi.Profile) (out idp.Profile) {
	if p == nil {
		return out
	}
	out = idp.Profile{
		GivenName: p.GivenName, FamilyName: p.FamilyName, MiddleName: p.MiddleName, Nickname: p.Nickname,
		PreferredUsername: p.PreferredUsername, URL: p.URL, Picture: p.Picture, Website: p.Website, Gender: p.Gender,
		Birthdate: p.Birthdate, Zoneinfo: p.Zoneinfo, Locale: p.Locale, PhoneNumber: p.PhoneNumber,
		PhoneVerified: p.PhoneVerified,
	}
	if p.Address != nil {
		out.Address = idp.Address(*p.Address)
	}
	return out
}

// Policy returns a policy as it counts.
func Policy(p idp.Policy) adminapi.Policy {
	out := adminapi.Policy{
		Scopes: []adminapi.PolicyScope{}, ActionClasses: []adminapi.ActionClass{}, Resources: []adminapi.PolicyResource{},
		ACRAliases: []adminapi.ACRAlias{}, ACRDecay: []adminapi.ACRDecay{},
		DetailTypes: Some(slices.Sorted(maps.Keys(p.DetailTypes))),
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scopes)) {
		s := p.Scopes[name]
		out.Scopes = append(out.Scopes, adminapi.PolicyScope{
			Name: name, Description: s.Description, ActionClass: s.ActionClass, Machines: p.ForMachines(name),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.ActionClasses)) {
		c := p.ActionClasses[name]
		out.ActionClasses = append(out.ActionClasses, adminapi.ActionClass{
			Name: name, Description: c.Description, ACR: c.ACR, Window: seconds(c.Window), Shared: c.Shared,
		})
	}
	for _, uri := range slices.Sorted(maps.Keys(p.Resources)) {
		r := p.Resources[uri]
		out.Resources = append(out.Resources, adminapi.PolicyResource{
			URI: uri, Description: r.Description, Scopes: Some(r.Scopes), ActionClasses: Some(r.ActionClasses),
			AccessFormat: string(r.Format), AccessTTL: seconds(r.TTL),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(p.Aliases)) {
		alias := p.Aliases[name]
		out.ACRAliases = append(out.ACRAliases, adminapi.ACRAlias{Name: name, ACR: alias.ACR, MaxAge: seconds(alias.MaxAge)})
	}
	for _, acr := range slices.Sorted(maps.Keys(p.Decay)) {
		d := p.Decay[acr]
		out.ACRDecay = append(out.ACRDecay, adminapi.ACRDecay{
			ACR: acr, Absolute: seconds(d.Absolute), Idle: seconds(d.Idle),
		})
	}
	return out
}

// PolicyVersion returns a version of the policy.
func PolicyVersion(v policies.Version) adminapi.PolicyVersion {
	return adminapi.PolicyVersion{
		Version: v.Number, ChangedAt: v.ChangedAt.UTC(), ActorID: v.ActorID, Changes: Some(v.Lines()),
	}
}

// Group returns a group, without who manages it.
func Group(g directory.Group) adminapi.Group {
	return adminapi.Group{
		ID: g.ID, Name: g.Name, Description: g.Description, CreatedAt: g.CreatedAt.UTC(), UpdatedAt: g.UpdatedAt.UTC(),
	}
}

func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// Event returns an audit record.
func Event(e idp.Event) adminapi.Event {
	return adminapi.Event{
		ID: e.ID, At: e.At.UTC(), Kind: string(e.Kind), UserID: e.UserID, ActorID: e.ActorID, ClientID: e.ClientID,
		SessionID: e.SessionID, PasskeyID: e.PasskeyID, Address: e.Address, Agent: e.Agent, RequestID: e.RequestID,
		Detail: e.Detail,
	}
}

// Moment returns a time for the wire; nil for zero.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TimeOf returns the time of the wire; zero for nil.
func TimeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Truncate(time.Millisecond)
}

// Some returns a list that is never null in JSON.
func Some[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
