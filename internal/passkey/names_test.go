package passkey_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/passkey"
)

func TestAPasskeyIsNamedAfterItsProviderOrPlatform(t *testing.T) {
	for _, row := range []struct{ aaguid, attachment, agent, want string }{
		{"fbfc3007-154e-4ecc-8c0b-6e020557d7bd", "platform", "Safari on macOS", "iCloud Keychain"},
		{"ea9b8d66-4d01-1d21-3ce4-b6b48cb575d4", "cross-platform", "", "Google Password Manager"},
		{"a25342c0-3cdc-4414-8e46-f4807fca511c", "cross-platform", "Firefox on Linux", "YubiKey 5 NFC"},
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

func TestDecoysLookRealAndStayTheSame(t *testing.T) {
	key := func(c *passkey.Config) { c.DecoyKey = []byte("shared by the replicas") }
	one, replica, other := newHouse(t, key), newHouse(t, key), newHouse(t)
	counts := map[int]bool{}
	for _, email := range []string{"a@example.com", "b@example.com", "c@example.com", "d@example.com", "e@example.com", "f@example.com"} {
		decoys := one.Decoys(email)
		counts[len(decoys)] = true
		for _, k := range decoys {
			if len(k.CredentialID) < 16 || len(k.Transports) == 0 {
				t.Errorf("implausible: %+v", k)
			}
		}
		if diff := cmp.Diff(decoys, replica.Decoys(email)); diff != "" {
			t.Errorf("different on another replica: %s", diff)
		}
		if cmp.Equal(decoys, other.Decoys(email)) {
			t.Error("not derived from the key")
		}
	}
	if !counts[1] || !counts[2] || len(counts) != 2 {
		t.Errorf("numbers of passkeys: %v", counts)
	}
	if cmp.Equal(one.Decoys("a@example.com"), one.Decoys("b@example.com")) {
		t.Error("two unknown addresses have the same passkeys")
	}
}
