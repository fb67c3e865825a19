package account

import (
	"net/http"

	"github.com/stepward/stepward/internal/web"
)

// ownData has the handlers of what users take with them.
type ownData struct{ activities }

func (a ownData) show(w http.ResponseWriter, r *http.Request, v visitor) error {
	return a.renderHouse(w, r, v, "data", web.Page{Nav: "Profile"})
}

// download sends all that is kept about the user as one file.
func (a ownData) download(w http.ResponseWriter, r *http.Request, v visitor) error {
	keys, err := a.passkeyNames(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	return a.takeout.Everything(r.Context(), w, v.User, keys)
}
