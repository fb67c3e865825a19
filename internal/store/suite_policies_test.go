package store_test

import (
	"fmt"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/policies"
)

var policyCases = map[string]func(*fixture){
	"a policy is read as it was stored, and only by a reader who does not know it": func(f *fixture) {
		p := policies.New(f.DB)
		f.same(must2(p.Current(f.ctx))(f), policies.Version{})
		v := policies.Version{
			Number: 1, Document: `{"sign-up": "open"}`, Changes: "+ sign-up", ActorID: "u", ChangedAt: f.now,
		}
		f.must(p.Put(f.ctx, v, f.event(idp.EventPolicyChanged, "")))
		f.same(must2(p.Current(f.ctx))(f), v)
		f.same(must2(p.Version(f.ctx, 1))(f), v)
		if _, newer, err := p.Newer(f.ctx, 1); newer || err != nil {
			f.Errorf("the known version is newer: %v, %v", newer, err)
		}
		for _, other := range []int64{0, 2} { // 2: a backup was restored
			if got, newer, err := p.Newer(f.ctx, other); !newer || err != nil || got.Number != 1 {
				f.Errorf("to one who knows %d: %d, %v, %v", other, got.Number, newer, err)
			}
		}
		_, err := p.Version(f.ctx, 2)
		f.refuses(err, idp.ErrNotFound)
		f.same(f.events(), []idp.EventKind{idp.EventPolicyChanged})
	},
	"of several who change the same version, one wins": func(f *fixture) {
		p := policies.New(f.DB)
		f.must(p.Put(f.ctx, policies.Version{Number: 1, Document: "{}", ChangedAt: f.now}))
		var wg sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			wg.Go(func() {
				errs[i] = p.Put(f.ctx, policies.Version{Number: 2, Document: "{}", ChangedAt: f.now})
			})
		}
		wg.Wait()
		won := 0
		for _, err := range errs {
			if err == nil {
				won++
			} else {
				f.refuses(err, idp.ErrConflict)
			}
		}
		if won != 1 {
			f.Errorf("%d won", won)
		}
		f.refuses(p.Put(f.ctx, policies.Version{Number: 4, Document: "{}", ChangedAt: f.now}), idp.ErrConflict)
	},
	"the history is kept for a while": func(f *fixture) {
		p := policies.New(f.DB)
		const n = policies.Kept + 3
		for i := range int64(n) {
			f.must(p.Put(f.ctx, policies.Version{
				Number: i + 1, Document: "{}", Changes: fmt.Sprint(i + 1), ChangedAt: f.now.Add(time.Duration(i) * time.Second),
			}))
		}
		first := must2(p.History(f.ctx, 0, 2))(f)
		if len(first) != 2 || first[0].Number != n || first[1].Changes != fmt.Sprint(n-1) || first[0].Document != "" {
			f.Errorf("the newest are %+v", first)
		}
		if next := must2(p.History(f.ctx, n-1, n))(f); len(next) != policies.Kept-2 || next[0].Number != n-2 {
			f.Errorf("%d follow", len(next))
		}
	},
	"an event keeps the version of the policy": func(f *fixture) {
		e := f.event(idp.EventSignedOut, "")
		e.Policy = 1234567
		f.must(f.RecordEvents(f.ctx, e, f.event(idp.EventSignedOut, "")))
		events := must2(f.Events(f.ctx, "", 10))(f)
		if len(events) != 2 || events[0].Policy+events[1].Policy != e.Policy {
			f.Errorf("events are %+v", events)
		}
	},
}
