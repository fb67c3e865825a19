package directory_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

func TestAMappingReplacesNothingThatAccountsAreLinkedBy(t *testing.T) {
	for claim, allowed := range map[string]bool{
		"sub": false, "iss": false, "acr": false, "groups": false, "email": false, "email_verified": false,
		"phone_number": false, "_claim_names": false, "a b": false, "": false, strings.Repeat("a", 101): false,
		"preferred_username": true, "tier": true, "https://example.com/tier": true,
	} {
		faults := directory.ReleaseFaults(nil, directory.GroupsClaim{}, []directory.Mapping{{Source: "tier", Claim: claim}})
		if (len(faults) == 0) != allowed {
			t.Errorf("%q: %v", claim, faults)
		}
	}
	for _, name := range []string{"sub", "email", "name", "aud"} {
		if len(directory.ReleaseFaults(nil, directory.GroupsClaim{Name: name}, nil)) == 0 {
			t.Errorf("groups may be called %q", name)
		}
	}
}

func TestAValueHasTheTypeOfItsClaim(t *testing.T) {
	for kind, values := range map[directory.ClaimType][2][]string{
		directory.ClaimString:  {{`"a"`, `"ä 🙂"`}, {`""`, `1`, `"a\u202eb"`, `"a\nb"`, `"` + strings.Repeat("a", 1001) + `"`, `["a"]`, `"a" 1`}},
		directory.ClaimNumber:  {{`1`, `-1.5`}, {`"1"`, `1e999`, `true`, `null`}},
		directory.ClaimBoolean: {{`true`, `false`}, {`0`, `"true"`}},
		directory.ClaimList:    {{`[]`, `["a","b"]`}, {`["a","a"]`, `[1]`, `[""]`, `{}`, `"a"`}},
	} {
		for i, list := range values {
			for _, value := range list {
				if _, fault := (directory.Claim{Type: kind}).Normalize(json.RawMessage(value)); (fault == "") != (i == 0) {
					t.Errorf("%s %.30s: %q", kind, value, fault)
				}
			}
		}
	}
}
