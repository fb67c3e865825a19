package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The script that pins images runs against a registry of ours: it asks for each tag once, and keeps the tag readable.
func TestImagesArePinnedToTheDigestsOfTheirTags(t *testing.T) {
	for _, program := range []string{"bash", "curl", "sed"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED, not tested: %v", err)
		}
	}
	digest := func(name, tag string) string { return "sha256:" + fmt.Sprintf("%064x", len(name)*100+len(tag)) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintf(w, `{"token":"for %s","expires_in":300}`, r.FormValue("scope"))
	})
	mux.HandleFunc("HEAD /v2/{owner}/{name}/manifests/{tag}", func(w http.ResponseWriter, r *http.Request) {
		name := r.PathValue("owner") + "/" + r.PathValue("name")
		if r.Header.Get("Authorization") != "Bearer for repository:"+name+":pull" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		w.Header().Set("Docker-Content-Digest", digest(name, r.PathValue("tag")))
	})
	registry := httptest.NewServer(mux)
	t.Cleanup(registry.Close)
	root := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(root, "deploy"), 0o700); err != nil {
		t.Fatal(err)
	}
	write("Dockerfile", "# syntax=docker/dockerfile:1\nFROM golang:1.26-bookworm AS build\nFROM scratch\n")
	write("deploy/release.Dockerfile", "FROM golang:1.26-bookworm AS files\nFROM scratch\n")
	old := "sha256:" + strings.Repeat("0", 64)
	write("deploy/compose.yaml", "  a:\n    image: redis:7-alpine@"+old+"\n  b:\n    image: redis:7\n  c:\n    build: .\n")
	run := func(args ...string) error {
		c := exec.CommandContext(t.Context(), "bash", append([]string{filepath.Join("..", "..", ".ci", "pin-images")}, args...)...)
		c.Env = append(os.Environ(), "PIN_ROOT="+root, "PIN_REGISTRY="+registry.URL, "PIN_AUTH="+registry.URL, "NO_PROXY=*")
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		return err
	}
	if err := run("--check"); err == nil {
		t.Error("a tag without a digest passed")
	}
	if err := run(); err != nil {
		t.Fatal(err)
	}
	if err := run("--check"); err != nil {
		t.Error(err)
	}
	want := map[string]string{
		"Dockerfile": "# syntax=docker/dockerfile:1@" + digest("docker/dockerfile", "1") + "\n" +
			"FROM golang:1.26-bookworm@" + digest("library/golang", "1.26-bookworm") + " AS build\nFROM scratch\n",
		"deploy/release.Dockerfile": "FROM golang:1.26-bookworm@" + digest("library/golang", "1.26-bookworm") + " AS files\nFROM scratch\n",
		"deploy/compose.yaml": "  a:\n    image: redis:7-alpine@" + digest("library/redis", "7-alpine") + "\n" +
			"  b:\n    image: redis:7@" + digest("library/redis", "7") + "\n  c:\n    build: .\n",
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != text {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, text)
		}
	}
}
