package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// maxRelatedLabels is how many labels of related origins browsers must accept (WebAuthn L3 §5.11).
const maxRelatedLabels = 5

// setRelatedOrigins reads https origins.
func setRelatedOrigins(c *Config, v string) error {
	for _, item := range strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' }) {
		u, err := origin(item)
		if err != nil {
			return fmt.Errorf("%q %w; use an https origin, such as https://login.example.org", item, err)
		}
		if fault := relyingPartyFault(u.Hostname()); u.Scheme != "https" || u.Hostname() == "localhost" || fault != "" {
			return fmt.Errorf("%q is not the https origin of a host with a full name; use https://login.example.org", item)
		}
		if !slices.Contains(c.RelatedOrigins, u.String()) {
			c.RelatedOrigins = append(c.RelatedOrigins, u.String())
		}
	}
	return nil
}

// PasskeyHost is the host that the passkeys are made for: their RP ID (WebAuthn L3 §5.1.2).
func (c *Config) PasskeyHost() string {
	if c.RPID != "" {
		return c.RPID
	}
	return c.Issuer.Hostname()
}

// beside reports whether browsers take passkeys of PasskeyHost to the issuer only because that host lists it.
func (c *Config) beside() bool {
	host, own := c.PasskeyHost(), c.Issuer.Hostname()
	return own != host && !strings.HasSuffix(own, "."+host)
}

// PublishedOrigins are the origins that PasskeyHost lists at /.well-known/webauthn: those of related-origins, and the
// issuer's if it needs that. None: there is no list.
func (c *Config) PublishedOrigins() []string {
	list := slices.Clone(c.RelatedOrigins)
	if own := c.Issuer.String(); c.beside() && !slices.Contains(list, own) {
		list = append([]string{own}, list...)
	}
	return list
}

// relatedLabel is what browsers count of an origin (WebAuthn L3 §5.11.1): the label before the public suffix.
func relatedLabel(related string) string {
	u, err := url.Parse(related)
	if err != nil {
		return related
	}
	domain, err := publicsuffix.EffectiveTLDPlusOne(u.Hostname())
	if err != nil { // a public suffix itself
		return u.Hostname()
	}
	label, _, _ := strings.Cut(domain, ".")
	return label
}

func crossCheckOrigins(c *Config, values map[string]value, fault func(setting, source, message string)) {
	if c.Issuer == nil {
		return
	}
	host := c.PasskeyHost()
	if c.RPID != "" {
		suffix, _ := publicsuffix.PublicSuffix(host)
		switch {
		case c.Issuer.Scheme != "https" && host != c.Issuer.Hostname():
			fault("rp-id", values["rp-id"].source, "needs an issuer with https: browsers look at its list only from there")
		case suffix == host:
			fault("rp-id", values["rp-id"].source,
				fmt.Sprintf("%q is a suffix under which anybody may have a name, so browsers make no passkeys for it", host))
		}
	}
	if c.NewRPID != "" && c.NewRPID != host {
		fault("new-rp-id", values["new-rp-id"].source,
			fmt.Sprintf("%q is not the host that passkeys are made for, which is %s; remove it, or name that host",
				c.NewRPID, host))
	}
	var labels []string
	for _, related := range c.PublishedOrigins() {
		if label := relatedLabel(related); !slices.Contains(labels, label) {
			labels = append(labels, label)
		}
	}
	if len(labels) > maxRelatedLabels {
		fault("related-origins", values["related-origins"].source, fmt.Sprintf(
			"has %d different names before the public suffix (%s); browsers read the first %d and ignore the rest",
			len(labels), strings.Join(labels, ", "), maxRelatedLabels))
	}
}
