package passkey_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

const elsewhere = "https://other.example.com" // shares the passkeys of example.com

// Two hosts of one house share passkeys and stores. A ceremony that began at one of them ends there.
func TestACeremonyEndsAtTheOriginWhereItBegan(t *testing.T) {
	here := newHouse(t, func(c *passkey.Config) { c.Origins = []string{origin, elsewhere} })
	there := newHouse(t, func(c *passkey.Config) { c.Origins, c.Store = []string{elsewhere, origin}, here.store })
	there.users = here.users
	ada := here.newUser("ada")
	a := passkeytest.New(origin)
	here.register(ada, a)
	there.keys = here.keys
	for name, row := range map[string]struct {
		from   string
		at     *house
		accept bool
	}{
		"where it began":                        {origin, here, true},
		"at the other origin":                   {elsewhere, here, false},
		"at the other origin, by its server":    {elsewhere, there, false},
		"where it began, by the other's server": {origin, there, true},
	} {
		cer, options, op, err := here.NewAssertion(idp.PurposeStepUp, "the-interaction", browser, ada.ID, here.keys, nil)
		if err != nil {
			t.Fatal(err)
		}
		here.do(op)
		a.Origin = row.from
		_, err = row.at.finish(row.at.take(cer.ID), here.get(a, options))
		if (err == nil) != row.accept || !row.accept && !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("sign-in %s: %v", name, err)
		}
		reg, created, err := here.NewRegistration(t.Context(), ada, nil, browser)
		if err != nil {
			t.Fatal(err)
		}
		fresh := passkeytest.New(row.from)
		response, err := fresh.Create(created)
		if err != nil {
			t.Fatal(err)
		}
		_, err = row.at.FinishRegistration(t.Context(), reg.ID, browser, ada, response, time.Now())
		if (err == nil) != row.accept || !row.accept && !errors.Is(err, passkey.ErrRefused) {
			t.Errorf("registration %s: %v", name, err)
		}
	}
}
