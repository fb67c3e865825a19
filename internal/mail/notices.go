package mail

// NewBrowser tells the owner of a sign-in in a browser that they have not used before. off leads to the page on which
// they switch such e-mails off.
func (w Writer) NewBrowser(to string, n Notice, off string) Message {
	return w.write(to, content{Words: "mail.browser", Args: n.args(), Link: n.Link, Off: off})
}

// NewApplication tells the owner that an application got access to the account for the first time.
func (w Writer) NewApplication(to, client string, n Notice, off string) Message {
	return w.write(to, content{
		Words: "mail.application", Args: append(n.args(), "client", client), Link: n.Link, Off: off,
	})
}

// ApplicationUsed tells the owner that the account was used for an application of the house for the first time. Nobody
// was asked to allow that.
func (w Writer) ApplicationUsed(to, client string, n Notice, off string) Message {
	return w.write(to, content{
		Words: "mail.used", Args: append(n.args(), "client", client), Link: n.Link, Off: off,
	})
}
