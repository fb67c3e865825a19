package logout

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/store/outbox"
)

const (
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenTTL = 2 * time.Minute // the limit of §2.4

	logoutPause   = 5 * time.Second  // between looks into the outbox; logouts from other replicas wait so long
	logoutLease   = 30 * time.Second // longer than any delivery; then the logouts of a crashed replica are free again
	logoutsAtOnce = 16               // clients notified at a time by one replica
	logoutsInARow = 50               // deliveries to one client before another client's turn
)

// Backoff is the wait after the first, second, … failed delivery; the last value repeats. A logout not delivered
// after logoutPatience is dropped: after a day, the client's own sessions have expired.
var Backoff = []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

const logoutPatience = 24 * time.Hour

// logoutClaims are the claims of a logout token (Back-Channel Logout §2.4). It must not contain a nonce, so that it
// cannot pass for an ID token.
type logoutClaims struct {
	Issuer   string              `json:"iss"`
	Subject  string              `json:"sub"`
	Audience string              `json:"aud"`
	Issued   int64               `json:"iat"`
	Expires  int64               `json:"exp"`
	ID       string              `json:"jti"`
	Events   map[string]struct{} `json:"events"`
	Session  string              `json:"sid"`
}

// logoutToken creates the token at the time of delivery, so that it is fresh however long the client was unreachable.
func (s *Service) logoutToken(ctx context.Context, c idp.Client, l outbox.Logout, now time.Time) (string, error) {
	alg := c.IDTokenAlg
	if alg == "" {
		alg = keys.ES256
	}
	signer, err := s.cfg.Keys.Signer(ctx, alg)
	if err != nil {
		return "", err
	}
	return signer.Sign(keys.TypeLogout, logoutClaims{
		Issuer:   s.cfg.Issuer,
		Subject:  s.cfg.Names.Sub(c, l.UserID),
		Audience: c.ID,
		Issued:   now.Unix(),
		Expires:  now.Add(logoutTokenTTL).Unix(),
		ID:       idp.NewSecret().Reveal(),
		Events:   map[string]struct{}{logoutEvent: {}},
		Session:  s.cfg.Names.SID(c, l.SessionID),
	})
}

// Deliver notifies clients of ended sessions until ctx ends. It runs on every replica: the outbox gives each logout to
// one at a time. Deliveries to one client are sequential, so that a slow client takes only one slot.
func (s *Service) Deliver(ctx context.Context) {
	var told sync.Map // clients being notified
	var wg sync.WaitGroup
	defer wg.Wait()
	places, freed := make(chan struct{}, logoutsAtOnce), make(chan struct{}, 1)
	tick := time.NewTicker(logoutPause)
	defer tick.Stop()
	for {
		clients, err := outbox.ClientsToTell(ctx, s.cfg.DB, time.Now())
		if err != nil && ctx.Err() == nil {
			s.warn(ctx, err) // try again at the next tick
		}
		// so that no client is always last
		rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] })
		for _, id := range clients {
			if _, busy := told.LoadOrStore(id, true); busy {
				continue
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return
			}
			wg.Go(func() {
				if err := s.Tell(ctx, id); err != nil && ctx.Err() == nil {
					s.warn(ctx, fmt.Errorf("client %s: %w", id, err))
				}
				told.Delete(id)
				<-places
				select {
				case freed <- struct{}{}:
				default:
				}
			})
		}
		select {
		case <-ctx.Done():
			return
		case <-s.cfg.DB.LogoutsQueued():
		case <-freed:
		case <-tick.C:
		}
	}
}

