package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// checked is a replica as a balancer sees it: it is sent requests, over connections that are kept, while /readyz
// answers 200.
type checked struct {
	address string
	ready   atomic.Bool
	kept    *http.Transport
}

func (c *checked) check(ctx context.Context) {
	client := &http.Client{Timeout: time.Second, Transport: freshConnections}
	for ctx.Err() == nil {
		resp, err := client.Get("http://" + c.address + "/readyz")
		c.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
		if err == nil {
			_ = resp.Body.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// ask sends one request that uses both stores, and tries nothing twice.
func (c *checked) ask() error {
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {"reports"}}
	r, err := http.NewRequest(http.MethodPost, "http://"+c.address+"/oauth2/token", io.NopCloser(strings.NewReader(form.Encode())))
	if err != nil {
		return err
	}
	r.Host = "localhost:8080" // as the balancer passes it on
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("bench", benchSecret)
	resp, err := c.kept.RoundTrip(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s %v", resp.Status, body, err)
	}
	return nil
}

func TestRestartsUnderLoadLoseNoRequest(t *testing.T) {
	t.Parallel()
	settings := append(production(t), "STEPWARD_SHUTDOWN_DELAY=700ms", "STEPWARD_SHUTDOWN_TIMEOUT=5s")
	issuer := "http://localhost:8080"
	ctx, cancel := context.WithCancel(t.Context())
	var replicas []*checked
	var processes []*exec.Cmd
	var all sync.WaitGroup
	defer all.Wait()
	defer cancel()
	for range 2 {
		c := &checked{address: freeAddress(t), kept: &http.Transport{MaxIdleConnsPerHost: 8}}
		replicas = append(replicas, c)
		processes = append(processes, spawn(t, c.address, issuer, settings))
		all.Go(func() { c.check(ctx) })
	}
	var asked, lost atomic.Int64
	for worker := range 4 {
		all.Go(func() {
			for turn := worker; ctx.Err() == nil; turn++ {
				c := replicas[turn%len(replicas)]
				if !c.ready.Load() {
					time.Sleep(time.Millisecond)
					continue
				}
				asked.Add(1)
				if err := c.ask(); err != nil {
					lost.Add(1)
					t.Logf("lost: %v", err)
				}
			}
		})
	}
	ready := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if replicas[n].ready.Load() {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("replica %d is not ready", n)
			}
		}
	}
	ready(0)
	ready(1)
	var longest time.Duration
	for restart := range 4 {
		n := restart % 2
		begin := time.Now()
		if err := processes[n].Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := processes[n].Wait(); err != nil {
			t.Errorf("restart %d: %v", restart, err)
		}
		took := time.Since(begin)
		if took > 15*time.Second { // 5 are promised, and this includes the end of the process
			t.Errorf("restart %d took %v", restart, took)
		}
		longest = max(longest, took)
		processes[n] = spawn(t, replicas[n].address, issuer, settings)
		ready(n)
	}
	cancel()
	all.Wait()
	t.Logf("counted: %d of %d requests lost in 4 restarts, which took up to %v of the 5 s promised",
		lost.Load(), asked.Load(), longest.Round(100*time.Millisecond))
	if asked.Load() < 100 || lost.Load() > 0 {
		t.Errorf("%d of %d requests were lost in 4 restarts", lost.Load(), asked.Load())
	}
}
