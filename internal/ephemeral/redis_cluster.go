package ephemeral

import (
	"context"
	"errors"
	"net/url"
	"strings"

	"github.com/redis/go-redis/v9"
)

// A Redis Cluster has no order between its nodes, so a Do is sent in stages: the next stage is sent when the stage
// before has succeeded.
//
//	[get a, put b, count c, put d]  ──►  get a, put b, count c │ put d       (b and d on different slots)
//	[claim code-used:x, take code:x] ──► both, in one MULTI                  (one slot: the tag is x)
//	[take a, put b]                 ──►  probe b │ take a │ put b            (nothing is used up if b's node is full)

// A stage is the part of a Do that is sent at once.
type stage struct {
	ops []*Op
	tag string // of the ops that change an entry; "" if none does
}

// stagesOf splits ops. Ops on one tag stay in order. Ops that change entries on different tags are in different stages,
// in order, so that any prefix of them may be all that runs. Reads and counts need no place but after the ops before
// them on their tag.
func stagesOf(ops []*Op) []*stage {
	var stages []*stage
	latest, change, changed := map[string]int{}, 0, ""
	for _, op := range ops {
		tag := tagOf(op.Key)
		n := latest[tag]
		if op.changes() {
			if changed != "" && tag != changed {
				change++
			}
			n = max(n, change)
			change, changed = n, tag
		}
		latest[tag] = n
		for len(stages) <= n {
			stages = append(stages, &stage{})
		}
		stages[n].ops = append(stages[n].ops, op)
		if op.changes() {
			stages[n].tag = tag
		}
	}
	return stages
}

// changes reports whether an op changes an entry or index. A count too many does no harm.
func (op *Op) changes() bool { return op.Verb != Get && op.Verb != Members && op.Verb != Count }

// removes reports whether an op uses something up: the entry, or the chance to claim or swap it.
func (op *Op) removes() bool {
	switch op.Verb {
	case Take, Delete, Remove, Claim, Swap:
		return true
	}
	return false
}

func (op *Op) stores() bool {
	switch op.Verb {
	case Put, Claim, Swap, Add:
		return true
	}
	return false
}

// split returns the ops of a stage on its tag, and the others.
func (s *stage) split() (own, others []*Op) {
	for _, op := range s.ops {
		if s.tag != "" && tagOf(op.Key) == s.tag {
			own = append(own, op)
		} else {
			others = append(others, op)
		}
	}
	return own, others
}

// tagOf returns the hash tag of a key: all after the bucket, so that the entries of one secret share a node. Redis ends
// a tag at the first closing brace and takes no empty one.
func tagOf(key string) string {
	if _, rest, ok := strings.Cut(key, ":"); ok {
		key = rest
	}
	switch {
	case key == "":
		return "%"
	case strings.ContainsAny(key, "}%"):
		return url.QueryEscape(key)
	}
	return key
}

// clusterKey returns the key of an entry in a cluster: stepward:bucket:{tag}.
func clusterKey(key string) string {
	bucket, _, ok := strings.Cut(key, ":")
	if !ok {
		return redisPrefix + "{" + tagOf(key) + "}"
	}
	return redisPrefix + bucket + ":{" + tagOf(key) + "}"
}

// once is a command that a ClusterClient sends again only where it certainly did not run: if the node was not reached,
// or answered that the slot is elsewhere.
type once struct{ redis.Cmder }

// NoRetry tells the client.
func (once) NoRetry() bool { return true }

// sendStages runs ops on a cluster.
func (s *Redis) sendStages(ctx context.Context, ops []*Op) error {
	stages := stagesOf(ops)
	err := s.probe(ctx, stages)
	for _, stage := range stages {
		if err == nil {
			err = s.sendStage(ctx, stage)
		}
	}
	if _, said := errors.AsType[redis.Error](err); err != nil && !said && ctx.Err() == nil {
		s.cluster.ReloadState(ctx) // a node is gone: learn which replica took its place
	}
	return err
}

func (s *Redis) sendStage(ctx context.Context, stage *stage) error {
	own, others := stage.split()
	if !usesUp(own) {
		return s.run(ctx, s.cluster.Pipeline(), stage.ops)
	}
	if len(others) > 0 {
		if err := s.run(ctx, s.cluster.Pipeline(), others); err != nil {
			return err
		}
	}
	return s.run(ctx, s.cluster.TxPipeline(), own)
}

// probe writes a mark of a millisecond wherever ops of a later stage store something after an earlier one has used
// something up. A node that is full, read-only or gone then refuses the Do while nothing is used up.
func (s *Redis) probe(ctx context.Context, stages []*stage) error {
	if len(stages) < 2 {
		return nil
	}
	pipe, used := s.cluster.Pipeline(), false
	for _, stage := range stages {
		uses, stores := false, false
		for _, op := range stage.ops {
			uses, stores = uses || op.removes(), stores || op.stores()
		}
		if used && stores {
			key := redisPrefix + "probe:{" + stage.tag + "}"
			_ = pipe.Process(ctx, once{redis.NewStatusCmd(ctx, "set", key, "", "px", 1)})
		}
		used = used || uses
	}
	if pipe.Len() == 0 {
		return nil
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return unavailable(err)
	}
	return nil
}
