package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	inlineCode  = regexp.MustCompile("`([^`]+)`")
	ownCommand  = regexp.MustCompile(`^ *[$#]? *(?:\w+=\S* +|sudo -u stepward +|kubectl .* -- /)*stepward +([a-z-].*)$`)
	shellWord   = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|\$\([^)]*\)|[^\s'"])+`)
	endsCommand = regexp.MustCompile(` (?:&&|\|\||[|;<>]|2>|#) .*$`)
	incomplete  = regexp.MustCompile(`^(expected|missing flags) `)
)

// shown is a command line of this program as a page shows it.
type shown struct {
	path, text string
	whole      bool // a line to type, not the name of a command within a sentence
}

func TestEveryCommandOnThePagesParses(t *testing.T) {
	lines := 0
	for _, c := range shownCommands(t) {
		args := words(c.text)
		if len(args) == 0 || strings.Contains(c.text, "--help") { // would print it
			continue
		}
		if c.whole {
			lines++
		}
		parser, err := newParser(&cli{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(args); err != nil && (c.whole || !incomplete.MatchString(err.Error())) {
			t.Errorf("%s: stepward %s: %v", c.path, c.text, explain(err))
		}
	}
	if lines < 30 {
		t.Errorf("%d lines found", lines)
	}
}

func TestTheClientsOfOperateAreRegisteredWithItsExample(t *testing.T) {
	text := documentation(t)["../../docs/operate.md"]
	dir := t.TempDir()
	config, smtp := filepath.Join(dir, "stepward.yaml"), filepath.Join(dir, "smtp-url")
	for path, content := range map[string]string{config: yamlText.FindStringSubmatch(text)[1], smtp: "smtp://localhost:25"} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	added := 0
	for _, c := range shownCommands(t) {
		args := words(c.text)
		if filepath.Base(c.path) != "operate.md" || !strings.HasPrefix(c.text, "client add ") || len(args) < 4 {
			continue
		}
		if _, err := stepward(t, dir, append(args, "--config", config, "--smtp-url-file", smtp)...); err != nil {
			t.Errorf("stepward %s: %v", c.text, err)
		}
		added++
	}
	if added < 6 {
		t.Errorf("%d found", added)
	}
}

// foreignFlags belong to other programs that the pages name.
var foreignFlags = map[string]bool{
	"code-challenge-method": true, "oidc-username-claim": true, // oauth2-proxy, kube-apiserver
	"oidc-groups-claim": true, "oidc-groups-prefix": true,
	"fintechlabs": true, "server": true, // the conformance suite
	"dir": true, // kc.sh
}

func TestEveryFlagInASentenceOfThePagesExists(t *testing.T) {
	known := flagsOf(t)
	for path, text := range documentation(t) {
		for _, m := range inlineCode.FindAllStringSubmatch(text, -1) {
			if !strings.HasPrefix(m[1], "--") {
				continue
			}
			for _, flag := range flagName.FindAllStringSubmatch(m[1], -1) {
				if !known[flag[1]] && !foreignFlags[flag[1]] {
					t.Errorf("%s: stepward has no flag --%s", path, flag[1])
				}
			}
		}
	}
}

// shownCommands finds the lines to type, which are indented or in a fence, and the commands within sentences.
func shownCommands(t *testing.T) (all []shown) {
	for path, text := range documentation(t) {
		text = strings.ReplaceAll(text, "\\\n", " ")
		fenced := false
		for line := range strings.Lines(text) {
			line = strings.TrimRight(line, "\n")
			switch {
			case strings.HasPrefix(strings.TrimSpace(line), "```"):
				fenced = !fenced
			case fenced || strings.HasPrefix(line, "    "):
				if m := ownCommand.FindStringSubmatch(line); m != nil {
					all = append(all, shown{path, m[1], true})
				}
			}
		}
		for _, m := range inlineCode.FindAllStringSubmatch(strings.ReplaceAll(text, "\n", " "), -1) {
			if command, ok := strings.CutPrefix(m[1], "stepward "); ok {
				all = append(all, shown{path, command, false})
			}
		}
	}
	return all
}

// words splits a command line as a shell does, up to the next command, a redirection or a comment.
func words(line string) (args []string) {
	line = endsCommand.ReplaceAllString(line+" ", "")
	for _, word := range shellWord.FindAllString(line, -1) {
		args = append(args, strings.NewReplacer(`"`, "", "'", "").Replace(word))
	}
	return args
}

// documentation returns the pages by their path.
func documentation(t *testing.T) map[string]string {
	t.Helper()
	const root = "../.."
	pages := map[string]string{}
	add := func(path string) error {
		text, err := os.ReadFile(path)
		pages[path] = string(text)
		return err
	}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" && filepath.Base(filepath.Dir(path)) != "decisions" {
			err = add(path)
		}
		return err
	})
	for _, name := range []string{"README.md", "CONTRIBUTING.md", "SECURITY.md"} {
		if err == nil {
			err = add(filepath.Join(root, name))
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return pages
}
