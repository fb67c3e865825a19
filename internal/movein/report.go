package movein

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// The kinds of things that move in.
const (
	kindGroups   = "groups"
	kindClaims   = "claims"
	kindClients  = "clients"
	kindUsers    = "users"
	kindPasskeys = "passkeys"
	kindMembers  = "memberships"
	kindConsents = "consents"
	kindValues   = "values"
)

var kinds = []string{
	kindGroups, kindClaims, kindClients, kindUsers, kindPasskeys, kindMembers, kindConsents, kindValues,
}

const (
	// maxReasons and maxNames bound a report, whatever the source holds; the counts are always complete.
	maxReasons = 1000
	maxNames   = 1000
	// shownNames is how many names the text of a report has for each reason.
	shownNames = 10
)

// A Report says what came, and what did not and why.
type Report struct {
	From   string  `json:"from"`
	DryRun bool    `json:"dry_run"`
	Counts []Count `json:"counts"`
	// Left is what cannot come; Notes is what comes, but otherwise than it was.
	Left  []Reason `json:"cannot_come"`
	Notes []Reason `json:"notes"`
}

// A Count is how many things of a kind came now, are here since an earlier time, and cannot come.
type Count struct {
	Kind   string `json:"kind"`
	Come   int    `json:"come"`
	Here   int    `json:"here_already"`
	Cannot int    `json:"cannot_come"`
}

// A Reason applies to Count things of a kind; Names has the first of them.
type Reason struct {
	Kind  string   `json:"kind"`
	Text  string   `json:"reason"`
	Count int      `json:"count"`
	Names []string `json:"names"`
}

func newReport(from string, dry bool) *Report {
	r := &Report{From: from, DryRun: dry, Left: []Reason{}, Notes: []Reason{}}
	for _, kind := range kinds {
		r.Counts = append(r.Counts, Count{Kind: kind})
	}
	return r
}

func (r *Report) count(kind string) *Count {
	return &r.Counts[slices.IndexFunc(r.Counts, func(c Count) bool { return c.Kind == kind })]
}

func (r *Report) come(kind string) { r.count(kind).Come++ }
func (r *Report) here(kind string) { r.count(kind).Here++ }

// cannot records that the thing of that name cannot come.
func (r *Report) cannot(kind, name, reason string) {
	r.count(kind).Cannot++
	r.Left = add(r.Left, kind, name, reason)
}

// note records that a thing comes, but otherwise than it was.
func (r *Report) note(kind, name, text string) { r.Notes = add(r.Notes, kind, name, text) }

func add(list []Reason, kind, name, text string) []Reason {
	i := slices.IndexFunc(list, func(e Reason) bool { return e.Kind == kind && e.Text == text })
	if i < 0 && len(list) == maxReasons { // the last one takes what is too much
		i, list[maxReasons-1].Text = maxReasons-1, "for more reasons than this report holds"
	}
	if i < 0 {
		i, list = len(list), append(list, Reason{Kind: kind, Text: text, Names: []string{}})
	}
	if list[i].Count++; len(list[i].Names) < maxNames {
		list[i].Names = append(list[i].Names, name)
	}
	return list
}

// Print writes the report for people. Names come from the other provider, so they are quoted where they could control a
// terminal.
func (r *Report) Print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	verb := "came"
	if r.DryRun {
		verb = "would come"
	}
	fmt.Fprintf(w, "from %s\t%s\there already\tcannot come\t\n", r.From, verb)
	for _, c := range r.Counts {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t\n", c.Kind, c.Come, c.Here, c.Cannot)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, part := range []struct {
		title   string
		reasons []Reason
	}{{"Cannot come:", r.Left}, {"Comes, but:", r.Notes}} {
		if len(part.reasons) == 0 {
			continue
		}
		fmt.Fprintf(out, "\n%s\n", part.title)
		for _, reason := range part.reasons {
			fmt.Fprintf(out, "  %d %s: %s (%s)\n", reason.Count, reason.Kind, plain(reason.Text), names(reason))
		}
	}
	if r.DryRun {
		_, err := fmt.Fprintln(out, "\nNothing was changed.")
		return err
	}
	return nil
}

func names(r Reason) string {
	shown := make([]string, 0, shownNames)
	for _, name := range r.Names[:min(len(r.Names), shownNames)] {
		shown = append(shown, plain(name))
	}
	list := strings.Join(shown, ", ")
	if more := r.Count - len(shown); more > 0 {
		list += fmt.Sprintf(", and %d more", more)
	}
	return list
}

// plain returns text that controls no terminal.
func plain(s string) string {
	quoted := strconv.Quote(s)
	if quoted[1:len(quoted)-1] == strings.ReplaceAll(s, `"`, `\"`) && s != "" {
		return s
	}
	return quoted
}
