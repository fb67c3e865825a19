package web

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

// These tests are inside the package: handlers only see a context.Context.

func lifetimeOf(outer context.Context) *lifetime {
	r := httptest.NewRequest("GET", "/", nil)
	return &newRecord(outer, httptest.NewRecorder(), r, false).life
}

func TestTheLifetimeOfARequestIsAContextWithADeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lifetimeOf(t.Context())
		if at, ok := l.Deadline(); !ok || time.Until(at) != MaxTime {
			t.Errorf("deadline %v", at)
		}
		if l.Err() != nil || l.timed != nil {
			t.Errorf("at first: %v, %v", l.Err(), l.timed)
		}
		derived, cancel := context.WithCancel(l)
		defer cancel()
		if l.timed == nil {
			t.Error("nothing ends a context made from this one")
		}
		begin := time.Now()
		<-derived.Done()
		if took := time.Since(begin); took != MaxTime || !errors.Is(derived.Err(), context.DeadlineExceeded) {
			t.Errorf("%v after %v", derived.Err(), took)
		}
		if !errors.Is(l.Err(), context.DeadlineExceeded) || !errors.Is(context.Cause(l), context.DeadlineExceeded) {
			t.Errorf("%v, %v", l.Err(), context.Cause(l))
		}
	})
}

func TestALifetimeEndsWithoutATimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := lifetimeOf(t.Context())
		time.Sleep(MaxTime)
		if !errors.Is(l.Err(), context.DeadlineExceeded) {
			t.Errorf("after its time: %v", l.Err())
		}
		<-l.Done() // at once, or the bubble is stuck

		outer, cancel := context.WithCancel(t.Context())
		l = lifetimeOf(outer)
		cancel()
		if !errors.Is(l.Err(), context.Canceled) {
			t.Errorf("the client is gone: %v", l.Err())
		}
		<-l.Done()

		for _, started := range []bool{false, true} {
			l = lifetimeOf(t.Context())
			if started {
				l.Done()
			}
			l.end()
			if <-l.Done(); !errors.Is(l.Err(), context.Canceled) {
				t.Errorf("an answered request, timer %v: %v", started, l.Err())
			}
		}

		soon, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l = lifetimeOf(soon)
		if at, _ := l.Deadline(); time.Until(at) != time.Second {
			t.Errorf("deadline in %v", time.Until(at))
		}
	})
}

func TestALifetimeCarriesTheRecordAndTheOuterValues(t *testing.T) {
	type key struct{}
	l := lifetimeOf(context.WithValue(t.Context(), key{}, "outer"))
	for range 2 {
		if rec, ok := recordOf(l); !ok || rec != l.record || l.Value(key{}) != "outer" {
			t.Errorf("%v, %v", rec, l.Value(key{}))
		}
		l.Done() // the second time with the timer
	}
	if rec, ok := recordOf(context.WithoutCancel(l)); !ok || rec != l.record {
		t.Error("work that outlives the request has lost the record")
	}
	l.end()
}

// What a request without a store costs: a map of headers, and no timer.
func TestTheChainAllocatesLittle(t *testing.T) {
	s := newShell(t, nil)
	mux := http.NewServeMux()
	document := NewDocument("application/json", time.Minute, []byte(`{}`))
	s.Handle(mux, "GET /document", func(w http.ResponseWriter, r *http.Request) error {
		document.ServeHTTP(w, r)
		return nil
	})
	h, r := s.Protocol(mux), httptest.NewRequest("GET", s.config.Issuer.String()+"/document", nil)
	r.RemoteAddr = "192.0.2.1:1234"
	n := testing.AllocsPerRun(100, func() {
		in := *r
		h.ServeHTTP(httptest.NewRecorder(), &in)
	})
	if most := 14.0; n > most {
		t.Errorf("%.0f allocations, want at most %.0f", n, most)
	}
}
