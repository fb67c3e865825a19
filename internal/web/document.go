package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Document is an answer that is the same for everyone, with prepared header values. It is safe for concurrent use.
type Document struct {
	contentType, cache []string // header values: never changed
	etag               []string // nil: cached for good
	plain              []byte
	zipped             func() []byte // nil: never compressed
}

// NewDocument returns a document that may be cached for a time, and then asked for again with its ETag. It is small, so
// it is not compressed: two headers more would cost more than they save.
func NewDocument(contentType string, cached time.Duration, body []byte) *Document {
	sum := sha256.Sum256(body)
	return &Document{
		contentType: []string{contentType}, cache: []string{fmt.Sprintf("public, max-age=%d", cached/time.Second)},
		etag: []string{`"` + base64.RawURLEncoding.EncodeToString(sum[:9]) + `"`}, plain: body,
	}
}

// newFile returns a document that never changes. It is compressed when somebody first asks for that, because
// compressing takes time.
func newFile(contentType, cache string, body []byte) *Document {
	return &Document{
		contentType: []string{contentType}, cache: []string{cache}, plain: body,
		zipped: sync.OnceValue(func() []byte { return compress(body) }),
	}
}

func compress(body []byte) []byte {
	var out bytes.Buffer
	z, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is valid
	_, _ = z.Write(body)                                    // to memory
	_ = z.Close()
	return bytes.Clone(out.Bytes())
}

// ServeHTTP implements http.Handler.
func (d *Document) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h, body := w.Header(), d.plain
	h["Content-Type"], h["Cache-Control"] = d.contentType, d.cache
	if d.etag != nil {
		h["Etag"] = d.etag
		if d.is(r.Header.Get("If-None-Match")) {
			w.WriteHeader(http.StatusNotModified)
			return
		}
	}
	if d.zipped != nil {
		h.Set("Vary", "Accept-Encoding")
		if acceptsGzip(r.Header.Get("Accept-Encoding")) {
			h.Set("Content-Encoding", "gzip")
			body = d.zipped()
		}
		h.Set("Content-Length", strconv.Itoa(len(body)))
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone
	}
}

// is reports whether a list of ETags names this document (RFC 9110 §13.1.2).
func (d *Document) is(tags string) bool {
	for tag := range strings.SplitSeq(tags, ",") {
		if tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/"); tag == "*" || tag == d.etag[0] {
			return true
		}
	}
	return false
}

// acceptsGzip parses Accept-Encoding as sent by browsers. "gzip;q=0" is respected.
func acceptsGzip(accept string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		coding, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(coding) == "gzip" {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}
