package address

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/web"
)

// UndoLink returns the link with which the former primary address undoes a change.
func UndoLink(issuer string, secret idp.Secret) string {
	return issuer + listPath + "/undo#" + secret.Reveal()
}

func (s *Service) threshold(w http.ResponseWriter, r *http.Request, template string) error {
	return s.cfg.Shell.Render(w, r, s.pages, template, web.Page{Name: "recover", Layout: web.LayoutThreshold})
}

func (s *Service) showUndo(w http.ResponseWriter, r *http.Request) error {
	return s.threshold(w, r, "undo")
}

func (s *Service) showUndone(w http.ResponseWriter, r *http.Request) error {
	return s.threshold(w, r, "undone")
}

// undo brings back the former primary address, for anybody who has the link. It gives them no access: it only ends that
// of others.
func (s *Service) undo(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	over := &web.Problem{Status: http.StatusGone, Code: "nothing_to_undo", Words: "addresses.undo.over"}
	link := idp.Secret(typed[0])
	if link == "" || len(link) > 128 {
		return over
	}
	now := time.Now()
	u, former, err := s.addresses.Undoable(r.Context(), link.Hash(), now)
	if err == nil {
		err = s.addresses.Undo(r.Context(), u.ID, former, link.Hash(), now, web.Event(r, idp.EventEmailUndone, u.ID))
	}
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return over
	case errors.Is(err, idp.ErrConflict):
		return &web.Problem{Status: http.StatusConflict, Code: "address_taken", Words: "addresses.undo.taken"}
	case err != nil:
		return fmt.Errorf("undo change of address: %w", err)
	}
	if err := s.cfg.House.EndAll(r, u.ID, ""); err != nil {
		return err
	}
	notice := s.notice(r)
	notice.Link = s.cfg.Issuer + "/account/passkeys"
	changed := u.Email
	u.Email = former
	s.cfg.Enrol.NotifyAll(r, u, func(w mail.Writer, to string) mail.Message {
		return w.AddressBack(to, former, changed, notice)
	})
	http.Redirect(w, r, listPath+"/undone", http.StatusSeeOther)
	return nil
}
