package ephemeral

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// updateTries bounds Bucket.Update: one key is fought over by a few tabs of one browser, not by a crowd.
const updateTries = 8

// A Bucket is a typed corner of a Store. Values travel as JSON, so T must survive it; an idp.Secret does not, on purpose.
// A key that is a secret is given as its hash.
type Bucket[T any] struct {
	store Store
	name  string
	ttl   time.Duration
}

// NewBucket returns the bucket of this name, whose entries live ttl unless said otherwise.
func NewBucket[T any](s Store, name string, ttl time.Duration) Bucket[T] {
	return Bucket[T]{store: s, name: name, ttl: ttl}
}

// Put stores v, over whatever was there.
func (b Bucket[T]) Put(ctx context.Context, key string, v T) error {
	op, err := b.PutOp(key, v, 0)
	if err != nil {
		return err
	}
	return b.store.Do(ctx, op)
}

// Get returns the value; idp.ErrNotFound if there is none.
func (b Bucket[T]) Get(ctx context.Context, key string) (T, error) { return b.read(ctx, b.GetOp(key)) }

// Take returns the value and removes it: of concurrent callers one gets it, the others idp.ErrNotFound.
func (b Bucket[T]) Take(ctx context.Context, key string) (T, error) {
	return b.read(ctx, b.TakeOp(key))
}

func (b Bucket[T]) read(ctx context.Context, op *Op) (T, error) {
	if err := b.store.Do(ctx, op); err != nil {
		var zero T
		return zero, err
	}
	return b.Decode(op)
}

// Update changes a value in place and returns it as stored; it lives ttl from then on (0: the bucket's). f may run more
// than once, each time on a fresh copy, because somebody else's change in between is never overwritten; its error ends
// the update. idp.ErrNotFound if there is no value (any more), idp.ErrConflict if others were faster again and again.
func (b Bucket[T]) Update(ctx context.Context, key string, ttl time.Duration, f func(*T) error) (T, error) {
	return b.UpdateFrom(ctx, nil, key, ttl, f)
}

// UpdateFrom is Update by a caller who has read the value before, as these bytes; nil: has not. Unless somebody has
// written since, that saves the read.
func (b Bucket[T]) UpdateFrom(ctx context.Context, seen []byte, key string, ttl time.Duration, f func(*T) error) (T, error) {
	var zero T
	for range updateTries {
		old := b.GetOp(key)
		if seen != nil {
			old.Found, old.Result, seen = true, seen, nil
		} else if err := b.store.Do(ctx, old); err != nil {
			return zero, err
		}
		v, err := b.Decode(old)
		if err != nil {
			return zero, err
		}
		if err := f(&v); err != nil {
			return zero, err
		}
		op, err := b.PutOp(key, v, ttl)
		if err != nil {
			return zero, err
		}
		op.Verb, op.Old = Swap, old.Result
		if err := b.store.Do(ctx, op); err != nil {
			return zero, err
		}
		if op.Found {
			return v, nil
		}
	}
	return zero, fmt.Errorf("update %s: %w", b.name, idp.ErrConflict)
}

// Delete removes the value, if there is one.
func (b Bucket[T]) Delete(ctx context.Context, key string) error {
	return b.store.Do(ctx, b.DeleteOp(key))
}

// PutOp is Put as an op, to be batched. A ttl of 0 is the bucket's.
func (b Bucket[T]) PutOp(key string, v T, ttl time.Duration) (*Op, error) {
	value, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", b.name, err)
	}
	if ttl == 0 {
		ttl = b.ttl
	}
	return &Op{Verb: Put, Key: b.name + ":" + key, Value: value, TTL: ttl}, nil
}

// GetOp is Get as an op; read its answer with Decode.
func (b Bucket[T]) GetOp(key string) *Op { return &Op{Verb: Get, Key: b.name + ":" + key} }

// TakeOp is Take as an op; read its answer with Decode.
func (b Bucket[T]) TakeOp(key string) *Op { return &Op{Verb: Take, Key: b.name + ":" + key} }

// DeleteOp is Delete as an op.
func (b Bucket[T]) DeleteOp(key string) *Op { return &Op{Verb: Delete, Key: b.name + ":" + key} }

// Decode reads what a GetOp or TakeOp found; idp.ErrNotFound if nothing. Bytes that are no T (a rolled-back release, a
// damaged file) are as good as nothing, and logged: whoever asks begins anew.
func (b Bucket[T]) Decode(op *Op) (T, error) {
	var v, zero T
	if !op.Found {
		return zero, fmt.Errorf("%s: %w", b.name, idp.ErrNotFound)
	}
	err := json.Unmarshal(op.Result, &v)
	if len(op.Result) > MaxValue {
		err = ErrTooLarge
	}
	if err != nil {
		b.store.Log().Warn("unreadable ephemeral entry", "bucket", b.name, "bytes", len(op.Result), "error", err)
		return zero, fmt.Errorf("%s: %w", b.name, idp.ErrNotFound)
	}
	return v, nil
}
