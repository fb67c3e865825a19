package movein

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"unicode"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/arrivals"
)

var operator = admin.Operator()

// together is how many people are looked up and stored at once.
const together = 100

// people adds the people of the source, in a stream.
func (m *mover) people(ctx context.Context) error {
	shared, err := m.sharedEmails(ctx)
	if err != nil {
		return err
	}
	var some []person
	err = m.src.people(ctx, func(p person) error {
		if p.left == "" && shared(p.in.Email) {
			p.left = "another person there has the same e-mail address, perhaps in another case: neither of them comes"
		}
		if some = append(some, p); len(some) < together {
			return nil
		}
		err := m.arrive(ctx, some)
		some = some[:0]
		return err
	})
	if err != nil {
		return err
	}
	return m.arrive(ctx, some)
}

// sharedEmails returns a func that reports whether several people of the source have an address. Of two people with one
// mailbox, nobody can tell which one it belongs to. It remembers 8 bytes for each person.
func (m *mover) sharedEmails(ctx context.Context) (func(email string) bool, error) {
	seed, seen, twice := maphash.MakeSeed(), map[uint64]bool{}, map[uint64]bool{}
	hash := func(email string) uint64 {
		email, _ = directory.NormalizeEmail(email)
		return maphash.String(seed, email)
	}
	err := m.src.emails(ctx, func(email string) {
		h := hash(email)
		if seen[h] {
			twice[h] = true
		}
		seen[h] = true
	})
	return func(email string) bool {
		_, ok := directory.NormalizeEmail(email)
		return ok && twice[hash(email)]
	}, err
}

// arrive looks up some people, and adds what is not here.
func (m *mover) arrive(ctx context.Context, some []person) error {
	here, err := m.a.Look(m.question(some))
	if err != nil {
		return err
	}
	var arrived []arrivals.Person
	for _, p := range some {
		a, ok, err := m.person(ctx, p, &here)
		if err != nil {
			return err
		}
		if !ok {
			for range p.keys {
				if here.Marks[m.mark("user", p.id)] { // removed here since
					m.report.here(kindPasskeys)
				} else {
					m.report.cannot(kindPasskeys, who(p), "their user does not come")
				}
			}
			continue
		}
		m.passkeys(p, &a, &here)
		m.memberships(p, &a, here)
		m.consents(p, &a, here)
		m.values(p, &a, here)
		if len(a.Marks) > 0 {
			arrived = append(arrived, a)
		}
	}
	if len(arrived) == 0 {
		return nil
	}
	return m.a.AddPeople(arrived...)
}

func (m *mover) question(some []person) (q arrivals.Question) {
	for _, p := range some {
		q.UserIDs, q.Handles = append(q.UserIDs, p.id), append(q.Handles, []byte(p.id))
		if email, ok := directory.NormalizeEmail(p.in.Email); ok {
			q.Emails = append(q.Emails, email)
		}
		q.Marks = append(q.Marks, m.mark("user", p.id))
		for _, k := range p.keys {
			q.Credentials = append(q.Credentials, k.CredentialID)
			q.Marks = append(q.Marks, m.passkeyMark(k))
		}
		for _, g := range p.groups {
			q.Marks = append(q.Marks, m.mark("member", p.id, g))
		}
		for _, c := range p.consents {
			q.Marks = append(q.Marks, m.mark("consent", p.id, c.clientID))
		}
		for _, v := range p.values {
			q.Marks = append(q.Marks, m.mark("value", p.id, v.claim))
		}
	}
	return q
}

func (m *mover) passkeyMark(k key) arrivals.Mark {
	return m.mark("passkey", hex.EncodeToString(k.CredentialID))
}

// who names a person in the report.
func who(p person) string {
	if p.in.Email != "" {
		return p.in.Email
	}
	return p.username
}

