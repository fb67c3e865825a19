package e2e

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// A proxy is a file of deploy, and how its program is run.
type proxy struct {
	file string
	run  func(config, dir string) []string
}

func (p proxy) installed() bool {
	_, err := exec.LookPath(p.run("", "")[0])
	return err == nil
}

// proxies are each tested where their program is installed.
var proxies = []proxy{
	{"haproxy.cfg", func(config, _ string) []string { return []string{"haproxy", "-db", "-f", config} }},
	{"nginx.conf", func(config, dir string) []string {
		return []string{"nginx", "-p", dir, "-e", "stderr", "-c", config, "-g", "daemon off; pid " + dir + "/pid;"}
	}},
	{"Caddyfile", func(config, _ string) []string {
		return []string{"caddy", "run", "--adapter", "caddyfile", "--config", config}
	}},
}

// behind runs the proxy of a shipped file in front of two replicas, and returns its address.
func behind(t *testing.T, file, one, two string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
	if err != nil {
		t.Fatal(err)
	}
	address, dir := freeAddress(t), t.TempDir()
	_, port, _ := net.SplitHostPort(address)
	config := filepath.Join(dir, file)
	lines := strings.NewReplacer("stepward-1:8080", one, "stepward-2:8080", two,
		"bind :8080", "bind "+address, "listen 8080", "listen "+address, "\n:8080 {", "\nhttp://:"+port+" {")
	if err := os.WriteFile(config, []byte(lines.Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	var command []string
	for _, p := range proxies {
		if p.file == file {
			command = p.run(config, dir)
		}
	}
	if _, err := exec.LookPath(command[0]); err != nil {
		t.Skip("not tested: ", err)
	}
	var said bytes.Buffer
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "HOME="+dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	cmd.WaitDelay = time.Second // a worker that is left behind would hold the pipe
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // nginx takes its workers along
		<-ended
		if t.Failed() {
			t.Logf("%s said:\n%.3000s", command[0], said.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if resp, err := http.Get("http://" + address + "/healthz"); err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return address
			}
		}
		select {
		case <-ended:
			t.Fatalf("%s ended: %s", command[0], said.String())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("nothing answers behind %s", command[0])
		}
	}
}

func TestTheShippedProxiesPassOnWhatTheyShould(t *testing.T) {
	t.Parallel()
	for _, p := range proxies {
		t.Run(p.file, func(t *testing.T) {
			t.Parallel()
			got := make(chan *http.Request, 1)
			echo := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if strings.HasPrefix(r.URL.Path, "/oauth2/") {
					w.Header().Set("Location", "https://rp.example/cb?state="+r.URL.Query().Get("state"))
					w.WriteHeader(http.StatusFound)
					got <- r
				}
			}))
			defer echo.Close()
			backend := echo.Listener.Addr().String()
			address := behind(t, p.file, backend, backend)
			long := strings.Repeat("x", 8<<10) // docs/limits.md
			r, err := http.NewRequest(http.MethodGet, "http://"+address+"/oauth2/authorize?state="+long+"&nonce="+long, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "id.example.com"
			r.Header.Set("X-Forwarded-For", "203.0.113.7")
			r.Header.Set("Client-Cert", ":AAAA:")
			answer := ask(t, r)
			if answer.StatusCode != http.StatusFound || !strings.HasSuffix(answer.Header.Get("Location"), long) {
				t.Fatalf("state and nonce of 8 KiB: %d %.300s", answer.StatusCode, answer.body)
			}
			seen := <-got
			if seen.Host != "id.example.com" {
				t.Errorf("Host is %q", seen.Host)
			}
			if from := seen.Header.Values("X-Forwarded-For"); len(from) != 1 || from[0] != "127.0.0.1" {
				t.Errorf("X-Forwarded-For is %q", from)
			}
			if cert := seen.Header.Get("Client-Cert"); cert != "" {
				t.Errorf("Client-Cert of a stranger is passed on: %q", cert)
			}
		})
	}
}

// Behind each shipped proxy, restarts lose no request, and without Redis our own answers arrive.
func TestBehindTheShippedProxiesNothingIsLost(t *testing.T) {
	t.Parallel()
	if !slices.ContainsFunc(proxies, func(p proxy) bool { return p.installed() }) {
		t.Skip("not tested: no proxy is installed")
	}
	settings, _, redis := wired(t)
	settings = append(settings, "STEPWARD_SHUTDOWN_DELAY=4s", "STEPWARD_SHUTDOWN_TIMEOUT=8s")
	issuer := "http://localhost:8080"
	addresses := []string{freeAddress(t), freeAddress(t)}
	processes := []*exec.Cmd{spawn(t, addresses[0], issuer, settings), spawn(t, addresses[1], issuer, settings)}
	type front struct {
		file string
		checked
		asked, lost atomic.Int64
	}
	var fronts []*front
	for _, p := range proxies {
		if p.installed() {
			f := &front{file: p.file}
			f.kept = &http.Transport{MaxIdleConnsPerHost: 4}
			fronts = append(fronts, f)
		}
	}
	for _, f := range fronts {
		f.address = behind(t, f.file, addresses[0], addresses[1])
	}
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for _, f := range fronts {
		for range 2 {
			all.Go(func() {
				for ctx.Err() == nil {
					f.asked.Add(1)
					if err := f.ask(); err != nil {
						f.lost.Add(1)
						t.Logf("%s: %v", f.file, err)
					}
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
	}
	for n, process := range processes {
		if err := process.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := process.Wait(); err != nil {
			t.Errorf("replica %d: %v", n, err)
		}
		spawn(t, addresses[n], issuer, settings)
		time.Sleep(3 * time.Second) // the proxies notice it; a test of theirs more than of ours
	}
	cancel()
	all.Wait()
	for _, f := range fronts {
		t.Logf("counted: %s: %d of %d requests lost in 2 restarts", f.file, f.lost.Load(), f.asked.Load())
		if f.lost.Load() > 0 || f.asked.Load() < 50 {
			t.Errorf("%s: %d of %d requests were lost", f.file, f.lost.Load(), f.asked.Load())
		}
	}

	redis.cut()
	time.Sleep(4 * time.Second) // longer than any of them needs to take a replica out
	for _, f := range fronts {
		get := func(path string) reply {
			t.Helper()
			r, err := http.NewRequest(http.MethodGet, "http://"+f.address+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = "localhost:8080"
			r.Header.Set("Accept", "text/html")
			return ask(t, r)
		}
		for _, path := range []string{"/.well-known/openid-configuration", "/oauth2/jwks"} {
			if r := get(path); r.StatusCode != http.StatusOK {
				t.Errorf("%s without Redis: %s %d %.200s", f.file, path, r.StatusCode, r.body)
			}
		}
		page := get("/oauth2/authorize?" + url.Values{
			"client_id": {"bench"}, "redirect_uri": {appCallback}, "response_type": {"code"}, "scope": {"openid"},
			"code_challenge": {strings.Repeat("x", 43)}, "code_challenge_method": {"S256"},
		}.Encode())
		if page.StatusCode != http.StatusServiceUnavailable || !strings.Contains(page.body, "One moment, please") {
			t.Errorf("%s without Redis: a page is %d %.200s", f.file, page.StatusCode, page.body)
		}
	}
}
