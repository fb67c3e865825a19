package web

import (
	"slices"
	"strings"
	"testing"
)

func TestAgentReturnsFamiliarBrowserNames(t *testing.T) {
	for userAgent, want := range map[string]string{
		"": "unknown browser",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:145.0) Gecko/20100101 Firefox/145.0":                                                       "Firefox on macOS",
		"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Safari/605.1.15":                      "Safari on macOS",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                            "Chrome on Windows",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0":              "Edge on Windows",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 OPR/125.0.0.0":                        "Opera on Linux",
		"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36":                             "Chrome on ChromeOS",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/26.0 Mobile/15E148 Safari/604.1":    "Safari on iPhone",
		"Mozilla/5.0 (iPad; CPU OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/142.0.0.0 Mobile/15E148 Safari/604.1":          "Chrome on iPad",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 26_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/145.0 Mobile/15E148 Safari/605.1.15":  "Firefox on iPhone",
		"Mozilla/5.0 (Linux; Android 16; SM-S938B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/29.0 Chrome/136.0.0.0 Mobile Safari/537.36": "Samsung Internet on Android",
		"Mozilla/5.0 (Android 16; Mobile; rv:145.0) Gecko/145.0 Firefox/145.0":                                                                       "Firefox on Android",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 18_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148":                              "a web view on iPhone",
		"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/142.0.0.0 Safari/537.36":                              "Chrome on Linux",
		"curl/8.14.1":                 "curl",
		"Go-http-client/2.0":          "a Go program",
		"<script>alert(1)</script>":   "a browser",
		strings.Repeat("x", 1<<20):    "a browser",
		"Firefox/1 \x00\xff\xfe evil": "Firefox",
	} {
		if got := Agent(userAgent); got != want {
			t.Errorf("Agent(%.80q) = %q, want %q", userAgent, got, want)
		}
	}
}

func FuzzAgentSaysOnlyWhatItKnows(f *testing.F) {
	f.Add("Mozilla/5.0 (Macintosh) Firefox/145.0")
	f.Add("\xff\x00<b>")
	known := []string{"unknown browser", "a browser"}
	for _, b := range append(slices.Clone(browsers), [2]string{"", "a browser"}) {
		known = append(known, b[1])
		for _, s := range systems {
			known = append(known, b[1]+" on "+s[1])
		}
	}
	f.Fuzz(func(t *testing.T, userAgent string) {
		if got := Agent(userAgent); !slices.Contains(known, got) {
			t.Errorf("Agent(%q) = %q", userAgent, got)
		}
	})
}
