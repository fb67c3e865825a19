package stepup_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

func TestIntrospectionAcceptsOnlyActiveTokensForItsAudience(t *testing.T) {
	for name, test := range map[string]struct {
		status      int
		answer      string
		ok          bool
		unavailable bool
	}{
		"active":                          {200, `{"active":true,"sub":"ada","aud":"https://api.example","acr":"phr","auth_time":1772366400,"scope":"payouts"}`, true, false},
		"not active":                      {200, `{"active":false}`, false, false},
		"without active":                  {200, `{"sub":"ada","aud":"https://api.example"}`, false, false},
		"for another audience":            {200, `{"active":true,"aud":["https://other.example"]}`, false, false},
		"without an audience":             {200, `{"active":true}`, false, false},
		"active and expired":              {200, `{"active":true,"aud":"https://api.example","exp":1000}`, false, false},
		"claims of the wrong type":        {200, `{"active":true,"aud":"https://api.example","acr":7}`, false, false},
		"our own secret is wrong":         {401, `{"error":"invalid_client"}`, false, true},
		"an active token with status 500": {500, `{"active":true,"aud":"https://api.example"}`, false, true},
		"redirected":                      {307, ``, false, true},
		"not JSON":                        {200, `<html>`, false, true},
		"endless":                         {200, `{"active":true,"aud":"https://api.example","x":"` + strings.Repeat("x", 64<<10) + `"}`, false, true},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				id, secret, _ := r.BasicAuth()
				if r.URL.Path != "/introspect" || r.Method != "POST" || r.PostFormValue("token") != "t0ken" || id != "the+api" || secret != "s%26t" {
					t.Errorf("%s %s %v as %s %s", r.Method, r.URL, r.PostForm, id, secret)
				}
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.answer))
			}))
			defer server.Close()
			api := &stepup.Introspection{URL: server.URL + "/introspect", ClientID: "the api", ClientSecret: "s&t", Audience: "https://api.example"}
			c, err := api.Verify(t.Context(), "t0ken")
			if test.ok != (err == nil) || test.unavailable != errors.Is(err, stepup.ErrUnavailable) {
				t.Fatalf("%+v, %v", c, err)
			}
			if test.ok && (c.Subject != "ada" || c.ACR != "phr" || !c.AuthTime.Equal(time.Unix(1772366400, 0)) || c.Scopes[0] != "payouts") {
				t.Errorf("%+v", c)
			}
		})
	}
}

func TestUnreachableIntrospectionIsUnavailable(t *testing.T) {
	server := httptest.NewServer(nil)
	server.Close()
	if _, err := (&stepup.Introspection{URL: server.URL}).Verify(t.Context(), "t"); !errors.Is(err, stepup.ErrUnavailable) {
		t.Error(err)
	}
}
