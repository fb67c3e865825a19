package mail

import (
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/words"
)

// RoleChanged tells the owner that an admin has given them another role.
func (w Writer) RoleChanged(to string, role directory.Role, n Notice) Message {
	return w.write(to, content{Words: "mail.role", Args: append(n.args(), "role", words.T("role."+role.Name()))})
}

// DeletionAsked tells the owner that the account will be deleted. n.Link leads to a sign-in, which stops it.
func (w Writer) DeletionAsked(to string, until time.Time, n Notice) Message {
	return w.write(to, content{
		Words: "mail.deletion", Args: append(n.args(), "until", words.Moment(until)), Link: n.Link,
		LinkWords: "mail.deletion.keep",
	})
}

// DeletionSoon reminds the owner of that a day before.
func (w Writer) DeletionSoon(to string, until time.Time, link string) Message {
	return w.write(to, content{
		Words: "mail.deletionsoon", Args: []any{"until", words.Moment(until)}, Link: link, LinkWords: "mail.deletion.keep",
	})
}

// DeletionStopped tells the owner that the account stays.
func (w Writer) DeletionStopped(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.deletionstopped", Args: n.args(), Link: n.Link, LinkWords: "mail.passkeys"})
}

// Deleted tells the former owner that the account is gone.
func (w Writer) Deleted(to string, at time.Time) Message {
	return w.write(to, content{Words: "mail.deleted", Args: []any{"at", words.Moment(at)}})
}
