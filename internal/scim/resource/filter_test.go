package resource_test

import (
	"testing"

	"github.com/stepward/stepward/internal/scim/resource"
)

func FuzzFilter(f *testing.F) {
	for _, text := range []string{
		`userName eq "a"`, `emails[type eq "work" and value co "@"] or not (title pr)`, `a.b eq "\"`, `((`, `x[`, `not not`, "\x00", `active eq true`,
	} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		if parsed, err := resource.ParseFilter(resource.User, text); err == nil {
			parsed.Matches(resource.Document{"userName": "a", "emails": []any{resource.Document{"value": "a@b", "type": "work"}}})
		}
	})
}

func FuzzPatch(f *testing.F) {
	for _, body := range []string{
		`{"Operations":[{"op":"add","path":"emails[type eq \"work\"].value","value":"a@b"}]}`,
		`{"Operations":[{"op":"Replace","value":{"name.givenName":"x","active":"True"}}]}`,
		`{"Operations":[{"op":"remove","path":"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"}]}`,
	} {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		doc := resource.Document{"userName": "a", "emails": []any{resource.Document{"value": "a@b", "type": "home"}}}
		ops, err := resource.Operations([]byte(body))
		if err != nil || resource.User.Patch(doc, ops) != nil {
			return
		}
		once, err := resource.User.Clean(doc)
		if err != nil {
			return
		}
		if _, err := resource.User.Clean(resource.Copied(once)); err != nil {
			t.Errorf("clean once, but not twice: %v", err)
		}
	})
}
