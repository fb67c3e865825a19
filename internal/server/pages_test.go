package server

import "testing"

func TestEveryPageParsesInEveryLanguage(t *testing.T) {
	h := open(t, nil, "STEPWARD_METRICS_LISTEN=127.0.0.1:0")
	if err := h.current.Load().shell.CheckPages(); err != nil {
		t.Error(err)
	}
}
