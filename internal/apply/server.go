package apply

import (
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// server has the flags of commands that can work over the admin API.
type server struct {
	Against string `aliases:"api" placeholder:"URL" help:"Work over the admin API of the server with this issuer, not on the store."`
	manage.Credentials
}

// api returns the API that the flags and the environment lead to.
func (s server) api(e *manage.Env) (*adminapi.API, error) {
	return s.Connect(e, "--against", s.Against)
}
