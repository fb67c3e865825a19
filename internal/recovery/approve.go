package recovery

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
)

// ApprovePath is where another admin approves the recovery link of this user.
func ApprovePath(userID string) string { return "/recover/approve/" + userID }

// An Approval is the state of a recovery link that a second admin has to approve.
type Approval struct {
	User idp.User
	// Maker and ApprovedBy are e-mail addresses. Maker is empty if the link was made at the command line, ApprovedBy while
	// the link waits.
	Maker, ApprovedBy string
	Until             time.Time
	// May means that the admin who asks can approve it, at ApprovePath.
	May bool
}

// ApprovalOf returns the state of a user's recovery link for an admin, whose ID is empty at
// the command line; idp.ErrNotFound if they have no live link that
// needs an approval.
func ApprovalOf(ctx context.Context, db *store.DB, userID, byID string, now time.Time) (Approval, error) {
	link, err := recoveries.New(db).LinkOf(ctx, userID, now)
	if err == nil && !link.Second {
		err = idp.ErrNotFound
	}
	if err != nil {
		return Approval{}, err
	}
	a := Approval{Until: link.ExpiresAt}
	if a.User, err = db.UserByID(ctx, userID); err != nil {
		return a, err
	}
	if a.Maker, err = nameOf(ctx, db, link.MadeBy); err == nil {
		a.ApprovedBy, err = nameOf(ctx, db, link.ApprovedBy)
	}
	if err != nil || byID == "" {
		return a, err
	}
	by, err := db.UserByID(ctx, byID)
	if err != nil {
		return a, fmt.Errorf("load admin: %w", err)
	}
	_, cannot := WaitingLink(ctx, db, a.User, by, now)
	a.May = cannot == nil
	return a, nil
}

// nameOf returns the e-mail address of an admin, or the ID of one who is gone. No ID has no name.
func nameOf(ctx context.Context, db *store.DB, id string) (string, error) {
	if id == "" {
		return "", nil
	}
	u, err := db.UserByID(ctx, id)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return "", fmt.Errorf("load admin: %w", err)
	}
	return cmp.Or(u.Email, id), nil
}

// maxApprovals is how many links ToApprove looks at.
const maxApprovals = 20

// ToApprove returns the recovery links that wait for the approval of this admin, oldest first.
func ToApprove(ctx context.Context, db *store.DB, byID string, now time.Time) (list []Approval, err error) {
	links, err := recoveries.New(db).WaitingLinks(ctx, now, maxApprovals)
	if err != nil {
		return nil, err
	}
	for _, l := range links {
		a, err := ApprovalOf(ctx, db, l.UserID, byID, now)
		if err != nil && !errors.Is(err, idp.ErrNotFound) { // it was used meanwhile
			return nil, err
		} else if err == nil && a.May {
			list = append(list, a)
		}
	}
	return list, nil
}

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
	if data.Maker, err = nameOf(r.Context(), s.cfg.DB, link.MadeBy); err != nil {
		return err
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
