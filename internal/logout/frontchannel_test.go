// This test is inside the package: from outside it takes 25 clients to sign in at.
package logout

import (
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/internal/subject"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFramesAreLimitedAndOneBadClientDoesNotAffectOthers(t *testing.T) {
	names, err := subject.NewNames(make([]byte, 32))
	check(t, err)
	s := &Service{cfg: Config{Issuer: "https://id.example", DB: storetest.Open(t), Names: names}}
	ids := []string{"nobody"}
	for range maxFrames + 5 {
		c := idp.Client{ID: idp.NewID(), FrontchannelLogoutURI: "https://app.example/out"}
		check(t, s.cfg.DB.PutClient(t.Context(), c))
		ids = append(ids, c.ID)
	}
	if n := len(s.logoutFrames(t.Context(), ids, "sid")); n != 20 {
		t.Errorf("%d frames", n)
	}
}
