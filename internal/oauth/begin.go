package oauth

import (
	"context"
	"net/http"

	"github.com/stepward/stepward/internal/idp"
)

// Begin stores the interaction of a request and returns the path that shows it, or answers it at once and returns ""
// (login.Begin).
type Begin func(ctx context.Context, w http.ResponseWriter, r *http.Request, req idp.Request, need idp.Requirement) (location string, err error)
