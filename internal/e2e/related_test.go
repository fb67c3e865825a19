package e2e

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/idp"
)

// forwarder passes connections on to a server that may change. It returns its address.
func forwarder(t *testing.T, to *atomic.Value) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to.Load().(string))
			if err != nil {
				_ = in.Close()
				continue
			}
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	return l.Addr().String()
}

// A house moves to another host: Chromium offers the passkey of the old host at the new one, because the old host lists
// it, and the server takes it.
func TestAPasskeyOfTheOldHostSignsInAtTheNewOne(t *testing.T) {
	t.Parallel()
	const before, after = "https://id.old-house.com", "https://login.new-house.org"
	cert := opCA.issue(func(c *x509.Certificate) { c.DNSNames = []string{"id.old-house.com", "login.new-house.org"} })
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "both.pem"), filepath.Join(dir, "both-key.pem")
	if err := writePEM(certFile, "CERTIFICATE", cert.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	if err := writePEM(keyFile, "PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(cert.PrivateKey))); err != nil {
		t.Fatal(err)
	}
	var target atomic.Value
	start := func(settings ...string) op {
		o, err := startOP(dir, t.Output(), append([]string{
			"STEPWARD_TLS_CERT_PATH=" + certFile, "STEPWARD_TLS_KEY_PATH=" + keyFile,
		}, settings...)...)
		if err != nil {
			t.Fatal(err)
		}
		target.Store(o.issuer[len("https://"):])
		return o
	}
	old := start("STEPWARD_ISSUER=" + before)
	hash := sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo)
	c := newChrome(t, chromedp.Flag("host-resolver-rules", "MAP *:443 "+forwarder(t, &target)),
		chromedp.Flag("ignore-certificate-errors-spki-list", base64.StdEncoding.EncodeToString(hash[:])))
	c.plug(device{synced: true})
	u := idp.NewUser("ada@example.com", "Ada Lovelace", time.Now())
	u.EmailVerified = true
	if err := old.DB.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	link, err := enrol.Invite(t.Context(), old.DB, before, u, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	c.open(link.Reveal())
	c.click("enrol-submit")
	c.at("passkey")
	c.click("passkey-create")
	c.wait(`!!document.querySelector('[data-test="passkey-skip"]')`, "the page after the first passkey")
	old.stop()

	moved := start("STEPWARD_ISSUER="+after, "STEPWARD_RP_ID=id.old-house.com")
	t.Cleanup(func() { moved.stop() })
	c.open(after + "/account")
	c.at("login")
	c.signIn()
	c.at("account")
	if at := c.eval(`location.origin`); at != after {
		t.Errorf("signed in at %s", at)
	}
	if keys, err := moved.DB.PasskeysOf(t.Context(), u.ID); err != nil || len(keys) != 1 || keys[0].LastUsedAt.IsZero() {
		t.Errorf("%+v, %v", keys, err)
	}
	c.open(before + "/account") // the old host has the list, and nothing else
	c.wait(`!!document.querySelector('[data-test="error"]') || document.body?.dataset.page === "error"`, "the refusal of the old host")
	c.open(before + "/.well-known/webauthn")
	if list := c.eval(`document.body.innerText`); list != `{"origins":["`+after+`"]}` {
		t.Errorf("the old host lists %s", list)
	}
}
