package idp

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Access is what a token lets a client do: scopes, at resources, within authorization details. Each of the three may name
// action classes.
type Access struct {
	Scopes []string
	// Resources are whom the token is for: those that were asked for (RFC 8707), or the client's own audience.
	Resources []string
	Details   Details
}

// A Resource is an API that clients may name in a request (RFC 8707), registered by the operator.
type Resource struct {
	URI         string
	Description string      // in words for the consent screen; empty: its address
	Scopes      []string    // what tokens for it may carry
	Format      TokenFormat // of tokens for it; empty: the client's
	// TTL of tokens for it; zero: the client's. The shortest that anybody asks for counts.
	TTL time.Duration
	// ActionClasses, if any, make it a resource whose tokens only a step-up for each of them can obtain.
	ActionClasses []string
}

// atResource begins the word of a grant that stands for a resource. A scope has no blank (RFC 6749 §3.3).
const atResource = "resource "

// Asks are the words of a grant that a request needs: its scopes, and the resources that it names. The provider itself,
// for userinfo, is covered by the scopes about the user.
func (p Policy) Asks(r Request) []string {
	words := slices.Clone(r.Scopes)
	for _, uri := range r.Resources {
		if _, registered := p.Resources[uri]; registered {
			words = append(words, atResource+uri)
		}
	}
	return words
}

// Say is what a word of a grant lets an application do, for people; empty if there are no words for it.
func (p Policy) Say(word string) string {
	uri, resource := strings.CutPrefix(word, atResource)
	if !resource {
		return p.Scopes[word].Description
	}
	if text := p.Resources[uri].Description; text != "" {
		return text
	}
	_, address, _ := strings.Cut(uri, "://")
	return "Connect to " + cmp.Or(address, uri)
}

// ActionClassesOf returns the classes that scopes, resources and details name, each once, in the order of first mention.
func (p Policy) ActionClassesOf(a Access) []ActionClass {
	var names []string
	for _, scope := range a.Scopes {
		names = append(names, p.Scopes[scope].ActionClass)
	}
	for _, uri := range a.Resources {
		names = append(names, p.Resources[uri].ActionClasses...)
	}
	for _, d := range a.Details {
		names = append(names, p.DetailTypes[d.Type].ActionClass)
	}
	var classes []ActionClass
	for _, name := range names {
		class, ok := p.ActionClasses[name]
		if ok && !slices.ContainsFunc(classes, func(c ActionClass) bool { return c.Name == class.Name }) {
			classes = append(classes, class)
		}
	}
	return classes
}

// Open filters an access down to what stays allowed at now: whatever names an action class ends with its window, counted
// from the one authentication. until is when the first of the others will end; zero if none does.
func (p Policy) Open(a Access, by Assurance, now time.Time) (open Access, until time.Time) {
	within := func(classes ...string) bool {
		var first time.Time
		for _, name := range classes {
			if name == "" {
				continue
			}
			end := by.AuthTime.Add(p.ActionClasses[name].Window) // one that is no longer configured has no window
			if !slices.Contains(by.ActionClasses, name) || !now.Before(end) {
				return false
			}
			if first.IsZero() || end.Before(first) {
				first = end
			}
		}
		if !first.IsZero() && (until.IsZero() || first.Before(until)) {
			until = first
		}
		return true
	}
	open.Scopes = filter(a.Scopes, func(scope string) bool { return within(p.Scopes[scope].ActionClass) })
	open.Resources = filter(a.Resources, func(uri string) bool { return within(p.Resources[uri].ActionClasses...) })
	open.Details = filter(a.Details, func(d Detail) bool {
		t, known := p.DetailTypes[d.Type]
		return known && within(t.ActionClass)
	})
	return open, until
}

// filter returns what is ok of a list: mostly all, and then it is the list itself. So whoever gets it changes nothing in it.
func filter[S ~[]E, E any](list S, ok func(E) bool) S {
	for i := range list {
		if ok(list[i]) {
			continue
		}
		out := slices.Clone(list[:i])
		for _, e := range list[i+1:] {
			if ok(e) {
				out = append(out, e)
			}
		}
		return out
	}
	return list
}

// Holds reports whether every window that an access needs is open at now.
func (p Policy) Holds(a Access, by Assurance, now time.Time) bool {
	open, _ := p.Open(a, by, now)
	return len(open.Scopes) == len(a.Scopes) && len(open.Resources) == len(a.Resources) && len(open.Details) == len(a.Details)
}
