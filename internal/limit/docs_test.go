package limit_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/limit"
)

var update = flag.Bool("update", false, "rewrite docs/limits.md")

func TestThePageOfLimitsIsGenerated(t *testing.T) {
	page := filepath.Join("..", "..", "docs", "limits.md")
	if *update {
		if err := os.WriteFile(page, []byte(markdown()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(markdown(), string(got)); diff != "" {
		t.Errorf("run go test ./internal/limit -update:\n%s", diff)
	}
}

func TestEveryLimitHasACounterOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for _, l := range all() {
		if seen[l.Name] || l.Name == "" || l.Most < 1 || l.Window < time.Second || l.What == "" || l.Per == "" || l.Beyond == "" {
			t.Errorf("%+v", l)
		}
		seen[l.Name] = true
	}
	table, err := os.ReadFile("table.go")
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(table), " = Limit{"); n != len(seen) {
		t.Errorf("the page has %d limits, the table %d", len(seen), n)
	}
}

// all returns every limit, in the order of the documentation.
func all() []limit.Limit {
	return []limit.Limit{
		limit.CeremonyBegin, limit.CeremonyFailed, limit.CeremonyFailedBrowser, limit.CeremonyFailedPasskey, limit.NamesFrom, limit.NameTyped,
		limit.MailsFromTo, limit.MailsTo, limit.MailsFrom, limit.RecoveryFailedFrom, limit.RecoveryFailedFromTo, limit.RecoveryFailed,
		limit.UserCodeNetwork, limit.UserCodeBrowser, limit.Offers, limit.OfferGuesses,
		limit.Registrations, limit.AllRegistrations, limit.Documents, limit.NewDocuments, limit.AllDocuments, limit.AdminAPI, limit.AdminAPIRefused, limit.SCIM, limit.SCIMRefused,
		limit.Tries,
		limit.Waiting, limit.WaitingLarge,
	}
}

// markdown returns docs/limits.md.
func markdown() string {
	var b strings.Builder
	b.WriteString(`# Limits

<!-- Generated from internal/limit by "go test ./internal/limit -update". Do not edit. -->

How often one source may do something within a window. A network is an IPv4 address or an IPv6 /64. The
` + "`Retry-After`" + ` of a 429 says when the window ends at the latest. Other limits, such as the size of a
request, are in [operate.md](operate.md#health-logs-and-limits).

| event | counted per | limit | window | above the limit |
|-|-|-|-|-|
`)
	for _, l := range all() {
		fmt.Fprintf(&b, "| %s | %s | %d | %d minutes | %s |\n", l.What, l.Per, l.Most, l.Window/time.Minute, l.Beyond)
	}
	b.WriteString(`
Besides, each replica limits the requests of a network and of a client that proves who it is to a number a second
(settings ` + "`rate-network`, `rate-client`" + `), in its own memory. Five seconds' worth may come at once, then 429.

The limits of waiting requests shrink for strangers while the ephemeral store is more than half full (setting
` + "`ephemeral-ceiling`" + `); with none left, only people who are signed in can begin something.

Every 429 of a limit names it in ` + "`RateLimit-Policy` and `RateLimit`" + ` (draft-ietf-httpapi-ratelimit-headers).
`)
	return b.String()
}
