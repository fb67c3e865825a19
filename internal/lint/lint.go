// Package lint finds what can never work, or soon will not: in the policy and in the registered clients. It is pure;
// package console shows its findings, and the command lint prints them.
package lint

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

const (
	// ExpirySoon is how early the end of a secret is reported.
	ExpirySoon = 14 * 24 * time.Hour
	// OnlyErrors is how long a client may get nothing but errors.
	OnlyErrors = 7 * 24 * time.Hour
)

// A Use is what a client did last. Zero: never.
type Use struct{ TokensAt, ErrorAt time.Time }

// Facts is the complete input of [Check].
type Facts struct {
	Policy  idp.Policy
	Clients []idp.Client
	Uses    map[string]Use // by client ID; nil: not known
	// Hardware means that attestations are verified against metadata, without which no passkey reaches phrh.
	Hardware bool
	Now      time.Time
}

// A Finding is something to look at. Text says what, and Remedy what to do; both are in the catalogue.
type Finding struct {
	Code     string
	ClientID string // empty: it is about the settings
	Text     words.Text
	Remedy   words.Text
}

func finding(code, clientID string, args ...any) Finding {
	return Finding{code, clientID, words.T("lint."+code+".what", args...), words.T("lint." + code + ".remedy")}
}

// Check returns the findings: those about the settings first, then those of each client.
func Check(f Facts) []Finding {
	found := policy(f)
	for _, c := range f.Clients {
		if c.DisabledAt.IsZero() && !c.Dynamic { // of those that registered themselves, nobody here chose anything
			found = append(found, client(f, c)...)
		}
	}
	return found
}

// own reports whether a scope is one of the admin API. It is always there, and not every operator uses it.
func own(scope string) bool { return strings.HasPrefix(scope, "stepward:") }

func policy(f Facts) (found []Finding) {
	p := f.Policy
	used := map[string]bool{}
	for _, c := range f.Clients {
		for _, names := range [][]string{c.Scopes, c.Resources, c.Serves, c.Audience, c.DetailTypes} {
			for _, name := range names {
				used[name] = true
			}
		}
		for _, acr := range append(slices.Clone(c.DefaultACRValues), c.MinimumACR) {
			used["acr "+acr] = true
		}
		if len(c.Resources) == 0 && slices.ContainsFunc(c.GrantTypes, idp.SignsIn) { // it may request every resource
			for uri := range p.Resources {
				used[uri] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.Scopes)) {
		if !used[name] && !slices.Contains(idp.StandardScopes, name) && !own(name) {
			found = append(found, finding("scope", "", "name", name))
		}
		used["class "+p.Scopes[name].ActionClass] = true
	}
	for _, uri := range slices.Sorted(maps.Keys(p.Resources)) {
		if !used[uri] && !slices.ContainsFunc(p.Resources[uri].Scopes, own) {
			found = append(found, finding("resource", "", "name", uri))
		}
		for _, class := range p.Resources[uri].ActionClasses {
			used["class "+class] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(p.DetailTypes)) {
		if !used[name] {
			found = append(found, finding("detail", "", "name", name))
		}
		used["class "+p.DetailTypes[name].ActionClass] = true
	}
	for _, name := range slices.Sorted(maps.Keys(p.ActionClasses)) {
		class := p.ActionClasses[name]
		own := name == "admin" || name == "account"
		decay := p.Decay[class.ACR]
		switch {
		case own:
		case !used["class "+name]:
			found = append(found, finding("class", "", "name", name))
		case class.ACR == idp.ACRPhishingResistantHardware && !f.Hardware:
			found = append(found, finding("class_acr", "", "name", name))
		case decay.Absolute > 0 && class.Window > decay.Absolute:
			found = append(found, finding("window", "", "name", name, "window", class.Window, "decay", decay.Absolute))
		case decay.Idle > 0 && class.Window > decay.Idle:
			found = append(found, finding("idle", "", "name", name, "window", class.Window, "decay", decay.Idle))
		}
	}
	return found
}

func client(f Facts, c idp.Client) (found []Finding) {
	add := func(code string, args ...any) {
		found = append(found, finding(code, c.ID, append([]any{"client", c.Name}, args...)...))
	}
	if acr, _, _ := f.Policy.Resolve(c.MinimumACR); acr == idp.ACRPhishingResistantHardware && !f.Hardware {
		add("acr", "acr", c.MinimumACR)
	}
	if home := host(c.URI); home != "" {
		for _, uri := range c.RedirectURIs {
			if at := host(uri); at != "" && !idp.Loopback(at) && !related(at, home) {
				add("host", "host", at, "home", home)
				break
			}
		}
	}
	var ends time.Time // of the last secret to end
	endless := len(c.Secrets) == 0
	for _, s := range c.Secrets {
		endless = endless || s.ExpiresAt.IsZero()
		if s.ExpiresAt.After(ends) {
			ends = s.ExpiresAt
		}
	}
	switch {
	case endless:
	case !ends.After(f.Now):
		add("expired")
	case ends.Before(f.Now.Add(ExpirySoon)):
		add("expiring", "date", ends)
	}
	if u, known := f.Uses[c.ID]; known && f.Now.Sub(u.ErrorAt) < OnlyErrors && f.Now.Sub(u.TokensAt) > OnlyErrors &&
		f.Now.Sub(c.CreatedAt) > OnlyErrors {
		add("errors")
	}
	return found
}

// host returns the host of an https or http URL; "" for others.
func host(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// related reports whether one host is the other, below it, or beside it: app.example.com and www.example.com.
func related(a, b string) bool {
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a) ||
		parent(a) != "" && parent(a) == parent(b)
}

// parent returns the host above another one, if that can be somebody's: it has a dot.
func parent(host string) string {
	_, above, _ := strings.Cut(host, ".")
	if !strings.Contains(above, ".") {
		return ""
	}
	return above
}