// Tell delivers what is due for a client until nothing is left, the client cannot be reached, or its turn is over.
func (s *Service) Tell(ctx context.Context, clientID string) error {
	for range logoutsInARow {
		l, err := outbox.ClaimLogout(ctx, s.cfg.DB, clientID, time.Now(), logoutLease)
		if errors.Is(err, idp.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		if reached, err := s.DeliverOne(ctx, l); err != nil || !reached {
			return err
		}
	}
	return nil
}

// DeliverOne makes one attempt. It returns an error only for problems of our own; then the lease expires.
func (s *Service) DeliverOne(ctx context.Context, l outbox.Logout) (reached bool, err error) {
	c, err := s.cfg.DB.Client(ctx, l.ClientID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && c.BackchannelLogoutURI == "" {
		// The client no longer wants logout tokens, or only uses the front channel.
		return true, outbox.FinishLogout(ctx, s.cfg.DB, l)
	}
	if err != nil {
		return false, fmt.Errorf("load client: %w", err)
	}
	now := time.Now()
	token, err := s.logoutToken(ctx, c, l, now)
	if err != nil {
		return false, fmt.Errorf("logout token: %w", err)
	}
	body := url.Values{"logout_token": {token}}.Encode()
	status, err := s.cfg.Outbound.Post(ctx, c.BackchannelLogoutURI, "application/x-www-form-urlencoded", []byte(body))
	if ctx.Err() != nil && err != nil {
		return false, nil // the server is stopping; not the client's fault
	}
	// Record what the client has received even if the server is stopping.
	ctx = context.WithoutCancel(ctx)
	if err == nil && status >= 200 && status <= 299 {
		return true, outbox.FinishLogout(ctx, s.cfg.DB, l)
	}
	failure := "answered " + strconv.Itoa(status)
	if err != nil {
		failure = err.Error()
	}
	// A 400 is about this one token (§2.8). Any other failure means that the client cannot be notified now.
	reached = err == nil && status == http.StatusBadRequest
	next := now.Add(Backoff[min(l.Attempts, len(Backoff))-1])
	s.cfg.Logger.WarnContext(ctx, "logout not delivered", "client", l.ClientID, "attempt", l.Attempts, "error", failure)
	return reached, outbox.PostponeLogout(ctx, s.cfg.DB, l, failure, next, !reached)
}

const (
	sessionsAtOnce = 100 // checked in one round trip
	logoutRounds   = 50  // in one run of Settle; the next run continues
)

// Settle finds sessions that ended by themselves, or whose end was not recorded: they are gone from the ephemeral store
// without a notice. It also drops logouts that could not be delivered. It runs on one replica at a time.
func (s *Service) Settle(ctx context.Context) error {
	for range logoutRounds {
		now := time.Now()
		sids, err := outbox.WatchedSessions(ctx, s.cfg.DB, now, sessionsAtOnce)
		if err != nil || len(sids) == 0 {
			return errors.Join(err, s.giveUpLogouts(ctx))
		}
		alive, err := s.cfg.Sessions.Alive(ctx, sids)
		if err != nil {
			return err
		}
		var gone []string
		for _, sid := range sids {
			if _, ok := alive[sid]; !ok {
				gone = append(gone, sid)
			}
		}
		if err := outbox.SettleSessions(ctx, s.cfg.DB, alive, gone, now); err != nil {
			return err
		}
	}
	return s.giveUpLogouts(ctx)
}

func (s *Service) giveUpLogouts(ctx context.Context) error {
	now := time.Now()
	for range logoutRounds {
		before := now.Add(-logoutPatience)
		n, err := outbox.GiveUpLogouts(ctx, s.cfg.DB, before, sessionsAtOnce, func(l outbox.Logout) idp.Event {
			e := idp.NewEvent(idp.EventLogoutGivenUp, l.UserID, now)
			e.ClientID, e.SessionID = l.ClientID, l.SessionID
			e.Detail = map[string]string{"attempts": strconv.Itoa(l.Attempts), "last_error": l.LastError}
			return e
		})
		if err != nil || n < sessionsAtOnce {
			return err
		}
	}
	return nil
}

// warn logs problems with the outbox. Outages of the store are logged once, by the store.
func (s *Service) warn(ctx context.Context, err error) {
	if !errors.Is(err, idp.ErrUnavailable) {
		s.cfg.Logger.WarnContext(ctx, "logout outbox", "error", err)
	}
}
