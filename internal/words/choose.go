package words

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/text/language"
)

// maxWish is the length of the longest list of wanted languages that is read. Browsers send less than 100 bytes.
const maxWish = 200

// maxWishes is the number of lists remembered. Then all are forgotten, because outsiders may send any.
const maxWishes = 500

// A Set is the languages that a service offers, best first. It is safe for concurrent use.
type Set struct {
	languages []*Language
	matcher   func() language.Matcher

	// wishes remembers what lists of wanted languages led to, because there are few of them and reading one takes
	// microseconds.
	mu     sync.RWMutex
	wishes map[string]*Language
}

var all = newSet(languages)

// All returns the set of all languages, English first.
func All() *Set { return all }

// Only returns the set of the languages with these tags, in this order. It refuses tags that we have no language for,
// and an empty list.
func Only(tags []string) (*Set, error) {
	var offered []*Language
	for _, tag := range tags {
		l := ByTag(tag)
		if l == nil {
			return nil, fmt.Errorf("%q is none of %s", tag, strings.Join(Tags(), ", "))
		}
		if !slices.Contains(offered, l) {
			offered = append(offered, l)
		}
	}
	if len(offered) == 0 {
		return nil, fmt.Errorf("at least one of %s is needed", strings.Join(Tags(), ", "))
	}
	return newSet(offered), nil
}

func newSet(offered []*Language) *Set {
	return &Set{languages: offered, wishes: map[string]*Language{}, matcher: sync.OnceValue(func() language.Matcher {
		var tags []language.Tag
		for _, l := range offered {
			tags = append(tags, l.tag)
		}
		return language.NewMatcher(tags)
	})}
}

// Languages returns the languages in the order of the switch.
func (s *Set) Languages() []*Language { return s.languages }

// Tags returns the tags of the languages.
func (s *Set) Tags() (tags []string) {
	for _, l := range s.languages {
		tags = append(tags, l.Tag)
	}
	return tags
}

// First returns the language of people who want none that the set has.
func (s *Set) First() *Language { return s.languages[0] }

// Has reports whether the set has a language. It has not nil.
func (s *Set) Has(l *Language) bool { return slices.Contains(s.languages, l) }

// Choose returns the language that a person wants: wanted is a value of Accept-Language, or tags separated by spaces
// (ui_locales). It returns nil if the set has none that they probably understand. It accepts any text.
func (s *Set) Choose(wanted string) *Language {
	if wanted == "" {
		return nil
	}
	if len(wanted) > maxWish {
		wanted = wanted[:maxWish]
		wanted = wanted[:strings.LastIndexAny(wanted, ", ")+1]
	}
	s.mu.RLock()
	l, known := s.wishes[wanted]
	s.mu.RUnlock()
	if known {
		return l
	}
	l = s.match(wanted)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.wishes) >= maxWishes {
		clear(s.wishes)
	}
	s.wishes[strings.Clone(wanted)] = l
	return l
}

func (s *Set) match(wanted string) *Language {
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
	_, index, confidence := s.matcher().Match(tags...)
	if confidence == language.No {
		return nil
	}
	return s.languages[index]
}
