package recoverycode

import (
	"html/template"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// A Sheet is the data of the page that shows new codes once and asks for one of them (template newcodes of package
// web). Text and File both hold the file to download. Without codes, the page only asks for one of them.
type Sheet struct {
	Codes []string
	Text  string
	File  template.URL
	Error words.Text
	Check string // where the code that is typed back goes
	Back  string // where people go who save no codes now
}

// Show adds the codes and their file, in the language l.
func (s Sheet) Show(l *words.Language, codes []idp.Secret, email, issuer string) Sheet {
	for _, code := range codes {
		s.Codes = append(s.Codes, code.Reveal())
	}
	s.Text = l.Text(words.T("codes.file.for", "email", email, "issuer", issuer)) + "\n" +
		l.Text(words.T("codes.file.made", "date", time.Now())) + "\n\n" +
		strings.Join(s.Codes, "\n") + "\n\n" +
		l.Text(words.T("codes.file.use", "url", issuer+"/recover")) + "\n"
	s.File = template.URL("data:text/plain;charset=utf-8," + url.PathEscape(s.Text)) // escaped, so safe as a URL
	return s
}
