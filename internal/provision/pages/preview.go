package pages

import (
	"context"
	"net/http"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A planned is a person of a preview.
type planned struct {
	ID, Name, Email string
	Text            words.Text
}

type previewPage struct {
	Name, BackURL string
	Counts        []words.Text
	People        []planned
	More          bool
}

// texts are what happens to a person, and how many there are of them.
var texts = []struct {
	action     provision.Action
	one, count string
}{
	{provision.Create, "console.sends.create", "console.sends.count.create"},
	{provision.Update, "console.sends.update", "console.sends.count.update"},
	{provision.Disable, "console.sends.disable", "console.sends.count.disable"},
	{provision.Delete, "console.sends.deleted", "console.sends.count.delete"},
}

func (p *Pages) preview(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	c, err := p.ops.Clients.Get(r.Context(), v.Actor, desk.Query(r.URL.Query(), "id"))
	if err != nil {
		return err
	}
	found, err := p.sends.Preview(r.Context(), v.Actor, c.ID)
	if err != nil {
		return err
	}
	page := previewPage{Name: c.Name, BackURL: at(path, c.ID), More: found.More}
	for _, t := range texts {
		if n := found.Counts[t.action]; n > 0 {
			page.Counts = append(page.Counts, words.T(t.count, "n", n))
		}
		for _, person := range found.People {
			if person.Action == t.action {
				page.People = append(page.People, planned{person.User.ID, person.User.Name, person.User.Email, words.T(t.one)})
			}
		}
	}
	return p.render(w, r, v, "provisioning-preview", web.Page{Data: page})
}

// do returns the handler of a change that needs nothing but the client.
func (p *Pages) do(done string, change func(context.Context, admin.Actor, string) error) desk.Handler {
	return func(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
		id := desk.Query(r.PostForm, "id")
		if err := change(r.Context(), v.Actor, id); err != nil && !desk.IsAlready(err) {
			return err
		}
		return desk.SeeOther(w, r, at(path, id, "done", "sends."+done))
	}
}
