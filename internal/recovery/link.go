package recovery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

const (
	linkKind = "recover"

	// MinLinkTTL and MaxLinkTTL bound how long a recovery link works.
	MinLinkTTL = 5 * time.Minute
	MaxLinkTTL = 24 * time.Hour
)

// MakeLink returns a link with which this user can recover the account: once, for ttl, in the first browser that opens
// it. Earlier links stop working. The token is in the URL's fragment, so that it reaches no log; the page posts it.
func MakeLink(
	ctx context.Context, db *store.DB, issuer string, u idp.User, ttl time.Duration, ev idp.Event,
) (idp.Secret, error) {
	if ttl < MinLinkTTL || ttl > MaxLinkTTL {
		return "", fmt.Errorf("a recovery link works for %v to %v", MinLinkTTL, MaxLinkTTL)
	}
	token, now := idp.NewSecret(), time.Now()
	err := db.ReplaceLink(ctx, idp.Link{
		Hash: token.Hash(), Kind: linkKind, UserID: u.ID, CreatedAt: now, ExpiresAt: now.Add(ttl),
	}, ev)
	if err != nil {
		return "", fmt.Errorf("store recovery link: %w", err)
	}
	return idp.Secret(strings.TrimSuffix(issuer, "/") + "/recover/link#" + token.Reveal()), nil
}

func (s *Service) showLink(w http.ResponseWriter, r *http.Request) error {
	return s.page(w, r, "link", "", http.StatusOK, nil)
}

// redeemLink takes the link: it works for the first browser that posts it. Mail scanners follow links with GET and run
// no script, so they do not use it up. Opening it again in the same browser continues the enrolment.
func (s *Service) redeemLink(w http.ResponseWriter, r *http.Request) error {
	typed, err := enrol.ReadForm(r, "token")
	if err != nil {
		return err
	}
	hash := idp.Secret(typed[0]).Hash()
	if s.cfg.Enrol.StartedFrom(r, hash) {
		http.Redirect(w, r, "/signup/passkey", http.StatusSeeOther)
		return nil
	}
	over := &web.Problem{
		Status: http.StatusGone, Code: "link_over", Words: "recover.link.over",
	}
	link, err := s.cfg.DB.PeekLink(r.Context(), hash, linkKind, time.Now())
	if errors.Is(err, idp.ErrNotFound) {
		return over
	} else if err != nil {
		return fmt.Errorf("find recovery link: %w", err)
	}
	event := web.Event(r, idp.EventRecoveryOpened, link.UserID)
	event.Detail = map[string]string{"way": "link"}
	u, err := s.cfg.DB.TakeUserLink(r.Context(), link, time.Now(), event)
	if errors.Is(err, idp.ErrNotFound) {
		return over
	} else if err != nil {
		return fmt.Errorf("take recovery link: %w", err)
	}
	web.Note(r.Context(), slog.String("recovery", "link"))
	return s.enrol(w, r, u, "", "link", hash)
}
