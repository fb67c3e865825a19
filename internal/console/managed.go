package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// managedBy says which directory manages something, in the words of a message about its client; zero: none does.
func (c *Console) managedBy(ctx context.Context, m directory.Managed, message string) (words.Text, error) {
	if m.ClientID == "" {
		return words.Text{}, nil
	}
	client, err := c.cfg.DB.Client(ctx, m.ClientID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return words.Text{}, fmt.Errorf("load client of the directory: %w", err)
	}
	if !m.By() {
		message = "console.managed.removed"
	}
	return words.T(message, "client", cmp.Or(client.Name, m.ClientID)), nil
}
