package e2e

import (
	"bytes"
	"cmp"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

const root = "../.."

// testName is how docs/threat-model.md names a test: `login: TestDecide/none: no user is signed in`.
var testName = regexp.MustCompile("`([a-z0-9/]+): ((?:Test|Fuzz)\\w+)(?:/([^`]+))?`")

func TestEveryThreatNamesATestThatExists(t *testing.T) {
	page, gaps, found := strings.Cut(read(t, filepath.Join(root, "docs/threat-model.md")), "\n## Known gaps\n")
	if !found {
		t.Error("the threat model admits no gaps")
	}
	rows := 0
	for line := range strings.Lines(page) {
		if strings.HasPrefix(line, "| ") && !strings.HasPrefix(line, "| threat |") && !strings.HasPrefix(line, "| way back |") {
			if rows++; !testName.MatchString(line) {
				t.Errorf("without a test, and not under Known gaps: %s", line)
			}
		}
	}
	if rows < 60 {
		t.Errorf("%d rows found", rows)
	}
	sources := map[string]string{}
	faults := read(t, filepath.Join(root, "docs/faults.md"))
	for _, m := range testName.FindAllStringSubmatch(page+gaps+faults, -1) {
		folder, test, sub := folderOf(m[1]), m[2], m[3]
		if folder == "" {
			t.Errorf("%s: there is no package %s", m[0], m[1])
			continue
		}
		if sources[folder] == "" {
			sources[folder] = testsIn(t, folder)
		}
		if !strings.Contains(sources[folder], "\nfunc "+test+"(") {
			t.Errorf("%s: there is no such test", m[0])
		}
		if sub != "" && !strings.Contains(sources[folder], `"`+sub+`"`) {
			t.Errorf("%s: there is no such case", m[0])
		}
	}
}

// folderOf finds the package that the page calls by its short name; "" if there is none.
func folderOf(name string) string {
	for _, parent := range []string{"internal", "internal/store", "pkg", "cmd", "cmd/stepward"} {
		folder := filepath.Join(root, parent, name)
		if info, err := os.Stat(folder); err == nil && info.IsDir() {
			return folder
		}
	}
	return ""
}

// testsIn is the text of a package's tests and of the suite beside it (ephemeraltest).
func testsIn(t *testing.T, folder string) string {
	t.Helper()
	own, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	suite, err := filepath.Glob(filepath.Join(folder, filepath.Base(folder)+"test", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, path := range append(own, suite...) {
		all.WriteString(read(t, path))
	}
	return all.String()
}

var (
	link      = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fence     = regexp.MustCompile("(?ms)^```.*?^```$")
	heading   = regexp.MustCompile(`(?m)^#+ (.+)$`)
	notInSlug = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

func TestLinksOfTheDocumentationLeadSomewhere(t *testing.T) {
	for _, path := range pages(t) {
		text := fence.ReplaceAllString(read(t, path), "")
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			name, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if name != "" {
				target = filepath.Join(filepath.Dir(path), name)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", path, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(t, target), anchor) {
				t.Errorf("%s: %s has no heading #%s", path, target, anchor)
			}
		}
	}
}

// anchors are the headings of a page as GitHub makes them into fragments.
func anchors(t *testing.T, path string) (slugs []string) {
	for _, m := range heading.FindAllStringSubmatch(fence.ReplaceAllString(read(t, path), ""), -1) {
		slugs = append(slugs, strings.ReplaceAll(notInSlug.ReplaceAllString(strings.ToLower(m[1]), ""), " ", "-"))
	}
	return slugs
}

// pages are those beside README.md and everything under docs.
func pages(t *testing.T) []string {
	t.Helper()
	found := []string{filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md"), filepath.Join(root, "SECURITY.md")}
	err := filepath.WalkDir(filepath.Join(root, "docs"), func(path string, _ fs.DirEntry, err error) error {
		if filepath.Ext(path) == ".md" {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n")))
}

// fileName is how docs/design.md names a file of a room: `login/decide.go`.
var fileName = regexp.MustCompile("`([a-z0-9]+/[a-z0-9_]+\\.go)`")

func TestTheWalksOfTheDesignNameFilesThatExist(t *testing.T) {
	named := fileName.FindAllStringSubmatch(read(t, filepath.Join(root, "docs/design.md")), -1)
	if len(named) < 15 {
		t.Fatalf("%d files named", len(named))
	}
	for _, m := range named {
		if _, err := os.Stat(filepath.Join(root, "internal", m[1])); err != nil {
			t.Errorf("%s: there is no such file", m[1])
		}
	}
}

// The layout of docs/design.md has a line for every package; helpers of tests stand beside theirs.
func TestTheWalksBeginAtAMapOfEveryPackage(t *testing.T) {
	page := read(t, filepath.Join(root, "docs/design.md"))
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		if room := filepath.Base(name) + "/"; !strings.Contains(page, " "+room) && !strings.Contains(page, name[strings.Index(name, "/")+1:]+"/") {
			t.Errorf("docs/design.md has no line for %s", name)
		}
	}
}

// lifetimes are constants whose values docs/operate.md tells, in the words of its table.
var lifetimes = []struct{ file, name, row, says string }{
	{"internal/token/authorization.go", "codeTTL", "authorization code", "60 seconds"},
	{"internal/idp/interaction.go", "InteractionTTL", "interaction", "30 minutes"},
	{"internal/passkey/passkey.go", "CeremonyTTL", "ceremony", "10 minutes"},
	{"internal/logout/backchannel.go", "logoutPatience", "logout that cannot be delivered", "24 hours"},
	{"internal/device/device.go", "deviceTTL", "device code, and the code that people type", "10 minutes"},
	{"internal/enrol/signup.go", "CodeTTL", "sign-up code", "15 minutes"},
	{"internal/enrol/enrol.go", "enrolmentTTL", "enrolment", "15 minutes"},
	{"internal/recovery/recovery.go", "codeTTL", "mailed recovery code", "10 minutes"},
	{"internal/store/sweep.go", "mailRetention", "e-mail that cannot be delivered", "72 hours"},
}

func TestTheTableOfLifetimesIsTrue(t *testing.T) {
	units := map[string]time.Duration{"time.Second": time.Second, "time.Minute": time.Minute, "time.Hour": time.Hour}
	words := map[string]time.Duration{"seconds": time.Second, "minutes": time.Minute, "hours": time.Hour}
	_, page, _ := strings.Cut(read(t, filepath.Join(root, "docs/operate.md")), "Entries expire by themselves")
	for _, l := range lifetimes {
		m := regexp.MustCompile(`(?m)^(?:const|\s)\s*` + l.name + `\s*=\s*(?:(\d+) \* )?(time\.\w+)`).
			FindStringSubmatch(read(t, filepath.Join(root, l.file)))
		if m == nil {
			t.Errorf("%s has no constant %s", l.file, l.name)
			continue
		}
		count, _ := strconv.Atoi(cmp.Or(m[1], "1"))
		number, unit, _ := strings.Cut(l.says, " ")
		told, _ := strconv.Atoi(number)
		if time.Duration(count)*units[m[2]] != time.Duration(told)*words[unit] {
			t.Errorf("%s in %s is %s %s, and the table says %s", l.name, l.file, m[1], m[2], l.says)
		}
		row := regexp.MustCompile(`(?m)^\|.*` + regexp.QuoteMeta(l.row) + `.*$`).FindString(page)
		if !strings.Contains(row, l.says) {
			t.Errorf("the table of docs/operate.md does not say %q of %q: %q", l.says, l.row, row)
		}
	}
}
