package store_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// cose is an ES256 key as authenticators send it.
func cose(x, y byte) []byte {
	return slices.Concat([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), bytes.Repeat([]byte{x}, 32),
		[]byte("\x22\x58\x20"), bytes.Repeat([]byte{y}, 32))
}

// A passkey comes back as it was, whatever is unusual about it, in the old form and in the brief one, and after a use.
func TestEveryPasskeyComesBackAsItWas(t *testing.T) {
	now := time.Now().Truncate(time.Millisecond).UTC()
	usual := idp.Passkey{
		PublicKey: cose(1, 2), Flags: 29, UVInitialized: true, AAGUID: bytes.Repeat([]byte{7}, 16), AttestationType: "none",
		AttestationFormat: "none", Transports: []string{"hybrid", "internal"}, Attachment: "platform",
		Extensions: json.RawMessage(`{"rk":true}`), Name: "iCloud Keychain", CreatedAt: now, CreatedAgent: "Safari on iPhone",
	}
	changes := map[string]func(*idp.Passkey){
		"usual":                  func(*idp.Passkey) {},
		"another algorithm":      func(k *idp.Passkey) { k.PublicKey = []byte("another") },
		"as long as x and y":     func(k *idp.Passkey) { k.PublicKey = bytes.Repeat([]byte{9}, 64) },
		"that and a NUL":         func(k *idp.Passkey) { k.PublicKey = append(bytes.Repeat([]byte{9}, 64), 0) },
		"a longer frame":         func(k *idp.Passkey) { k.PublicKey = append(cose(1, 2), 0) },
		"a shorter frame":        func(k *idp.Passkey) { k.PublicKey = cose(1, 2)[:76] },
		"no key":                 func(k *idp.Passkey) { k.PublicKey = nil },
		"a counter":              func(k *idp.Passkey) { k.Flags, k.SignCount = 5, 7 },
		"not verified":           func(k *idp.Passkey) { k.UVInitialized = false },
		"device-bound":           func(k *idp.Passkey) { k.Flags = 5 },
		"no flags":               func(k *idp.Passkey) { k.Flags = 0 },
		"regressed":              func(k *idp.Passkey) { k.CounterRegressedAt = now },
		"proven":                 func(k *idp.Passkey) { k.AttestationType, k.AttestationFormat = "basic_full", "packed" },
		"nothing of attestation": func(k *idp.Passkey) { k.AttestationType, k.AttestationFormat = "", "" },
		"hardware":               func(k *idp.Passkey) { k.AttestationVerifiedAt, k.KeyProtection = now, idp.KeyProtectionHardware },
		"no transports":          func(k *idp.Passkey) { k.Transports = nil },
		"other transports":       func(k *idp.Passkey) { k.Transports = []string{"internal", "hybrid"} },
		"no attachment":          func(k *idp.Passkey) { k.Attachment = "" },
		"no extensions":          func(k *idp.Passkey) { k.Extensions = nil },
		"other extensions":       func(k *idp.Passkey) { k.Extensions = json.RawMessage(`{"rk":false}`) },
		"no browser":             func(k *idp.Passkey) { k.CreatedAgent = "" },
		"an unknown browser":     func(k *idp.Passkey) { k.CreatedAgent = "unknown browser" },
		"a browser alone":        func(k *idp.Passkey) { k.CreatedAgent = "Safari" },
		"letters of a browser":   func(k *idp.Passkey) { k.CreatedAgent = "Si" },
		"letters and a space":    func(k *idp.Passkey) { k.CreatedAgent = "Si " },
		"an unknown system":      func(k *idp.Passkey) { k.CreatedAgent = "Safari on iOS" },
	}
	// No older program has stored these: browsers have one of few names, and keys a frame.
	impossible := map[string]bool{
		"as long as x and y": true, "that and a NUL": true, "letters of a browser": true, "letters and a space": true,
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		u := idp.NewUser("ada@example.com", "Ada", now)
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{"brief", "old"} {
			if form == "old" {
				store.Expand(db)
			}
			for name, change := range changes {
				if form == "old" && impossible[name] {
					continue
				}
				k := usual
				k.ID, k.UserID, k.CredentialID = idp.NewID(), u.ID, []byte(form+name)
				change(&k)
				for use, agent := range []string{"", k.CreatedAgent, "Firefox on Linux"} {
					var err error
					if k.LastAgent = agent; use == 0 {
						err = db.AddPasskey(t.Context(), k)
					} else {
						k.LastUsedAt = now.Add(time.Second)
						a := idp.Authentication{ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: k.LastUsedAt}
						_, err = db.RecordAuthentication(t.Context(), k, a, "")
						if k.SignCount > 0 && errors.Is(err, idp.ErrConflict) {
							k.SignCount++
							_, err = db.RecordAuthentication(t.Context(), k, a, "")
						}
					}
					if err != nil {
						t.Fatalf("%s, %s: %v", form, name, err)
					}
					got, _, err := db.PasskeyByCredentialID(t.Context(), k.CredentialID)
					if diff := cmp.Diff(k, got, cmpopts.EquateEmpty()); err != nil || diff != "" {
						t.Errorf("%s, %s: %v %s", form, name, err, diff)
					}
				}
				if err := store.Do(t.Context(), db, `DELETE FROM passkeys`); err != nil {
					t.Fatal(err)
				}
			}
		}
	})
}

