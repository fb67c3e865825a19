package recoverycode_test

import (
	"bytes"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recoverycode"
)

var key = recoverycode.NewKey(bytes.Repeat([]byte{1}, 32))

func TestARecoveryCodeIsFoundHoweverItIsTyped(t *testing.T) {
	shown, stored := key.Make("ada", time.Now())
	if len(shown) != 4 || len(stored) != 4 {
		t.Fatalf("%d codes shown and %d stored", len(shown), len(stored))
	}
	for i, code := range shown {
		text := code.Reveal()
		if !regexp.MustCompile(`^([0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}$`).MatchString(text) {
			t.Errorf("code %q", text)
		}
		like := strings.NewReplacer("0", "o", "1", "l").Replace(strings.ToLower(text))
		for _, typed := range []string{text, strings.ReplaceAll(text, "-", ""), "\t" + strings.ReplaceAll(like, "-", " – ") + "\n"} {
			code, ok := recoverycode.Typed(typed)
			if !ok {
				t.Errorf("%q is no code", typed)
			}
			if hash, found := key.Find("ada", code, stored); !found || hash != stored[i].Hash {
				t.Errorf("%q is not found", typed)
			}
		}
		if strings.Contains(stored[i].Hash, strings.ReplaceAll(text, "-", "")) {
			t.Error("the code is stored")
		}
	}
}

func TestARecoveryCodeIsForItsUserAndUnderItsKey(t *testing.T) {
	shown, stored := key.Make("ada", time.Now())
	code, _ := recoverycode.Typed(shown[0].Reveal())
	if _, found := key.Find("bob", code, stored); found {
		t.Error("found for another user")
	}
	other := recoverycode.NewKey(bytes.Repeat([]byte{2}, 32))
	if _, found := other.Find("ada", code, stored); found || len(other.Usable(stored)) != 0 || len(key.Usable(stored)) != 4 {
		t.Error("found under another key")
	}
	_, others := key.Make("ada", time.Now())
	for _, codes := range [][]idp.RecoveryCode{nil, others, stored[1:]} {
		if _, found := key.Find("ada", code, codes); found {
			t.Error("found among other codes")
		}
	}
}

func TestAMistypedCodeIsRejectedAndTheCheckCharacterFindsMostErrors(t *testing.T) {
	for _, typed := range []string{"", "0", strings.Repeat("0", 26), strings.Repeat("U", 25), strings.Repeat("é", 25), strings.Repeat("-", 300)} {
		if _, ok := recoverycode.Typed(typed); ok {
			t.Errorf("%q is a code", typed)
		}
	}
	passed := 0
	for range 100 {
		shown, _ := key.Make("ada", time.Now())
		text := []byte(shown[0].Reveal())
		text[0], text[1] = text[1], text[0]
		if _, ok := recoverycode.Typed(string(text)); ok && text[0] != text[1] {
			passed++
		}
	}
	if passed > 15 { // about 3 are likely to pass
		t.Errorf("%d of 100 swapped codes passed", passed)
	}
}

func FuzzTyped(f *testing.F) {
	shown, _ := key.Make("ada", time.Now())
	f.Add(shown[0].Reveal())
	f.Add("o-–l I")
	f.Fuzz(func(t *testing.T, text string) {
		if code, ok := recoverycode.Typed(text); ok && len(code) != 25 {
			t.Errorf("%q is a code of %d characters", text, len(code))
		}
	})
}
