package idp

import (
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"
)

// WantsLogout reports whether the client wants to be notified when sessions end.
func (c Client) WantsLogout() bool {
	return c.BackchannelLogoutURI != "" || c.FrontchannelLogoutURI != ""
}

// logoutFaults describes what is wrong with the client's logout URIs.
func (c Client) logoutFaults(p Policy) (faults []string) {
	parse := func(uri string) *url.URL {
		u, err := url.Parse(uri)
		if err != nil || !webURL(u) || u.User != nil || strings.Contains(uri, "#") ||
			len(uri) > 2048 || !utf8.ValidString(uri) {
			return nil
		}
		return u
	}
	if uri := c.BackchannelLogoutURI; uri != "" {
		switch u := parse(uri); {
		case u == nil:
			faults = append(faults, "backchannel_logout_uri must be an https URL without a fragment")
		case u.Scheme != "https" && !p.Development:
			faults = append(faults, "backchannel_logout_uri must be https; http on this machine is for an issuer that is so too")
		}
	}
	if uri := c.FrontchannelLogoutURI; uri != "" {
		u := parse(uri)
		sameOrigin := func(redirect string) bool { // Front-Channel Logout §2
			r, err := url.Parse(redirect)
			return err == nil && r.Scheme == u.Scheme && strings.EqualFold(r.Host, u.Host)
		}
		switch {
		case u == nil:
			faults = append(faults, "frontchannel_logout_uri must be an https URL without a fragment")
		case !slices.ContainsFunc(c.RedirectURIs, sameOrigin):
			faults = append(faults, "frontchannel_logout_uri must have scheme, host and port of one of the redirect_uris")
		}
	}
	return faults
}
