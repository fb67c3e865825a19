package web

import "strings"

// Agent says in a few words which browser a User-Agent header speaks of: "Firefox on macOS". It knows what people use and
// calls the rest "a browser"; its answer is one of a fixed set of words, whatever the header holds.
func Agent(userAgent string) string {
	if userAgent == "" {
		return "unknown browser"
	}
	userAgent = bounded(userAgent, 512)
	browser := firstMatch(userAgent, browsers, "a browser")
	if system := firstMatch(userAgent, systems, ""); system != "" {
		return browser + " on " + system
	}
	return browser
}

// The order matters: nearly everybody also claims to be Chrome, Safari and Mozilla.
var browsers = [][2]string{
	{"Edg", "Edge"},
	{"OPR/", "Opera"},
	{"Vivaldi/", "Vivaldi"},
	{"YaBrowser/", "Yandex Browser"},
	{"SamsungBrowser/", "Samsung Internet"},
	{"DuckDuckGo/", "DuckDuckGo"},
	{"Ddg/", "DuckDuckGo"},
	{"FxiOS/", "Firefox"},
	{"Firefox/", "Firefox"},
	{"CriOS/", "Chrome"},
	{"HeadlessChrome/", "Chrome"},
	{"Chrome/", "Chrome"},
	{"Safari/", "Safari"},
	{"AppleWebKit/", "a web view"},
	{"curl/", "curl"},
	{"Go-http-client/", "a Go program"},
	{"python-", "a Python program"},
}

// iPadOS says Macintosh unless asked for the mobile page, which nobody can tell apart.
var systems = [][2]string{
	{"iPhone", "iPhone"},
	{"iPad", "iPad"},
	{"Android", "Android"},
	{"CrOS", "ChromeOS"},
	{"Windows", "Windows"},
	{"Macintosh", "macOS"},
	{"Linux", "Linux"},
	{"FreeBSD", "FreeBSD"},
	{"OpenBSD", "OpenBSD"},
}

func firstMatch(s string, table [][2]string, otherwise string) string {
	for _, row := range table {
		if strings.Contains(s, row[0]) {
			return row[1]
		}
	}
	return otherwise
}
