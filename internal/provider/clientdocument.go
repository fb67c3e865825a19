package provider

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

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
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
	documentsPerSource, documentsTotal   = 60, 1000 // fetched for one network and for all, an hour
)

// isDocument reports whether a client ID is an address at which a client may describe itself (§3 of the draft).
func isDocument(id string) bool {
	u, err := url.Parse(id)
	if err != nil || len(id) > maxClientID || u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || strings.ContainsAny(id, "#?") {
		return false
	}
	return len(u.Path) > 1 && !slices.ContainsFunc(strings.Split(u.Path, "/"), func(s string) bool { return s == "." || s == ".." })
}

// meet makes sure that a client which describes itself at its ID is known as it is described now. idp.ErrNotFound if it
// cannot be known. IDs of other kinds are none of its business.
func (p *Provider) meet(r *http.Request, id string) error {
	if !p.ClientDocuments || !isDocument(id) {
		return nil
	}
	ctx, now := r.Context(), time.Now()
	current := func(c idp.Client) bool { return c.DocumentUntil.IsZero() || now.Before(c.DocumentUntil) } // zero: the operator's own
	if c, err := p.DB.Client(ctx, id); err == nil && current(c) {
		return nil
	}
	c, err := p.DB.StoredClient(ctx, id)
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
	fresh, err := p.describe(r, c)
	if err != nil {
		web.Note(ctx, slog.Any("client_document", err))
		if known && now.Before(c.DocumentUntil.Add(documentHold)) {
			return nil
		}
		return fmt.Errorf("describe client: %w", idp.ErrNotFound)
	}
	if known {
		err = p.DB.PutClient(ctx, fresh)
	} else if err = p.DB.RegisterClient(ctx, fresh, "", now, events...); errors.Is(err, idp.ErrConflict) {
		return nil // another request was faster, and what it has read counts
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return nil
}

// describe fetches the client's document and returns the client as it says it is. Its errors are for the log.
func (p *Provider) describe(r *http.Request, c idp.Client) (idp.Client, error) {
	ctx := r.Context()
	if err := p.mayFetch(ctx, web.ClientNetwork(r)); err != nil {
		return c, err
	}
	got, err := p.Outbound.GetHere(ctx, c.ID, "application/json", maxDocument)
	if err != nil {
		return c, err
	}
	if got.Type != "application/json" && !(strings.HasPrefix(got.Type, "application/") && strings.HasSuffix(got.Type, "+json")) {
		return c, errors.New("the document is not JSON by its type")
	}
	members, err := readMembers(got.Body)
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
	if c, err = p.apply(m, c); err != nil {
		return c, err
	}
	if slices.ContainsFunc(c.GrantTypes, func(grant string) bool { return slices.Contains(vettedGrants, grant) }) {
		return c, errors.New("the document names a grant that nobody gives themselves")
	}
	if err := acceptable(c, p.Policy); err != nil {
		return c, err
	}
	if err := sameSector(before, c); err != nil {
		return c, err
	}
	if err := p.ownSector(ctx, c); err != nil {
		return c, err
	}
	now := time.Now()
	c.UpdatedAt, c.DocumentUntil = now, now.Add(min(max(cmp.Or(got.MaxAge, usualCurrent), minCurrent), maxCurrent))
	return c, nil
}

// mayFetch counts fetches, of one network and of all: anybody can make up addresses.
func (p *Provider) mayFetch(ctx context.Context, network string) error {
	for _, limit := range []struct { // in this order: one network does not use up what is for all
		of   string
		most int64
	}{{network, documentsPerSource}, {"all", documentsTotal}} {
		count := &ephemeral.Op{Verb: ephemeral.Count, Key: "limit-document:" + limit.of, TTL: time.Hour}
		if err := p.Ephemeral.Do(ctx, count); err != nil {
			return err
		}
		if count.N > limit.most {
			return errors.New("too many documents were fetched in the last hour")
		}
	}
	return nil
}
