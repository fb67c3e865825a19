package web

import (
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/words"
)

// Agent describes the browser of a User-Agent header in a few words: "Firefox on macOS". Unknown browsers are "a
// browser". The result is one of a fixed set of texts, whatever the header contains.
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

// AgentWords returns the text for a result of [Agent], which is stored in English.
func AgentWords(stored string) words.Text {
	browser, system, on := strings.Cut(stored, " on ")
	var who any = browser
	if i := slices.Index(unnamed, browser); i >= 0 {
		who = words.T([]string{"agent.unknown", "agent.browser", "agent.view", "agent.go", "agent.python"}[i])
	}
	if on {
		return words.T("agent.on", "browser", who, "system", system)
	}
	return words.T("agent.alone", "browser", who)
}

// unnamed are the browsers that have no name.
var unnamed = []string{"unknown browser", "a browser", "a web view", "a Go program", "a Python program"}

// The order matters, because most browsers also claim to be Chrome, Safari and Mozilla.
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

// iPadOS says Macintosh unless asked for the mobile page; the two cannot be distinguished.
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