// person returns the person as a user; false if they are not here and cannot come, or were removed here since.
func (m *mover) person(ctx context.Context, p person, here *arrivals.Answer) (a arrivals.Person, ok bool, err error) {
	mark := m.mark("user", p.id)
	_, resident := here.Users[p.id]
	switch {
	case here.Marks[mark]:
		m.report.here(kindUsers)
		a.User.ID = p.id
		return a, resident, nil
	case resident:
		p.left = "a user with this ID is here already"
	}
	u, fault, err := m.user(ctx, p, *here)
	if err != nil {
		return a, false, err
	}
	if fault != "" {
		m.report.cannot(kindUsers, who(p), fault)
		return a, false, nil
	}
	here.Users[u.ID], here.Emails[u.Email], here.Handles[string(u.Handle)] = arrivals.Resident{ID: u.ID}, true, true
	m.report.come(kindUsers)
	if changed(p.in.Name) {
		m.report.note(kindUsers, u.Email,
			"characters that are invisible, or change the direction of text, are no longer in the name")
	}
	return arrivals.Person{
		User: u, New: true, Marks: []arrivals.Mark{mark}, Events: []idp.Event{m.event(idp.EventUserCreated, u.ID)},
	}, true, nil
}

// user returns the user that a person becomes, or why they cannot come.
func (m *mover) user(ctx context.Context, p person, here arrivals.Answer) (u idp.User, fault string, err error) {
	switch {
	case p.left != "":
		return u, p.left, nil
	case !plainID(p.id):
		return u, "the ID is not 1 to 64 letters, digits and -._:, so it cannot stay the sub", nil
	case p.in.Email == "":
		return u, "there is no e-mail address, which everybody needs here", nil
	}
	if _, ok := directory.NormalizeName(p.in.Name); !ok {
		p.in.Name = p.username
	}
	if _, ok := directory.NormalizeName(p.in.Name); !ok {
		p.in.Name = ""
	}
	u, err = m.Ops.Users.Check(ctx, operator, p.in)
	if faults, wrong := errors.AsType[directory.Faults](err); wrong {
		return u, oneLine(faults), nil
	}
	if err != nil {
		return u, "", err
	}
	u.ID, u.Handle, u.UpdatedAt = p.id, []byte(p.id), m.now
	if u.CreatedAt = p.created; p.created.Year() < 2000 || p.created.After(m.now) {
		u.CreatedAt = m.now
	}
	if p.disabled {
		u.DisabledAt = m.now
	}
	switch {
	case here.ClientIDs[u.ID]: // RFC 9068 §5: a client is the sub of its own tokens
		return u, "a client here has the same ID, so their tokens could be confused", nil
	case here.Emails[u.Email]:
		return u, "the e-mail address belongs to somebody here", nil
	case here.Handles[string(u.Handle)]:
		return u, "the user handle belongs to somebody here", nil
	}
	return u, "", nil
}

// plainID reports whether an ID can be a sub and a user handle, and stand in a path (OIDC Core §2, WebAuthn L3 §5.4.3).
func plainID(id string) bool {
	return id != "" && len(id) <= 64 && !strings.ContainsFunc(id, func(r rune) bool {
		return !('a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("-._:", r))
	})
}

// changed reports whether NormalizeName takes more than spaces out of a name.
func changed(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return unicode.Is(unicode.Bidi_Control, r) || unicode.IsControl(r) && !unicode.IsSpace(r)
	})
}

