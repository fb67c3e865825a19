package idp

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Access is what a token allows: scopes, resources and authorization details. Any of them may name action classes.
type Access struct {
	Scopes []string
	// Resources are the APIs the token is for: the requested ones (RFC 8707), or the client's own audience.
	Resources []string
	Details   Details
}

// A Resource is an API that clients may request tokens for (RFC 8707). The operator registers it.
type Resource struct {
	URI         string
	Description string      // shown on the consent screen; empty: its address
	Scopes      []string    // allowed in tokens for it
	Format      TokenFormat // of tokens for it; empty: the client's
	// TTL of tokens for it; zero: the client's. The shortest of all that apply wins.
	TTL time.Duration
	// ActionClasses, if any, must each be opened by a step-up before tokens for the resource are issued.
	ActionClasses []string
}

// AtResource is the prefix of a grant entry that stands for a resource. A scope has no space (RFC 6749 §3.3).
const AtResource = "resource "

// GrantEntries returns the grant entries that a request needs: its scopes and the registered resources it names. The
// provider's own userinfo needs no entry; the scopes about the user cover it.
func (p Policy) GrantEntries(r Request) []string {
	entries := slices.Clone(r.Scopes)
	for _, uri := range r.Resources {
		if _, registered := p.Resources[uri]; registered {
			entries = append(entries, AtResource+uri)
		}
	}
	return entries
}

// DescribeEntry describes a grant entry to a person; empty if it has no description.
func (p Policy) DescribeEntry(entry string) string {
	uri, resource := strings.CutPrefix(entry, AtResource)
	if !resource {
		return p.Scopes[entry].Description
	}
	if text := p.Resources[uri].Description; text != "" {
		return text
	}
	_, address, _ := strings.Cut(uri, "://")
	return "Connect to " + cmp.Or(address, uri)
}

// ActionClassesOf returns the classes of scopes, resources and details, each once, in the order of first mention.
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

// Open returns the part of a that is still allowed at now. A part with action classes is allowed until their windows
// end, counted from the AuthTime of by. until is when the first open window ends; zero if none is open.
func (p Policy) Open(a Access, by Assurance, now time.Time) (open Access, until time.Time) {
	within := func(classes ...string) bool {
		var first time.Time
		for _, name := range classes {
			if name == "" {
				continue
			}
			end := by.AuthTime.Add(p.ActionClasses[name].Window) // a class that is no longer configured has no window
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

// filter returns the elements that are ok. If all are, it returns list itself, so callers must not change the result.
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

// Holds reports whether every window that a needs is open at now.
func (p Policy) Holds(a Access, by Assurance, now time.Time) bool {
	open, _ := p.Open(a, by, now)
	return len(open.Scopes) == len(a.Scopes) && len(open.Resources) == len(a.Resources) &&
		len(open.Details) == len(a.Details)
}
