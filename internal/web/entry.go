package web

import (
	"cmp"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// EntryWords describes an entry of a grant: our own scopes and the way to say "connect" in every language, everything
// else in the operator's words.
func EntryWords(p idp.Policy, entry string) words.Text {
	described := p.DescribeEntry(entry)
	if own := words.T("scope." + entry); words.Has(own.Key) && words.English().Text(own) == described {
		return own
	}
	if uri, ok := strings.CutPrefix(entry, idp.AtResource); ok && p.Resources[uri].Description == "" {
		return words.T("scope.connect", "host", strings.TrimPrefix(described, "Connect to "))
	}
	return words.Data(cmp.Or(described, entry))
}

// ActionWords describes an action class: our own in every language, all others in the operator's words.
func ActionWords(p idp.Policy, class string) words.Text {
	described := p.ActionClasses[class].Description
	if own := words.T("action." + class); words.Has(own.Key) && words.English().Text(own) == described {
		return own
	}
	return words.Data(cmp.Or(described, class))
}