// A database of the schema before has passkeys already, and older programs run beside this one for a day.
func TestPasskeysAreBriefADayAfterTheUpdate(t *testing.T) { eachEmpty(t, makeBrief) }

func makeBrief(f *fixture) {
	ctx, db, now := f.ctx, f.DB, f.now
	f.must(store.MigrateTo(ctx, db, 19))
	u := idp.NewUser("ada@example.com", "Ada", now)
	f.must(store.Do(ctx, db, oldUser, u.ID, u.Handle, u.Email))
	before := idp.NewID()
	f.must(store.Do(ctx, db, oldPasskey, before, u.ID, []byte(before), true, "none", now.UnixMilli()))
	oldest := func() string {
		return must2(store.Texts(ctx, db, `SELECT value FROM installation WHERE name = 'oldest_program'`))(f)[0]
	}
	add := func() idp.Passkey {
		k := idp.Passkey{
			ID: idp.NewID(), UserID: u.ID, PublicKey: cose(3, 4), Flags: 29, UVInitialized: true, AAGUID: []byte{1},
			AttestationType: "none", AttestationFormat: "none", Transports: []string{"hybrid", "internal"},
			CreatedAt: now, CreatedAgent: "Safari on iPhone",
		}
		k.CredentialID = []byte(k.ID)
		f.must(db.AddPasskey(ctx, k))
		a := idp.Authentication{ID: idp.NewID(), UserID: u.ID, PasskeyID: k.ID, At: now}
		k.LastUsedAt, k.LastAgent = now, k.CreatedAgent
		must2(db.RecordAuthentication(ctx, k, a, ""))(f)
		got, _, err := db.PasskeyByCredentialID(ctx, k.CredentialID)
		f.must(err)
		if diff := cmp.Diff(k, got, cmpopts.EquateEmpty()); diff != "" {
			f.Error(diff)
		}
		return k
	}
	// What a program of version 19 reads of a passkey: it knows neither NULL nor the brief form.
	old := func(k idp.Passkey) []string {
		return must2(store.Texts(ctx, db, `SELECT transports || ' ' || created_agent || ' ' || last_agent || ' ' || CAST(sign_count AS TEXT)
			FROM passkeys WHERE id = $1 AND public_key = $2 AND suspended_at = 0 AND strong_from = 0 AND attestation = ''`, k.ID, k.PublicKey))(f)
	}

	f.must(db.Migrate(ctx))
	if got := old(add()); len(got) != 1 || got[0] != `["hybrid","internal"] Safari on iPhone Safari on iPhone 0` || oldest() != "19" {
		f.Errorf("an older program reads %q; the oldest that can run is %s", got, oldest())
	}
	f.must(db.Migrate(ctx))
	form := must2(store.Texts(ctx, db, `SELECT value FROM installation WHERE name = 'passkeys'`))(f)[0]
	if from, err := strconv.ParseInt(form, 10, 64); err != nil || time.Until(time.UnixMilli(from)) < 23*time.Hour {
		f.Fatalf("contracts at %q: %v", form, err)
	}
	f.must(store.Do(ctx, db, `UPDATE installation SET value = '1' WHERE name = 'passkeys'`))
	f.must(db.Migrate(ctx))
	if got := old(add()); len(got) != 0 || oldest() != "20" {
		f.Errorf("a day later: %q; the oldest that can run is %s", got, oldest())
	}
	got, _, err := db.PasskeyByCredentialID(ctx, []byte(before))
	if err != nil || got.Attachment != "platform" || got.CreatedAgent != "Firefox" || got.Name != "Key" {
		f.Errorf("the passkey from before: %+v %v", got, err)
	}
	if keys, err := db.PasskeysOf(ctx, u.ID); err != nil || len(keys) != 3 {
		f.Errorf("%d passkeys, %v", len(keys), err)
	}
}
