package login

import (
	"net/http"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

func TestAPasskeyOfAnAccountThatIsDeletedKeepsItAndOpensNothing(t *testing.T) {
	h := newHouse(t)
	b := h.browser()
	b.enrol("alice@example.com")
	k, u, err := h.cfg.DB.PasskeyByCredentialID(t.Context(), b.device.Passkeys[0].ID)
	h.must(err)
	var offered []string
	h.Login.cfg.Leaving = func(_ http.ResponseWriter, _ *http.Request, left idp.User, passkeyID, interaction string) (string, error) {
		offered = append(offered, left.ID+" "+passkeyID+" "+interaction)
		return "/account/keep", nil
	}
	u.DisabledAt = time.Now()
	h.must(h.cfg.DB.UpdateUser(t.Context(), u))
	i := b.begin()
	a := b.confirm(b.show(i).dialog())
	if a.status != http.StatusOK || a.json["next"] != "/account/keep" {
		t.Fatalf("%d %v", a.status, a.json)
	}
	if len(offered) != 1 || offered[0] != u.ID+" "+k.ID+" "+i {
		t.Errorf("offered %q", offered)
	}
	if got := b.get("/own/"); got.status == http.StatusOK && got.json["user"] != nil {
		t.Errorf("signed in: %v", got.json)
	}
	if again := b.show(i); again.dialog().Ceremony != "" {
		t.Error("after a reload the page offers the ceremony that is used up")
	}

	// A passkey that a recovery put on hold decides nothing.
	now := time.Now()
	u.DisabledAt = time.Time{}
	h.must(h.cfg.DB.UpdateUser(t.Context(), u))
	h.must(h.cfg.DB.Recover(t.Context(), idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{1}, CreatedAt: now}, now, now))
	u.DisabledAt = now
	h.must(h.cfg.DB.UpdateUser(t.Context(), u))
	h.expect(b.confirm(b.show(b.begin()).dialog()), http.StatusBadRequest, "account_closed")
	if len(offered) != 1 {
		t.Errorf("offered %q", offered)
	}
}
