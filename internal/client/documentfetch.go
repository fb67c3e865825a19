package client

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"golang.org/x/net/publicsuffix"
	"golang.org/x/sync/semaphore"
	"golang.org/x/sync/singleflight"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/outbound"
)

// Anybody can invent URLs of metadata documents, so fetching them has limits. A limit that a stranger can use up must
// not reject the good document of somebody else behind the same address. So only documents that could not be used are
// counted, for each network and site, and not at sites where a document could be used before. Above the limit documents
// wait for each other instead of being rejected. Documents of known clients are always fetched when they are due.
const (
	// siteHold is how long a site counts as one that answered well.
	siteHold = 30 * 24 * time.Hour
	// documentRetry is the pause before the document of a known client is fetched again after a failure, so that its
	// users do not wait for it each time.
	documentRetry = time.Minute
	// maxDocumentFetches is how many documents of sites that never answered well are fetched at once by one process.
	maxDocumentFetches = 256
	// maxDocumentsWaiting is how many documents wait for each other, for one network and site.
	maxDocumentsWaiting = 32
	maxDocumentWait     = 10 * time.Second
)

// documents fetches metadata documents.
type documents struct {
	outbound  *outbound.Client
	ephemeral ephemeral.Store
	flights   singleflight.Group // by URL
	slots     chan struct{}
	lines     lines
}

func newDocuments(fetcher *outbound.Client, store ephemeral.Store) *documents {
	return &documents{outbound: fetcher, ephemeral: store, slots: make(chan struct{}, maxDocumentFetches)}
}

// A documentSource is what the limits look at.
type documentSource struct {
	id      string // the URL
	site    string
	network string
	known   bool // there is a client with this ID
	good    bool // a document of the site could be used before
	waits   bool // too many documents of the site failed for this network: they are fetched one after the other
}

// lines let documents wait for each other. The zero value is ready.
type lines struct {
	mu sync.Mutex
	of map[string]*line
}

type line struct {
	turn *semaphore.Weighted
	here int // waiting, and the one whose turn it is
}

// wait returns when it is the caller's turn at the key's line, in the order of arrival. The caller calls leave when it
// is done. It returns an error if the line is too long or too slow.
func (l *lines) wait(ctx context.Context, key string) (leave func(), err error) {
	l.mu.Lock()
	if l.of == nil {
		l.of = map[string]*line{}
	}
	own := l.of[key]
	if own == nil {
		own = &line{turn: semaphore.NewWeighted(1)}
		l.of[key] = own
	}
	if own.here > maxDocumentsWaiting {
		l.mu.Unlock()
		return nil, errors.New("too many documents of this site failed, and too many wait")
	}
	own.here++
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, maxDocumentWait)
	defer cancel()
	if err := own.turn.Acquire(ctx, 1); err != nil {
		l.step(key, own)
		return nil, fmt.Errorf("wait for other documents of the site: %w", err)
	}
	return func() { own.turn.Release(1); l.step(key, own) }, nil
}

// step takes one off a line, and removes an empty line.
func (l *lines) step(key string, own *line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if own.here--; own.here == 0 {
		delete(l.of, key)
	}
}

// siteOf returns the domain under which the owner of a document's host can create other hosts (the public suffix and
// one label); the host if there is none.
func siteOf(id string) string {
	u, err := url.Parse(id)
	if err != nil {
		return ""
	}
	host := u.Hostname()
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}

func (s documentSource) failures() limit.Source {
	return limit.Source{Limit: limit.Documents, Key: s.network + " " + s.site}
}

func (s documentSource) goodKey() string  { return "document-site:" + s.site }
func (s documentSource) retryKey() string { return "document-retry:" + idp.Secret(s.id).Hash() }

// mayFetch returns an error if the document must not be fetched now. It sets source.good and source.waits.
func (d *documents) mayFetch(ctx context.Context, source *documentSource) error {
	f := source.failures()
	closed := f.Closed(f.Key)
	good := &ephemeral.Op{Verb: ephemeral.Get, Key: source.goodKey()}
	retry := &ephemeral.Op{Verb: ephemeral.Get, Key: source.retryKey()}
	if err := d.ephemeral.Do(ctx, closed, good, retry); err != nil {
		return err
	}
	source.good = good.Found || source.known
	source.waits = !source.good && closed.Found
	if source.known && retry.Found {
		return errors.New("the document failed a moment ago")
	}
	return nil
}

// get fetches a document. Concurrent requests for one URL share one fetch, which goes on if they end: nobody gets ahead
// by breaking off.
func (d *documents) get(ctx context.Context, source documentSource) (outbound.Response, error) {
	return share(ctx, &d.flights, source.id, func(ctx context.Context) (outbound.Response, error) {
		if source.waits {
			leave, err := d.lines.wait(ctx, source.failures().Key)
			if err != nil {
				return outbound.Response{}, err
			}
			defer leave()
		}
		if !source.good {
			select {
			case d.slots <- struct{}{}:
				defer func() { <-d.slots }()
			default:
				return outbound.Response{}, errors.New("too many documents are being fetched")
			}
		}
		return d.outbound.GetDirect(ctx, source.id, "application/json", maxDocument)
	})
}

// record counts the result of a fetch. It returns an error if the document could be used, but its site or everybody
// together added too many clients.
func (d *documents) record(ctx context.Context, source documentSource, failure error) error {
	switch {
	case failure != nil && ctx.Err() != nil: // it says nothing about the document
		return nil
	case failure != nil && source.known:
		return d.ephemeral.Do(ctx,
			&ephemeral.Op{Verb: ephemeral.Put, Key: source.retryKey(), Value: []byte("1"), TTL: documentRetry})
	case failure != nil && !source.good:
		return limit.Fail(ctx, d.ephemeral, source.failures())
	case failure != nil:
		return nil
	}
	good := &ephemeral.Op{Verb: ephemeral.Put, Key: source.goodKey(), Value: []byte("1"), TTL: siteHold}
	if err := d.ephemeral.Do(ctx, good); err != nil || source.known {
		return err
	}
	over, err := limit.Exceeded(ctx, d.ephemeral,
		limit.NewDocuments.Of(source.network+" "+source.site), limit.AllDocuments.Of("all"))
	if err == nil && over {
		err = errors.New("too many clients with documents were added in the last hour")
	}
	return err
}
