// This test is inside the package: it looks at the form in which a ceremony is stored.
package passkey

import (
	"testing"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/stepward/stepward/internal/ephemeral/compact/compacttest"
)

func TestAStoredCeremonyHasAllFields(t *testing.T) {
	compacttest.Check(t, fields, protocol.SessionExtensions{})
}
