package rules

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/lint"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/words"
)

// Lint is the command that finds what can never work.
type Lint struct {
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// A finding is printed as JSON.
type finding struct {
	Code     string `json:"code"`
	ClientID string `json:"client_id,omitempty"`
	Text     string `json:"text"`
	Remedy   string `json:"remedy"`
}

// Run prints the findings; with any, it fails.
func (c Lint) Run(e *manage.Env) error {
	return manage.With(e.Reading, func(cfg *config.Config, ops *admin.Operations) error {
		clients, err := ops.Clients.List(e.Context(), manage.Operator)
		if err != nil {
			return manage.Told("list clients", err)
		}
		uses, err := ops.Clients.Uses(e.Context(), manage.Operator, clients)
		if err != nil {
			return manage.Told("look at clients", err)
		}
		list := []finding{}
		l := words.English()
		for _, f := range lint.Check(lint.Facts{
			Policy: cfg.Policy, Clients: clients, Uses: uses, Hardware: cfg.MetadataPath != "", Now: time.Now(),
		}) {
			list = append(list, finding{f.Code, f.ClientID, l.Text(f.Text), l.Text(f.Remedy)})
		}
		if c.Output == "json" {
			if err := manage.PrintJSON(list); err != nil {
				return err
			}
		} else {
			for _, f := range list {
				fmt.Printf("%s: %s\n  %s\n", f.Code, f.Text, f.Remedy)
			}
		}
		if len(list) > 0 {
			return fmt.Errorf("%d found; docs/admin.md says what each means", len(list))
		}
		fmt.Println("nothing found")
		return nil
	})
}
