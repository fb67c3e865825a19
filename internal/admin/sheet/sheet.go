// Package sheet reads CSV files of people to invite. What the values mean for an installation is for package admin.
package sheet

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/directory"
)

// MaxRows is the largest number of rows in one file.
const MaxRows = 100_000

// columns are the columns of a file: email is required, each other may be missing.
var columns = []string{"email", "name", "role", "groups", "email_verified"}

// A Row is one row as it is written; row 1 is the first after the heading, which is in line 1.
type Row struct {
	Number, Line  int
	Email, Name   string
	Role          directory.Role
	EmailVerified bool
	Groups        []string // names
	Faults        directory.Faults
	Broken        bool // it is no CSV
}

// Read reads a file in a stream and gives each row to take, until it returns an error. After a row that is no CSV
// nothing can be read.
func Read(file io.Reader, take func(Row) error) error {
	r := csv.NewReader(file)
	r.ReuseRecord = true
	heading, err := r.Read()
	if err != nil {
		return directory.Faults{{Text: "is not a CSV file with a heading: " + strings.Join(columns, ",")}}
	}
	place := map[string]int{}
	for i, name := range heading {
		name = strings.ToLower(strings.TrimSpace(strings.TrimPrefix(name, "\ufeff")))
		if _, twice := place[name]; twice || !slices.Contains(columns, name) {
			return directory.Faults{{Text: fmt.Sprintf("column %q is unknown or there twice; use %s", name,
				strings.Join(columns, ","))}}
		}
		place[name] = i
	}
	if _, ok := place["email"]; !ok {
		return directory.Faults{{Text: "has no column email"}}
	}
	for n := 1; ; n++ {
		record, err := r.Read()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case n > MaxRows:
			return directory.Faults{{Text: fmt.Sprintf("has more than %d rows; split it", MaxRows)}}
		case err == nil:
			row := readRow(n, record, place)
			row.Line, _ = r.FieldPos(0)
			if err := take(row); err != nil {
				return err
			}
			continue
		}
		line := 0
		if p, ok := errors.AsType[*csv.ParseError](err); ok {
			line = p.Line
		}
		bad := Row{Number: n, Line: line, Broken: true, Faults: directory.Faults{{
			Text: fmt.Sprintf("line %d is not CSV with as many columns as the heading", line),
		}}}
		if told := take(bad); told != nil || !errors.Is(err, csv.ErrFieldCount) {
			return told
		}
	}
}

func readRow(number int, record []string, place map[string]int) Row {
	field := func(name string) string {
		if i, ok := place[name]; ok {
			return strings.Clone(strings.TrimSpace(record[i]))
		}
		return ""
	}
	row := Row{Number: number, Email: field("email"), Name: field("name")}
	fault := func(name, text string) { row.Faults = append(row.Faults, directory.Fault{Field: name, Text: text}) }
	if text := field("role"); text != "" {
		var ok bool
		if row.Role, ok = directory.ParseRole(text); !ok {
			fault("role", "must be none, auditor, support, admin or owner")
		}
	}
	switch text := strings.ToLower(field("email_verified")); text {
	case "", "false", "no", "0":
	case "true", "yes", "1":
		row.EmailVerified = true
	default:
		fault("email_verified", "must be true or false")
	}
	for name := range strings.SplitSeq(field("groups"), ";") {
		if name = strings.TrimSpace(name); name != "" {
			row.Groups = append(row.Groups, name)
		}
	}
	return row
}
