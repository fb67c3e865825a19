package account_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/store/recoveries"
)

// A watched browser notes what each of its requests cost and answered.
type watched struct {
	*browser
	notes []string
	took  []time.Duration
}

func (w *watched) RoundTrip(r *http.Request) (*http.Response, error) {
	rows, eph, start := w.db.RoundTrips(), w.ephemeral.RoundTrips(), time.Now()
	response, err := w.browser.RoundTrip(r)
	w.took = append(w.took, time.Since(start))
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(response.Body)
	response.Body = io.NopCloser(bytes.NewReader(body))
	var headers []string
	for name, values := range response.Header {
		headers = append(headers, fmt.Sprintf("%s×%d", name, len(values)))
	}
	slices.Sort(headers)
	w.notes = append(w.notes, fmt.Sprintf("%s %s: %d, %d bytes, %d round trips to the store and %d to the ephemeral one, %s",
		r.Method, r.URL.Path, response.StatusCode, len(body), w.db.RoundTrips()-rows,
		w.ephemeral.RoundTrips()-eph, headers))
	return response, err
}

// Accounts that can be recovered, that cannot, and that do not exist: many samples of each, in turns. What an observer
// can see or time has the same distribution for all: status, headers, bytes, and the work that is done before the
// answer (round trips, e-mails, events). Durations are only compared roughly, so that a busy machine fails nothing.
func TestAnswersAboutAllAccountsHaveOneDistribution(t *testing.T) {
	const samples = 8 // of each kind and mode
	took := map[string][]time.Duration{}
	kinds := []string{"known", "never", "nokey", "close", "admin"}
	for mode, change := range map[string]func(*account.Config){"codes": func(*account.Config) {}, "email-with-delay": byEmail} {
		secret := bytes.Repeat([]byte{7}, 32)
		h := build(t, change, func(c *account.Config) { c.RecoveryKey = secret })
		other := h.lockOut("other@example.com")
		seen := map[string]map[string]int{}
		for i := range samples * len(kinds) {
			kind := kinds[i%len(kinds)]
			email := fmt.Sprintf("%s-%03d@example.com", kind, i)
			switch kind {
			case "known":
				u, _ := h.user(email, 1)
				_, stored := recoverycode.NewKey(secret).Make(u.ID, time.Now())
				if err := recoveries.ReplaceCodes(t.Context(), h.db, u.ID, stored, time.Now()); err != nil {
					t.Fatal(err)
				}
			case "nokey":
				h.user(email, 0)
			case "close":
				u, _ := h.user(email, 1)
				h.change(u, func(u *idp.User) { u.DisabledAt = time.Now() })
			case "admin":
				u, _ := h.user(email, 1)
				h.change(u, func(u *idp.User) { u.Role = directory.RoleAdmin })
			}
			w := &watched{browser: h.browser()}
			w.address = fmt.Sprintf("198.51.100.%d:1", i)
			w.client.Transport = w
			w.post("/recover", "email", email)
			w.post("/recover/code", "token", "12345678", "code", other.codes[0])
			w.post("/recover/code", "token", "12345678", "code", other.codes[0]) // refused: the delay has begun
			if m := h.email(); m.To != email {
				t.Errorf("%s: e-mail to %s", email, m.To)
			}
			h.noEmail() // one, whatever it says
			if seen[kind] == nil {
				seen[kind] = map[string]int{}
			}
			seen[kind][strings.Join(w.notes, "\n")]++
			var sum time.Duration
			for _, d := range w.took {
				sum += d
			}
			took[kind] = append(took[kind], sum)
		}
		for _, kind := range kinds[1:] {
			if diff := cmp.Diff(seen["known"], seen[kind]); diff != "" {
				t.Errorf("%s: %s accounts can be told from known ones:\n%s", mode, kind, diff)
			}
		}
	}
	for _, kind := range kinds[1:] {
		// Mann and Whitney's rank test, with bounds that equal distributions of 16 samples miss once in millions of runs.
		larger, pairs := 0, 0
		for _, a := range took["known"] {
			for _, b := range took[kind] {
				if pairs++; a > b {
					larger++
				}
			}
		}
		if share := float64(larger) / float64(pairs); share < 0.03 || share > 0.97 {
			t.Errorf("answers about known accounts take longer than about %s ones in %.2f of all pairs", kind, share)
		}
	}
}
