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
	"github.com/stepward/stepward/internal/store"
)

const (
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
	logoutTokenTTL = 2 * time.Minute // §2.4: at most

	logoutPause   = 5 * time.Second  // between two looks into the outbox: what another replica has put there waits so long
	logoutLease   = 30 * time.Second // longer than any delivery: a replica that dies with a logout gives it back after this
	logoutsAtOnce = 16               // clients that one replica tells at a time
	logoutsInARow = 50               // that one client is told before it is another's turn
)

// logoutBackoff is how long to wait after the first, second, … failed delivery, and its last for all that follow. What has
// not been delivered after logoutPatience is given up: a client that was away for a day has forgotten its sessions by itself.
var Backoff = []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}

const logoutPatience = 24 * time.Hour

// logoutClaims are those of a logout token (Back-Channel Logout §2.4). There is no field for a nonce: none may be in it, so
// that it cannot pass for an ID token.
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

// logoutToken makes the token when it is to be delivered, so that it is fresh however long the client could not be reached.
func (s *Service) logoutToken(ctx context.Context, c idp.Client, l store.Logout, now time.Time) (string, error) {
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

// Deliver tells clients of ended sessions until ctx ends. Every replica runs it: the outbox gives each logout to one
// at a time. A client is told one thing after the other, so that a slow one takes no more than one of the places.
func (s *Service) Deliver(ctx context.Context) {
	var told sync.Map // clients whose turn it is
	var wg sync.WaitGroup
	defer wg.Wait()
	places, freed := make(chan struct{}, logoutsAtOnce), make(chan struct{}, 1)
	tick := time.NewTicker(logoutPause)
	defer tick.Stop()
	for {
		clients, err := s.cfg.DB.ClientsToTell(ctx, time.Now())
		if err != nil && ctx.Err() == nil {
			s.warn(ctx, err) // the store's trouble: look again at the next tick
		}
		rand.Shuffle(len(clients), func(i, j int) { clients[i], clients[j] = clients[j], clients[i] }) // nobody is always last
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

// Tell delivers what is due for a client, until there is no more, the client cannot be reached, or its turn is over.
func (s *Service) Tell(ctx context.Context, clientID string) error {
	for range logoutsInARow {
		l, err := s.cfg.DB.ClaimLogout(ctx, clientID, time.Now(), logoutLease)
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

// DeliverOne makes one attempt. Trouble of our own is an error, and the lease runs out by itself.
func (s *Service) DeliverOne(ctx context.Context, l store.Logout) (reached bool, err error) {
	c, err := s.cfg.DB.Client(ctx, l.ClientID)
	if errors.Is(err, idp.ErrNotFound) || err == nil && c.BackchannelLogoutURI == "" {
		return true, s.cfg.DB.FinishLogout(ctx, l) // it does not want to hear any more, or only by way of the browser
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
		return false, nil // we are being stopped: no fault of the client
	}
	// What the client has heard must be noted even if we are stopped in this moment.
	ctx = context.WithoutCancel(ctx)
	if err == nil && status >= 200 && status <= 299 {
		return true, s.cfg.DB.FinishLogout(ctx, l)
	}
	failure := "answered " + strconv.Itoa(status)
	if err != nil {
		failure = err.Error()
	}
	// A 400 is about this one token (§2.8); everything else says that the client cannot be told anything now.
	reached = err == nil && status == http.StatusBadRequest
	next := now.Add(Backoff[min(l.Attempts, len(Backoff))-1])
	s.cfg.Logger.WarnContext(ctx, "logout not delivered", "client", l.ClientID, "attempt", l.Attempts, "error", failure)
	return reached, s.cfg.DB.PostponeLogout(ctx, l, failure, next, !reached)
}

const (
	sessionsAtOnce = 100 // looked for in one round trip
	logoutRounds   = 50  // in one run of SettleLogouts; a backlog is left for the next
)

// Settle finds the sessions that have ended by themselves, and those whose end nobody wrote down: they are gone from
// the ephemeral store, which tells nobody. It also gives up what could not be delivered. One replica at a time runs it.
func (s *Service) Settle(ctx context.Context) error {
	for range logoutRounds {
		now := time.Now()
		sids, err := s.cfg.DB.WatchedSessions(ctx, now, sessionsAtOnce)
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
		if err := s.cfg.DB.SettleSessions(ctx, alive, gone, now); err != nil {
			return err
		}
	}
	return s.giveUpLogouts(ctx)
}

func (s *Service) giveUpLogouts(ctx context.Context) error {
	now := time.Now()
	for range logoutRounds {
		n, err := s.cfg.DB.GiveUpLogouts(ctx, now.Add(-logoutPatience), sessionsAtOnce, func(l store.Logout) idp.Event {
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

// warn logs trouble with the outbox, but not that the store is away: that tells the store, once.
func (s *Service) warn(ctx context.Context, err error) {
	if !errors.Is(err, idp.ErrUnavailable) {
		s.cfg.Logger.WarnContext(ctx, "logout outbox", "error", err)
	}
}
