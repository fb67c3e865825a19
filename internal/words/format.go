package words

import (
	"strconv"
	"strings"
	"time"

	printing "golang.org/x/text/message"
	"golang.org/x/text/number"
)

// Number formats a count with the digits and separators of the language.
func (l *Language) Number(n int) string {
	if -1000 < n && n < 1000 { // the usual case has no separators
		return l.digits().Replace(strconv.Itoa(n))
	}
	return printing.NewPrinter(l.tag).Sprint(number.Decimal(n))
}

// newDigits returns what replaces the digits 0 to 9.
func (l *Language) newDigits() *strings.Replacer {
	p := printing.NewPrinter(l.tag)
	var pairs []string
	for d := range 10 {
		pairs = append(pairs, strconv.Itoa(d), p.Sprint(number.Decimal(d)))
	}
	return strings.NewReplacer(pairs...)
}

// Date formats the day of t, in UTC.
func (l *Language) Date(t time.Time) string { return l.Text(l.date("date", t)) }

// Moment formats t to the minute, in UTC.
func (l *Language) Moment(t time.Time) string {
	return l.Text(l.date("date.moment", t, "time", l.clock(t, "15:04")))
}

// date names a message about the day of t.
func (l *Language) date(key string, t time.Time, more ...any) Text {
	t = t.UTC()
	return T(key, append([]any{
		"day", t.Day(), "month", T("month." + strconv.Itoa(int(t.Month()))), "year", l.clock(t, "2006"),
	}, more...)...)
}

func (l *Language) clock(t time.Time, layout string) written {
	return written(l.digits().Replace(t.UTC().Format(layout)))
}

// Ago says how long before now t was.
func (l *Language) Ago(t, now time.Time) string {
	const day = 24 * time.Hour
	switch d := now.Sub(t); {
	case d < time.Minute:
		return l.Text(T("ago.now"))
	case d < time.Hour:
		return l.Text(T("ago.minutes", "n", int(d/time.Minute)))
	case d < day:
		return l.Text(T("ago.hours", "n", int(d/time.Hour)))
	case d < 2*day:
		return l.Text(T("ago.yesterday"))
	case d < 14*day:
		return l.Text(T("ago.days", "n", int(d/day)))
	default:
		return l.Text(T("ago.on", "date", written(l.Date(t))))
	}
}

// Duration writes d out in its largest unit, rounded down so that nothing looks longer than it is. Below a minute it
// counts seconds.
func (l *Language) Duration(d time.Duration) string {
	switch {
	case d >= 24*time.Hour:
		return l.Text(T("time.days", "n", int(d/(24*time.Hour))))
	case d >= time.Hour:
		return l.Text(T("time.hours", "n", int(d/time.Hour)))
	case d >= time.Minute:
		return l.Text(T("time.minutes", "n", int(d/time.Minute)))
	}
	return l.Text(T("time.seconds", "n", int(d/time.Second)))
}

// Data makes a text of words that are in no language of ours, such as a name.
func Data(s string) Text { return T("data", "text", s) }

// Join joins texts with a message of two arguments, a and b, such as list.comma.
func Join(key string, texts ...Text) (joined Text) {
	for i, text := range texts {
		if i == 0 {
			joined = text
		} else {
			joined = T(key, "a", joined, "b", text)
		}
	}
	return joined
}

// Sentences joins sentences to a paragraph.
func Sentences(texts ...Text) (joined Text) {
	for i, text := range texts {
		if i == 0 {
			joined = text
		} else {
			joined = T("list.sentences", "a", joined, "b", text)
		}
	}
	return joined
}

// And joins texts to one: a and b.
func And(texts ...string) (joined Text) {
	for i, text := range texts {
		if i == 0 {
			joined = Data(text)
		} else {
			joined = T("list.and", "a", joined, "b", text)
		}
	}
	return joined
}
