package login

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Limits of the ceremonies, as many in one window. They are generous: a whole office may share one address, and a
// ceremony cannot be guessed. What they bound is work, audit records, and how fast somebody can try out names. Who signs
// in with the page's own ceremony, as most do, is counted nowhere.
const (
	limitWindow      = 5 * time.Minute
	beginLimit       = 1000 // begins of one address: retries, typed names, pages that were open for long
	failureLimit     = 300  // finishes of one address that failed; what succeeds is not counted
	emailLimit       = 300  // typed names of one address
	emailTargetLimit = 60   // typings of one name, from anywhere; autofill and the button go on working
)

// A limit is a counter that rides along in a request's round trip.
type limit struct {
	op  *ephemeral.Op
	max int64
}

func newLimit(name, key string, most int64) limit {
	return limit{&ephemeral.Op{Verb: ephemeral.Count, Key: "limit-login-" + name + ":" + key, TTL: limitWindow}, most}
}

// check refuses what is over its limit.
func (l limit) check(w http.ResponseWriter) error {
	if l.op.N <= l.max {
		return nil
	}
	return tooMany(w)
}

func tooMany(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", strconv.Itoa(int(limitWindow.Seconds())))
	return &web.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_requests", Title: "Too many tries",
		Text: "There were too many tries from here in a short time. Wait five minutes, then try again.",
	}
}

// failures is whether an address is shut out for its failed finishes: a mark that finish reads in its one round trip. It is
// the failure that pays for the count.
func failures(r *http.Request) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Get, Key: "limit-login-failed:" + web.ClientNetwork(r)}
}

// failed counts a finish that failed, and sets the mark when it was one too many.
func (l *Login) failed(ctx context.Context, r *http.Request) error {
	count := newLimit("failures", web.ClientNetwork(r), failureLimit)
	if err := l.Ephemeral.Do(ctx, count.op); err != nil || count.op.N < count.max {
		return err
	}
	mark := failures(r)
	mark.Verb, mark.Value, mark.TTL = ephemeral.Put, []byte("1"), limitWindow
	return l.Ephemeral.Do(ctx, mark)
}

// limitsOf returns the limits of a ceremony's begin. A name is kept as its hash: it is nobody's business.
func limitsOf(r *http.Request, email string) []limit {
	limits := []limit{newLimit("begin", web.ClientNetwork(r), beginLimit)}
	if email != "" {
		limits = append(limits, newLimit("email-from", web.ClientNetwork(r), emailLimit), newLimit("email", idp.Secret(email).Hash(), emailTargetLimit))
	}
	return limits
}
