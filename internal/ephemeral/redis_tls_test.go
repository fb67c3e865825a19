package ephemeral_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

// authority makes ca.pem, cert.pem and key.pem in dir. The certificate is for the address 127.0.0.1 and for clients.
func authority(t *testing.T, dir string) {
	t.Helper()
	template := func(n int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(n), Subject: pkix.Name{CommonName: "test"},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, BasicConstraintsValid: true,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		}
	}
	write := func(name, kind string, der []byte) {
		text := pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := template(1)
	root.IsCA, root.Subject.CommonName, root.KeyUsage = true, "CA of "+dir, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	write("ca.pem", "CERTIFICATE", der)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.CreateCertificate(rand.Reader, template(2), root, key.Public(), rootKey)
	if err != nil {
		t.Fatal(err)
	}
	write("cert.pem", "CERTIFICATE", der)
	if der, err = x509.MarshalPKCS8PrivateKey(key); err != nil {
		t.Fatal(err)
	}
	write("key.pem", "PRIVATE KEY", der)
}

func TestRedisOverTLSIsCheckedWithTheCAFileOfTheURL(t *testing.T) {
	t.Parallel()
	dir, other := t.TempDir(), t.TempDir()
	authority(t, dir)
	authority(t, other)
	port := ephemeraltest.FreePorts(t, 1)[0]
	ephemeraltest.StartRedis(t, "--bind", "127.0.0.1", "--tls-port", port, "--tls-ca-cert-file", dir+"/ca.pem",
		"--tls-cert-file", dir+"/cert.pem", "--tls-key-file", dir+"/key.pem")
	pair := "&sslcert=" + dir + "/cert.pem&sslkey=" + dir + "/key.pem"
	for query, want := range map[string]string{
		"?sslrootcert=" + dir + "/ca.pem" + pair:   "",
		"?sslrootcert=" + other + "/ca.pem" + pair: "certificate",
		"?" + pair[1:]:                    "certificate",
		"?sslrootcert=" + dir + "/ca.pem": "certificate", // the server wants one too
		"?sslrootcert=" + dir + "/ca.pem&sslcert=" + other + "/cert.pem&sslkey=" + other + "/key.pem": "certificate",
	} {
		s, err := ephemeral.OpenRedis(t.Context(), "rediss://127.0.0.1:"+port+query, nil)
		if err == nil {
			err = ephemeral.Check(t.Context(), s)
			_ = s.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", query, err)
		}
	}
}

// Hosted servers restrict users.
func TestARestrictedUserIsToldWhatIsMissing(t *testing.T) {
	t.Parallel()
	server := ephemeraltest.StartRedis(t)
	client := server.Client(t)
	for rules, want := range map[string]string{
		"+@all -config -info":  "",
		"+@all -eval":          "'eval'",
		"+@all -@scripting":    "'eval'",
		"+@all -multi":         "'multi'",
		"+@all -set":           "'set'",
		"+@all -getdel":        "'getdel'",
		"+@all resetkeys ~x:*": "stepward:*",
	} {
		args := []any{"acl", "setuser", "app", "reset", "on", ">pw", "~*"}
		for rule := range strings.FieldsSeq(rules) {
			args = append(args, rule)
		}
		if err := client.Do(t.Context(), args...).Err(); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		url := strings.Replace(server.URL, "unix://", "unix://app:pw@", 1)
		s, err := ephemeral.OpenRedis(t.Context(), url, slog.New(slog.NewTextHandler(&log, nil)))
		if err == nil {
			_ = s.Close()
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", rules, err)
		}
		if want == "" && !strings.Contains(log.String(), "noeviction") {
			t.Errorf("%s: the log says %q", rules, log.String())
		}
		if err != nil && errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("%s: unavailable, so it would be tried again: %v", rules, err)
		}
	}
}

// Hosted servers forbid CONFIG, and often evict by default. INFO says the policy too.
func TestWithoutCONFIGThePolicyIsReadFromINFO(t *testing.T) {
	t.Parallel()
	server := ephemeraltest.StartRedis(t)
	client := server.Client(t)
	args := []any{"acl", "setuser", "app", "reset", "on", ">pw", "~*", "+@all"}
	for forbidden := range strings.FieldsSeq("-config -client -cluster -command -script -function -acl -debug -monitor -object") {
		args = append(args, forbidden) // by one or another of docs/operate.md
	}
	if err := client.Do(t.Context(), args...).Err(); err != nil {
		t.Fatal(err)
	}
	for _, policy := range []string{"noeviction", "volatile-lru"} {
		if err := client.ConfigSet(t.Context(), "maxmemory-policy", policy).Err(); err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		url := strings.Replace(server.URL, "unix://", "unix://app:pw@", 1)
		s, err := ephemeral.OpenRedis(t.Context(), url, slog.New(slog.NewTextHandler(&log, nil)))
		if err == nil {
			if err := ephemeral.Check(t.Context(), s); err != nil {
				t.Error(err)
			}
			_ = s.Close()
		}
		if (err == nil) != (policy == "noeviction") || err != nil && !strings.Contains(err.Error(), `"volatile-lru"`) {
			t.Errorf("%s: %v", policy, err)
		}
		if log.Len() > 0 {
			t.Errorf("%s: the log says %s", policy, log.String())
		}
	}
}
