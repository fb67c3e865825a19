package manage

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"
	"unicode/utf16"
)

// Output is the flag of commands that print something.
type Output struct {
	Output string `enum:"text,json" default:"text" help:"text or json. JSON has the names of the admin API (docs/admin.md), and is all that is printed."`
}

// JSON reports whether the output is JSON.
func (o Output) JSON() bool { return o.Output == "json" }

// A Text writes lines for people. Tabs separate columns, which are aligned.
type Text struct{ w *tabwriter.Writer }

// Line writes a line.
func (t Text) Line(format string, args ...any) { fmt.Fprintf(t.w, format+"\n", args...) }

// Pair writes a name and a value.
func (t Text) Pair(name, value string) { t.Line("%s\t%s", name, value) }

// Print prints v as JSON if that is wanted, or else what text writes.
func (o Output) Print(v any, text func(Text)) error {
	if o.JSON() {
		return PrintJSON(v)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	text(Text{w})
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := os.Stdout.WriteString(Printable(b.String()))
	return err
}

// Say prints v as JSON if that is wanted, or else a sentence.
func (o Output) Say(v any, sentence string) error {
	return o.Print(v, func(t Text) { t.Line("%s", sentence) })
}

// Printable returns text without what could control a terminal. Clients and people may have chosen parts of it.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		const joiner, nonJoiner = '\u200d', '\u200c'
		if r == '\n' || r == joiner || r == nonJoiner || unicode.IsGraphic(r) && r != '\u2028' && r != '\u2029' {
			return r
		}
		return '\ufffd'
	}, text)
}

// PrintJSON prints v. Clients may have chosen parts of it, so it escapes characters that could control the terminal.
func PrintJSON(v any) error {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	var out strings.Builder
	for _, r := range string(text) {
		switch {
		case r == '\n' || unicode.IsPrint(r):
			out.WriteRune(r)
		default:
			for _, unit := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&out, `\u%04x`, unit)
			}
		}
	}
	_, err = fmt.Println(out.String())
	return err
}
