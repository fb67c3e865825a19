// Package rules has the admin's pages of the rules of the house: the policy and its versions, and the claims that
// admins define. They are beside the console, behind the same desk.
package rules

import (
	"embed"
	"fmt"
	"net/http"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// Rules serves the pages of this package.
type Rules struct {
	desk  *desk.Desk
	ops   *admin.Operations
	pages *web.Pages
	marks *declared.Marks
}

// New parses the pages.
func New(d *desk.Desk, operations *admin.Operations) (*Rules, error) {
	pages, err := d.Parse(files)
	if err != nil {
		return nil, fmt.Errorf("pages of rules: %w", err)
	}
	return &Rules{d, operations, pages, declared.New(operations.DB())}, nil
}

// Mount adds the pages.
func (c *Rules) Mount(m desk.Mounting) {
	policy{c}.mount(m)
	claims{c}.mount(m)
}

// render renders a page.
func (c *Rules) render(w http.ResponseWriter, r *http.Request, v desk.Visitor, template string, p web.Page) error {
	p.Nav = "Policy"
	return c.desk.Render(w, r, c.pages, v, template, p)
}
