// This test is inside the package: the library does not give such a response on request.
package provider

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/oauth"
)

func TestOnlyOurOwnRecordsAreLogged(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	t.Cleanup(func() { slog.SetDefault(before) })
	slog.SetDefault(slog.New(DropLibraryRecords(slog.NewTextHandler(&log, nil))).With("a", 1))
	(&Provider{}).newLibraryCall() // logs each route
	slog.Info("ours")
	if text := log.String(); !strings.Contains(text, "ours") || strings.Contains(text, "route") {
		t.Errorf("the log:\n%s", text)
	}
}

func TestUnknownLibraryErrorsAreNotRepeated(t *testing.T) {
	for body, want := range map[string]oauth.Error{
		`{"error":"server_error","error_description":"dial tcp 10.0.0.7:6379: refused"}`: {Code: "server_error", Status: 500},
		`{"error":"invalid_client","error_description":"no such client"}`:                {Code: "invalid_client", Description: "client authentication failed", Status: 401},
		`{"error":"unauthorized_client"}`:                                                {Code: "unauthorized_client", Status: 400},
		`panic: not JSON`:                                                                {Code: "server_error", Status: 500},
	} {
		h := &held{}
		h.WriteHeader(400)
		if _, err := h.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
		if got, ok := errors.AsType[*oauth.Error](h.refusal()); !ok || *got != want {
			t.Errorf("%s: %+v", body, got)
		}
	}
}
