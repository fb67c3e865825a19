package oauth

import (
	"context"
	"net/http"

	"github.com/stepward/stepward/internal/idp"
)

// Begin stores the interaction of a request and returns the path of its first page. If it answers the request itself,
// it returns "" (login.Begin).
type Begin func(
	ctx context.Context, w http.ResponseWriter, r *http.Request, req idp.Request, need idp.Requirement,
) (location string, err error)
