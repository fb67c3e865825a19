package limit

import (
	"fmt"
	"strings"
	"time"
)

// Limits of the ceremonies. They are generous: a whole office may share one address, and an assertion cannot be guessed.
// They bound work, audit records, and how fast somebody can try out names. A sign-in with the page's own ceremony, as most
// are, is counted nowhere.
var (
	CeremonyBegin = Limit{
		Name: "begin", What: "ceremonies begun by a script: retries, typed names, pages that were open for long",
		Per: "network", Most: 1000, Window: 5 * time.Minute, Beyond: "429",
	}
	CeremonyFailed = Limit{
		Name: "failed", What: "failed ceremonies", Per: "network", Most: 300, Window: 5 * time.Minute,
		Beyond: "a right answer still signs in; a wrong one gets 429 and writes no event",
	}
	CeremonyFailedBrowser = Limit{
		Name: "failed-browser", What: "failed ceremonies", Per: "browser", Most: 100, Window: 5 * time.Minute, Beyond: "as above",
	}
	CeremonyFailedPasskey = Limit{
		Name: "failed-passkey", What: "failed ceremonies", Per: "passkey", Most: 30, Window: 5 * time.Minute, Beyond: "as above",
	}
	NamesFrom = Limit{Name: "names-from", What: "names typed at sign-in", Per: "network", Most: 300, Window: 5 * time.Minute, Beyond: "429"}
	NameTyped = Limit{
		Name: "name", What: "the same name typed at sign-in, from anywhere", Per: "name", Most: 60, Window: 5 * time.Minute,
		Beyond: "429; the button and autofill go on working",
	}
)

// Limits of mails for sign-up and recovery. Each network has a share of its own for an address, so that a stranger elsewhere cannot use up
// what the owner of the address needs.
var (
	MailsFromTo = Limit{Name: "mails-from-to", What: "mails of sign-up and recovery to one address", Per: "network and address", Most: 6, Window: time.Hour, Beyond: "429"}
	MailsTo     = Limit{Name: "mails-to", What: "mails of sign-up and recovery to one address, from anywhere", Per: "address", Most: 30, Window: time.Hour, Beyond: "429"}
	MailsFrom   = Limit{Name: "mails-from", What: "mails of sign-up and recovery: a school behind one address gets by", Per: "network", Most: 30, Window: time.Hour, Beyond: "429"}
)

// Limits of failed recoveries. A saved code has 120 random bits, so they are not what keeps a guesser out: they bound work and
// records. Each network has a share of its own for an account, so that a stranger elsewhere holds its owner up for an hour
// at most.
var (
	RecoveryFailedFrom = Limit{
		Name: "recovery", What: "failed recoveries", Per: "network", Most: 60, Window: time.Hour, Longest: time.Hour,
		Beyond: "429, for a minute at first, and twice as long with each further failure, an hour at most",
	}
	RecoveryFailedFromTo = Limit{
		Name: "recovery-from-to", What: "failed recoveries of one account", Per: "network and address",
		Most: 5, Window: 24 * time.Hour, Longest: 4 * time.Hour, Beyond: "as above, 4 hours at most",
	}
	RecoveryFailed = Limit{
		Name: "recovery-to", What: "failed recoveries of one account, from anywhere", Per: "address", Most: 20, Window: 24 * time.Hour,
		Longest: time.Hour, Beyond: "as above, an hour at most. After 100 in a row only the operator can help",
	}
)

// Limits of wrong user codes of devices. Right ones are not counted: a whole office may connect its devices from one
// address. RFC 8628 §5.1: with a thousand codes alive, an address needs 25 million tries for a likely hit. At this pace
// that takes eight hundred years, and then it knows which device somebody else began to connect.
var (
	UserCodeNetwork = Limit{Name: "user-code", What: "wrong device codes", Per: "network", Most: 60, Window: 10 * time.Minute, Beyond: "429"}
	UserCodeBrowser = Limit{Name: "user-code-browser", What: "wrong device codes", Per: "browser", Most: 20, Window: 10 * time.Minute, Beyond: "429"}
)

// Limits of clients that introduce themselves.
var (
	Registrations    = Limit{Name: "register", What: "dynamic registrations without a live initial access token", Per: "network", Most: 20, Window: time.Hour, Beyond: "429; `registration-limit` changes both"}
	AllRegistrations = Limit{
		Name: "register-all", What: "dynamic registrations without a live initial access token", Per: "everybody", Most: 500, Window: time.Hour,
		Beyond: "429",
	}
	Documents = Limit{
		Name: "document", What: "client metadata documents fetched", Per: "network", Most: 60, Window: time.Hour,
		Beyond: "what was read before is used; an unknown client is refused",
	}
	AllDocuments = Limit{Name: "document-all", What: "client metadata documents fetched", Per: "everybody", Most: 1000, Window: time.Hour, Beyond: "as above"}
)

// Limits of what strangers may leave in the ephemeral store: authorization requests and pages of ours that wait for a
// sign-in, and requests that public clients push or begin for a device. Each is kept for half an hour at most. The
// work of a large office fits; what one network can occupy is some 40 MB.
var (
	Waiting = Limit{
		Name: "waiting",
		What: "requests that wait for a person: at the authorization endpoint, of devices, pushed ones of public clients",
		Per:  "network", Most: 20_000, Window: 30 * time.Minute, Beyond: "429",
	}
	WaitingLarge = Limit{
		Name: "waiting-large", What: "those of them above 4 KiB", Per: "network", Most: 1000, Window: 30 * time.Minute,
		Beyond: "429",
	}
)

// large is from how many bytes on a waiting request counts as a large one.
const large = 4 << 10

// WaitingOf returns the count of one more waiting request, of so many bytes.
func WaitingOf(source string, bytes int) *Count {
	if bytes > large {
		return WaitingLarge.Of(source)
	}
	return Waiting.Of(source)
}

// All lists every limit, in the order of the documentation.
func All() []Limit {
	return []Limit{
		CeremonyBegin, CeremonyFailed, CeremonyFailedBrowser, CeremonyFailedPasskey, NamesFrom, NameTyped,
		MailsFromTo, MailsTo, MailsFrom, RecoveryFailedFrom, RecoveryFailedFromTo, RecoveryFailed, UserCodeNetwork, UserCodeBrowser,
		Registrations, AllRegistrations, Documents, AllDocuments, Waiting, WaitingLarge,
	}
}

// Markdown is docs/limits.md.
func Markdown() string {
	var b strings.Builder
	b.WriteString(`# Limits

<!-- Generated from internal/limit by "go test ./internal/limit -update". Do not edit. -->

What one source may do within a window. A network is an IPv4 address or an IPv6 /64. A 429 always says in ` + "`Retry-After`" + ` when the window ends
at the latest. Other bounds, such as the size of a request, are in [operate.md](operate.md#health-logs-and-limits).

| what is counted | for each | as many | in | beyond that |
|-|-|-|-|-|
`)
	for _, l := range All() {
		fmt.Fprintf(&b, "| %s | %s | %d | %d minutes | %s |\n", l.What, l.Per, l.Most, l.Window/time.Minute, l.Beyond)
	}
	return b.String()
}
