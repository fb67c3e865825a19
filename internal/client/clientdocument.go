package client

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): a client_id that is an https URL is the address
// at which the client describes itself, so nobody has to register it. Where such a client first comes, at the authorization
// and PAR endpoints, its description is fetched and stored like the registration of a dynamic client; everything else
// finds it there.
const (
	maxDocument = 16 << 10 // bytes
	// A description is taken for current as long as its server says, within these bounds, and is kept in use for documentHold
	// longer when it cannot be fetched again.
	minCurrent, usualCurrent, maxCurrent = 5 * time.Minute, time.Hour, 24 * time.Hour
	documentHold                         = 24 * time.Hour
)

// isDocument reports whether a client ID is an address at which a client may describe itself (§3 of the draft).
func isDocument(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxClientID || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.ContainsAny(id, "#?") {
		return false
	}
	return len(u.Path) > 1 && !slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// Meet fetches the description of a client whose ID is the URL of its metadata document, unless it is current. idp.ErrNotFound:
// there is no usable description. It does nothing for other IDs.
func (s *Registrar) Meet(r *http.Request, id string) error {
	if !s.cfg.Documents || !isDocument(id) {
		return nil
	}
	ctx, now := r.Context(), time.Now()
	current := func(c idp.Client) bool { return c.DocumentUntil.IsZero() || now.Before(c.DocumentUntil) } // zero: the operator's own
	if c, err := s.cfg.DB.Client(ctx, id); err == nil && current(c) {
		return nil
	}
	c, err := s.cfg.DB.StoredClient(ctx, id)
	switch {
	case err == nil && (!c.DisabledAt.IsZero() || current(c)): // what the operator has closed stays closed
		return nil
	case err != nil && !errors.Is(err, idp.ErrNotFound):
		return fmt.Errorf("load client: %w", err)
	}
	known := err == nil
	var events []idp.Event
	if !known {
		c = idp.Client{ID: id, Policy: idp.PolicyStandard, Dynamic: true, CreatedAt: now, UsedAt: now}
		ev := web.Event(r, idp.EventClientAdded, "")
		ev.ClientID, ev.Detail = id, map[string]string{"by": "client-id-metadata"}
		events = append(events, ev)
	}
	fresh, err := s.describe(r, c)
	if err != nil {
		web.Note(ctx, slog.Any("client_document", err))
		if known && now.Before(c.DocumentUntil.Add(documentHold)) {
			return nil
		}
		return fmt.Errorf("describe client: %w", idp.ErrNotFound)
	}
	if known {
		err = s.cfg.DB.PutDescribed(ctx, c, fresh)
	} else if err = s.cfg.DB.RegisterClient(ctx, fresh, "", now, events...); errors.Is(err, idp.ErrConflict) {
		return nil // another request was faster, and what it has read counts
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return nil
}

// Requester authenticates the client of a call, after fetching its description if that is due.
func (s *Registrar) Requester(r *http.Request, call *oauth.Call) (idp.Client, error) {
	if err := s.Meet(r, call.Credentials.ClientID); errors.Is(err, idp.ErrNotFound) {
		web.Note(r.Context(), oauth.Sent("client_id_sent", call.Credentials.ClientID))
		return idp.Client{}, notClient(r.Context(), errors.New("no such client"))
	} else if err != nil {
		return idp.Client{}, err
	}
	return s.cfg.Clients.Authenticate(r.Context(), call)
}

// describe fetches the client's document and returns the client as it says it is. Its errors are for the log.
func (s *Registrar) describe(r *http.Request, c idp.Client) (idp.Client, error) {
	ctx := r.Context()
	if err := s.mayFetch(ctx, web.ClientNetwork(r)); err != nil {
		return c, err
	}
	got, err := s.cfg.Outbound.GetDirect(ctx, c.ID, "application/json", maxDocument)
	if err != nil {
		return c, err
	}
	if got.Type != "application/json" && !(strings.HasPrefix(got.Type, "application/") && strings.HasSuffix(got.Type, "+json")) {
		return c, errors.New("the document is not JSON by its type")
	}
	members, err := oauth.Members(got.Body)
	if err != nil {
		return c, err
	}
	switch {
	case members["client_id"] != c.ID: // else a document could speak for another address
		return c, errors.New("the document describes another client")
	case members["client_secret"] != nil || members["client_secret_expires_at"] != nil:
		return c, errors.New("the document has a secret in it")
	}
	delete(members, "software_statement")
	m, err := decodeMetadata(members)
	if err != nil {
		return c, err
	}
	m.AuthMethod = cmp.Or(m.AuthMethod, idp.AuthMethodNone)
	if m.AuthMethod != idp.AuthMethodNone && m.AuthMethod != idp.AuthMethodPrivateKey {
		return c, errors.New("the document names a way to authenticate that needs more than a document")
	}
	before := c
	m = m.usable(func(grant string) bool { return !slices.Contains(vettedGrants, grant) })
	if c, err = s.apply(m, c); err != nil {
		return c, err
	}
	if slices.ContainsFunc(c.GrantTypes, func(grant string) bool { return slices.Contains(vettedGrants, grant) }) {
		return c, errors.New("the document names a grant that nobody gives themselves")
	}
	if err := acceptable(c, s.cfg.Policy); err != nil {
		return c, err
	}
	if err := sameSector(before, c); err != nil {
		return c, err
	}
	if err := small(before, c); err != nil {
		return c, err
	}
	if err := s.ownSector(ctx, c); err != nil {
		return c, err
	}
	now := time.Now()
	c.UpdatedAt, c.DocumentUntil = now, now.Add(min(max(cmp.Or(got.MaxAge, usualCurrent), minCurrent), maxCurrent))
	return c, nil
}

// mayFetch counts fetches, of one network and of all: anybody can make up addresses.
func (s *Registrar) mayFetch(ctx context.Context, network string) error {
	over, err := limit.Exceeded(ctx, s.cfg.Ephemeral, limit.Documents.Of(network), limit.AllDocuments.Of("all"))
	if err == nil && over {
		err = errors.New("too many documents were fetched in the last hour")
	}
	return err
}
