package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// runSuite runs the suite that every engine passes; open returns a fresh, migrated store.
func runSuite(t *testing.T, open func(testing.TB) *store.DB) {
	runCases(t, open,
		userCases, passkeyCases, grantCases, familyCases, windowCases, revocationCases, clientCases, registrationCases,
		keyCases, outboxCases, logoutCases, sweepCases, rpidCases,
		recoveryCases, groupCases, waitingCases, personalCases, addressCases, erasureCases, registryCases, lookupCases,
		policyCases, managedCases, declaredCases, provisioningCases,
	)
}

// runTokens is runSuite for what is hardest to get right between a pool and a database: locks, conditions and results of
// batches that several callers send at once.
func runTokens(t *testing.T, open func(testing.TB) *store.DB) {
	runCases(t, open, familyCases, revocationCases, keyCases, recoveryCases)
}

func runCases(t *testing.T, open func(testing.TB) *store.DB, all ...map[string]func(*fixture)) {
	for _, cases := range all {
		for name, f := range cases {
			t.Run(name, func(t *testing.T) {
				f(newFixture(t, open(t)))
			})
		}
	}
}

// fixture is the environment of one case.
type fixture struct {
	*testing.T
	*store.DB
	ctx context.Context
	now time.Time // when the case began, in the whole milliseconds that are stored
}

func newFixture(t *testing.T, db *store.DB) *fixture {
	return &fixture{T: t, DB: db, ctx: t.Context(), now: time.Now().Truncate(time.Millisecond).UTC()}
}

// must ends the case on an error.
func (f *fixture) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

// refuses ends the case unless the error is the wanted one.
func (f *fixture) refuses(err, want error) {
	f.Helper()
	if !errors.Is(err, want) {
		f.Fatalf("got error %v, want %v", err, want)
	}
}

// same compares; an empty slice equals nil.
func (f *fixture) same(got, want any) {
	f.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		f.Fatalf("difference (-want +got):\n%s", diff)
	}
}

// must2 returns a value, or ends the case on an error.
func must2[T any](v T, err error) func(*fixture) T {
	return func(f *fixture) T {
		f.Helper()
		f.must(err)
		return v
	}
}

// race calls fn n times at once and returns how often it succeeded; every other call must return the wanted error.
func (f *fixture) race(n int, lost error, fn func(i int) error) (won int) {
	f.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-begin
			errs[i] = fn(i)
		})
	}
	close(begin)
	wg.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case lost == nil || !errors.Is(err, lost):
			f.Fatalf("got error %v, want %v", err, lost)
		}
	}
	return won
}

// trips returns how many round trips fn made.
func (f *fixture) trips(fn func()) int64 {
	before := f.RoundTrips()
	fn()
	return f.RoundTrips() - before
}

// record records an authentication that belongs to no client.
func (f *fixture) record(k idp.Passkey, a idp.Authentication, ev ...idp.Event) error {
	_, err := f.RecordAuthentication(f.ctx, k, a, "", ev...)
	return err
}

func (f *fixture) event(kind idp.EventKind, userID string) idp.Event {
	e := idp.NewEvent(kind, userID, f.now)
	e.ID = idp.NewID() // in the order of the test, however slow the machine is
	return e
}

// events returns the kinds of all events, oldest first.
func (f *fixture) events() (kinds []idp.EventKind) {
	f.Helper()
	for _, e := range must2(f.Events(f.ctx, "", 1000))(f) {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// user stores a user with this address.
func (f *fixture) user(email string) idp.User {
	f.Helper()
	u := idp.NewUser(email, "Somebody", f.now)
	f.must(f.CreateUser(f.ctx, u))
	return u
}

func (f *fixture) disable(u idp.User) {
	f.Helper()
	u.DisabledAt = f.now
	f.must(f.UpdateUser(f.ctx, u))
}

// passkey stores a passkey of the user.
func (f *fixture) passkey(u idp.User) idp.Passkey {
	f.Helper()
	k := newPasskey(u, f.now)
	f.must(f.AddPasskey(f.ctx, k))
	return k
}

func newPasskey(u idp.User, now time.Time) idp.Passkey {
	id := idp.NewID()
	return idp.Passkey{
		ID: id, UserID: u.ID, CredentialID: []byte("credential " + id), PublicKey: []byte{1, 2, 3},
		Name: "Key", CreatedAt: now,
	}
}

// family stores a family with refresh tokens "handle", "first".
func (f *fixture) family(u idp.User, change func(*idp.Family)) idp.Family {
	f.Helper()
	family := newFamily(u, f.now)
	if change != nil {
		change(&family)
	}
	f.create(family, nil)
	return family
}

// client stores a client with this ID, unless it exists.
func (f *fixture) client(id string) {
	f.Helper()
	_, err := f.Client(f.ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		err = f.PutClient(f.ctx, idp.Client{ID: id, CreatedAt: f.now, UpdatedAt: f.now})
	}
	f.must(err)
}

// create stores a family and returns the results of CreateFamily.
func (f *fixture) create(family idp.Family, opaque *store.OpaqueToken, ev ...idp.Event) (idp.Family, idp.User) {
	f.Helper()
	f.client(family.ClientID)
	stored, user, err := f.CreateFamily(f.ctx, family, opaque, ev...)
	f.must(err)
	return stored, user
}

// key finds the family of a refresh token.
func key(fam idp.Family) store.FamilyKey { return store.FamilyKey{HandleHash: fam.HandleHash} }

func newFamily(u idp.User, now time.Time) idp.Family {
	id := idp.NewID()
	return idp.Family{
		ID: id, ClientID: "app", UserID: u.ID, SessionID: "sid", Scopes: []string{"openid", "offline_access"},
		Audience:  []string{"https://api"},
		Resources: []string{"https://api.example"},
		Details:   idp.Details{{Type: "payment", JSON: `{"amount":1.50,"type":"payment"}`}},
		Assurance: idp.Assurance{
			AuthenticationID: "a1", ACR: "phr", AMR: []string{"pop", "user"},
			AuthTime: now.Truncate(time.Second), ActionClasses: []string{"payments"},
		},
		Claims:       `{"id_token":{"acr":null}}`,
		Confirmation: idp.Confirmation{JKT: "thumbprint", X5T: "certificate"},
		Offline:      true,
		HandleHash:   "handle " + id, CurrentHash: "first",
		CreatedAt: now, ExpiresAt: now.Add(time.Hour),
	}
}
