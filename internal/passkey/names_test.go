package passkey_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
)

func TestAPasskeyIsNamedAfterItsProviderOrPlatform(t *testing.T) {
	for _, row := range []struct{ aaguid, attachment, agent, want string }{
		{"fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "platform", "Safari on macOS", "Apple Passwords"},
		{"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", "cross-platform", "", "Google Password Manager"},
		{"a25342c0-3cdc-4414-8e46-f4807fca511c", "cross-platform", "Firefox on Linux", "YubiKey 5 Series with NFC"},
		{"00000000-0000-0000-0000-000000000000", "cross-platform", "Firefox on Linux", "Security key"},
		{"00000000-0000-0000-0000-000000000000", "platform", "Firefox on macOS", "Passkey on macOS"},
		{"00000000-0000-0000-0000-000000000000", "platform", "unknown browser", "Passkey"},
		{"11111111-1111-1111-1111-111111111111", "", "", "Passkey"},
	} {
		id := uuid.MustParse(row.aaguid)
		if got := passkey.Name(id[:], row.attachment, row.agent); got != row.want {
			t.Errorf("%+v: %q", row, got)
		}
	}
	if got := passkey.Name(nil, "", ""); got != "Passkey" {
		t.Errorf("without an AAGUID: %q", got)
	}
}

// The list comes from elsewhere: each entry must be a name that people can be shown and can keep.
func TestEveryNameOfTheListCanBeTheNameOfAPasskey(t *testing.T) {
	content, err := os.ReadFile("aaguids/aaguids.json")
	if err != nil {
		t.Fatal(err)
	}
	var list map[string]string
	if err := json.Unmarshal(content, &list); err != nil || len(list) < 300 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	for id, name := range list {
		parsed, err := uuid.Parse(id)
		if err != nil || parsed.String() != id {
			t.Errorf("%q is no AAGUID", id)
		}
		if _, ok := directory.NormalizeName(passkey.Provider(parsed[:])); !ok {
			t.Errorf("%s: %q", id, name)
		}
	}
	if licence, err := os.ReadFile("aaguids/LICENSE"); err != nil || !bytes.Contains(licence, []byte("MIT License")) {
		t.Error("the licence of the list is missing")
	}
}

func TestDecoysLookRealAndStayTheSame(t *testing.T) {
	key := func(c *passkey.Config) { c.DecoyKey = []byte("shared by the replicas") }
	one, replica, other := newHouse(t, key), newHouse(t, key), newHouse(t)
	model := []idp.Passkey{
		{CredentialID: make([]byte, 1023), Transports: []string{"usb"}}, {CredentialID: make([]byte, 16), Transports: []string{"hybrid", "internal"}},
	}
	for _, model := range [][]idp.Passkey{nil, model[:1], model} {
		decoys := one.Decoys("a@example.com", model)
		if len(decoys) != max(1, len(model)) {
			t.Errorf("%d decoys for %d passkeys", len(decoys), len(model))
		}
		for i, k := range decoys {
			if len(model) > 0 && (len(k.CredentialID) != len(model[i].CredentialID) || !cmp.Equal(k.Transports, model[i].Transports)) {
				t.Errorf("not of the shape of its model: %+v", k)
			}
		}
		if diff := cmp.Diff(decoys, replica.Decoys("a@example.com", model)); diff != "" {
			t.Errorf("different on another replica: %s", diff)
		}
		if cmp.Equal(decoys, other.Decoys("a@example.com", model)) {
			t.Error("not derived from the key")
		}
		if cmp.Equal(decoys, one.Decoys("b@example.com", model)) {
			t.Error("two unknown addresses have the same passkeys")
		}
	}
	if !cmp.Equal(one.Pivot("a@example.com"), replica.Pivot("a@example.com")) || cmp.Equal(one.Pivot("a@example.com"), other.Pivot("a@example.com")) {
		t.Error("the pivot does not follow from the key")
	}
}
