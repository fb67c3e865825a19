// Package registry has what admins need of clients beyond loading them: changes that notice each other, a search, and
// what each client did last. Package store has the tables.
package registry

import (
	"context"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Registry is the clients in a store. It is safe for concurrent use.
type Registry struct{ db *store.DB }

// New returns the clients in a store.
func New(db *store.DB) *Registry { return &Registry{db} }

// Replace stores a changed client that the caller has seen as it was; idp.ErrConflict if it has changed since, or is
// gone.
func (r *Registry) Replace(ctx context.Context, was, c idp.Client, ev ...idp.Event) error {
	var b store.Batch
	b.Hold(idp.ErrConflict, "clients", "id = $1 AND updated_at = $2", c.ID, store.Millis(was.UpdatedAt))
	b.PutClient(c)
	b.Events(ev)
	defer r.db.ForgetClient(c.ID) // also after an error: the write may have happened
	return r.db.RunBatch(ctx, "replace client", &b)
}

// pageOfClients is how many clients Search reads at once.
const pageOfClients = 500

// Search returns clients by ID after that one, disabled ones too, whose ID, name or redirect URI contains the text in
// any case. It reads clients until it has found limit of them.
func (r *Registry) Search(ctx context.Context, text, afterID string, limit int) ([]idp.Client, error) {
	text = strings.ToLower(strings.TrimSpace(text))
	if text == "" {
		return store.List(ctx, r.db, "list clients", store.ScanClient,
			`SELECT `+store.ClientColumns+` FROM clients WHERE id > $1 ORDER BY id LIMIT $2`, afterID, limit)
	}
	var found []idp.Client
	for {
		page, err := store.List(ctx, r.db, "search clients", store.ScanClient,
			`SELECT `+store.ClientColumns+` FROM clients WHERE id > $1
				AND (LOWER(metadata) LIKE $2 OR LOWER(id) LIKE $2) ORDER BY id LIMIT $3`,
			afterID, prefilter(text), pageOfClients)
		if err != nil {
			return nil, err
		}
		for _, c := range page {
			if matches(c, text) {
				found = append(found, c)
			}
			if len(found) == limit {
				return found, nil
			}
		}
		if len(page) < pageOfClients {
			return found, nil
		}
		afterID = page[len(page)-1].ID
	}
}

// prefilter returns a pattern for LIKE that every client with the text matches: the database folds the case of ASCII
// only, and the metadata escapes some characters.
func prefilter(text string) string {
	pattern := "%"
	for _, c := range text {
		switch {
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9', strings.ContainsRune(" .-/:", c):
			pattern += string(c)
		case !strings.HasSuffix(pattern, "%"):
			pattern += "%"
		}
	}
	return pattern + "%"
}

func matches(c idp.Client, text string) bool {
	for _, s := range append([]string{c.ID, c.Name}, c.RedirectURIs...) {
		if strings.Contains(strings.ToLower(s), text) {
			return true
		}
	}
	return false
}
