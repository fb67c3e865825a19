package console

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/web"
)

const (
	// ImportPath is where a CSV file of people to invite is uploaded, and MaxUpload the largest request with one, in
	// bytes: 100,000 rows of 80 bytes.
	ImportPath = usersPath + "/import"
	MaxUpload  = 8 << 20
	// maxInvited is how many people one request invites: with mail to each, that takes a few seconds.
	maxInvited = 2000
)

// importer has the pages that invite many people from a CSV file.
//
//	GET ─▶ choose a file ─▶ POST: every fault, or how many people ─▶ POST with go: invite them
//
// The second request carries the text of the file again, so that nothing is kept in between.
type importer struct{ *Console }

func (c importer) mount(m desk.Mounting) {
	m.Upload(ImportPath, "reason.people", c.show, c.take)
}

type importPage struct {
	admin.Preview
	Faults  directory.Faults // of the whole file
	Checked bool
	More    int    // wrong rows that are not shown
	Text    string // of a file without faults that the console may invite from
	Mails   bool
	Most    int // what the console invites at once; 0: the file has no more
}

// Example is a file, and Command what invites from larger ones.
func (importPage) Example() string {
	return "email,name,role,groups,email_verified\ngrace@example.com,Grace Hopper,none,engineering;berlin,false"
}

// Command is described at Example.
func (importPage) Command() string { return "stepward user import-csv people.csv" }

func (c importer) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.render(w, r, v, "user-import", web.Page{Nav: "People", Data: importPage{Mails: c.cfg.Mails}})
}

// take checks a file, and invites the people in it if that was asked for.
func (c importer) take(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	text, err := readUpload(r)
	if err != nil {
		return err
	}
	p := importPage{Mails: c.cfg.Mails, Checked: true}
	p.Preview, err = c.cfg.Operations.Users.Preview(r.Context(), v.Actor, bytes.NewReader(text))
	faults, wrong := desk.FaultsOf(err)
	switch {
	case err != nil && !wrong:
		return err
	case wrong:
		p.Faults = faults
	case p.Wrong > 0:
		p.More = p.Wrong - len(p.Preview.Faults)
	case p.Rows > maxInvited:
		p.Most = maxInvited
	case p.Rows == 0:
		p.Faults = directory.Faults{{Text: "has no row after the heading"}}
	case r.PostFormValue("go") != "":
		return c.invite(w, r, v, text)
	default:
		p.Text = string(text)
	}
	status := http.StatusOK
	if p.Text == "" {
		status = http.StatusUnprocessableEntity
	}
	return c.render(w, r, v, "user-import", web.Page{Nav: "People", Status: status, Data: p})
}

// readUpload returns the text of the file: chosen, or checked before.
func readUpload(r *http.Request) ([]byte, error) {
	if err := r.ParseMultipartForm(MaxUpload); err != nil { // all in memory: the chain bounds the body
		return nil, web.Malformed(err)
	}
	if text := r.PostFormValue("text"); text != "" {
		return []byte(text), nil
	}
	file, _, err := r.FormFile("file")
	if errors.Is(err, http.ErrMissingFile) {
		return nil, nil
	}
	if err != nil {
		return nil, web.Malformed(err)
	}
	defer file.Close()
	return io.ReadAll(file)
}

type importedPage struct {
	Done, Rows int
	Failed     bool   // after Done rows
	Links      string // CSV: address, link, until when; empty: mailed
	Mailed     bool
}

// invite invites everybody in a file. What was done before a failure is shown, because its links cannot be read again.
func (c importer) invite(w http.ResponseWriter, r *http.Request, v desk.Visitor, text []byte) error {
	p := importedPage{Mailed: c.cfg.Mails && r.PostFormValue("mailed") != ""}
	var links strings.Builder
	rows := csv.NewWriter(&links)
	ctx := context.WithoutCancel(r.Context()) // an admin who leaves the page has asked for it
	ctx, cancel := context.WithTimeout(ctx, web.MaxTime)
	defer cancel()
	preview, err := c.cfg.Operations.Users.Import(
		ctx, v.Actor, bytes.NewReader(text), invitationTTL, p.Mailed, func(inv admin.Invitation) error {
			if p.Done++; p.Mailed { // opening a mailed link confirms the address, so only its owner may have it
				return nil
			}
			return rows.Write([]string{inv.User.Email, inv.Link.Reveal(), inv.Until.UTC().Format(time.RFC3339)})
		})
	if err != nil && p.Done == 0 {
		return err
	}
	if err != nil {
		web.Note(ctx, slog.Any("import", err))
	}
	rows.Flush()
	p.Links, p.Rows, p.Failed = links.String(), preview.Rows, err != nil
	return c.render(w, r, v, "user-imported", web.Page{Nav: "People", Once: true, Data: p})
}
