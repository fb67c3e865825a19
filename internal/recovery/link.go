package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const (
	// MinLinkTTL and MaxLinkTTL bound how long a recovery link works.
	MinLinkTTL = 5 * time.Minute
	MaxLinkTTL = 24 * time.Hour
)

// ErrRole: the admin's role does not suffice to recover this user's account.
var ErrRole = errors.New("this account can only be recovered by a person with a higher role")

// An Order says which recovery link to make.
type Order struct {
	User idp.User
	TTL  time.Duration
	// PIN asks for a PIN as well, which is told by voice: the link alone is then of no use to a person who intercepts it.
	PIN bool
	// Second means that the link works only once another admin has approved it.
	Second bool
	// By is the admin who makes it, and cannot use it; nil: the operator at the command line, who may recover every user.
	By *idp.User
}

// Made is a recovery link with its PIN, if it has one. Neither is stored.
type Made struct {
	Link, PIN idp.Secret
	Until     time.Time
	Second    bool // it works only once another admin has approved it
}

// NewLink returns a link with which a user can recover the account: once, in the first browser that opens it. Earlier
// links stop working. The token is in the URL's fragment, so that it reaches no log; the page posts it. ErrRole if its
// maker may not recover this user, idp.ErrClosed if the maker's own account was just recovered. The caller makes sure
// that an admin confirmed with a step-up of class admin.
func NewLink(ctx context.Context, db *store.DB, issuer string, o Order, ev idp.Event) (Made, error) {
	if o.TTL < MinLinkTTL || o.TTL > MaxLinkTTL {
		return Made{}, fmt.Errorf("a recovery link works for %v to %v", MinLinkTTL, MaxLinkTTL)
	}
	now := time.Now()
	token, made := idp.NewSecret(), Made{Until: now.Add(o.TTL), Second: o.Second}
	link := recoveries.Link{Second: o.Second, Link: idp.Link{
		Hash: token.Hash(), Kind: recoveries.LinkKind, UserID: o.User.ID, CreatedAt: now, ExpiresAt: made.Until,
	}}
	if o.By != nil {
		if o.By.ID == o.User.ID || !o.By.Role.Recovers(o.User.Role) {
			return Made{}, ErrRole
		}
		if !o.By.ClosedUntil(now).IsZero() {
			return Made{}, idp.ErrClosed
		}
		link.MadeBy = o.By.ID
	}
	if o.PIN {
		made.PIN = enrol.NewCode()
		link.PIN = enrol.BindCode(token, made.PIN).Hash() // the token is not stored, so nobody can guess the PIN from this
	}
	if err := recoveries.New(db).ReplaceLink(ctx, link, ev); err != nil {
		return Made{}, fmt.Errorf("store recovery link: %w", err)
	}
	made.Link = idp.Secret(strings.TrimSuffix(issuer, "/") + "/recover/link#" + token.Reveal())
	return made, nil
}

// WaitingLink returns the recovery link of a user that waits for the approval of this admin. idp.ErrNotFound if there
// is none, or the admin made it; ErrRole, idp.ErrClosed.
func WaitingLink(ctx context.Context, db *store.DB, u, by idp.User, now time.Time) (recoveries.Link, error) {
	if by.ID == u.ID || by.Disabled() || !by.Role.Recovers(u.Role) {
		return recoveries.Link{}, ErrRole
	}
	if !by.ClosedUntil(now).IsZero() {
		return recoveries.Link{}, idp.ErrClosed
	}
	link, err := recoveries.New(db).LinkOf(ctx, u.ID, now)
	if err == nil && (!link.Second || link.ApprovedBy != "" || link.MadeBy == by.ID) {
		err = idp.ErrNotFound
	}
	return link, err
}

// Approve is the approval of a second admin, who confirmed with a step-up of class admin. Errors as of WaitingLink.
func Approve(ctx context.Context, db *store.DB, u, by idp.User, ev idp.Event) error {
	now := time.Now()
	link, err := WaitingLink(ctx, db, u, by, now)
	if err != nil {
		return err
	}
	return recoveries.New(db).ApproveLink(ctx, link, by.ID, now, ev)
}

func (s *Service) showLink(w http.ResponseWriter, r *http.Request) error {
	return s.page(w, r, "link", "", http.StatusOK, nil)
}

