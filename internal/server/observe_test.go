package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestNothingIsMeasuredUnlessConfigured(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	if h.Private() != nil || h.trace() != nil || h.answered() != nil || h.asked("x") != nil {
		t.Error("something is measured by default")
	}
	for _, path := range []string{"/metrics", "/debug/pprof/"} {
		if resp, _, err := h.get(http.DefaultClient, path); err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("%s: %v %v", path, resp, err)
		}
	}
}

func TestMetricsAndProfilesAreOnTheirOwnListenerAlone(t *testing.T) {
	t.Parallel()
	for pprof, status := range map[string]int{"off": http.StatusNotFound, "on": http.StatusOK} {
		h := open(t, nil, "STEPWARD_METRICS_LISTEN=127.0.0.1:0", "STEPWARD_PPROF="+pprof)
		if resp, _, err := h.get(http.DefaultClient, "/metrics"); err != nil || resp.StatusCode != http.StatusNotFound {
			t.Errorf("/metrics for everybody: %v %v", resp, err)
		}
		private := httptest.NewServer(h.Private())
		t.Cleanup(private.Close)
		get := func(path string) (int, string) {
			t.Helper()
			resp, err := http.Get(private.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			return resp.StatusCode, string(body)
		}
		if code, text := get("/metrics"); code != http.StatusOK || !strings.Contains(text, `stepward_store_up{store="database"} 1`) {
			t.Errorf("/metrics: %d %s", code, text)
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/goroutine?debug=1"} {
			if code, _ := get(path); code != status {
				t.Errorf("pprof %s: %s answers %d", pprof, path, code)
			}
		}
		for _, path := range []string{"/", "/login", "/oauth2/token"} { // nothing of the public server
			if code, _ := get(path); code != http.StatusNotFound {
				t.Errorf("%s answers %d", path, code)
			}
		}
	}
}

func TestStoppingShowsInTheMetrics(t *testing.T) {
	t.Parallel()
	h := open(t, nil, "STEPWARD_METRICS_LISTEN=127.0.0.1:0")
	h.drain.begun.Store(true)
	w := httptest.NewRecorder()
	h.Private().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(w.Body.String(), "stepward_stopping 1\n") {
		t.Errorf("while stopping: %d %s", w.Code, w.Body)
	}
}
