package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// The API server with the flags that the recipe prints, and tokens from sign-ins by the client that it registers.
func TestClusterRecipe(t *testing.T) {
	t.Parallel()
	o := newOP(t)
	printed := cook(t, o.Server, "kubernetes", "")
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := writePEM(ca, "CERTIFICATE", opCA.cert.Raw); err != nil {
		t.Fatal(err)
	}
	c := newCluster(t, append(strings.Fields(printed[0]), "--oidc-ca-file="+ca)...)

	ada, email := o.browser()
	bob, _ := o.browser()
	first := kubectlToken(o, ada, printed[1], email)
	other := kubectlToken(o, bob, printed[1], "bob@example.com")
	if user := c.whoAmI(first); user.Username != email || !slices.Equal(user.Groups, []string{"system:authenticated"}) {
		t.Errorf("without groups: %+v", user)
	}
	joinGroups(t, o.Server, o.verify(first)["sub"].(string), []string{"cluster-admins", "system:masters"})
	token := kubectlToken(o, ada, printed[1], "")
	user := c.whoAmI(token)
	if user.Username != email || !slices.Equal(user.Groups, []string{"oidc:cluster-admins", "oidc:system:masters", "system:authenticated"}) {
		t.Errorf("with groups: %+v", user)
	}

	// A group has the rights that are bound to it, and no others, whatever it is called.
	secrets := call{method: "GET", path: "/api/v1/namespaces/kube-system/secrets"}
	if got := c.as(token, secrets); got.status != http.StatusForbidden {
		t.Errorf("without a binding: %d %s", got.status, got.body)
	}
	c.apply("", printed[2], "")
	for deadline := time.Now().Add(10 * time.Second); c.as(token, secrets).status != http.StatusOK; <-time.After(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("with the binding: %d", c.as(token, secrets).status)
		}
	}
	if got := c.as(other, secrets); got.status != http.StatusForbidden {
		t.Errorf("someone else: %d %s", got.status, got.body)
	}
	for what, wrong := range map[string]string{"a changed token": token[:len(token)-6] + "AAAAAA", "no token of ours": "x"} {
		if got := c.as(wrong, secrets); got.status != http.StatusUnauthorized {
			t.Errorf("%s: %d %s", what, got.status, got.body)
		}
	}
}

// kubectlToken signs somebody in as kubelogin does with the printed arguments, and returns the ID token. A new person
// signs up with an e-mail address.
func kubectlToken(o *op, p *person, printed, email string) string {
	o.t.Helper()
	argument := func(name string) (all []string) {
		for _, m := range regexp.MustCompile(`--exec-arg=--`+name+`=(\S+)`).FindAllStringSubmatch(printed, -1) {
			all = append(all, m[1])
		}
		return all
	}
	app := oauth2.Config{
		ClientID: argument("oidc-client-id")[0], RedirectURL: "http://localhost:8000",
		Endpoint: oauth2.Endpoint{
			AuthURL: argument("oidc-issuer-url")[0] + "/oauth2/authorize", TokenURL: argument("oidc-issuer-url")[0] + "/oauth2/token",
			AuthStyle: oauth2.AuthStyleInParams,
		},
		Scopes: append([]string{"openid"}, argument("oidc-extra-scope")...),
	}
	verifier := oauth2.GenerateVerifier()
	p.stopAt = app.RedirectURL
	at := p.open(app.AuthCodeURL("state", oauth2.S256ChallengeOption(verifier)))
	if email != "" {
		at = p.signUp(at, email)
	}
	token, err := app.Exchange(o.t.Context(), p.through(at).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		o.t.Fatal(err)
	}
	return token.Extra("id_token").(string)
}

// A kubeUser is who the API server takes the sender for.
type kubeUser struct {
	Username string
	Groups   []string
}

func (c *cluster) whoAmI(token string) kubeUser {
	c.t.Helper()
	got := c.as(token, call{
		method: "POST", path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
		body: `{"apiVersion":"authentication.k8s.io/v1","kind":"SelfSubjectReview"}`,
	})
	var review struct {
		Status struct{ UserInfo kubeUser }
	}
	if err := json.Unmarshal(got.body, &review); err != nil || got.status != http.StatusCreated {
		c.t.Fatal(fmt.Errorf("%d %w: %s", got.status, err, got.body))
	}
	slices.Sort(review.Status.UserInfo.Groups)
	return review.Status.UserInfo
}
