package config_test

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
)

func TestHostsAreWrittenAsBrowsersSendThem(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://Bücher.example":               "https://xn--bcher-kva.example",
		"https://straße.example:8443/":         "https://xn--strae-oqa.example:8443",
		"https://ID。example.com:0443":          "https://id.example.com",
		"https://b%C3%BCcher.example":          "https://xn--bcher-kva.example",
		"https://xn--bcher-kva.example":        "https://xn--bcher-kva.example",
		"http://LOCALHOST:80":                  "http://localhost",
		"https://localhost":                    "https://localhost",
		"https://id-1.example.com":             "https://id-1.example.com",
		"https://id.example.com:65535":         "https://id.example.com:65535",
		"https://1.2.3.4.sslip.example.com:81": "https://1.2.3.4.sslip.example.com:81",
	} {
		c, err := config.Load(config.Sources{Flags: map[string]string{"issuer": issuer}})
		if err != nil || c.Issuer.String() != want {
			t.Errorf("%s: %v %v", issuer, c, err)
		}
	}
	flags := map[string]string{
		"issuer": "https://id.example.com", "trusted-proxies": "10.0.0.0/8", "mtls-origin": "https://MTLS.bücher.example:443/",
		"outbound-allow": "keys.Bücher.example",
	}
	c, err := config.Load(config.Sources{Flags: flags})
	if err != nil {
		t.Fatal(err)
	}
	if got := c.MTLSOrigin.String(); got != "https://mtls.xn--bcher-kva.example" {
		t.Error(got)
	}
	if got := c.OutboundHosts[0]; got != "keys.xn--bcher-kva.example" {
		t.Error(got)
	}
}

func TestHostsWithoutPasskeysAreToldByTheirReason(t *testing.T) {
	for issuer, want := range map[string]string{
		"https://sso":                                         "a single label",
		"https://sso:8443":                                    "a single label",
		"https://id.example.com.":                             "ends its host with a dot",
		"http://localhost.":                                   "ends its host with a dot",
		"https://192.0.2.1":                                   "names an IP address",
		"https://[2001:db8::1]":                               "names an IP address",
		"https://127.1":                                       "names an IP address",
		"https://192.0.2.0x1":                                 "names an IP address",
		"https://id_1.example.com":                            "not a name of DNS",
		"https://-id.example.com":                             "not a name of DNS",
		"https://id..example.com":                             "not a name of DNS",
		"https://xn--zzzzzzzz.example.com":                    "not a name of DNS",
		"https://" + strings.Repeat("a", 64) + ".example.com": "not a name of DNS",
		"https://id.example.com:0":                            "not between 1 and 65535",
		"https://id.example.com:65536":                        "not between 1 and 65535",
		"https://:8443":                                       "not an http(s) URL",
		"https://id.example.com?":                             "more than an origin",
	} {
		_, err := config.Load(config.Sources{Flags: map[string]string{"issuer": issuer}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", issuer, err)
		}
	}
}

func TestListenersNeedAPortOfTheirOwn(t *testing.T) {
	for _, listen := range []string{":70000", ":-1", "localhost:nosuchservice"} {
		if _, err := config.Load(config.Sources{Flags: map[string]string{"listen": listen}}); err == nil {
			t.Errorf("%s was accepted", listen)
		}
	}
	for mtls, ok := range map[string]bool{":8443": false, "127.0.0.1:8443": false, ":8444": true} {
		_, err := config.Load(config.Sources{Flags: map[string]string{
			"issuer": "https://id.example.com", "listen": ":8443", "tls-cert-path": "c", "tls-key-path": "k",
			"mtls-origin": "https://mtls.example.com", "mtls-listen": mtls,
		}})
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "already taken by listen") {
			t.Errorf("%s: %v", mtls, err)
		}
	}
}

func TestAnEmptySettingIsTheDefault(t *testing.T) {
	var environ []string
	for _, s := range config.Settings {
		environ = append(environ, s.Env()+"=")
	}
	c, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	if c.Issuer.String() != "http://localhost:8080" || c.ProductName != "Stepward" || !c.Embedded() {
		t.Errorf("%+v", c)
	}
}
