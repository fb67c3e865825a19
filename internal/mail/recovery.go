package mail

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// RecoveryCode carries the code that proves the address of a user who lost their passkeys.
func (m *Mailer) RecoveryCode(to string, code idp.Secret, valid time.Duration) Message {
	return m.write(to, content{
		Subject: "Get back into your account at " + m.product,
		Opening: []string{
			"Someone, probably you, asked to get back into this account without a passkey. " +
				"Type this code on the page where you asked, together with one of your recovery codes:",
		},
		Code: code.Reveal(),
		Closing: []string{
			"It works for " + minutes(valid) + ", in the browser that asked. Nobody from " + m.product +
				" will ever ask you for it.",
			"If it was not you, do not give the code to anybody. Nothing happens without it.",
		},
	})
}

// RecoveryImpossible answers a request to recover an account that cannot be recovered with codes. The page did not
// reveal it, and this does not reveal which reason it is.
func (m *Mailer) RecoveryImpossible(to string) Message {
	return m.write(to, content{
		Subject: "Get back into your account at " + m.product,
		Opening: []string{
			"Someone, probably you, asked to get back into an account with this address without a passkey. " +
				"That is not possible with codes: there is no account with this address, " +
				"or the address was never confirmed, or the account has no recovery codes that work.",
		},
		Closing: []string{
			"If it was you, try your other addresses, or ask the people who run " + m.product + ".",
			"If it was not you, you need not do anything. Nothing was changed.",
		},
	})
}

// RecoveryOpened tells the owner that somebody may now create a new passkey for the account.
func (m *Mailer) RecoveryOpened(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "Your account is being recovered",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " someone proved that they may recover your " + m.product + " account. " +
				"They can create a new passkey now.",
		},
		Link:     n.Link,
		LinkText: "See your account",
		Closing: []string{
			"If it was not you, tell the people who run " + m.product + " at once. " +
				"If you have another recovery code, recover the account yourself: that puts their passkey on hold.",
		},
	})
}

// Recovered tells the owner that a recovery has given the account to a new passkey.
func (m *Mailer) Recovered(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "Your account was recovered",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " your " + m.product + " account was recovered with the new passkey “" +
				n.Passkey + "”.",
			"Everyone was signed out everywhere, and your other passkeys are on hold: they do not sign in any more. " +
				"For 24 hours they cannot be removed or used again, and your recovery codes cannot be replaced.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing: []string{
			"If it was not you, tell the people who run " + m.product + " at once. " +
				"If you have another recovery code, choose “Can’t sign in?” and recover the account yourself.",
		},
	})
}

// CodesMade tells the owner that there are new recovery codes.
func (m *Mailer) CodesMade(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "New recovery codes for your account",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " new recovery codes were made for your " + m.product +
				" account. Older ones no longer work.",
		},
		Link:     n.Link,
		LinkText: "See your recovery codes",
		Closing: []string{
			"If it was not you, make new codes, look at your passkeys and sessions, and tell the people who run " +
				m.product + ".",
		},
	})
}

// PasskeyKept tells the owner that a passkey is not on hold any more.
func (m *Mailer) PasskeyKept(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "A passkey can sign in to your account again",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " the passkey “" + n.Passkey + "” was taken off hold. It can sign in to your " +
				m.product + " account again.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing:  []string{"If it was not you, remove that passkey, and tell the people who run " + m.product + "."},
	})
}

// RecoveryLinkMade tells the owner that the people who run the service made a link into the account.
func (m *Mailer) RecoveryLinkMade(to string, at, until time.Time) Message {
	return m.write(to, content{
		Subject: "A link to recover your account was made",
		Opening: []string{
			"On " + stamp(at) + " the people who run " + m.product + " made a link with which your account can be recovered. " +
				"It works once, until " + stamp(until) + ".",
		},
		Closing: []string{"If you did not ask for it, tell them at once."},
	})
}
