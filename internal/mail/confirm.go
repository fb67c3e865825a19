package mail

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// ConfirmEmail carries the code with which a signed-in user proves the address of the account.
func (m *Mailer) ConfirmEmail(to string, code idp.Secret, valid time.Duration) Message {
	return m.write(to, content{
		Subject: "Confirm your e-mail address for " + m.product,
		Opening: []string{"Type this code on the page of your account:"},
		Code:    code.Reveal(),
		Closing: []string{
			"It works for " + minutes(valid) + ". Nobody from " + m.product + " will ever ask you for it.",
			"If you did not ask for it, ignore this e-mail: nothing happens without the code.",
		},
	})
}
