package idp

import (
	"net/url"
	"strings"
)

// SubjectType is the kind of sub a client sees (OIDC Core §8).
type SubjectType string

const (
	SubjectPublic   SubjectType = "public"   // the same sub for every public client
	SubjectPairwise SubjectType = "pairwise" // a sub of the client's sector
)

// Pairwise reports whether the client's sub values are specific to its sector.
func (c Client) Pairwise() bool { return c.SubjectType == SubjectPairwise }

// Sector returns the host that separates the sectors of pairwise clients (OIDC Core §8.1): the host of
// sector_identifier_uri, or else the one host of all redirect URIs; "" if they have several.
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

// webHost returns the host of an http or https URL in lower case; "" for anything else.
func webHost(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// subjectFaults describes what is wrong with the client's subject type and sector.
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
