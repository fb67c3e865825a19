package recovery

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
)

// ApprovePath is where another admin approves the recovery link of this user.
func ApprovePath(userID string) string { return "/recover/approve/" + userID }

// An approvePage describes the link that waits.
type approvePage struct {
	UserID, Email, Maker string
	Until                time.Time
}

// approver returns the signed-in admin, stepped up for class admin, and the user whose link they were asked to approve.
// If ok is false, the request is answered.
func (s *Service) approver(
	w http.ResponseWriter, r *http.Request,
) (by, u idp.User, link recoveries.Link, ok bool, err error) {
	path := ApprovePath(r.PathValue("user"))
	session, ok := s.cfg.Require(w, r, "admin", "reason.approve", path)
	if !ok {
		return by, u, link, false, nil
	}
	nothing := &web.Problem{
		Status: http.StatusNotFound, Code: "nothing_to_approve", Words: "recover.approve.none", NextURL: "/account",
	}
	if by, err = s.cfg.DB.UserByID(r.Context(), session.UserID); err == nil {
		u, err = s.cfg.DB.UserByID(r.Context(), r.PathValue("user"))
	}
	if err == nil && session.CreatedAt.Before(by.RecoveredAt) {
		err = idp.ErrNotFound
	}
	if err == nil {
		link, err = WaitingLink(r.Context(), s.cfg.DB, u, by, time.Now())
	}
	if errors.Is(err, idp.ErrNotFound) || errors.Is(err, ErrRole) || errors.Is(err, idp.ErrClosed) {
		return by, u, link, false, nothing
	} else if err != nil {
		return by, u, link, false, fmt.Errorf("find link to approve: %w", err)
	}
	return by, u, link, true, nil
}

func (s *Service) showApprove(w http.ResponseWriter, r *http.Request) error {
	_, u, link, ok, err := s.approver(w, r)
	if err != nil || !ok {
		return err
	}
	data := approvePage{UserID: u.ID, Email: u.Email, Until: link.ExpiresAt}
	if link.MadeBy != "" {
		maker, err := s.cfg.DB.UserByID(r.Context(), link.MadeBy)
		if err != nil && !errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("load maker: %w", err)
		}
		data.Maker = cmp.Or(maker.Email, link.MadeBy)
	}
	return s.page(w, r, "approve", "", http.StatusOK, data)
}

func (s *Service) approve(w http.ResponseWriter, r *http.Request) error {
	by, u, _, ok, err := s.approver(w, r)
	if err != nil || !ok {
		return err
	}
	event := web.Event(r, idp.EventRecoveryApproved, u.ID)
	event.ActorID = by.ID
	if err := Approve(r.Context(), s.cfg.DB, u, by, event); err != nil {
		return fmt.Errorf("approve link: %w", err)
	}
	return s.page(w, r, "approved", "", http.StatusOK, approvePage{Email: u.Email})
}
