package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/oauth2"
)

// skewedBinary builds this test program with a clock that STEPWARD_TEST_CLOCK moves by so many seconds. Go asks the
// kernel for the time by itself, so that nothing outside the program can move the clock of one process.
func skewedBinary(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("STEPWARD_TEST_SKEWED"); path != "" {
		return path
	}
	dir := t.TempDir()
	source := filepath.Join(strings.TrimSpace(run(t, ".", "go", "env", "GOROOT")), "src", "time", "time.go")
	const now, read = "	sec, nsec, mono := runtimeNow()\n	if mono == 0 {\n		return Time{", "	sec, nsec, mono := runtimeNow()\n"
	text := readText(t, source)
	if strings.Count(text, now) != 1 {
		t.Fatal("time.Now of this Go is not known")
	}
	text = strings.Replace(text, now, strings.Replace(now, read, read+"	sec += ahead()\n", 1), 1)
	text = strings.Replace(text, "import (\n", "import (\n	\"syscall\"\n", 1) + `
var aheadBy, aheadRead = int64(0), false

func ahead() int64 {
	if !aheadRead {
		text, _ := syscall.Getenv("STEPWARD_TEST_CLOCK")
		n, _ := atoi(text)
		aheadBy, aheadRead = int64(n), true
	}
	return aheadBy
}
`
	overlay := must(json.Marshal(map[string]any{"Replace": map[string]string{source: filepath.Join(dir, "time.go")}}))
	for name, content := range map[string]string{"time.go": text, "overlay.json": string(overlay)} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	binary := filepath.Join(dir, "skewed.test")
	run(t, ".", "go", "test", "-c", "-overlay", filepath.Join(dir, "overlay.json"), "-o", binary, ".")
	return binary
}

// One replica's clock is wrong by ten minutes. A balancer that asks for readiness sends it nobody. Behind one that does
// not, ceremonies that two replicas share are refused, and nothing that is stored is harmed.
func TestAReplicaWithAWrongClockHarmsNobody(t *testing.T) {
	t.Parallel()
	onlyInFaults(t)
	binary := skewedBinary(t)
	for _, skew := range []string{"600", "-600"} {
		t.Run(skew, func(t *testing.T) {
			settings := production(t)
			b := &balancer{replicas: []string{freeAddress(t), freeAddress(t)}}
			both := b.replicas
			front := httptest.NewServer(&httputil.ReverseProxy{Transport: b, Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: "replica"})
				p.Out.Host = p.In.Host
				p.SetXForwarded()
			}})
			defer front.Close()
			e := &embedded{t: t, issuer: strings.Replace(front.URL, "127.0.0.1", "localhost", 1)}
			e.app = oauth2.Config{
				ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "offline_access"},
				Endpoint: oauth2.Endpoint{AuthURL: e.issuer + "/oauth2/authorize", TokenURL: e.issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
			}
			spawnOf(t, must(os.Executable()), both[0], e.issuer, settings)
			p := newPerson(attempt{t}, e.issuer, appCallback)
			before := e.signIn(p, "ada@example.com")
			wrong := spawnOf(t, binary, both[1], e.issuer, append(settings, "STEPWARD_TEST_CLOCK="+skew))
			b.replicas = nil
			for _, address := range both {
				answer := ask(t, must(http.NewRequest(http.MethodGet, "http://"+address+"/readyz", nil)))
				if answer.StatusCode == http.StatusOK {
					b.replicas = append(b.replicas, address)
				} else if !strings.Contains(answer.body, "wrong clock") {
					t.Errorf("%d %s", answer.StatusCode, answer.body)
				}
			}
			if !slices.Equal(b.replicas, both[:1]) {
				t.Errorf("ready are %v of %v", b.replicas, both)
			}
			worked := func(turns int) (n int) {
				for range turns {
					b.turn.Add(1)
					if err := try(func() { e.signIn(p, "") }); err == nil {
						n++
					} else {
						t.Logf("%.300v", err)
					}
				}
				return n
			}
			asks := worked(5)
			b.replicas = both
			blind := worked(10)
			_ = wrong.Process.Kill()
			b.replicas = both[:1]
			after := worked(5)
			t.Logf("counted: a replica whose clock is %s s ahead: %d of 5 sign-ins behind a balancer that asks for readiness, "+
				"%d of 10 behind one that does not, %d of 5 afterwards", skew, asks, blind, after)
			if asks != 5 || after != 5 {
				t.Error("people cannot sign in")
			}
			if _, err := e.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: before.RefreshToken}).Token(); err != nil {
				t.Errorf("a family of before: %v", err)
			}
		})
	}
}
