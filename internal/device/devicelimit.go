package device

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Limits of wrong user codes, as many in one window. Right ones are not counted: a whole office may connect its devices
// from one address. RFC 8628 §5.1: with a thousand codes alive, an address needs 25 million tries for a likely hit, which
// at this pace takes eight hundred years, and then it knows which device somebody else began to connect.
const (
	guessWindow       = 10 * time.Minute
	guessLimit        = 60 // wrong codes of one network, in which many people may sit
	browserGuessLimit = 20 // of one browser, wherever it is
)

// A guesser is whom wrong codes are counted for.
type guesser struct {
	key string
	max int64
}

func guessersOf(r *http.Request, browser idp.Secret) []guesser {
	return []guesser{{"network:" + web.ClientNetwork(r), guessLimit}, {"browser:" + browser.Hash(), browserGuessLimit}}
}

// shut is whether a guesser has used up its guesses, read along with the code itself.
func (g guesser) shut() *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Get, Key: "device-shut-" + g.key}
}

// guessed counts a wrong code, and shuts out whoever had one too many.
func (s *Service) guessed(ctx context.Context, guessers []guesser) error {
	counts := make([]*ephemeral.Op, len(guessers))
	for i, g := range guessers {
		counts[i] = &ephemeral.Op{Verb: ephemeral.Count, Key: "device-guess-" + g.key, TTL: guessWindow}
	}
	if err := s.cfg.Ephemeral.Do(ctx, counts...); err != nil {
		return err
	}
	var marks []*ephemeral.Op
	for i, g := range guessers {
		if counts[i].N >= g.max {
			mark := g.shut()
			mark.Verb, mark.Value, mark.TTL = ephemeral.Put, []byte("1"), guessWindow
			marks = append(marks, mark)
		}
	}
	return s.cfg.Ephemeral.Do(ctx, marks...)
}

func tooManyGuesses(w http.ResponseWriter) error {
	w.Header().Set("Retry-After", strconv.Itoa(int(guessWindow.Seconds())))
	return &web.Problem{
		Status: http.StatusTooManyRequests, Code: "too_many_requests", Title: "Too many tries",
		Text: "There were too many wrong codes from here in a short time. Wait ten minutes, then start again on the device.",
	}
}
