package oauth

import (
	"log/slog"
	"net/url"
	"strconv"
	"strings"
)

// maxSent bounds what the log repeats of a request, in bytes.
const maxSent = 200

// Sent returns a log attribute with what a request sent and was refused for, so that the people who run the application
// find the mistake: quoted, in ASCII, and cut. It is for values that are no secrets.
func Sent(name, value string) slog.Attr {
	more := ""
	if len(value) > maxSent {
		value, more = value[:maxSent], "…"
	}
	return slog.String(name, strconv.QuoteToASCII(value)+more)
}

// SentURI is Sent for an address. User, query and fragment are left out: they can hold secrets.
func SentURI(name, uri string) slog.Attr {
	end := strings.IndexAny(uri, "?#")
	rest := ""
	if end >= 0 {
		uri, rest = uri[:end], uri[end:end+1]+"…"
	}
	if u, err := url.Parse(uri); err != nil || u.User != nil {
		if _, after, ok := strings.Cut(uri, "@"); ok {
			uri = "...@" + after
		}
	}
	at := Sent(name, uri)
	return slog.String(name, at.Value.String()+rest)
}
