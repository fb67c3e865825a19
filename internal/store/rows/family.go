package rows

import (
	"fmt"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

// FamilyColumns are the columns of a family f; w is its row of closed_windows.
const FamilyColumns = `f.id, f.client_id, f.user_id, f.session_id, f.scopes, f.audience, f.resources, f.details,
	f.authentication_id, f.passkey_id, f.acr, f.amr, f.auth_time, f.classes, f.assurance, COALESCE(w.classes, ''),
	f.claims, f.confirmation, f.offline,
	f.handle_hash, f.current_hash, f.previous_hash, f.rotated_at, f.created_at, f.expires_at, f.revoked_at`

// BasisColumns are those of FamilyColumns that every look-up of an access token reads. The others are what the token
// itself says, or for refreshing.
const BasisColumns = `f.id, f.client_id, f.user_id, f.session_id, f.authentication_id, f.passkey_id, f.acr, f.amr,
	f.auth_time, f.classes, f.assurance, COALESCE(w.classes, ''), f.claims`

// FamilyJoins are the joins that FamilyColumns and those of its user need.
const FamilyJoins = `JOIN members u ON u.id = f.user_id
	LEFT JOIN closed_windows w ON w.authentication_id = f.authentication_id AND w.user_id = f.user_id`

// A FamilyKey finds the family of a refresh token: by its ID, or by the hash of the token's handle. The ID does not
// find a family that is bound to a key, because then the handle tells which key must be proven.
type FamilyKey struct{ ID, HandleHash string }

// ByID and ByHandle are the conditions for the row f, by each kind of key, which is $2. The comparison with an empty
// text lets SQLite use the partial index.
const (
	ByID     = ` AND f.id = $2 AND f.current_hash <> '' AND (f.handle_hash = '' OR f.confirmation = '{}')`
	ByHandle = ` AND f.handle_hash <> '' AND f.handle_hash = $2`
)

// Condition returns the condition of the key, and the argument of its placeholder.
func (k FamilyKey) Condition() (condition, argument string) {
	if k.ID != "" {
		return ByID, k.ID
	}
	return ByHandle, k.HandleHash
}

// FamilyDest returns the destinations of FamilyColumns.
func FamilyDest(f *idp.Family) []any {
	return []any{
		&f.ID, &f.ClientID, &f.UserID, &f.SessionID, &Document{&f.Scopes}, &Document{&f.Audience}, &Document{&f.Resources},
		&Document{&f.Details},
		&f.Assurance.AuthenticationID,
		short{&f.Assurance.PasskeyID},
		&f.Assurance.ACR, (*methods)(&f.Assurance.AMR),
		(*Instant)(&f.Assurance.AuthTime), (*words)(&f.Assurance.ActionClasses),
		&Document{&f.Assurance}, // the old form, or empty
		&Closed{&f.Assurance}, &f.Claims, &Document{&f.Confirmation}, &f.Offline,
		&f.HandleHash, &f.CurrentHash, &f.PreviousHash, (*Instant)(&f.RotatedAt), (*Instant)(&f.CreatedAt),
		(*Instant)(&f.ExpiresAt), (*Instant)(&f.RevokedAt),
	}
}

// BasisDest returns the destinations of BasisColumns.
func BasisDest(f *idp.Family) []any {
	return []any{
		&f.ID, &f.ClientID, &f.UserID, &f.SessionID, &f.Assurance.AuthenticationID,
		short{&f.Assurance.PasskeyID},
		&f.Assurance.ACR, (*methods)(&f.Assurance.AMR), (*Instant)(&f.Assurance.AuthTime),
		(*words)(&f.Assurance.ActionClasses), &Document{&f.Assurance}, &Closed{&f.Assurance}, &f.Claims,
	}
}

// Closed scans the classes whose windows were closed, and removes them from an assurance that was scanned before.
type Closed struct{ Of *idp.Assurance }

// Scan implements sql.Scanner.
func (c *Closed) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("classes stored as %T", v)
	}
	gone := strings.Fields(s)
	c.Of.ActionClasses = slices.DeleteFunc(c.Of.ActionClasses,
		func(class string) bool { return slices.Contains(gone, class) })
	return nil
}

// amrLetters are the stored form of authentication methods: never change a letter.
var amrLetters = map[string]string{"pop": "p", "swk": "s", "hwk": "h", "user": "u", "mfa": "m"}

// letters returns methods as letters; ok is false if one has none.
func letters(amr []string) (s string, ok bool) {
	for _, method := range amr {
		letter, ok := amrLetters[method]
		if !ok {
			return "", false
		}
		s += letter
	}
	return s, true
}

// methods scans the result of letters.
type methods []string

// Scan implements sql.Scanner.
func (m *methods) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("methods stored as %T", v)
	}
	*m = nil
	for i := range len(s) {
		for method, letter := range amrLetters {
			if letter == s[i:i+1] {
				*m = append(*m, method)
			}
		}
	}
	return nil
}

// words scans words separated by spaces.
type words []string

// Scan implements sql.Scanner.
func (w *words) Scan(v any) error {
	s, ok := v.(string)
	if !ok {
		return fmt.Errorf("words stored as %T", v)
	}
	*w = strings.Fields(s)
	return nil
}

// Family returns the values of a new family, in the order of the statement that inserts it.
func Family(f idp.Family, compact bool) []any {
	write, handle := Text, f.HandleHash
	if compact {
		write = Brief
		if f.FoundByID {
			handle = ""
		}
	}
	acr, authTime, classes, assurance := "", int64(0), "", ""
	amr, ok := letters(f.Assurance.AMR)
	if compact && ok {
		acr, authTime = f.Assurance.ACR, Millis(f.Assurance.AuthTime)
		classes = strings.Join(f.Assurance.ActionClasses, " ")
	} else {
		amr, assurance = "", Text(f.Assurance)
	}
	return []any{
		f.ID, f.ClientID, f.SessionID, f.UserID, f.Assurance.PasskeyID, f.Granted,
		write(f.Scopes), write(f.Audience), write(f.Resources), write(f.Details),
		f.Assurance.AuthenticationID, ShortID(f.Assurance.PasskeyID),
		acr, amr, authTime, classes, assurance, f.Claims, write(f.Confirmation), f.Offline,
		handle, f.CurrentHash, f.PreviousHash, Millis(f.RotatedAt), Millis(f.CreatedAt),
		Millis(f.ExpiresAt), Millis(f.RevokedAt),
	}
}
