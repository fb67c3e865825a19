package mail

import (
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// ConfirmEmail carries the code with which a signed-in user proves the address of the account.
func (w Writer) ConfirmEmail(to string, code idp.Secret, valid time.Duration) Message {
	return w.write(to, content{Words: "mail.confirm", Args: []any{"valid", w.valid(valid)}, Code: code.Reveal()})
}

// AddAddress carries the code with which a signed-in user proves an address to add to the account.
func (w Writer) AddAddress(to string, code idp.Secret, valid time.Duration) Message {
	return w.write(to, content{Words: "mail.newaddress", Args: []any{"valid", w.valid(valid)}, Code: code.Reveal()})
}

// AddressTaken answers a user who wants to add an address of another account. The page did not reveal that.
func (w Writer) AddressTaken(to string) Message { return w.write(to, content{Words: "mail.taken"}) }

func (w Writer) aboutAddress(to, name, email string, n Notice) Message {
	return w.write(to, content{
		Words: "mail." + name, Args: append(n.args(), "email", email), Link: n.Link, LinkWords: "mail.addresses",
	})
}

// AddressAdded tells the owner that an address was added to the account.
func (w Writer) AddressAdded(to, email string, n Notice) Message {
	return w.aboutAddress(to, "addressadded", email, n)
}

// AddressRemoved tells the owner that an address was removed from the account.
func (w Writer) AddressRemoved(to, email string, n Notice) Message {
	return w.aboutAddress(to, "addressremoved", email, n)
}

// AddressChanged tells the owner that another address is the primary one.
func (w Writer) AddressChanged(to, email string, n Notice) Message {
	return w.aboutAddress(to, "addresschanged", email, n)
}

// AddressLeft is AddressChanged for the address that was the primary one. n.Link undoes the change.
func (w Writer) AddressLeft(to, email string, n Notice) Message {
	return w.write(to, content{
		Words: "mail.addressleft", Args: append(n.args(), "email", email, "undo", directory.AddressUndo), Link: n.Link,
	})
}

// AddressBack tells the owner that a change of the primary address was undone.
func (w Writer) AddressBack(to, email, changed string, n Notice) Message {
	return w.write(to, content{
		Words: "mail.addressback", Args: append(n.args(), "email", email, "changed", changed), Link: n.Link,
		LinkWords: "mail.passkeys",
	})
}
