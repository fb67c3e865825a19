package rules

import (
	"fmt"

	"github.com/stepward/stepward/internal/manage"
)

// Lint is the command that finds what can never work.
type Lint struct{ manage.Flags }

// Run prints the findings; with any, it fails.
func (c Lint) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "look at clients", func(api *manage.API) error {
		list, err := api.Lint(api.Context)
		if err != nil {
			return err
		}
		if err := c.Print(list, func(t manage.Text) {
			for _, f := range list {
				t.Line("%s: %s\n  %s", f.Code, f.Text, f.Remedy)
			}
			if len(list) == 0 {
				t.Line("nothing found")
			}
		}); err != nil {
			return err
		}
		if len(list) > 0 {
			return fmt.Errorf("%d found; docs/admin.md says what each means", len(list))
		}
		return nil
	})
}