// A pinPage asks for the PIN of a link.
type pinPage struct {
	Token string
	Error words.Text
	Tries int // in all
}

func linkOver() error {
	return &web.Problem{Status: http.StatusGone, Code: "link_over", Words: "recover.link.over"}
}

// redeemLink takes the link: it works for the first browser that posts it, with its PIN if it has one. Mail scanners
// follow links with GET and run no script, so they do not use it up. Opening it again in the same browser continues the
// enrolment.
func (s *Service) redeemLink(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "token", "pin")
	if err != nil {
		return err
	}
	token := idp.Secret(typed[0])
	hash := token.Hash()
	if s.cfg.Enrol.StartedFrom(r, hash) {
		http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
		return nil
	}
	link, err := s.ways.Link(r.Context(), hash, time.Now())
	if errors.Is(err, idp.ErrNotFound) {
		return linkOver()
	} else if err != nil {
		return fmt.Errorf("find recovery link: %w", err)
	}
	if err := s.refuseMaker(r, link); err != nil {
		return err
	}
	if link.Second && link.ApprovedBy == "" {
		return &web.Problem{Status: http.StatusForbidden, Code: "not_approved", Words: "recover.second"}
	}
	if link.PIN != "" {
		if right, err := s.checkPIN(w, r, link, token, typed[1]); err != nil || !right {
			return err
		}
	}
	event := web.Event(r, idp.EventRecoveryOpened, link.UserID)
	event.ActorID = link.MadeBy
	event.Detail = map[string]string{"way": "link"}
	u, err := s.ways.TakeLink(r.Context(), link, time.Now(), event)
	if errors.Is(err, idp.ErrNotFound) {
		return linkOver()
	} else if err != nil {
		return fmt.Errorf("take recovery link: %w", err)
	}
	web.Note(r.Context(), slog.String("recovery", "link"))
	return s.enrol(w, r, u, "", "link", hash)
}

// refuseMaker refuses a link in a browser where the admin who made it is signed in. The link stays as it is.
func (s *Service) refuseMaker(r *http.Request, link recoveries.Link) error {
	if link.MadeBy == "" {
		return nil
	}
	session, err := s.cfg.Sessions.Current(r.Context(), r)
	if errors.Is(err, idp.ErrNotFound) || err == nil && session.UserID != link.MadeBy {
		return nil
	} else if err != nil {
		return fmt.Errorf("load session: %w", err)
	}
	if err := s.refuseLink(r, link, "maker"); err != nil {
		return err
	}
	return &web.Problem{Status: http.StatusForbidden, Code: "own_link", Words: "recover.own"}
}

func (s *Service) refuseLink(r *http.Request, link recoveries.Link, reason string) error {
	event := web.Event(r, idp.EventRecoveryRefused, link.UserID)
	event.Detail = map[string]string{"way": "link", "reason": reason}
	if err := s.cfg.DB.RecordEvents(r.Context(), event); err != nil {
		return fmt.Errorf("record recovery: %w", err)
	}
	return nil
}

// checkPIN asks for the link's PIN and reports whether the typed one is right. If not, it has answered.
func (s *Service) checkPIN(
	w http.ResponseWriter, r *http.Request, link recoveries.Link, token idp.Secret, typed string,
) (right bool, err error) {
	page := pinPage{Token: token.Reveal(), Tries: directory.MaxPINTries}
	pin, status := digits(typed), http.StatusUnprocessableEntity
	switch {
	case typed == "":
		status = http.StatusOK
	case !eightDigits(pin):
		page.Error = words.T("recover.pin.digits")
	default:
		// counted before it is compared, so that parallel guesses get no extra tries
		if err := s.ways.TryPIN(r.Context(), link.Hash, time.Now()); errors.Is(err, idp.ErrNotFound) {
			return false, linkOver()
		} else if err != nil {
			return false, fmt.Errorf("count try: %w", err)
		}
		if enrol.BindCode(token, idp.Secret(pin)).Matches(link.PIN) {
			return true, nil
		}
		if err := s.refuseLink(r, link, "pin"); err != nil {
			return false, err
		}
		page.Error = words.T("recover.pin.wrong")
	}
	return false, s.page(w, r, "pin", "", status, page)
}
