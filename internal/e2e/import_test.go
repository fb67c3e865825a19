package e2e

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

const importPath = "/admin/users/import"

func TestThePagesOfACrowd(t *testing.T) { eachLanguage(t, thePagesOfACrowd) }

func thePagesOfACrowd(t *testing.T, l *looker) {
	issuer := l.asOwner("ada@example.com")
	l.open(issuer + importPath)
	l.at("stepup")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=import-file]")`, "the page for a file")
	l.look("console-import", "admin")
	l.choose("import-file", "email,name,role,groups\ngrace@example.com,Grace,none,\nalan@,Alan,boss,nowhere\nada@example.com,Ada,,\n")
	l.follow("import-check")
	l.look("console-import-wrong", "admin")
	if lines := l.eval(`[...document.querySelectorAll("[data-test=import-fault]")].map((e) => e.dataset.line).join()`); lines != "3,4" {
		t.Errorf("faults in the lines %s", lines)
	}
	if n := l.eval(`String(document.querySelectorAll("[data-line='3'] .fault").length)`); n != "3" {
		t.Errorf("%s faults in line 3", n)
	}
	l.choose("import-file", "email,name\ngrace@example.com,Grace\nalan@example.com,Alan\n")
	l.follow("import-check")
	l.look("console-import-right", "admin")
	l.click("import-mailed")
	l.follow("import-go")
	l.look("console-imported", "admin")
	links := l.text("import-links")
	if !strings.Contains(links, "grace@example.com,"+issuer+"/enrol#") || !strings.Contains(links, "alan@example.com,") {
		t.Errorf("the links: %s", links)
	}
	if l.user("grace@example.com").Name != "Grace" || l.user("alan@example.com").Name != "Alan" {
		t.Error("they are not invited")
	}
}

// choose chooses a file with this text.
func (l *looker) choose(name, text string) {
	l.t.Helper()
	l.run(fmt.Sprintf(`(() => {
		const files = new DataTransfer()
		files.items.add(new File([%q], "people.csv", {type: "text/csv"}))
		document.querySelector('[data-test="%s"]').files = files.files
	})(); 0`, text, name))
}

// upload sends a file to the console.
func (p official) upload(text string, more ...string) page {
	p.t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "people.csv")
	if err == nil {
		_, err = file.Write([]byte(text))
	}
	for i := 0; i < len(more); i += 2 {
		if err == nil {
			err = form.WriteField(more[i], more[i+1])
		}
	}
	if err == nil {
		err = form.Close()
	}
	if err != nil {
		p.t.Fatal(err)
	}
	return p.read(p.http.Post(p.issuer+importPath, form.FormDataContentType(), &body))
}

func TestAFileInvitesNobodyUntilItIsRight(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	invited := func(email string) bool {
		t.Helper()
		users, err := d.DB.Users(t.Context(), "", 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			if u.Email == email {
				return true
			}
		}
		return false
	}
	const good = "email\ngrace@example.com\n"
	if at := ada.upload(good, "go", "yes"); at.name != "stepup" || invited("grace@example.com") {
		t.Fatalf("without a confirmation: %s", at)
	}
	if at := ada.confirm(ada.open(importPath)); at.name != "admin" || at.status != http.StatusOK {
		t.Fatalf("%s", at)
	}
	if at := ada.upload(good); at.status != http.StatusOK || invited("grace@example.com") {
		t.Errorf("a preview: %s, invited: %v", at, invited("grace@example.com"))
	}
	if at := ada.upload("email,role\ngrace@example.com,owner\n", "go", "yes"); at.status != http.StatusUnprocessableEntity || invited("grace@example.com") {
		t.Errorf("an owner, by an admin: %s", at)
	}
	for _, bad := range []string{"", "nobody", "name\nA\n", "email\n", "email\n\"a"} {
		if at := ada.upload(bad, "go", "yes"); at.status != http.StatusUnprocessableEntity || !strings.Contains(at.body, `data-test="error"`) {
			t.Errorf("%q: %s", bad, at)
		}
	}
	var long strings.Builder
	long.WriteString("email\n")
	for i := range 99_999 {
		fmt.Fprintf(&long, "p%d@example.com\n", i)
	}
	at := ada.upload(long.String()+"p7@example.com\n", "go", "yes")
	if at.status != http.StatusUnprocessableEntity || strings.Count(at.body, `data-test="import-fault"`) != 1 || !strings.Contains(at.body, `data-line="100001"`) || invited("p7@example.com") {
		t.Errorf("100,000 rows, the last one wrong: %s", at)
	}
	if at := ada.upload(long.String(), "go", "yes"); at.status != http.StatusUnprocessableEntity || !strings.Contains(at.body, "stepward user import-csv") || invited("p7@example.com") {
		t.Errorf("more people than a request invites: %s", at)
	}
	if at := ada.upload(strings.Repeat("x", 9<<20)); at.status != http.StatusRequestEntityTooLarge {
		t.Errorf("9 MiB: %s", at)
	}
	if at := ada.upload(good, "go", "yes"); at.status != http.StatusOK || !invited("grace@example.com") || !strings.Contains(at.body, "/enrol#") {
		t.Errorf("%s", at)
	}
	if at := ada.upload("email\nalan@example.com\n", "go", "yes", "mailed", "yes"); at.status != http.StatusOK || !invited("alan@example.com") || strings.Contains(at.body, "/enrol#") {
		t.Errorf("mailed: %s", at)
	}
	auditor := newOfficial(t, d, "audit@example.com", directory.RoleAuditor)
	auditor.confirm(auditor.open(importPath))
	if at := auditor.upload("email\neve@example.com\n", "go", "yes"); at.status != http.StatusForbidden || invited("eve@example.com") {
		t.Errorf("an auditor: %s", at)
	}
}
