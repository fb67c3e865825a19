package e2e

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func TestTheSignedOutPageTellsApplicationsInFramesAndGoesOnByItself(t *testing.T) {
	t.Parallel()
	d, c := startDemo(t), newChrome(t)
	told := make(chan *http.Request, 4)
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/out" {
			told <- r
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<p>signed out"))
	}))
	t.Cleanup(app.Close)
	client, err := d.DB.StoredClient(t.Context(), "acme-bank")
	if err != nil {
		t.Fatal(err)
	}
	client.FrontchannelLogoutURI = app.URL + "/out"
	if err := d.DB.PutClient(t.Context(), client); err != nil {
		t.Fatal(err)
	}
	c.plug(device{synced: true})
	c.signInAs(d, "frames@example.com")
	c.click("app-me")
	sid := c.claims("app-id-token").SID
	c.signOut(d) // through the page with the frames, and back, without a click
	select {
	case r := <-told:
		if r.URL.Query().Get("iss") != d.Config.Issuer.String() || r.URL.Query().Get("sid") != sid || sid == "" || r.Referer() != "" {
			t.Errorf("told %s from %q, want sid %s", r.URL, r.Referer(), sid)
		}
	case <-time.After(60 * time.Second):
		t.Error("the application was not told")
	}
}
