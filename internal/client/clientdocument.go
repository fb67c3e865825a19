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
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/web"
)

// Client ID Metadata Documents (draft-ietf-oauth-client-id-metadata-document): if a client_id is an https URL, the
// client describes itself at that URL and needs no registration. The authorization and PAR endpoints fetch the
// description and store it like the registration of a dynamic client; all other endpoints read it from the store.
const (
	maxDocument = 16 << 10 // bytes
	// A description stays current for as long as its server says, within these bounds. If it cannot be fetched again, it
	// stays in use for documentHold longer.
	minCurrent, usualCurrent, maxCurrent = 5 * time.Minute, time.Hour, 24 * time.Hour
	documentHold                         = 24 * time.Hour
)

// isDocument reports whether a client ID is the URL of a metadata document (§3 of the draft).
func isDocument(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxClientID || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" ||
		strings.ContainsAny(id, "#?") {
		return false
	}
	return len(u.Path) > 1 &&
		!slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// RefreshDocument fetches the client's metadata document if its ID is a URL, unless the stored copy is current. For
// other IDs it does nothing. Without a usable description it returns idp.ErrNotFound.
func (s *Registrar) RefreshDocument(r *http.Request, id string) error {
	if !s.cfg.Documents || !isDocument(id) {
		return nil
	}
	ctx, now := r.Context(), time.Now()
	// zero: registered by the operator
	current := func(c idp.Client) bool { return c.DocumentUntil.IsZero() || now.Before(c.DocumentUntil) }
	if c, err := s.cfg.DB.Client(ctx, id); err == nil && current(c) {
		return nil
	}
	c, err := s.cfg.DB.StoredClient(ctx, id)
	switch {
	case err == nil && (!c.DisabledAt.IsZero() || current(c)): // a client disabled by the operator stays disabled
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
	fresh, err := s.describe(r, c, known)
	if err != nil {
		web.Note(ctx, slog.Any("client_document", err))
		if known && now.Before(c.DocumentUntil.Add(documentHold)) {
			return nil
		}
		return fmt.Errorf("describe client: %w", idp.ErrNotFound)
	}
	if known {
		err = registrations.PutDescribed(ctx, s.cfg.DB, c, fresh)
	} else if err = registrations.Register(ctx, s.cfg.DB, fresh, "", now, events...); errors.Is(err, idp.ErrConflict) {
		return nil // another request stored its description first
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return nil
}

// Requester authenticates the client of a call. If its description is due, it fetches that first.
func (s *Registrar) Requester(r *http.Request, call *oauth.Call) (idp.Client, error) {
	if err := s.RefreshDocument(r, call.Credentials.ClientID); errors.Is(err, idp.ErrNotFound) {
		web.Note(r.Context(), oauth.Sent("client_id_sent", call.Credentials.ClientID))
		return idp.Client{}, notClient(r.Context(), errors.New("no such client"))
	} else if err != nil {
		return idp.Client{}, err
	}
	return s.cfg.Clients.Authenticate(r.Context(), call)
}

// describe fetches the client's document and returns the client with that metadata. Its errors are for the log.
func (s *Registrar) describe(r *http.Request, c idp.Client, known bool) (idp.Client, error) {
	source := documentSource{id: c.ID, site: siteOf(c.ID), network: web.ClientNetwork(r), known: known}
	if err := s.documents.mayFetch(r.Context(), &source); err != nil {
		return c, err
	}
	got, err := s.documents.get(r.Context(), source)
	if err == nil {
		c, err = s.read(r.Context(), got, c)
	}
	return c, cmp.Or(s.documents.record(r.Context(), source, err), err)
}

// read returns the client with the metadata of its document.
func (s *Registrar) read(ctx context.Context, got outbound.Response, c idp.Client) (idp.Client, error) {
	if got.Type != "application/json" &&
		!(strings.HasPrefix(got.Type, "application/") && strings.HasSuffix(got.Type, "+json")) {
		return c, errors.New("the content type of the document is not JSON")
	}
	members, err := oauth.Members(got.Body)
	if err != nil {
		return c, err
	}
	switch {
	case members["client_id"] != c.ID: // else a document could speak for another client
		return c, errors.New("the document describes another client")
	case members["client_secret"] != nil || members["client_secret_expires_at"] != nil:
		return c, errors.New("the document contains a secret")
	}
	delete(members, "software_statement")
	m, err := decodeMetadata(members)
	if err != nil {
		return c, err
	}
	m.AuthMethod = cmp.Or(m.AuthMethod, idp.AuthMethodNone)
	if m.AuthMethod != idp.AuthMethodNone && m.AuthMethod != idp.AuthMethodPrivateKey {
		return c, errors.New("the document names an authentication method that needs registration")
	}
	before := c
	m = m.usable(func(grant string) bool { return !slices.Contains(vettedGrants, grant) })
	if c, err = s.apply(m, c); err != nil {
		return c, err
	}
	if slices.ContainsFunc(c.GrantTypes, func(grant string) bool { return slices.Contains(vettedGrants, grant) }) {
		return c, errors.New("the document names a grant that only the operator can allow")
	}
	if err := checkClient(c, s.cfg.Policy); err != nil {
		return c, err
	}
	if err := checkSameSector(before, c); err != nil {
		return c, err
	}
	if err := checkSize(before, c); err != nil {
		return c, err
	}
	if err := s.checkOwnSector(ctx, c); err != nil {
		return c, err
	}
	now := time.Now()
	c.UpdatedAt, c.DocumentUntil = now, now.Add(min(max(cmp.Or(got.MaxAge, usualCurrent), minCurrent), maxCurrent))
	return c, nil
}
