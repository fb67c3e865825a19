package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/admin/sheet"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/roster"
)

const (
	// MaxShownFaults is how many rows of a file are reported as wrong.
	MaxShownFaults = 1000
	// together is how many rows are looked up and stored in one round trip.
	together = 200
)

// A RowFault is what is wrong with one row; row 1 is the first after the heading. Line is where it begins in the file:
// the heading is line 1. The field of a fault is the column.
type RowFault struct {
	Row    int              `json:"row"`
	Line   int              `json:"line"`
	Email  string           `json:"email,omitempty"`
	Faults directory.Faults `json:"faults"`
}

// A Preview is what an import would do.
type Preview struct {
	Rows   int        `json:"rows"`
	Wrong  int        `json:"wrong"`  // rows with faults
	Faults []RowFault `json:"faults"` // of the first MaxShownFaults of them
}

// Preview reads a CSV file of people to invite in a stream, and reports every fault. It changes nothing.
func (s *Users) Preview(ctx context.Context, by Actor, file io.Reader) (Preview, error) {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return Preview{}, err
	}
	p := Preview{Faults: []RowFault{}}
	err = s.readImport(ctx, role, file, func(rows []importRow) error {
		p.Rows += len(rows)
		for _, row := range rows {
			if len(row.Faults) == 0 {
				continue
			}
			if p.Wrong++; len(p.Faults) < MaxShownFaults {
				p.Faults = append(p.Faults, RowFault{row.Number, row.Line, row.Email, row.Faults})
			}
		}
		return nil
	})
	return p, err
}

// ErrWrongRows says that a file has faults, so nothing of it was done: see the preview.
var ErrWrongRows = errors.New("the file has faults")

// Import invites everybody in a CSV file, with links that work for ttl, if no row is wrong: the file is read twice.
// invited gets the invitation of each row after it is stored; mailed sends the links instead. If the store fails in
// between, the error says how many rows are done.
func (s *Users) Import(
	ctx context.Context, by Actor, file io.ReadSeeker, ttl time.Duration, mailed bool, invited func(Invitation) error,
) (Preview, error) {
	switch {
	case ttl < MinInvitation || ttl > MaxInvitation:
		return Preview{}, directory.Faults{{Field: "ttl", Text: "must be between 5m and 168h"}}
	case mailed && !s.mails():
		return Preview{}, directory.Faults{{Field: "mail", Text: "needs smtp-url"}}
	}
	p, err := s.Preview(ctx, by, file)
	if err == nil && p.Wrong > 0 {
		err = ErrWrongRows
	}
	if err != nil {
		return p, err
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return p, fmt.Errorf("read the file again: %w", err)
	}
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return p, err
	}
	done := 0
	err = s.readImport(ctx, role, file, func(rows []importRow) error {
		var users []roster.NewUser
		var invitations []Invitation
		for _, row := range rows {
			if len(row.Faults) > 0 { // it became wrong since
				return fmt.Errorf("row %d: %w", row.Number, row.Faults)
			}
			link, kept := enrol.NewInvitation(s.cfg.Issuer, row.user, ttl, mailed)
			users = append(users, roster.NewUser{User: row.user, GroupIDs: row.groupIDs, Link: &kept, Events: []idp.Event{
				s.event(by, idp.EventUserCreated, row.user.ID), s.event(by, idp.EventUserInvited, row.user.ID),
			}})
			invitations = append(invitations, Invitation{User: row.user, Link: link, Until: kept.ExpiresAt, New: true})
		}
		if err := s.roster.AddUsers(ctx, users...); err != nil {
			return err
		}
		done += len(users)
		for _, inv := range invitations {
			if mailed {
				err := s.mailTo(ctx, "", func(w mail.Writer) mail.Message {
					return w.Invitation(inv.User.Email, inv.Link, inv.Until)
				})
				if err != nil {
					return fmt.Errorf("mail to %s: %w", inv.User.Email, err)
				}
			}
			if err := invited(inv); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return p, fmt.Errorf("%d of %d rows are done; remove them from the file and run this again: %w", done, p.Rows, err)
	}
	return p, nil
}

// importRow is one row with what it stands for here.
type importRow struct {
	sheet.Row
	user     idp.User
	groupIDs []string
}

// readImport reads a file in a stream, and gives its rows to take, some at a time.
func (s *Users) readImport(
	ctx context.Context, role directory.Role, file io.Reader, take func([]importRow) error,
) error {
	seen, groups := map[string]int{}, map[string]string{}
	var rows []importRow
	flush := func() error {
		if err := s.markTaken(ctx, rows); err != nil {
			return err
		}
		err := take(rows)
		rows = rows[:0]
		return err
	}
	err := sheet.Read(file, func(r sheet.Row) error {
		row := importRow{Row: r}
		if err := s.understand(ctx, role, groups, &row); err != nil {
			return err
		}
		if email := row.user.Email; email != "" {
			if first := seen[email]; first > 0 {
				row.Faults = append(row.Faults, directory.Fault{Field: "email", Text: fmt.Sprintf("is in row %d already", first)})
			}
			seen[email] = r.Number
		}
		if rows = append(rows, row); len(rows) == together {
			return flush()
		}
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

// understand finds the groups of a row and builds its user. groups remembers the IDs of groups, "" for those that there
// are not.
func (s *Users) understand(ctx context.Context, role directory.Role, groups map[string]string, row *importRow) error {
	fault := func(name, text string) { row.Faults = append(row.Faults, directory.Fault{Field: name, Text: text}) }
	for _, name := range row.Groups {
		id, known := groups[name]
		if !known {
			g, err := s.roster.GroupByName(ctx, name)
			if err != nil && !errors.Is(err, idp.ErrNotFound) {
				return err
			}
			if id = g.ID; len(groups) < MaxShownFaults {
				groups[name] = id
			}
		}
		if id == "" {
			fault("groups", fmt.Sprintf("there is no group %q", name))
		} else if !slices.Contains(row.groupIDs, id) {
			row.groupIDs = append(row.groupIDs, id)
		}
	}
	if row.Broken {
		return nil
	}
	u, _, err := s.build(ctx, role, NewUser{
		Email: row.Email, Name: row.Name, Role: row.Role, EmailVerified: row.EmailVerified,
	})
	if faults, ok := errors.AsType[directory.Faults](err); ok {
		for _, f := range faults {
			if !slices.Contains(row.Faults, f) { // the role may be wrong as it is written already
				row.Faults = append(row.Faults, f)
			}
		}
		return nil
	}
	if denied, ok := errors.AsType[*Denied](err); ok {
		fault("role", denied.Text)
		return nil
	}
	row.user = u
	return err
}

// markTaken adds a fault to each row whose address belongs to a user.
func (s *Users) markTaken(ctx context.Context, rows []importRow) error {
	var emails []string
	for _, row := range rows {
		if row.user.Email != "" {
			emails = append(emails, row.user.Email)
		}
	}
	taken, err := s.roster.Taken(ctx, emails)
	for i := range rows {
		if taken[rows[i].user.Email] {
			rows[i].Faults = append(rows[i].Faults, emailTaken...)
		}
	}
	return err
}
