package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// word is a word of a command line, in quotes or not.
	word = regexp.MustCompile(`'[^']*'|"[^"]*"|\S+`)
	// anyBlock is a block of a page, with its language.
	anyBlock = regexp.MustCompile("(?s)```([a-z]*)\n(.*?)```")
)

// The commands of the page for admins are typed one after the other in an empty folder. Those that need a mail server
// are refused for want of one.
func TestThePageForAdminsIsFollowed(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "admin.md"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	t.Chdir(t.TempDir())
	if err := os.WriteFile("people.csv", []byte("email,groups\neve@example.com,berlin;platform\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := stepward(t, dir, "migrate"); err != nil {
		t.Fatalf("migrate: %v\n%s", err, out)
	}
	typed, secretID := 0, ""
	for _, found := range anyBlock.FindAllStringSubmatch(string(page), -1) {
		for line := range strings.Lines(found[2]) {
			line, _, _ = strings.Cut(strings.TrimSpace(line), "  #")
			line, file, redirected := strings.Cut(line, " > ")
			line, ours := strings.CutPrefix(strings.TrimSpace(line), "stepward ")
			if found[1] != "" || !ours {
				continue
			}
			var args []string
			for _, w := range word.FindAllString(strings.ReplaceAll(line, "SECRET-ID", secretID), -1) {
				args = append(args, strings.Trim(w, `'"`))
			}
			out, err := stepward(t, dir, args...)
			if mails := strings.HasSuffix(line, " --mail"); (err != nil) != mails {
				t.Errorf("stepward %s: %v\n%s", line, err, out)
			}
			typed++
			if redirected {
				if err := os.WriteFile(strings.TrimSpace(file), []byte(out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if strings.HasPrefix(line, "client secret list") { // the first one; another is there by then
				secretID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f-]{27}`).FindString(out)
			}
		}
	}
	if typed < 25 {
		t.Errorf("the page has %d commands", typed)
	}
}
