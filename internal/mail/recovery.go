package mail

import (
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// RecoveryCode carries the code that proves the address of a user who lost their passkeys.
func (w Writer) RecoveryCode(to string, code idp.Secret, valid time.Duration) Message {
	return w.write(to, content{Words: "mail.recover", Args: []any{"time", valid}, Code: code.Reveal()})
}

// RecoveryCodeAlone is RecoveryCode where the code may do without a saved one.
func (w Writer) RecoveryCodeAlone(to string, code idp.Secret, valid, hold time.Duration) Message {
	return w.write(to, content{Words: "mail.alone", Args: []any{"time", valid, "hold", hold}, Code: code.Reveal()})
}

// RecoveryHeld tells the owner that somebody who reads their e-mails waits to get into the account. n.Link stops it.
func (w Writer) RecoveryHeld(to string, n Notice, from time.Time) Message {
	return w.write(to, content{
		Words: "mail.held", Args: append(n.args(), "from", words.Moment(from)), Link: n.Link,
	})
}

// RecoveryReminder is RecoveryHeld once more, half-way through the wait.
func (w Writer) RecoveryReminder(to string, n Notice, from time.Time) Message {
	return w.write(to, content{
		Words: "mail.reminder", Args: append(n.args(), "from", words.Moment(from)), Link: n.Link, LinkWords: "mail.held.link",
	})
}

// RecoveryStopped tells the owner that the recovery which waited was stopped.
func (w Writer) RecoveryStopped(to string, n Notice) Message {
	return w.write(to, content{
		Words: "mail.stopped", Args: append(n.args(), "days", directory.RecoveryStopped), Link: n.Link,
	})
}

// RecoveryImpossible answers a request to recover an account that cannot be recovered with codes. The page did not
// reveal it, and this does not reveal which reason it is.
func (w Writer) RecoveryImpossible(to string) Message {
	return w.write(to, content{Words: "mail.norecover"})
}

// RecoveryOpened tells the owner that somebody may now create a new passkey for the account.
func (w Writer) RecoveryOpened(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.opened", Args: n.args(), Link: n.Link})
}

// Recovered tells the owner that a recovery has given the account to a new passkey.
func (w Writer) Recovered(to string, n Notice) Message {
	closed := words.T("time.hours", "n", int(idp.RecoveryClosed/time.Hour))
	return w.write(to, content{
		Words: "mail.recovered", Args: append(n.args(), "closed", closed), Link: n.Link, LinkWords: "mail.passkeys",
	})
}

// CodesMade tells the owner that there are new recovery codes.
func (w Writer) CodesMade(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.codes", Args: n.args(), Link: n.Link})
}

// PasskeyKept tells the owner that a passkey is not on hold any more.
func (w Writer) PasskeyKept(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.kept", Args: n.args(), Link: n.Link, LinkWords: "mail.passkeys"})
}

// RecoveryLinkMade tells the owner that the people who run the service made a link into the account.
func (w Writer) RecoveryLinkMade(to string, at, until time.Time) Message {
	return w.write(to, content{
		Words: "mail.linkmade", Args: []any{"at", words.Moment(at), "until", words.Moment(until)},
	})
}
