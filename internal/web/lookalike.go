package web

import (
	"slices"
	"strings"
	"unicode"
)

// lookalikes are the scripts whose letters can look like those of another script.
var lookalikes = []*unicode.RangeTable{
	unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee, unicode.Coptic, unicode.Lisu,
}

// mixesScripts reports whether a word of the name mixes letters of two such scripts, like "mуbank" with a Cyrillic у
// (Unicode TS #39, §5.1). Latin beside Chinese, Japanese or Arabic is usual and not counted.
func mixesScripts(name string) bool {
	for word := range strings.FieldsFuncSeq(name, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r)
	}) {
		found := -1
		for _, r := range word {
			i := slices.IndexFunc(lookalikes, func(script *unicode.RangeTable) bool { return unicode.Is(script, r) })
			if i >= 0 && found >= 0 && i != found {
				return true
			}
			if i >= 0 {
				found = i
			}
		}
	}
	return false
}
