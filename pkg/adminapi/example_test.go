package adminapi_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/pkg/adminapi"
)

// serve starts a server with a client that may manage it, and returns its issuer and the client's credentials.
func serve() (issuer string, robot adminapi.Credentials, stop func()) {
	check := func(err error) {
		if err != nil {
			log.Fatal(err)
		}
	}
	dir, err := os.MkdirTemp("", "stepward")
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	issuer = fmt.Sprintf("http://localhost:%d", listener.Addr().(*net.TCPAddr).Port)
	cfg, err := config.Load(config.Sources{Environ: []string{"STEPWARD_ISSUER=" + issuer, "STEPWARD_DATA_DIR=" + dir}})
	check(err)
	s, err := server.New(context.Background(), cfg, slog.New(slog.DiscardHandler), nil)
	check(err)
	now := time.Now()
	c := idp.Client{
		ID: "robot", Name: "Robot", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, CreatedAt: now, UpdatedAt: now,
		GrantTypes: []string{idp.GrantClientCredentials}, Scopes: []string{adminapi.ScopeWrite},
	}
	secret := c.AddSecret(now)
	check(s.DB.PutClient(context.Background(), c))
	front := &http.Server{Handler: s.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = front.Serve(listener) }()
	return issuer, adminapi.Credentials{ClientID: "robot", Secret: secret.Reveal()}, func() {
		_ = front.Close()
		s.Close()
		_ = os.RemoveAll(dir)
	}
}

func Example() {
	issuer, robot, stop := serve()
	defer stop()

	ctx := context.Background()
	api, err := adminapi.New(issuer, robot)
	if err != nil {
		log.Fatal(err)
	}
	staff, err := api.Groups.Create(ctx, adminapi.NewGroup{Name: "staff"})
	if err != nil {
		log.Fatal(err)
	}
	invited, err := api.Users.Invite(ctx, adminapi.NewInvitation{NewUser: adminapi.NewUser{
		Email: "ada@example.org", Name: "Ada", Groups: []string{staff.Name},
	}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(invited.User.Name, invited.Link != "")
	for user, err := range api.Groups.Members(ctx, staff.ID) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(user.Email)
	}
	// Output:
	// Ada true
	// ada@example.org
}

// Two programs that change one client at once: the second one reads it again.
func ExampleClients_Replace() {
	issuer, robot, stop := serve()
	defer stop()

	ctx := context.Background()
	api, err := adminapi.New(issuer, robot)
	if err != nil {
		log.Fatal(err)
	}
	made, err := api.Clients.Create(ctx, adminapi.Client{
		Name: "Wiki", RedirectURIs: []string{"https://wiki.example/callback"}, GrantTypes: []string{"authorization_code"},
		Scopes: []string{"openid", "profile"},
	})
	if err != nil {
		log.Fatal(err)
	}
	client, tag, err := api.Clients.Get(ctx, made.ID)
	if err != nil {
		log.Fatal(err)
	}
	client.Contacts = []string{"help@wiki.example"}
	client, _, err = api.Clients.Replace(ctx, tag, client)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(client.Contacts)
	_, _, err = api.Clients.Replace(ctx, tag, client) // the tag of the version before
	if p, ok := errors.AsType[*adminapi.Problem](err); ok {
		fmt.Println(p.Status, p.Code)
	}
	// Output:
	// [help@wiki.example]
	// 412 stale
}

// A group is removed only if nobody has changed it, or put people into it, since it was looked at.
func ExampleAPI_If() {
	issuer, robot, stop := serve()
	defer stop()

	ctx := context.Background()
	api, err := adminapi.New(issuer, robot)
	if err != nil {
		log.Fatal(err)
	}
	group, err := api.Groups.Create(ctx, adminapi.NewGroup{Name: "empty"})
	if err != nil {
		log.Fatal(err)
	}
	_, tag, err := api.Groups.Get(ctx, group.ID)
	if err != nil {
		log.Fatal(err)
	}
	user, err := api.Users.Create(ctx, adminapi.NewUser{Email: "ada@example.org"})
	if err != nil {
		log.Fatal(err)
	}
	if err := api.Groups.AddMembers(ctx, group.ID, user.ID); err != nil {
		log.Fatal(err)
	}
	err = api.If(tag).Groups.Remove(ctx, group.ID)
	if p, ok := errors.AsType[*adminapi.Problem](err); ok {
		fmt.Println(p.Status, p.Code)
	}
	// Output: 412 stale
}

// A secret is replaced without an outage: add the next, give it to the application, remove the old one.
func ExampleClients_AddSecret() {
	issuer, robot, stop := serve()
	defer stop()

	ctx := context.Background()
	api, err := adminapi.New(issuer, robot)
	if err != nil {
		log.Fatal(err)
	}
	made, err := api.Clients.Create(ctx, adminapi.Client{
		Name: "Wiki", RedirectURIs: []string{"https://wiki.example/callback"}, GrantTypes: []string{"authorization_code"},
		Scopes: []string{"openid"},
	})
	if err != nil {
		log.Fatal(err)
	}
	next, err := api.Clients.AddSecret(ctx, made.ID, adminapi.NewSecret{Name: "spring"})
	if err != nil {
		log.Fatal(err)
	}
	client, _, err := api.Clients.Get(ctx, made.ID)
	if err != nil {
		log.Fatal(err)
	}
	old := client.Secrets[slices.IndexFunc(client.Secrets, func(s adminapi.Secret) bool { return s.ID != next.ID })]
	if err := api.Clients.RemoveSecret(ctx, made.ID, old.ID); err != nil {
		log.Fatal(err)
	}
	client, _, err = api.Clients.Get(ctx, made.ID)
	fmt.Println(len(client.Secrets), client.Secrets[0].Name, err)
	// Output: 1 spring <nil>
}
