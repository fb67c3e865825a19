package admin_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

// signIn starts a session of a user, and a family of tokens in it.
func (h *house) signIn(u idp.User) (sid string, f idp.Family) {
	h.Helper()
	sessions := session.New(session.Config{Store: h.ephemeral, Agent: func(string) string { return "Firefox" }, Address: func(*http.Request) string { return "" }})
	r := httptest.NewRequest("POST", "https://id.example.com/", nil)
	sess, err := sessions.Start(h.ctx, httptest.NewRecorder(), r, idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: time.Now()}, nil)
	h.must(err)
	f = idp.Family{ID: idp.NewID(), ClientID: "app", UserID: u.ID, SessionID: sess.ID, Scopes: []string{"openid"}, ExpiresAt: time.Now().Add(time.Hour)}
	_, _, err = h.db.CreateFamily(h.ctx, f, nil)
	h.must(err)
	return sess.ID, f
}

func TestASignOutByAnAdminEndsTheTokensOfTheSessions(t *testing.T) {
	h := open(t)
	h.client("app")
	u := h.users[directory.RoleUser]
	support := h.as(directory.RoleSupport)
	one, ofOne := h.signIn(u)
	_, ofTwo := h.signIn(u)
	if list, err := h.Users.Sessions(h.ctx, h.as(directory.RoleAuditor), u.ID); err != nil || len(list) != 2 {
		t.Fatalf("sessions %v, %v", list, err)
	}
	live := func(f idp.Family) bool {
		_, _, err := h.db.FamilyWithUser(h.ctx, f.ID)
		return err == nil
	}
	h.must(h.Users.EndSession(h.ctx, support, u.ID, one))
	if live(ofOne) || !live(ofTwo) {
		t.Errorf("after the end of one session, its tokens live: %v, those of the other: %v", live(ofOne), live(ofTwo))
	}
	if err := h.Users.EndSession(h.ctx, support, u.ID, one); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("a session ended twice: %v", err)
	}
	if err := h.Users.EndSession(h.ctx, support, h.users[directory.RoleAdmin].ID, one); err == nil {
		t.Error("support ended a session of an admin")
	}
	n, err := h.Users.SignOut(h.ctx, support, u.ID)
	if err != nil || n != 1 || live(ofTwo) {
		t.Errorf("%d sessions ended, %v; tokens live: %v", n, err, live(ofTwo))
	}
}

func TestWhatIsKeptAboutAUserIsForRolesThatRead(t *testing.T) {
	h := open(t)
	u := h.users[directory.RoleUser]
	for name, read := range map[string]func(by admin.Actor, id string) error{
		"passkeys":     func(by admin.Actor, id string) error { _, err := h.Users.Passkeys(h.ctx, by, id); return err },
		"applications": func(by admin.Actor, id string) error { _, err := h.Users.Applications(h.ctx, by, id); return err },
		"sessions":     func(by admin.Actor, id string) error { _, err := h.Users.Sessions(h.ctx, by, id); return err },
	} {
		h.denied(name, read(h.as(directory.RoleUser), u.ID), "role")
		h.denied(name, read(h.as(directory.RoleAuditor), u.ID), "")
		if err := read(h.as(directory.RoleAuditor), "nobody"); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("%s of nobody: %v", name, err)
		}
	}
}
