// Package policy reads the settings with a structure: scopes, resources, types of authorization_details and the
// assurance that they need.
package policy

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
)

// The structured settings, allowed only in the YAML file.
type (
	scopeEntry struct {
		Description string `yaml:"description"`
		ActionClass string `yaml:"action-class"`
	}
	classEntry struct {
		Description string        `yaml:"description"`
		ACR         string        `yaml:"acr"`
		Window      time.Duration `yaml:"window"`
		Shared      bool          `yaml:"shared"`
	}
	aliasEntry struct {
		ACR    string        `yaml:"acr"`
		MaxAge time.Duration `yaml:"max-age"`
	}
	resourceEntry struct {
		Description       string        `yaml:"description"`
		Scopes            []string      `yaml:"scopes"`
		AccessTokenFormat string        `yaml:"access-token-format"`
		AccessTokenTTL    time.Duration `yaml:"access-token-ttl"`
		ActionClasses     []string      `yaml:"action-classes"`
	}
	decayEntry struct {
		Absolute time.Duration `yaml:"absolute"`
		Idle     time.Duration `yaml:"idle"`
	}
)

// A File is the part of the YAML file, or of a policy in the store, that describes scopes and assurance.
type File struct {
	Scopes        map[string]scopeEntry    `yaml:"scopes"`
	ActionClasses map[string]classEntry    `yaml:"action-classes"`
	ACRAliases    map[string]aliasEntry    `yaml:"acr-aliases"`
	ACRDecay      map[string]decayEntry    `yaml:"acr-decay"`
	Resources     map[string]resourceEntry `yaml:"resources"`
	DetailTypes   map[string]detailEntry   `yaml:"authorization-details-types"`
}

// Keys are the keys of a File, with their texts for the documentation.
var Keys = map[string]string{
	"scopes": "Scopes that applications may request besides the standard ones: the text for the consent screen, and " +
		"an action class if the scope is risky.",
	"action-classes": "Named kinds of risky action: the text for the step-up, the acr it needs and how long its " +
		"window stays open. A window is open for the application that asked for it; with `shared: true` for all " +
		"first-party applications.",
	"acr-aliases": "Your own acr names: each stands for `phr` or `phrh`, within a maximum age.",
	"resources": "APIs that applications may request tokens for by URI (`resource`, RFC 8707): the text for the " +
		"consent screen (default: their address), the scopes allowed in such a token, its format (`jwt` or `opaque`) " +
		"and lifetime if they differ from the application's, and action classes if every token for the API needs a " +
		"confirmation.",
	"authorization-details-types": "Types of `authorization_details` (RFC 9396): a JSON schema (references are not " +
		"fetched), the text that people read, with members in braces, and an action class if the type is risky.",
	"acr-decay": "How long `phr` (24h, idle 1h) and `phrh` (12h, idle 15m) last.",
}

// reservedClasses are the classes of Stepward's own pages. They are part of every policy.
var reservedClasses = map[string]idp.ActionClass{
	"account": {
		Name: "account", Description: "change how you sign in", ACR: idp.ACRPhishingResistant, Window: 5 * time.Minute,
	},
	"admin": {Name: "admin", Description: "manage this server", ACR: idp.ACRPhishingResistant, Window: 5 * time.Minute},
}

// standardScopes are the scopes of OIDC Core §5.4 and §11, with their text for the consent screen.
var standardScopes = []idp.Scope{
	{Name: "openid", Description: "Know that it is you"},
	{Name: "profile", Description: "See your name and profile"},
	{Name: "email", Description: "See your e-mail address"},
	{Name: "address", Description: "See your postal address"},
	{Name: "phone", Description: "See your phone number"},
	{Name: "groups", Description: "See the groups you belong to"},
	{Name: "offline_access", Description: "Stay connected while you are away"},
}

// Default returns the policy without any settings.
func Default() idp.Policy {
	p := idp.Policy{
		Scopes:        map[string]idp.Scope{},
		ActionClasses: maps.Clone(reservedClasses),
		Aliases:       map[string]idp.Alias{},
		Decay:         idp.DefaultDecay(),
		Resources:     map[string]idp.Resource{},
		DetailTypes:   map[string]idp.DetailType{},
	}
	for _, scope := range standardScopes {
		p.Scopes[scope.Name] = scope
	}
	return p
}

// Policy returns the policy and reports each fault under its key.
func (f File) Policy(fault func(setting, message string)) idp.Policy {
	p := Default()
	f.addClasses(p, fault)
	f.addScopes(p, fault)
	for _, uri := range slices.Sorted(maps.Keys(f.Resources)) {
		p.Resources[uri] = f.Resources[uri].resource(uri, p, func(message string) { fault("resources."+uri, message) })
	}
	for _, name := range slices.Sorted(maps.Keys(f.DetailTypes)) {
		p.DetailTypes[name] = f.DetailTypes[name].detailType(name, p, func(message string) {
			fault("authorization-details-types."+name, message)
		})
	}
	f.addACRs(p, fault)
	for _, name := range slices.Sorted(maps.Keys(f.ActionClasses)) {
		c := p.ActionClasses[name]
		if lasts := p.Decay[c.ACR].Absolute; lasts > 0 && c.Window > lasts {
			fault("action-classes."+name+".window", fmt.Sprintf("%s is longer than %s lasts, which is %s (acr-decay): "+
				"the window would never stay open to its end", duration.Short(c.Window), c.ACR, duration.Short(lasts)))
		}
	}
	return p
}

func standardACR(v string) bool {
	return v == idp.ACRPhishingResistant || v == idp.ACRPhishingResistantHardware
}