// passkeys adds the passkeys that can come.
func (m *mover) passkeys(p person, a *arrivals.Person, here *arrivals.Answer) {
	host := m.Settings.PasskeyHost()
	resident := here.Users[a.User.ID]
	for _, k := range p.keys {
		mark := m.passkeyMark(k)
		if here.Marks[mark] {
			m.report.here(kindPasskeys)
			continue
		}
		rpID := k.rpID
		if rpID == "" {
			rpID = m.FromHost
		}
		adopted, err := passkey.Adopt(k.Foreign, a.User.ID, passkey.Rules{
			DeviceBound: m.Settings.DeviceBound, Allowed: m.Settings.AllowedModels, Forbidden: m.Settings.ForbiddenModels,
		})
		fault := k.left
		switch {
		case fault != "":
		case rpID != host:
			fault = fmt.Sprintf("made for %s, while those here are made for %s: no browser would offer it", rpID, host)
		case err != nil:
			fault = err.Error()
		case !k.UserVerified && !m.Unverified:
			fault = "registered without required user verification; --unverified brings it all the same"
		case here.Credentials[string(k.CredentialID)]:
			fault = "somebody here has a passkey with this credential ID"
		case resident.Recovered:
			fault = "the account was recovered here in the meantime"
		case resident.Passkeys >= store.MaxPasskeys:
			fault = fmt.Sprintf("a user can have %d passkeys here", store.MaxPasskeys)
		}
		if fault != "" {
			m.report.cannot(kindPasskeys, who(p), fault)
			continue
		}
		adopted.UVInitialized = true // or the operator said --unverified
		here.Credentials[string(k.CredentialID)] = true
		resident.Passkeys++
		ev := m.event(idp.EventPasskeyAdded, a.User.ID, "name", adopted.Name)
		ev.PasskeyID = adopted.ID
		a.Passkeys, a.Marks, a.Events = append(a.Passkeys, adopted), append(a.Marks, mark), append(a.Events, ev)
		m.report.come(kindPasskeys)
	}
	here.Users[a.User.ID] = resident
}

// memberships puts the person into the groups that came.
func (m *mover) memberships(p person, a *arrivals.Person, here arrivals.Answer) {
	for _, g := range p.groups {
		id, mark := m.groupIDs[g], m.mark("member", p.id, g)
		switch {
		case here.Marks[mark] || slices.Contains(a.Marks, mark):
			m.report.here(kindMembers)
		case id == "":
			m.report.cannot(kindMembers, who(p), "their group does not come")
		case len(a.GroupIDs) == directory.MaxMemberships:
			m.report.cannot(kindMembers, who(p), "the user is in too many groups")
		default:
			a.GroupIDs, a.Marks = append(a.GroupIDs, id), append(a.Marks, mark)
			m.report.come(kindMembers)
		}
	}
	if len(a.GroupIDs) > 0 && !a.New {
		a.Events = append(a.Events, m.event(idp.EventGroupMembers, a.User.ID, "added", strings.Join(a.GroupIDs, " ")))
	}
}

// consents adds what the person allowed clients, as far as these may ask for it here.
func (m *mover) consents(p person, a *arrivals.Person, here arrivals.Answer) {
	for _, c := range p.consents {
		mark := m.mark("consent", p.id, c.clientID)
		scopes, known := m.known[c.clientID]
		if here.Marks[mark] || slices.Contains(a.Marks, mark) {
			m.report.here(kindConsents)
			continue
		}
		allowed := slices.DeleteFunc(slices.Clone(c.scopes), func(s string) bool { return !slices.Contains(scopes, s) })
		if !known || len(allowed) == 0 {
			m.report.cannot(kindConsents, who(p), "their client does not come, or may ask for none of these scopes")
			continue
		}
		at := c.at
		if at.Year() < 2000 || at.After(m.now) {
			at = m.now
		}
		slices.Sort(allowed)
		ev := m.event(idp.EventConsentGranted, a.User.ID)
		ev.ClientID = c.clientID
		a.Grants = append(a.Grants, idp.Grant{
			UserID: a.User.ID, ClientID: c.clientID, Scopes: slices.Compact(allowed), CreatedAt: at, UpdatedAt: at,
		})
		a.Marks, a.Events = append(a.Marks, mark), append(a.Events, ev)
		m.report.come(kindConsents)
	}
}

// values adds the person's own values of claims.
func (m *mover) values(p person, a *arrivals.Person, here arrivals.Answer) {
	for _, v := range p.values {
		mark := m.mark("value", p.id, v.claim)
		if here.Marks[mark] || slices.Contains(a.Marks, mark) {
			m.report.here(kindValues)
			continue
		}
		stored, fault := m.value(v)
		if fault != "" {
			m.report.cannot(kindValues, who(p), fault)
			continue
		}
		a.Values, a.Marks = append(a.Values, stored), append(a.Marks, mark)
		m.report.come(kindValues)
	}
}
