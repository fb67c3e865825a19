package ephemeral

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/idp"
)

// updateTries limits the attempts of Bucket.Update. A few tabs of one browser compete for a key, not a crowd.
const updateTries = 8

// A Bucket is a typed part of a Store. Values are stored as JSON or in the compact form, so T must survive encoding; an
// idp.Secret does not, on purpose. If a key is a secret, its hash is used.
type Bucket[T any] struct {
	store  Store
	name   string
	ttl    time.Duration
	fields func(*compact.Codec, *T) // nil: JSON only
}

// NewBucket returns the bucket with this name. Its entries live for ttl by default.
func NewBucket[T any](s Store, name string, ttl time.Duration) Bucket[T] {
	return Bucket[T]{store: s, name: name, ttl: ttl}
}

// NewCompactBucket returns a bucket whose values are written in the compact form, once the store writes it. It reads
// both forms.
func NewCompactBucket[T any](s Store, name string, ttl time.Duration, fields func(*compact.Codec, *T)) Bucket[T] {
	return Bucket[T]{store: s, name: name, ttl: ttl, fields: fields}
}

// Put stores v and replaces any entry.
func (b Bucket[T]) Put(ctx context.Context, key string, v T) error {
	op, err := b.PutOp(key, v, 0)
	if err != nil {
		return err
	}
	return b.store.Do(ctx, op)
}

// Get returns the value, or idp.ErrNotFound.
func (b Bucket[T]) Get(ctx context.Context, key string) (T, error) { return b.read(ctx, b.GetOp(key)) }

// Take returns the value and deletes it. Of concurrent callers, one gets it, the others idp.ErrNotFound.
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

// Update changes a value and returns it as stored. It then lives for ttl (0: the bucket's). f may run more than once,
// each time on a fresh copy, because concurrent changes are never overwritten. An error from f ends the update. Update
// returns idp.ErrNotFound without a value, and idp.ErrConflict if others won every attempt.
func (b Bucket[T]) Update(ctx context.Context, key string, ttl time.Duration, f func(*T) error) (T, error) {
	return b.UpdateFrom(ctx, nil, key, ttl, f)
}

// UpdateFrom is Update for a caller that may have read the value before, as these bytes; nil if not. If the value is
// unchanged, that saves the read.
func (b Bucket[T]) UpdateFrom(
	ctx context.Context, seen []byte, key string, ttl time.Duration, f func(*T) error,
) (T, error) {
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

// Delete deletes the value, if there is one.
func (b Bucket[T]) Delete(ctx context.Context, key string) error {
	return b.store.Do(ctx, b.DeleteOp(key))
}

// PutOp is Put as an op. With ttl 0, the bucket's ttl applies.
func (b Bucket[T]) PutOp(key string, v T, ttl time.Duration) (*Op, error) {
	value, err := b.encode(&v)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", b.name, err)
	}
	if ttl == 0 {
		ttl = b.ttl
	}
	return &Op{Verb: Put, Key: b.name + ":" + key, Value: value, TTL: ttl}, nil
}

// GetOp is Get as an op. Read its result with Decode.
func (b Bucket[T]) GetOp(key string) *Op { return &Op{Verb: Get, Key: b.name + ":" + key} }

// TakeOp is Take as an op. Read its result with Decode.
func (b Bucket[T]) TakeOp(key string) *Op { return &Op{Verb: Take, Key: b.name + ":" + key} }

// DeleteOp is Delete as an op.
func (b Bucket[T]) DeleteOp(key string) *Op { return &Op{Verb: Delete, Key: b.name + ":" + key} }

// Decode returns the result of a GetOp or TakeOp, or idp.ErrNotFound. Bytes that are not a T (after a rollback, in a
// damaged file) count as not found and are logged, so the caller starts again.
func (b Bucket[T]) Decode(op *Op) (T, error) {
	var v, zero T
	if !op.Found {
		return zero, fmt.Errorf("%s: %w", b.name, idp.ErrNotFound)
	}
	if err := b.decode(op.Result, &v); err != nil {
		b.store.Log().Warn("unreadable ephemeral entry", "bucket", b.name, "bytes", len(op.Result), "error", err)
		return zero, fmt.Errorf("%s: %w", b.name, idp.ErrNotFound)
	}
	return v, nil
}

func (b Bucket[T]) encode(v *T) ([]byte, error) {
	if b.fields != nil && b.store.WritesCompact() {
		return compact.Encode(v, b.fields)
	}
	return json.Marshal(v)
}

func (b Bucket[T]) decode(value []byte, v *T) error {
	switch {
	case len(value) > MaxValue:
		return ErrTooLarge
	case b.fields != nil && compact.Is(value):
		return compact.Decode(value, v, b.fields)
	}
	return json.Unmarshal(value, v)
}
