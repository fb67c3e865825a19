// Package console serves the admin's pages at /admin, over the operations of package admin. Package desk says who may
// see them.
package console

import (
	"context"
	"embed"
	"fmt"
	"net/http"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/web"
)

// Path is where the console is.
const Path = desk.Path

//go:embed pages/*.html
var files embed.FS

// Config wires a Console. All fields are needed.
type Config struct {
	Desk       *desk.Desk
	DB         *store.DB
	Operations *admin.Operations
	Policy     idp.Policy
	Issuer     string // without a trailing slash
	Version    string
	Mails      bool // whether there is a mail server
	Explain    explain.Service
	Hardware   bool // attestations are verified against metadata
	Approval   bool // recovery links need the approval of a second admin
	// Missing returns how many passkeys a user lacks by the operator's rules; nil: there are no rules.
	Missing func(context.Context, idp.User) (int, error)
}

// Console serves the pages of this package.
type Console struct {
	cfg   Config
	pages *web.Pages
	marks *declared.Marks
}

// New parses the pages.
func New(cfg Config) (*Console, error) {
	pages, err := cfg.Desk.Parse(files)
	if err != nil {
		return nil, fmt.Errorf("console pages: %w", err)
	}
	return &Console{cfg, pages, declared.New(cfg.DB)}, nil
}

// Mount adds the pages.
func (c *Console) Mount(m desk.Mounting) {
	home{c, &look{}}.mount(m)
	clients{c}.mount(m)
	users{c}.mount(m)
	importer{c}.mount(m)
	groups{c}.mount(m)
	events{c}.mount(m)
	explainer{c}.mount(m)
}

// render renders a page of the console.
func (c *Console) render(w http.ResponseWriter, r *http.Request, v desk.Visitor, template string, p web.Page) error {
	return c.cfg.Desk.Render(w, r, c.pages, v, template, p)
}
