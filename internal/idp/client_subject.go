package idp

import (
	"net/url"
	"strings"
)

// SubjectType says which sub a client sees of a user (OIDC Core §8).
type SubjectType string

const (
	SubjectPublic   SubjectType = "public"   // the same as every other public client
	SubjectPairwise SubjectType = "pairwise" // one that only clients of its sector see
)

// Pairwise reports whether the client sees a sub that no client of another sector sees.
func (c Client) Pairwise() bool { return c.SubjectType == SubjectPairwise }

// Sector is the host that tells the sectors of pairwise clients apart (OIDC Core §8.1): that of sector_identifier_uri, else
// the one host of all redirect URIs; "" if there is no such host.
func (c Client) Sector() string {
	if c.SectorIdentifierURI != "" {
		return webHost(c.SectorIdentifierURI)
	}
	sector := ""
	for i, uri := range c.RedirectURIs {
		host := webHost(uri)
		if i > 0 && host != sector {
			return ""
		}
		sector = host
	}
	return sector
}

// webHost is the host of an http or https URL, in lower case; "" for everything else.
func webHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// subjectFaults says what is wrong with what the client registers about sub.
func (c Client) subjectFaults() (faults []string) {
	if u, err := url.Parse(c.SectorIdentifierURI); c.SectorIdentifierURI != "" &&
		(err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || len(c.SectorIdentifierURI) > maxURI) {
		faults = append(faults, "sector_identifier_uri must be an https URL")
	}
	switch {
	case c.SubjectType != "" && c.SubjectType != SubjectPublic && !c.Pairwise():
		faults = append(faults, "subject_type must be public or pairwise")
	case c.Pairwise() && len(faults) == 0 && c.Sector() == "":
		faults = append(faults, "subject_type pairwise needs redirect_uris on one host, or a sector_identifier_uri")
	}
	return faults
}
