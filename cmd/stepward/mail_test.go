package main

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestCommandsThatSendNoMailDoNotAskForTheMailServer(t *testing.T) {
	dir := t.TempDir()
	for name, environ := range map[string][]string{
		"missing":    {"STEPWARD_SIGN_UP=open"},
		"unreadable": {"STEPWARD_SIGN_UP=open", "STEPWARD_SMTP_URL_FILE=" + filepath.Join(dir, "none")},
		"wrong":      {"STEPWARD_SIGN_UP=open", "STEPWARD_SMTP_URL=http://mail"},
	} {
		environ = append(environ, "STEPWARD_DATA_DIR="+dir)
		for _, args := range []string{
			"migrate", "client list", "client add App --redirect-uri https://app.example/" + name, "user list",
			"user invite ada@example.com", "client token", "keys list", "user show ada@example.com",
		} {
			if err := run(t.Context(), strings.Fields(args), environ); err != nil {
				t.Errorf("%s, %s: %v", name, args, err)
			}
		}
		for _, args := range []string{"config check", "serve --listen localhost:0", "user invite ada@example.com --mail"} {
			err := run(t.Context(), strings.Fields(args), environ)
			if err == nil || !strings.Contains(err.Error(), "smtp-url") {
				t.Errorf("%s, %s: %v", name, args, err)
			}
		}
	}
}
