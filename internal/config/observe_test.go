package config_test

import (
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config"
)

func TestFaultsOfMetricsAndTraces(t *testing.T) {
	for _, c := range []struct {
		environ []string
		want    string // "": no fault
	}{
		{[]string{"METRICS_LISTEN=:9090", "PPROF=on", "TRACE_URL=http://collector:4318/v1/traces", "TRACE_SAMPLE=1"}, ""},
		{[]string{"TRACE_URL=https://c", "TRACE_HEADERS=Authorization: Basic eA==\nX-Scope: a,X-Other: b"}, ""},
		{[]string{"METRICS_LISTEN=9090"}, "is not address:port"},
		{[]string{"METRICS_LISTEN=:8080"}, "is already taken by listen (localhost:8080)"},
		{[]string{"PPROF=on"}, "metrics-listen: is missing: pprof is on"},
		{[]string{"TRACE_URL=collector:4318"}, "is not a URL such as http://collector:4318"},
		{[]string{"TRACE_URL=http://ada:hunter2@collector"}, "put it into trace-headers"},
		{[]string{"TRACE_SAMPLE=2"}, "is not a share between 0 and 1"},
		{[]string{"TRACE_SAMPLE=NaN"}, "is not a share between 0 and 1"},
		{[]string{"TRACE_SAMPLE=1%"}, "is not a share between 0 and 1"},
		{[]string{"TRACE_HEADERS=Authorization: hunter2"}, "trace-url: is missing: trace-headers is set"},
		{[]string{"TRACE_URL=http://c", "TRACE_HEADERS=hunter2"}, "use Name: value"},
		{[]string{"TRACE_PARENT=join"}, "trusted-proxies: is missing: trace-parent is join"},
		{[]string{"TRACE_PARENT=always"}, "is not one of link, join"},
	} {
		var environ []string
		for _, e := range c.environ {
			environ = append(environ, "STEPWARD_"+e)
		}
		cfg, err := config.Load(config.Sources{Environ: environ})
		switch {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: %v, want %q", c.environ, err, c.want)
		case err != nil && strings.Contains(err.Error(), "hunter2"):
			t.Errorf("a fault tells a password: %v", err)
		case err == nil && cfg.TraceHeaders != nil && (cfg.TraceHeaders.Get("Authorization") != "Basic eA==" || cfg.TraceHeaders.Get("X-Other") != "b"):
			t.Errorf("headers: %v", cfg.TraceHeaders)
		}
	}
}
