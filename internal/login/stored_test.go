// This test is inside the package: it looks at the form in which an interaction is stored.
package login

import (
	"testing"

	"github.com/stepward/stepward/internal/ephemeral/compact/compacttest"
)

func TestAStoredInteractionHasAllFields(t *testing.T) { compacttest.Check(t, fields) }
