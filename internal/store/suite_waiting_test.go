package store_test

import (
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/outbox"
)

var waitingCases = map[string]func(*fixture){
	"the outboxes are counted": waitingOutboxes,
}

func waitingOutboxes(f *fixture) {
	queues := func() map[string]outbox.Queue {
		f.Helper()
		all, err := outbox.Waiting(f.ctx, f.DB)
		if err != nil {
			f.Fatal(err)
		}
		byName := map[string]outbox.Queue{}
		for _, q := range all {
			byName[q.Name] = q
		}
		return byName
	}
	if all := queues(); len(all) != 3 || all["mail"].Count != 0 || !all["mail"].Oldest.IsZero() {
		f.Errorf("empty: %+v", all)
	}
	long := f.now.Add(-time.Hour)
	for _, at := range []time.Time{long.Add(time.Minute), long} {
		mail := outbox.Mail{ID: idp.NewID(), To: "a@example.com", CreatedAt: at, NextAt: at}
		f.must(outbox.EnqueueMail(f.ctx, f.DB, mail))
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
