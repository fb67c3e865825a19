package takeout

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/addresses"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/store/personal"
	"github.com/stepward/stepward/internal/store/recoveries"
)

// A savedUser is the user in the file. The others below are what belongs to them. docs/data.md describes all.
type savedUser struct {
	ID            string      `json:"id"`
	Email         string      `json:"email"`
	EmailVerified bool        `json:"email_verified"`
	Name          string      `json:"name"`
	Role          string      `json:"role,omitempty"`
	Profile       idp.Profile `json:"profile"`
	CreatedAt     time.Time   `json:"created_at"`
	UpdatedAt     time.Time   `json:"updated_at"`
	RecoveredAt   time.Time   `json:"recovered_at,omitzero"`
}

// A savedAddress is an address besides the one in savedUser.
type savedAddress struct {
	Email   string    `json:"email"`
	AddedAt time.Time `json:"added_at"`
}

type savedPasskey struct {
	ID           string    `json:"id"`
	CredentialID string    `json:"credential_id"`
	Name         string    `json:"name"`
	AAGUID       string    `json:"aaguid,omitempty"`
	Synced       bool      `json:"synced"`
	Transports   []string  `json:"transports,omitempty"`
	Attestation  string    `json:"attestation_format,omitempty"`
	SignCount    uint32    `json:"sign_count"`
	CreatedAt    time.Time `json:"created_at"`
	CreatedIn    string    `json:"created_in,omitempty"`
	LastUsedAt   time.Time `json:"last_used_at,omitzero"`
	LastUsedIn   string    `json:"last_used_in,omitempty"`
	SuspendedAt  time.Time `json:"suspended_at,omitzero"`
}

