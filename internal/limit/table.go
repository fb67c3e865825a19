package limit

import (
	"time"
)

// Limits of ceremonies. They are generous, because a whole office may share one address and an assertion cannot be
// guessed. They limit work, audit records, and how fast somebody can try names. A sign-in with the page's first
// ceremony, the usual case, is not counted.
var (
	CeremonyBegin = Limit{
		Name: "begin", What: "ceremonies begun by a script: retries, typed names, pages open for a long time",
		Per: "network", Most: 1000, Window: 5 * time.Minute, Beyond: "429",
	}
	CeremonyFailed = Limit{
		Name: "failed", What: "failed ceremonies", Per: "network", Most: 300, Window: 5 * time.Minute,
		Beyond: "a valid assertion still signs in; an invalid one gets 429 and writes no event",
	}
	CeremonyFailedBrowser = Limit{
		Name: "failed-browser", What: "failed ceremonies", Per: "browser", Most: 100, Window: 5 * time.Minute,
		Beyond: "as above",
	}
	CeremonyFailedPasskey = Limit{
		Name: "failed-passkey", What: "failed ceremonies", Per: "passkey", Most: 30, Window: 5 * time.Minute,
		Beyond: "as above",
	}
	NamesFrom = Limit{
		Name: "names-from", What: "names typed at sign-in", Per: "network", Most: 300, Window: 5 * time.Minute,
		Beyond: "429",
	}
	NameTyped = Limit{
		Name: "name", What: "the same name typed at sign-in, from anywhere", Per: "name", Most: 60, Window: 5 * time.Minute,
		Beyond: "429; the button and autofill still work",
	}
)

// Limits of e-mails for sign-up and recovery. Each network has its own limit for an address, so that a stranger
// elsewhere cannot block the owner of the address.
var (
	MailsFromTo = Limit{
		Name: "mails-from-to", What: "e-mails of sign-up and recovery to one address", Per: "network and address", Most: 6,
		Window: time.Hour, Beyond: "429",
	}
	MailsTo = Limit{
		Name: "mails-to", What: "e-mails of sign-up and recovery to one address, from anywhere", Per: "address", Most: 30,
		Window: time.Hour, Beyond: "429",
	}
	MailsFrom = Limit{
		Name: "mails-from", What: "e-mails of sign-up and recovery (enough for a school behind one address)",
		Per: "network", Most: 30,
		Window: time.Hour, Beyond: "429",
	}
)

// Limits of failed recoveries. A saved code has 120 random bits, so these limits do not keep a guesser out: they bound
// work and records. Each network has its own limit for an account, so that a stranger elsewhere delays its owner for at
// most an hour.
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
		Name: "recovery-to", What: "failed recoveries of one account, from anywhere", Per: "address",
		Most: 20, Window: 24 * time.Hour,
		Longest: time.Hour, Beyond: "as above, an hour at most. After 100 in a row only the operator can help",
	}
)

// Limits of wrong user codes of devices. Right ones are not counted, because a whole office may connect its devices
// from one address. RFC 8628 §5.1: with a thousand codes in use, an address needs 25 million attempts for a likely
// hit. At this rate that takes eight hundred years, and only reveals which device somebody else is connecting.
var (
	UserCodeNetwork = Limit{
		Name: "user-code", What: "wrong device codes", Per: "network", Most: 60, Window: 10 * time.Minute, Beyond: "429",
	}
	UserCodeBrowser = Limit{
		Name: "user-code-browser", What: "wrong device codes", Per: "browser", Most: 20, Window: 10 * time.Minute,
		Beyond: "429",
	}
)

// Limits of adding a passkey on another device. A short code has 40 bits and lives for ten minutes.
var (
	Offers = Limit{
		Name: "offers", What: "codes for adding a passkey on another device", Per: "user", Most: 30, Window: time.Hour,
		Beyond: "429",
	}
	OfferGuesses = Limit{
		Name: "offer-guesses", What: "wrong codes for adding a passkey on another device", Per: "network", Most: 30,
		Window: 10 * time.Minute, Beyond: "429",
	}
)

// Limits of clients that register or describe themselves.
var (
	Registrations = Limit{
		Name: "register", What: "dynamic registrations without a live initial access token", Per: "network", Most: 20,
		Window: time.Hour, Beyond: "429; `registration-limit` changes both",
	}
	AllRegistrations = Limit{
		Name: "register-all", What: "dynamic registrations without a live initial access token", Per: "everybody",
		Most: 500, Window: time.Hour,
		Beyond: "429",
	}
	Documents = Limit{
		Name: "document", What: "client metadata documents that could not be used, at sites where none could be used before",
		Per: "network and site", Most: 60, Window: time.Hour, Longest: 10 * time.Minute,
		Beyond: "documents of unknown clients at this site are fetched one after the other, for a minute at first, and " +
			"twice as long with each further failure, 10 minutes at most; 32 wait",
	}
	NewDocuments = Limit{
		Name: "document-new", What: "clients added by metadata documents", Per: "network and site", Most: 60,
		Window: time.Hour, Beyond: "an unknown client is rejected",
	}
	AllDocuments = Limit{
		Name: "document-all", What: "clients added by metadata documents", Per: "everybody", Most: 1000, Window: time.Hour,
		Beyond: "as above",
	}
)

// Limits of the admin API. The first keeps one script from taking the server away from everybody else.
var (
	AdminAPI = Limit{
		Name: "admin-api", What: "requests at the admin API", Per: "client, or person", Most: 1200, Window: time.Minute,
		Beyond: "429",
	}
	AdminAPIRefused = Limit{
		Name: "admin-api-refused", What: "access tokens that the admin API does not accept", Per: "network", Most: 300,
		Window: 5 * time.Minute, Beyond: "429 instead of 401",
	}
)

// Limits of SCIM. A first synchronisation of a large directory is as fast as its limit: 100,000 people in an hour.
var (
	SCIM = Limit{
		Name: "scim", What: "requests of directories (SCIM)", Per: "client", Most: 3000, Window: time.Minute, Beyond: "429",
	}
	SCIMRefused = Limit{
		Name: "scim-refused", What: "access tokens that SCIM does not accept", Per: "network", Most: 300,
		Window: 5 * time.Minute, Beyond: "429 instead of 401",
	}
	Tries = Limit{
		Name: "tries", What: "sign-ins that an admin tries as an application", Per: "person", Most: 60, Window: time.Hour,
		Beyond: "429",
	}
)

// Limits of what strangers may store in the ephemeral store: authorization requests and our own pages waiting for a
// sign-in, and requests that public clients push or begin for a device. Each is kept for at most half an hour. This is
// enough for a large office; one network can occupy about 40 MB.
var (
	Waiting = Limit{
		Name: "waiting",
		What: "requests waiting for a person: authorization requests, device requests, pushed requests of public clients",
		Per:  "network", Most: 20_000, Window: 30 * time.Minute, Beyond: "429",
	}
	WaitingLarge = Limit{
		Name: "waiting-large", What: "such requests above 4 KiB", Per: "network", Most: 1000, Window: 30 * time.Minute,
		Beyond: "429",
	}
)

// large is the size in bytes above which a waiting request counts as large.
const large = 4 << 10

// WaitingOf returns the count of one more waiting request of this size in bytes. room is for requests of strangers; nil
// for those of people who are signed in.
func WaitingOf(room *Room, source string, bytes int) *Count {
	if bytes > large {
		return room.Shrink(WaitingLarge).Of(source)
	}
	return room.Shrink(Waiting).Of(source)
}
