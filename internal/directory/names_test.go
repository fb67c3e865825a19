package directory_test

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

func TestANameMustBeVisible(t *testing.T) {
	for name, want := range map[string]string{
		"Ada":                      "Ada",
		"  Acme \t Bank\n":         "Acme Bank",
		"7":                        "7",
		"李":                        "李",
		"☕":                        "☕",
		"\u202eknaB emcA":          "knaB emcA",
		"Ada\x1b[31m":              "Ada[31m",
		strings.Repeat("ä", 80):    strings.Repeat("ä", 80),
		strings.Repeat("ä", 81):    "",
		"":                         "",
		" \u2028 ":                 "",
		"\u200b":                   "",
		"\ufeff\u00ad\u2060":       "",
		"\u3164":                   "",
		"\u2800\u115f\u1160\uffa0": "",
		"\u0301":                   "",
		"\U000e0041":               "",
		"Ada\xff":                  "",
	} {
		got, ok := directory.NormalizeName(name)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", name, got, ok, want)
		}
	}
}
