package device

import (
	"net/http"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/web"
)

// guessSources returns the sources that a wrong user code is counted for.
func guessSources(r *http.Request, browser idp.Secret) []limit.Source {
	return []limit.Source{
		{Limit: limit.UserCodeNetwork, Key: web.ClientNetwork(r)}, {Limit: limit.UserCodeBrowser, Key: browser.Hash()},
	}
}

func tooManyGuesses(l limit.Limit) error {
	return &web.Problem{
		Status: http.StatusTooManyRequests, Limit: l, Code: "too_many_requests", Words: "device.guesses",
	}
}
