// These tests are inside the package: they make and read user codes without a device.
package device

import (
	"strings"
	"testing"
)

func TestUserCodesAreReadInAnySpelling(t *testing.T) {
	for typed, want := range map[string]string{
		"WDJBMJHT":                            "WDJBMJHT",
		"WDJB-MJHT":                           "WDJBMJHT",
		"wdjb-mjht":                           "WDJBMJHT",
		"  wd jb — mj\tht\n":                  "WDJBMJHT",
		"w.d.j.b_mjht":                        "WDJBMJHT",
		"WDJB‑MJHT":                           "WDJBMJHT", // non-breaking hyphen
		"WDJB−MJHT":                           "WDJBMJHT", // minus
		"\u200eWDJB-MJHT\u200f":               "WDJBMJHT", // copied from bidirectional text
		"":                                    "",
		"--------":                            "",
		"WDJBMJH":                             "",
		"WDJBMJHTT":                           "",
		"WDJB-MJHA":                           "", // a vowel
		"WDJB-MJH1":                           "",
		"WDJB-MJHÇ":                           "",
		"WDJB-MJHT'--":                        "",
		"WDJB-MJHT" + strings.Repeat(" ", 56): "",
	} {
		got, ok := readUserCode(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q: %q %v, want %q", typed, got, ok, want)
		}
	}
}

func TestUserCodesAreUnambiguousAndRandom(t *testing.T) {
	seen, letters := map[string]bool{}, map[rune]int{}
	for range 2000 {
		code := newUserCode()
		if read, ok := readUserCode(strings.ToLower(groupedUserCode(code))); !ok || read != code || seen[code] {
			t.Fatalf("%q is read as %q", code, read)
		}
		seen[code] = true
		for _, r := range code {
			letters[r]++
		}
	}
	for _, r := range userCodeAlphabet { // 800 of each are expected; 500 is ten standard deviations away
		if letters[r] < 500 || letters[r] > 1100 {
			t.Errorf("%c came %d times of 16000", r, letters[r])
		}
	}
	if len(letters) != len(userCodeAlphabet) {
		t.Errorf("%d letters", len(letters))
	}
}

func FuzzUserCode(f *testing.F) {
	for _, seed := range []string{"WDJB-MJHT", "wdjb mjht", "", "ß", "WDJB\xff", "ſſſſſſſſ", "WDJB-MJHT-"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := readUserCode(typed)
		if !ok {
			return
		}
		if again, ok := readUserCode(groupedUserCode(code)); !ok || again != code || strings.Trim(code, userCodeAlphabet) != "" {
			t.Errorf("%q is read as %q, and that as %q", typed, code, again)
		}
	})
}
