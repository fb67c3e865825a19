package storetest

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

var waitingCases = map[string]func(*fixture){
	"the outboxes are counted": waitingOutboxes,
}

func waitingOutboxes(f *fixture) {
	queues := func() map[string]store.Queue {
		f.Helper()
		all, err := f.Waiting(f.ctx)
		if err != nil {
			f.Fatal(err)
		}
		byName := map[string]store.Queue{}
		for _, q := range all {
			byName[q.Name] = q
		}
		return byName
	}
	if all := queues(); len(all) != 2 || all["mail"].Count != 0 || !all["mail"].Oldest.IsZero() || all["logout"].Count != 0 {
		f.Errorf("empty: %+v", all)
	}
	long := f.now.Add(-time.Hour)
	for _, at := range []time.Time{long.Add(time.Minute), long} {
		f.must(f.EnqueueMail(f.ctx, store.Mail{ID: idp.NewID(), To: "a@example.com", CreatedAt: at, NextAt: at}))
	}
	if all := queues(); all["mail"].Count != 2 || !all["mail"].Oldest.Equal(long) || all["logout"].Count != 0 {
		f.Errorf("two messages: %+v", all)
	}
	for _, p := range f.Pools() {
		if p.Name == "" || p.Max < 1 || p.Open < 1 || p.Use > p.Open {
			f.Errorf("pool: %+v", p)
		}
	}
}
