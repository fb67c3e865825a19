package web

import (
	"os"
	"regexp"
	"testing"
)

// tokens reads the colours of app.css: name -> on paper, on ink.
func tokens(t *testing.T) map[string][2]rgb {
	t.Helper()
	css, err := os.ReadFile("static/app.css")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][2]rgb{}
	for _, m := range regexp.MustCompile(`--([a-z-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)`).FindAllStringSubmatch(string(css), -1) {
		light, err := parseColour(m[2])
		if err != nil {
			t.Fatal(err)
		}
		dark, err := parseColour(m[3])
		if err != nil {
			t.Fatal(err)
		}
		found[m[1]] = [2]rgb{light, dark}
	}
	return found
}

func TestTextHasContrastSevenOnEveryGround(t *testing.T) {
	colours := tokens(t)
	for _, pair := range []struct {
		text, ground string
		least        float64
	}{
		{"text", "paper", 7},
		{"text", "card", 7},
		{"text", "wash", 7},
		{"quiet", "paper", 7},
		{"quiet", "card", 7},
		{"quiet", "wash", 7},
		{"accent", "paper", 7},
		{"accent", "card", 7},
		{"accent", "wash", 7},
		{"on-accent", "accent", 7},
		{"danger", "paper", 7},
		{"danger", "card", 7},
		{"danger", "danger-wash", 7},
		{"edge", "paper", 3},
		{"edge", "card", 3}, // what is not text (WCAG 2.2 §1.4.11)
	} {
		for i, scheme := range []string{"light", "dark"} {
			text, ok := colours[pair.text]
			ground, ok2 := colours[pair.ground]
			if !ok || !ok2 {
				t.Fatalf("no such colour: %v", pair)
			}
			got := contrast(text[i], ground[i])
			t.Logf("%-5s %-9s on %-11s %5.2f", scheme, pair.text, pair.ground, got)
			if got < pair.least {
				t.Errorf("%s: %s on %s has contrast %.2f, want %.0f", scheme, pair.text, pair.ground, got, pair.least)
			}
		}
	}
	if wash := colours["wash"]; wash != [2]rgb{paper, ink} {
		t.Errorf("accent.go measures against %v and %v, app.css paints %v", paper, ink, wash)
	}
}

func TestAnyAccentOfTheOperatorCanBeRead(t *testing.T) {
	colours := tokens(t)
	rule := regexp.MustCompile(`^:root\{--accent:light-dark\((#[0-9a-f]{6}),(#[0-9a-f]{6})\)\}\n$`)
	for _, accent := range []string{"#ffffff", "#000000", "#ffcc00", "#0b5f63", "#ff00ff", "#808080", "#0000ff", "#CCFF00"} {
		css, err := accentCSS(accent)
		m := rule.FindStringSubmatch(css)
		if err != nil || m == nil {
			t.Fatalf("%s: %q, %v", accent, css, err)
		}
		for i, hex := range m[1:] {
			c, err := parseColour(hex)
			if err != nil {
				t.Fatal(err)
			}
			for _, ground := range []string{"paper", "card", "wash", "on-accent"} {
				if got := contrast(c, colours[ground][i]); got < 7 {
					t.Errorf("%s became %s: contrast %.2f with %s", accent, hex, got, ground)
				}
			}
		}
	}
	if css, err := accentCSS("#0b4f55"); err != nil || css[:len(":root{--accent:light-dark(#0b4f55")] != ":root{--accent:light-dark(#0b4f55" {
		t.Errorf("a colour that needs no help was changed: %s", css)
	}
	for _, bad := range []string{"red", "#fff", "#12345g", "0b5f63", "#0b5f63;}body{display:none", "#+12345"} {
		if css, err := accentCSS(bad); err == nil {
			t.Errorf("%q became %q", bad, css)
		}
	}
}
