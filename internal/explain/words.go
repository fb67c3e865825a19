package explain

import (
	"github.com/stepward/stepward/internal/words"
)

// A Line is a check with its text.
type Line struct {
	Name   string
	Text   words.Text
	Result string
}

// Verdict says in a sentence what happens.
func (a Answer) Verdict() words.Text {
	switch {
	case a.Unusable != "":
		return words.T("console.explain.unusable", "reason", a.Unusable)
	case a.Refused != nil:
		return words.T("console.explain.refused", "error", a.Refused.Error, "why", a.Refused.Description)
	case a.Error != nil:
		return words.T("console.explain.refused", "error", a.Error.Error, "why", a.Error.Description)
	}
	return words.T("console.step." + string(a.Step))
}

// Supposed says what the request was taken to be; empty: it was read as it is.
func (a Answer) Supposed() words.Text {
	if a.AsIf == "" {
		return words.Text{}
	}
	return words.T("console.explain.as." + a.AsIf)
}

// Lines returns the checks with their texts.
func (a Answer) Lines() (lines []Line) {
	for _, v := range a.Verdicts {
		text := words.T("console.plain", "text", v.Check)
		if key := "console.check." + v.Check; words.Has(key) { // a test finds one that is missing
			text = words.T(key)
		}
		lines = append(lines, Line{v.Check, text, v.Result})
	}
	return lines
}
