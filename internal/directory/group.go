package directory

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

const (
	// MaxNesting is the longest chain of groups in groups: staff > engineering > platform > on-call.
	MaxNesting = 4
	// MaxMemberships is how many groups a user can be put into directly.
	MaxMemberships = 1000
	// MaxParents is how many groups a group can be put into directly.
	MaxParents = 50

	maxGroupName   = 100 // characters
	maxDescription = 500 // characters
)

// A Group is a set of users, and of groups whose members are its members as well. Applications see its name, and admit
// people by it, so the name is unique and plain.
type Group struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description,omitempty"` // for admins
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
}

// Key is the spelling by which two names are the same: "Admins" and "ａｄｍｉｎｓ" are one group.
func (g Group) Key() string { return GroupKey(g.Name) }

// GroupKey returns the Key of a group with this name.
func GroupKey(name string) string {
	return norm.NFC.String(cases.Fold().String(norm.NFKC.String(name)))
}

// Faults returns what is wrong with a group.
func (g Group) Faults() (faults Faults) {
	if text := groupNameFault(g.Name); text != "" {
		faults = append(faults, Fault{"name", text})
	}
	if !plainText(g.Description) || utf8.RuneCountInString(g.Description) > maxDescription {
		faults = append(faults, Fault{"description", "must be one line of at most 500 characters"})
	}
	return faults
}

// groupNameFault says what is wrong with the name of a group; "" if nothing. It accepts exactly what applications can
// compare and people can tell apart: software joins names with commas, and a character that shows nothing would make
// two names look alike.
func groupNameFault(name string) string {
	switch {
	case name == "":
		return "is missing"
	case !utf8.ValidString(name) || norm.NFC.String(name) != name:
		return "must be Unicode text in normal form C"
	case utf8.RuneCountInString(name) > maxGroupName:
		return "must be at most 100 characters"
	case strings.TrimSpace(name) != name || strings.Contains(name, "  "):
		return "must not begin or end with a space, or have two in a row"
	case strings.ContainsAny(name, ",;\"\\"):
		return "must not contain a comma, semicolon, quotation mark or backslash: applications use them to separate groups"
	}
	for _, r := range name {
		if r != ' ' && (!unicode.IsPrint(r) || !Visible(r) && !unicode.IsMark(r) || unicode.Is(unicode.Variation_Selector,
			r)) {
			return "must not contain characters that are invisible or change the direction of text"
		}
	}
	if !Visible([]rune(name)[0]) {
		return "must begin with a visible character"
	}
	return ""
}

// plainText reports whether text is one line without characters that hide or turn it.
func plainText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
	})
}
