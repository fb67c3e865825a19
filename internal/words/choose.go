package words

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// maxWish is the length of the longest list of wanted languages that is read. Browsers send less than 100 bytes.
const maxWish = 200

var matcher = sync.OnceValue(func() language.Matcher {
	var tags []language.Tag
	for _, l := range languages {
		tags = append(tags, l.tag)
	}
	return language.NewMatcher(tags)
})

// wishes remembers what lists of wanted languages led to, because there are few of them and reading one takes
// microseconds.
var wishes = struct {
	sync.RWMutex
	chosen map[string]*Language
}{chosen: map[string]*Language{}}

// maxWishes is the number of lists remembered. Then all are forgotten, because outsiders may send any.
const maxWishes = 500

// Choose returns the language that a person wants: wanted is a value of Accept-Language, or tags separated by spaces
// (ui_locales). It returns nil if we have none that they probably understand. It accepts any text.
func Choose(wanted string) *Language {
	if wanted == "" {
		return nil
	}
	if len(wanted) > maxWish {
		wanted = wanted[:maxWish]
		wanted = wanted[:strings.LastIndexAny(wanted, ", ")+1]
	}
	wishes.RLock()
	l, known := wishes.chosen[wanted]
	wishes.RUnlock()
	if known {
		return l
	}
	l = match(wanted)
	wishes.Lock()
	defer wishes.Unlock()
	if len(wishes.chosen) >= maxWishes {
		clear(wishes.chosen)
	}
	wishes.chosen[strings.Clone(wanted)] = l
	return l
}

func match(wanted string) *Language {
	if !strings.ContainsAny(wanted, ",;") {
		wanted = strings.Join(strings.Fields(wanted), ",")
	}
	type wish struct {
		tag language.Tag
		q   float32
	}
	var sorted []wish
	for entry := range strings.SplitSeq(wanted, ",") { // one by one: an unknown tag must not hide the others
		if parsed, q, err := language.ParseAcceptLanguage(entry); err == nil && len(parsed) == 1 && q[0] > 0 {
			sorted = append(sorted, wish{parsed[0], q[0]})
		}
	}
	slices.SortStableFunc(sorted, func(a, b wish) int { return cmp.Compare(b.q, a.q) })
	var tags []language.Tag
	for _, w := range sorted {
		tags = append(tags, w.tag)
	}
	_, index, confidence := matcher().Match(tags...)
	if confidence == language.No {
		return nil
	}
	return languages[index]
}
