// Package lookup searches users and events for admins. A search reads a bounded number of rows in each call and says
// where the next call goes on, so that it stays fast in an installation of any size. Package store has the tables.
package lookup

import (
	"context"
	"strings"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Lookup searches a store. It is safe for concurrent use.
type Lookup struct{ db *store.DB }

// New returns a search of a store.
func New(db *store.DB) *Lookup { return &Lookup{db} }

// window is how many rows a call of a search reads at most.
const window = 10_000

// The stages of a search for users. A cursor is a stage and the key after which it goes on.
const (
	byEmail = "e" // addresses that begin with the text, by address: an index finds them
	byText  = "t" // names and addresses that contain the text, by ID: reads all users, a window at a time
)

// Users returns users whose e-mail address or name contains the text, or who have it as ID: first those whose address
// begins with it, then all others. The call with the cursor "" begins; next is the cursor of the following call, "" at
// the end. A call can find fewer than limit users, or none, and still have a next one. An unknown cursor is
// idp.ErrNotFound.
func (l *Lookup) Users(
	ctx context.Context, text, cursor string, limit int,
) (found []idp.User, next string, err error) {
	text = strings.ToLower(strings.TrimSpace(text))
	stage, after := byEmail, ""
	if text == "" {
		stage = byText
	}
	if cursor != "" {
		stage, after = cursor[:1], cursor[1:]
	}
	switch stage {
	case byEmail:
		return l.byEmail(ctx, text, after, limit)
	case byText:
		return l.byText(ctx, text, after, limit)
	}
	return nil, "", idp.ErrNotFound
}

func (l *Lookup) byEmail(
	ctx context.Context, text, after string, limit int,
) (found []idp.User, next string, err error) {
	found, err = store.List(ctx, l.db, "search users by e-mail", store.ScanUser,
		`SELECT `+store.UserColumns+` FROM users u WHERE u.email > $1 AND u.email >= $2 AND u.email < $3
			ORDER BY u.email LIMIT $4`, after, text, text+lastRune, limit)
	switch {
	case err != nil:
		return nil, "", err
	case len(found) == limit:
		return found, byEmail + found[limit-1].Email, nil
	case len(found) == 1 && found[0].Email == text && after == "": // typed in full
		return found, "", nil
	}
	more, next, err := l.byText(ctx, text, "", limit-len(found))
	return append(found, more...), next, err
}

func (l *Lookup) byText(
	ctx context.Context, text, after string, limit int,
) (found []idp.User, next string, err error) {
	if text == "" {
		found, err = l.db.Users(ctx, after, limit)
		if len(found) == limit {
			next = byText + found[limit-1].ID
		}
		return found, next, err
	}
	// The database folds the case of ASCII only, so other letters are looked for in both cases.
	found, err = store.List(ctx, l.db, "search users", store.ScanUser,
		`SELECT `+windowed+` FROM (SELECT * FROM users WHERE id > $1 ORDER BY id LIMIT $2) windowed
			WHERE (LOWER(name) LIKE $3 ESCAPE '!' OR LOWER(name) LIKE $4 ESCAPE '!' OR email LIKE $3 ESCAPE '!' OR id = $5)
				AND NOT (email >= $5 AND email < $6)
			ORDER BY id LIMIT $7`,
		after, window, contains(text), contains(upperLetters(text)), text, text+lastRune, limit)
	switch {
	case err != nil:
		return nil, "", err
	case len(found) == limit:
		return found, byText + found[limit-1].ID, nil
	}
	last, err := l.last(ctx, after)
	if last != "" {
		next = byText + last
	}
	return found, next, err
}

// last returns the ID of the last user in the window after that one; "" if the window is not full.
func (l *Lookup) last(ctx context.Context, after string) (string, error) {
	ids, err := store.List(ctx, l.db, "end of search", func(r store.Row) (id string, err error) {
		return id, r.Scan(&id)
	}, `SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2`, after, window-1)
	if err != nil || len(ids) == 0 {
		return "", err
	}
	return ids[0], nil
}

// windowed are the columns of the users in a window.
var windowed = strings.ReplaceAll(store.UserColumns, "u.", "windowed.")

const lastRune = "\U0010FFFF"

// contains returns the pattern of LIKE, with the escape !, for texts that contain this one.
func contains(text string) string {
	return "%" + strings.NewReplacer("!", "!!", "%", "!%", "_", "!_").Replace(text) + "%"
}

// upperLetters returns text with the letters in upper case that the database does not fold.
func upperLetters(text string) string {
	return strings.Map(func(r rune) rune {
		if r > unicode.MaxASCII {
			return unicode.ToUpper(r)
		}
		return r
	}, text)
}