type savedSession struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"created_at"`
	SeenAt    time.Time `json:"seen_at"`
	ExpiresAt time.Time `json:"expires_at"`
	Browser   string    `json:"browser,omitempty"`
	Address   string    `json:"address,omitempty"`
}

// A savedAccess is what an application may do: by the user's consent, or by tokens that it holds.
type savedAccess struct {
	ClientID   string      `json:"client_id"`
	ClientName string      `json:"client_name"`
	Scopes     []string    `json:"scopes"`
	Details    idp.Details `json:"authorization_details,omitempty"`
	SessionID  string      `json:"session_id,omitempty"`
	Offline    bool        `json:"offline_access,omitempty"`
	CreatedAt  time.Time   `json:"created_at"`
	ExpiresAt  time.Time   `json:"expires_at,omitzero"`
}

type savedClaim struct {
	Name  string          `json:"name"`
	Group string          `json:"group,omitempty"`
	Value json.RawMessage `json:"value"`
}

type savedCodes struct {
	Left   int       `json:"left"`
	MadeAt time.Time `json:"made_at,omitzero"`
}

// everything is what is read before the first byte is sent, so that a store that is away gives an error page. Events
// follow, a page at a time.
type everything struct {
	managed   json.RawMessage // what a directory said of them; nil: nothing
	addresses []savedAddress
	left      []string
	sessions  []savedSession
	groups    []string
	claims    []savedClaim
	codes     savedCodes
	consents  []savedAccess
	tokens    []savedAccess
}

// Everything sends all that is kept about the user as one file. It has no secrets: what could be replayed is stored as
// a hash, and left out.
func (t Writer) Everything(ctx context.Context, w http.ResponseWriter, u idp.User, keys Passkeys) error {
	all, err := t.collect(ctx, u.ID)
	if err != nil {
		return err
	}
	out := newFile(w, "account-data.json")
	out.member("format", 1)
	out.member("issuer", t.Issuer)
	out.member("made_at", time.Now().UTC())
	out.member("user", savedUser{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.Name, Role: string(u.Role), Profile: u.Profile,
		CreatedAt: u.CreatedAt.UTC(), UpdatedAt: u.UpdatedAt.UTC(), RecoveredAt: u.RecoveredAt.UTC(),
	})
	if all.managed != nil {
		out.member("directory", all.managed)
	}
	out.member("addresses", listed(all.addresses))
	out.member("former_addresses", listed(all.left))
	out.member("groups", listed(all.groups))
	out.member("claims", listed(all.claims))
	out.list("passkeys", func(item func(any)) error {
		for _, k := range keys.Present {
			item(savedPasskey{
				ID: k.ID, CredentialID: base64.RawURLEncoding.EncodeToString(k.CredentialID), Name: k.Name,
				AAGUID: hex.EncodeToString(k.AAGUID), Synced: k.Synced(), Transports: k.Transports,
				Attestation: k.AttestationFormat, SignCount: k.SignCount, CreatedAt: k.CreatedAt.UTC(),
				CreatedIn: k.CreatedAgent, LastUsedAt: utc(k.LastUsedAt), LastUsedIn: k.LastAgent,
				SuspendedAt: utc(k.SuspendedAt),
			})
		}
		return nil
	})
	out.member("recovery_codes", all.codes)
	out.member("sessions", listed(all.sessions))
	out.member("consents", listed(all.consents))
	out.member("tokens", listed(all.tokens))
	t.events(ctx, out, u, personal.Filter{}, keys)
	return out.close()
}

// utc keeps the zero time, which is left out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// listed returns an empty list instead of null.
func listed[T any](list []T) []T { return append([]T{}, list...) }

func (t Writer) collect(ctx context.Context, id string) (all everything, err error) {
	sessions, err := t.Sessions.List(ctx, id)
	if err != nil {
		return all, fmt.Errorf("list sessions: %w", err)
	}
	for _, s := range sessions {
		all.sessions = append(all.sessions, savedSession{
			ID: s.ID, CreatedAt: s.CreatedAt.UTC(), SeenAt: s.SeenAt.UTC(), ExpiresAt: s.ExpiresAt.UTC(),
			Browser: s.Agent, Address: s.Address,
		})
	}
	if err := t.collectAddresses(ctx, id, &all); err != nil {
		return all, err
	}
	known, err := managed.New(t.DB).User(ctx, id)
	if err != nil {
		return all, fmt.Errorf("load what the directory said: %w", err)
	}
	if known.Attributes != "" {
		all.managed = json.RawMessage(known.Attributes)
	}
	member, err := t.DB.MembershipOf(ctx, id)
	if err != nil {
		return all, fmt.Errorf("load membership: %w", err)
	}
	for _, g := range member.Groups {
		all.groups = append(all.groups, g.Name)
	}
	for _, c := range member.Values {
		all.claims = append(all.claims, savedClaim{Name: c.Claim, Group: c.Group, Value: json.RawMessage(c.JSON)})
	}
	codes, err := recoveries.CodesOf(ctx, t.DB, id)
	if err != nil {
		return all, fmt.Errorf("load recovery codes: %w", err)
	}
	if usable := t.Usable(codes); len(usable) > 0 {
		all.codes = savedCodes{Left: len(usable), MadeAt: usable[0].CreatedAt.UTC()}
	}
	return all, t.collectAccess(ctx, id, &all)
}

func (t Writer) collectAddresses(ctx context.Context, userID string, all *everything) error {
	book := addresses.New(t.DB)
	present, err := book.Of(ctx, userID)
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	told, err := book.Told(ctx, userID, time.Now())
	if err != nil {
		return fmt.Errorf("list former addresses: %w", err)
	}
	for _, a := range present {
		all.addresses = append(all.addresses, savedAddress{a.Email, a.AddedAt.UTC()})
	}
	for _, email := range told {
		if !slices.ContainsFunc(present, func(a addresses.Address) bool { return a.Email == email }) {
			all.left = append(all.left, email)
		}
	}
	return nil
}

func (t Writer) collectAccess(ctx context.Context, userID string, all *everything) error {
	grants, err := t.DB.GrantsOf(ctx, userID)
	if err != nil {
		return fmt.Errorf("load grants: %w", err)
	}
	for _, g := range grants {
		all.consents = append(all.consents, savedAccess{
			ClientID: g.ClientID, ClientName: t.ClientName(ctx, g.ClientID), Scopes: listed(g.Scopes),
			CreatedAt: g.CreatedAt.UTC(),
		})
	}
	families, err := t.DB.RecentFamilies(ctx, userID, time.Time{})
	if err != nil {
		return fmt.Errorf("load families: %w", err)
	}
	for _, f := range families {
		all.tokens = append(all.tokens, savedAccess{
			ClientID: f.ClientID, ClientName: t.ClientName(ctx, f.ClientID), Scopes: listed(f.Scopes), Details: f.Details,
			SessionID: f.SessionID, Offline: f.Offline, CreatedAt: f.CreatedAt.UTC(), ExpiresAt: f.ExpiresAt.UTC(),
		})
	}
	return nil
}
