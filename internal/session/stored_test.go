// This test is inside the package: it looks at the form in which a session is stored.
package session

import (
	"testing"

	"github.com/stepward/stepward/internal/ephemeral/compact/compacttest"
)

func TestAStoredSessionHasAllFields(t *testing.T) { compacttest.Check(t, fields) }
