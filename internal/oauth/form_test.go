package oauth_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/oauth"
)

func TestAListOfWordsIsBounded(t *testing.T) {
	var many []string
	for i := range 40 {
		many = append(many, fmt.Sprint("word", i))
	}
	if got := oauth.Words(strings.Join(many, " ")); !slices.Equal(got, many[:32]) {
		t.Errorf("of 40 words: %q", got)
	}
	if got := oauth.Words(strings.Repeat("a ", 40) + "b"); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("one word 40 times: %q", got)
	}
	long := strings.Repeat("x", oauth.MaxHint)
	if got := oauth.Words(long + " " + long + "y" + strings.Repeat("z", 9000)); len(got) != 2 || got[0] != long || len(got[1]) != len(long)+1 {
		t.Errorf("%d words", len(got))
	}
}
