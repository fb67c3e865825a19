package web_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/web"
)

func TestADocumentIsAskedForAgainWithItsTag(t *testing.T) {
	d := web.NewDocument("application/json", time.Minute, []byte(`{"a":1}`))
	get := func(method, tags string) *http.Response {
		r := httptest.NewRequest(method, "/document", nil)
		r.Header.Set("If-None-Match", tags)
		w := httptest.NewRecorder()
		d.ServeHTTP(w, r)
		return w.Result()
	}
	first := get("GET", "")
	tag := first.Header.Get("ETag")
	if first.StatusCode != 200 || tag == "" || first.Header.Get("Cache-Control") != "public, max-age=60" {
		t.Errorf("%d %v", first.StatusCode, first.Header)
	}
	for tags, status := range map[string]int{
		tag: 304, "W/" + tag: 304, `"other", ` + tag: 304, "*": 304, `"other"`: 200, "x" + tag: 200, "": 200,
	} {
		again := get("GET", tags)
		if again.StatusCode != status || again.Header.Get("ETag") != tag || again.Header.Get("Cache-Control") == "" {
			t.Errorf("%s: %d %v", tags, again.StatusCode, again.Header)
		}
		if status == 304 && again.ContentLength > 0 {
			t.Errorf("%s: a body of %d bytes", tags, again.ContentLength)
		}
	}
	if head := get("HEAD", ""); head.ContentLength > 0 || head.Header.Get("Content-Type") != "application/json" {
		t.Errorf("HEAD: %d bytes, %v", head.ContentLength, head.Header)
	}
	if other := web.NewDocument("application/json", time.Minute, []byte(`{"a":2}`)); other != nil {
		w := httptest.NewRecorder()
		other.ServeHTTP(w, httptest.NewRequest("GET", "/document", nil))
		if w.Header().Get("ETag") == tag {
			t.Error("another document has the same tag")
		}
	}
}
