package scim_test

import (
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

// scim2-tester, a client that we did not write, looks at every attribute of our schemas: make scim.
func TestAClientThatWeDidNotWriteFindsNoFault(t *testing.T) {
	python := os.Getenv("STEPWARD_TEST_SCIM")
	if python == "" {
		t.Skip("make scim installs what this needs")
	}
	srv := httptest.NewUnstartedServer(nil)
	_, port, err := net.SplitHostPort(srv.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	issuer := "http://localhost:" + port
	h := open(t, nil, "STEPWARD_ISSUER="+issuer)
	srv.Config.Handler = h.Handler
	srv.Start()
	t.Cleanup(srv.Close)
	d := h.directory("tester")
	h.User("old@example.com", directory.RoleUser)
	script, err := filepath.Abs("testdata/tester.py")
	h.Must(err)
	out, err := exec.CommandContext(t.Context(), python, script, h.Issuer+directory.PathSCIM, d.token.Reveal()).CombinedOutput()
	t.Logf("%s", out)
	h.Must(err)
}
