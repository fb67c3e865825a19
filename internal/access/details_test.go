// This test is inside the package: it parses what no registered type allows.
package access

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

func FuzzDetails(f *testing.F) {
	f.Add(`[{"type":"payment","amount":12}]`)
	f.Add(`[{"type":"a"},{"type":"a"}]`)
	f.Add(`[{"type":"a","x":1e999}]`)
	f.Add(`[{"type":"a","x":[[[[[[[[1]]]]]]]]}]`)
	f.Add(`[{"type":"a","x":"\u2028<&\ud800"}]`)
	f.Fuzz(func(t *testing.T, s string) {
		details, err := parseDetails(s)
		if err != nil || s == "" {
			return
		}
		text, err := json.Marshal(details)
		if err != nil {
			t.Fatal(err)
		}
		var again idp.Details
		if err := json.Unmarshal(text, &again); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(details, again); d != "" {
			t.Errorf("not the same after storing (-want +got): %s", d)
		}
		if !details.Within(again) || len(details) > 10 {
			t.Errorf("%s", text)
		}
		for _, detail := range details {
			words := idp.DetailType{Description: "{a.b} {x} {type}"}.Words(detail)
			if strings.ContainsAny(words, "\n\r\x00\u202e") {
				t.Errorf("%q", words)
			}
		}
	})
}
