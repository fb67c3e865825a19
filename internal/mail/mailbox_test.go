package mail_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/web"
)

func TestTheMailboxShowsTheNewestFirstWithItsCodeAndLink(t *testing.T) {
	u, err := url.Parse("http://localhost:8080")
	if err != nil {
		t.Fatal(err)
	}
	shell, err := web.New(web.Config{Issuer: u, Insecure: true})
	if err != nil {
		t.Fatal(err)
	}
	box, mux := &mail.Mailbox{}, http.NewServeMux()
	if err := box.Mount(mux, shell); err != nil {
		t.Fatal(err)
	}
	page := func() string {
		w := httptest.NewRecorder()
		shell.Browser(mux).ServeHTTP(w, httptest.NewRequest("GET", "/demo/mail", nil))
		if w.Code != 200 {
			t.Fatalf("status %d", w.Code)
		}
		return w.Body.String()
	}
	if !strings.Contains(page(), `class="empty"`) {
		t.Error("the empty mailbox must say so")
	}
	m, from := newMailer(t, nil, nil, nil), &netmail.Address{Address: "no-reply@example.com"}
	for _, code := range []string{"11111111", "22222222"} {
		msg := m.In(nil).VerifyEmail("ada@example.com", "", "", time.Minute)
		msg.Text = fmt.Sprintf("<script>\n\n    %s\n\nLink:\nhttps://login.example.com/signup/verify#%s\n\njavascript:alert(1)\n", code, code)
		if err := box.Deliver(t.Context(), from, msg); err != nil {
			t.Fatal(err)
		}
	}
	body := page()
	var got []string
	for _, found := range regexp.MustCompile(`data-test="mail-code">(\d+)<|data-test="mail-link" href="([^"]+)"`).FindAllStringSubmatch(body, -1) {
		got = append(got, found[1]+found[2])
	}
	want := []string{"22222222", "https://login.example.com/signup/verify#22222222", "11111111", "https://login.example.com/signup/verify#11111111"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s\n%s", diff, body)
	}
	if strings.Contains(body, "<script>\n") || strings.Contains(body, `href="javascript`) {
		t.Error("a message became markup")
	}
}

func TestTheMailboxKeepsTheLastHundred(t *testing.T) {
	box := &mail.Mailbox{}
	for i := range 250 {
		if err := box.Deliver(t.Context(), &netmail.Address{}, mail.Message{Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if got := box.Messages(); len(got) != 100 || got[0].Subject != "249" || got[99].Subject != "150" {
		t.Errorf("%d messages, from %s to %s", len(got), got[0].Subject, got[len(got)-1].Subject)
	}
}