func (f File) addClasses(p idp.Policy, fault func(setting, message string)) {
	for _, name := range slices.Sorted(maps.Keys(f.ActionClasses)) {
		entry, key := f.ActionClasses[name], "action-classes."+name
		if !ScopeToken(name) {
			fault(key, "must be a name without spaces, quotes or backslashes, such as payments")
		}
		if _, taken := reservedClasses[name]; taken {
			fault(key, "is reserved for Stepward; choose another name")
			continue
		}
		if entry.ACR == "" {
			entry.ACR = idp.ACRPhishingResistant
		}
		if !standardACR(entry.ACR) {
			fault(key+".acr", fmt.Sprintf("%q is not phr or phrh", entry.ACR))
		}
		if entry.Window < 10*time.Second || entry.Window > 12*time.Hour {
			given := duration.Short(entry.Window) + " is not"
			if entry.Window == 0 {
				given = "is missing; write a duration"
			}
			fault(key+".window", given+" between 10s and 12h; 5m is usual")
		}
		if entry.Description == "" {
			fault(key+".description", "is missing; write the end of "+
				`"… asks you to confirm it's you before you …", such as: make a payment`)
		}
		p.ActionClasses[name] = idp.ActionClass{
			Name: name, Description: entry.Description, ACR: entry.ACR, Window: entry.Window, Shared: entry.Shared,
		}
	}
}

func (f File) addScopes(p idp.Policy, fault func(setting, message string)) {
	for _, name := range slices.Sorted(maps.Keys(f.Scopes)) {
		entry, key := f.Scopes[name], "scopes."+name
		if !ScopeToken(name) {
			fault(key, "is not a scope token (RFC 6749 §3.3): no spaces, quotes or backslashes")
		}
		if strings.HasPrefix(name, OwnScopes) {
			fault(key, "is reserved for Stepward; choose a name that does not begin with "+OwnScopes)
		}
		if _, known := p.ActionClasses[entry.ActionClass]; entry.ActionClass != "" && !known {
			fault(key+".action-class", fmt.Sprintf("%q is not among action-classes", entry.ActionClass))
		}
		if slices.ContainsFunc(standardScopes, func(s idp.Scope) bool { return s.Name == name }) && entry.ActionClass != "" {
			fault(key+".action-class", "a standard scope cannot have an action class; define your own scope")
		}
		if entry.Description == "" {
			fault(key+".description", "is missing; describe what the application may do with it")
		}
		p.Scopes[name] = idp.Scope{Name: name, Description: entry.Description, ActionClass: entry.ActionClass}
	}
}

// addACRs adds the operator's own acr names, and how long an acr lasts.
func (f File) addACRs(p idp.Policy, fault func(setting, message string)) {
	for _, name := range slices.Sorted(maps.Keys(f.ACRAliases)) {
		entry, key := f.ACRAliases[name], "acr-aliases."+name
		if standardACR(name) || !ScopeToken(name) {
			fault(key, "must be your own name without spaces, such as urn:example:gold")
		}
		if !standardACR(entry.ACR) {
			fault(key+".acr", fmt.Sprintf("%q is not phr or phrh", entry.ACR))
		}
		p.Aliases[name] = idp.Alias{ACR: entry.ACR, MaxAge: entry.MaxAge}
	}
	for _, name := range slices.Sorted(maps.Keys(f.ACRDecay)) {
		entry, key := f.ACRDecay[name], "acr-decay."+name
		if !standardACR(name) {
			fault(key, "only phr and phrh decay; use max-age for an alias")
			continue
		}
		if entry.Absolute <= 0 || entry.Idle <= 0 {
			fault(key, "needs both absolute and idle, such as absolute: 24h and idle: 1h")
		}
		p.Decay[name] = idp.Decay{Absolute: entry.Absolute, Idle: entry.Idle}
	}
}

// resource returns the resource, and reports its faults.
func (e resourceEntry) resource(uri string, p idp.Policy, fault func(message string)) idp.Resource {
	u, err := url.Parse(uri)
	if err != nil || !u.IsAbs() || strings.Contains(uri, "#") || !ScopeToken(uri) {
		fault("must be an absolute URI of at most 128 visible characters without fragment (RFC 8707 §2), " +
			"such as https://api.example.com")
	}
	for _, scope := range e.Scopes {
		_, known := p.Scopes[scope]
		switch {
		case !known:
			fault(fmt.Sprintf("scope %q is not among scopes", scope))
		case slices.Contains(idp.StandardScopes, scope) && scope != "groups":
			fault(fmt.Sprintf("scope %q is about the user and only for userinfo", scope))
		}
	}
	for _, class := range e.ActionClasses {
		if _, known := p.ActionClasses[class]; !known {
			fault(fmt.Sprintf("action class %q is not among action-classes", class))
		}
	}
	format := idp.TokenFormat(e.AccessTokenFormat)
	if format != "" && format != idp.FormatJWT && format != idp.FormatOpaque {
		fault(fmt.Sprintf("access-token-format %q is neither jwt nor opaque", format))
	}
	if e.AccessTokenTTL != 0 && (e.AccessTokenTTL < 10*time.Second || e.AccessTokenTTL > 24*time.Hour) {
		fault(fmt.Sprintf("access-token-ttl %s is not between 10s and 24h", duration.Short(e.AccessTokenTTL)))
	}
	return idp.Resource{
		URI: uri, Description: e.Description, Scopes: e.Scopes, Format: format, TTL: e.AccessTokenTTL,
		ActionClasses: e.ActionClasses,
	}
}

// ScopeToken reports whether s is a scope-token of RFC 6749 §3.3, at most 128 bytes.
func ScopeToken(s string) bool {
	return s != "" && len(s) <= 128 && strings.IndexFunc(s, func(r rune) bool {
		return r <= 0x20 || r == '"' || r == '\\' || r > 0x7e
	}) < 0
}
