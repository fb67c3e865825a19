package server

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
)

func TestAnOperatorCAIsTrustedForOutboundRequests(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {}))
	t.Cleanup(srv.Close)
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := &config.Config{Issuer: &url.URL{Scheme: "https", Host: "id.example"}, OutboundNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	fetch := func() error {
		t.Helper()
		client, err := OutboundOf(cfg)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Get(t.Context(), srv.URL, "*/*", 10)
		return err
	}
	if err := fetch(); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("without the setting: %v", err)
	}
	cfg.OutboundCAPath = path
	if err := fetch(); err != nil {
		t.Errorf("with it: %v", err)
	}
	for name, text := range map[string]string{"empty": "", "broken": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OutboundOf(cfg); err == nil || !strings.Contains(err.Error(), "outbound-ca-path") {
			t.Errorf("%s: %v", name, err)
		}
	}
	cfg.OutboundCAPath = path + ".none"
	if _, err := OutboundOf(cfg); err == nil || !strings.Contains(err.Error(), "outbound-ca-path") {
		t.Errorf("no file: %v", err)
	}
}
