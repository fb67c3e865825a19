package mail

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// ConfirmEmail carries the code with which a signed-in user proves the address of the account.
func (w Writer) ConfirmEmail(to string, code idp.Secret, valid time.Duration) Message {
	return w.write(to, content{Words: "mail.confirm", Args: []any{"valid", w.valid(valid)}, Code: code.Reveal()})
}
