package oauth_test

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/oauth"
)

func TestWhatWasSentIsQuotedCutAndWithoutWhatItMayHide(t *testing.T) {
	for sent, want := range map[string]string{
		"https://app.example/cb":            `"https://app.example/cb"`,
		"https://app.example/cb?code=s3cr":  `"https://app.example/cb"?…`,
		"https://app.example/cb#s3cr":       `"https://app.example/cb"#…`,
		"https://me:s3cr@app.example/cb":    `"...@app.example/cb"`,
		"https://me:s3cr@app.example:x/%zz": `"...@app.example:x/%zz"`,
		"app\u202eexample\nlevel=ERROR":     `"app\u202eexample\nlevel=ERROR"`,
		"":                                  `""`,
	} {
		if got := oauth.SentURI("uri", sent).Value.String(); got != want {
			t.Errorf("%q: %s, want %s", sent, got, want)
		}
	}
	if got := oauth.Sent("x", strings.Repeat("x", 5000)).Value.String(); len(got) > 210 || !strings.HasSuffix(got, "…") {
		t.Errorf("not cut: %d bytes", len(got))
	}
}
