package ephemeraltest

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A RedisServer is a temporary redis-server on its own unix socket. It stores nothing on disk.
type RedisServer struct {
	URL   string // unix://…
	stop  func()
	stdin io.Writer // of its shell
}

// Client returns a client of the server, closed with the test.
func (s *RedisServer) Client(t testing.TB) *redis.Client {
	t.Helper()
	opt, err := redis.ParseURL(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := redis.NewClient(opt)
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// RedisURL returns the URL of a fresh server that lives as long as the test. Without redis-server on the PATH, the test
// is skipped, or fails if STEPWARD_TEST_NO_SKIP=1.
func RedisURL(t testing.TB) string {
	t.Helper()
	return StartRedis(t).URL
}

// StartRedis is RedisURL for tests that stop the server themselves. args are passed to redis-server.
func StartRedis(t testing.TB, args ...string) *RedisServer {
	t.Helper()
	return start(t, append([]string{
		"--port", "0", "--save", "", "--appendonly", "no", "--maxmemory-policy", "noeviction",
	}, args...))
}

// startSentinel starts a Sentinel with this configuration.
func startSentinel(t testing.TB, config string, args ...string) *RedisServer {
	t.Helper()
	return start(t, append([]string{config, "--sentinel"}, args...))
}

func start(t testing.TB, args []string) *RedisServer {
	t.Helper()
	program, dir := prepare(t)
	// The shell stops the server when its own standard input ends: when stop closes it, or when this process dies for any
	// reason. So no server or folder is left behind.
	return launch(t, dir, exec.Command("sh", slices.Concat([]string{
		"-c", `"$@" </dev/null & read _; kill -9 $!; wait; rm -rf "$0"`, dir, program,
	}, args, []string{"--unixsocket", filepath.Join(dir, socket), "--dir", dir})...))
}

// socket is the name of the server's socket in its folder.
const socket = "s"

// prepare returns the program and a new folder.
func prepare(t testing.TB) (program, dir string) {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		if os.Getenv("STEPWARD_TEST_NO_SKIP") == "1" {
			t.Fatal("no redis-server on the PATH, and STEPWARD_TEST_NO_SKIP=1")
		}
		t.Skip("SKIPPED: no redis-server on the PATH; this test proves nothing")
	}
	if dir, err = os.MkdirTemp("", "stepward-redis-"); err != nil { // t.TempDir is too long for the name of a socket
		t.Fatal(err)
	}
	return program, dir
}

// launch runs a shell that runs the server in this folder until its standard input ends.
func launch(t testing.TB, dir string, cmd *exec.Cmd) *RedisServer {
	t.Helper()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	life, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	at := filepath.Join(dir, socket)
	s := &RedisServer{URL: "unix://" + at, stdin: life}
	s.stop = sync.OnceFunc(func() {
		_ = life.Close()
		_ = cmd.Wait()
	})
	t.Cleanup(s.stop)

	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		c, err := net.Dial("unix", at)
		if err == nil {
			_ = c.Close()
			return s
		}
		if time.Now().After(deadline) {
			s.stop()
			t.Fatalf("redis-server does not listen: %v\n%s", err, out.Bytes())
		}
	}
}

// Stop kills the server, like a power cut.
func (s *RedisServer) Stop() { s.stop() }
