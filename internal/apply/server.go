package apply

import (
	"errors"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/manage"
	wire "github.com/stepward/stepward/pkg/adminapi"
)

// server is the flag of commands that can work over the admin API.
type server struct {
	Against string `placeholder:"URL" help:"Work over the admin API of the server with this issuer, not on the store. STEPWARD_TOKEN has an access token, or STEPWARD_CLIENT_ID and STEPWARD_CLIENT_SECRET a client."`
}

// patience is how long one request may take.
const patience = time.Minute

// api returns the API that the flag and the environment lead to.
func (s server) api(e *manage.Env) (*wire.API, error) {
	issuer := strings.TrimSuffix(s.Against, "/")
	if !strings.HasPrefix(issuer, "https://") && !strings.HasPrefix(issuer, "http://localhost") {
		return nil, errors.New("--against must be the issuer of a server, such as https://id.example.com")
	}
	if token := os.Getenv("STEPWARD_TOKEN"); token != "" {
		source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})
		return wire.With(issuer, &http.Client{Timeout: patience, Transport: &oauth2.Transport{Source: source}}), nil
	}
	id, secret := os.Getenv("STEPWARD_CLIENT_ID"), os.Getenv("STEPWARD_CLIENT_SECRET")
	if id == "" || secret == "" {
		return nil, errors.New("--against needs STEPWARD_TOKEN, or STEPWARD_CLIENT_ID and STEPWARD_CLIENT_SECRET")
	}
	return wire.New(issuer, wire.Credentials{ClientID: id, Secret: secret})
}
