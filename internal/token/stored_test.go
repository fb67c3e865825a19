// This test is inside the package: it looks at the form in which an authorization is stored.
package token

import (
	"testing"

	"github.com/stepward/stepward/internal/ephemeral/compact/compacttest"
)

func TestAStoredAuthorizationHasAllFields(t *testing.T) { compacttest.Check(t, fields) }
