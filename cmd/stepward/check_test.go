package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	neturl "net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/store/storetest"
)

// pair writes a self-signed certificate and its key.
func pair(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert = file(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return cert, file(t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})))
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfigCheckKnowsWhatServeRefuses runs both with each setting that serve used to refuse alone. Both name the
// setting, what was given, and where.
func TestConfigCheckKnowsWhatServeRefuses(t *testing.T) {
	cert, key := pair(t)
	_, otherKey := pair(t)
	junk, none := file(t, "junk"), filepath.Join(t.TempDir(), "none")
	https := "STEPWARD_ISSUER=https://id.example.com"
	production := "STEPWARD_KEY=" + strings.Repeat("A", 43) + "= STEPWARD_DATABASE_URL=%s STEPWARD_REDIS_URL=%s"
	keyInFolder := t.TempDir()
	if err := os.WriteFile(filepath.Join(keyInFolder, "stepward.key"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct{ environ, setting, says string }{
		{"STEPWARD_TLS_CERT_PATH=" + none + " STEPWARD_TLS_KEY_PATH=" + key + " " + https, "tls-cert-path", none},
		{"STEPWARD_TLS_CERT_PATH=" + cert + " STEPWARD_TLS_KEY_PATH=" + none + " " + https, "tls-key-path", none},
		{"STEPWARD_TLS_CERT_PATH=" + junk + " STEPWARD_TLS_KEY_PATH=" + key + " " + https, "tls-cert-path", "not a PEM certificate"},
		{"STEPWARD_TLS_CERT_PATH=" + cert + " STEPWARD_TLS_KEY_PATH=" + junk + " " + https, "tls-key-path", "not a PEM private key"},
		{"STEPWARD_TLS_CERT_PATH=" + cert + " STEPWARD_TLS_KEY_PATH=" + otherKey + " " + https, "tls-key-path", "is not the key of the certificate"},
		{"STEPWARD_CLIENT_CA_PATH=" + none + " STEPWARD_MTLS_ORIGIN=https://m.example.com STEPWARD_TRUSTED_PROXIES=10.0.0.1", "client-ca-path", none},
		{"STEPWARD_CLIENT_CA_PATH=" + junk + " STEPWARD_MTLS_ORIGIN=https://m.example.com STEPWARD_TRUSTED_PROXIES=10.0.0.1", "client-ca-path", "no PEM certificate"},
		{"STEPWARD_OUTBOUND_CA_PATH=" + none, "outbound-ca-path", none},
		{"STEPWARD_OUTBOUND_CA_PATH=" + junk, "outbound-ca-path", "no PEM certificate"},
		{"STEPWARD_SOFTWARE_STATEMENT_ISSUER=x STEPWARD_SOFTWARE_STATEMENT_JWKS_PATH=" + none, "software-statement-jwks-path", none},
		{"STEPWARD_SOFTWARE_STATEMENT_ISSUER=x STEPWARD_SOFTWARE_STATEMENT_JWKS_PATH=" + junk, "software-statement-jwks-path", "not a JWK set"},
		{"STEPWARD_ATTESTATION=direct STEPWARD_METADATA_PATH=" + none, "metadata-path", none},
		{"STEPWARD_ATTESTATION=direct STEPWARD_METADATA_PATH=" + junk, "metadata-path", "not a FIDO metadata BLOB"},
		{"STEPWARD_KEY_AGENT=" + none, "key-agent", "no such file"},
		{"STEPWARD_KEY_AGENT=" + junk, "key-agent", "connection refused"},
		{"STEPWARD_SMTP_URL=smtp://", "smtp-url", "not a URL"},
		{"STEPWARD_SMTP_URL=smtp://h:25?starttls=maybe", "smtp-url", "starttls must be"},
		{"STEPWARD_SMTP_URL=smtps://h:99999", "smtp-url", "port"},
		{"STEPWARD_DATA_DIR=" + junk, "data-dir", "is a file"},
		{"STEPWARD_DATA_DIR=" + junk + "/below", "data-dir", "cannot be used: not a directory"},
		{"STEPWARD_DATA_DIR=/proc/none/below", "data-dir", "may write to"},
		{"STEPWARD_DATA_DIR=" + keyInFolder, "key", "32 bytes in base64"},
		{fmt.Sprintf(production, "postgres://h/d?sslmode=silly", "redis://h"), "database-url", "sslmode"},
		{fmt.Sprintf(production, "postgres://h/d", "redis://h/database"), "redis-url", "invalid database number"},
		{"STEPWARD_ISSUER=https://sso", "issuer", "a single label"},
	} {
		environ := []string{"STEPWARD_LISTEN=localhost:0"}
		if !strings.Contains(row.environ, "DATA_DIR") {
			environ = append(environ, "STEPWARD_DATA_DIR="+t.TempDir())
		}
		environ = append(environ, strings.Fields(row.environ)...)
		checked := run(t.Context(), []string{"config", "check"}, environ)
		served := run(t.Context(), []string{"serve"}, environ)
		if checked == nil || served == nil || checked.Error() != served.Error() {
			t.Errorf("%s\nconfig check: %v\nserve: %v", row.environ, checked, served)
			continue
		}
		var faults config.Faults
		if !errors.As(checked, &faults) || len(faults) != 1 || faults[0].Setting != row.setting || !strings.Contains(checked.Error(), row.says) {
			t.Errorf("%s: %v", row.environ, checked)
		}
	}
	environ := []string{"STEPWARD_TLS_CERT_PATH=" + cert, "STEPWARD_TLS_KEY_PATH=" + key, https, "STEPWARD_DATA_DIR=" + t.TempDir() + "/new/er"}
	if err := run(t.Context(), []string{"config", "check"}, environ); err != nil {
		t.Error(err)
	}
}

// TestStoresThatServeCannotUseAreToldByTheirSetting has what only shows when serve or a command uses the settings.
func TestStoresThatServeCannotUseAreToldByTheirSetting(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	taken := listener.Addr().String()
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "stepward.db"), []byte(strings.Repeat("no database", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	loop := t.TempDir()
	if err := os.Symlink("stepward.db", filepath.Join(loop, "stepward.db")); err != nil {
		t.Fatal(err)
	}
	key := " STEPWARD_KEY=" + strings.Repeat("A", 43) + "="
	for _, row := range []struct{ args, environ, want string }{
		{"serve", "STEPWARD_DATABASE_URL=postgres://u:hunter2@127.0.0.1:1/d STEPWARD_REDIS_URL=redis://h" + key, "database-url (STEPWARD_DATABASE_URL): no Postgres answers at 127.0.0.1:1: connection refused"},
		{"client list", "STEPWARD_DATABASE_URL=postgres://u:hunter2@db.invalid/d STEPWARD_REDIS_URL=redis://h" + key, "database-url (STEPWARD_DATABASE_URL): no Postgres answers at db.invalid:5432: there is no host db.invalid"},
		{"client list", "STEPWARD_DATA_DIR=/proc/none", "data-dir (STEPWARD_DATA_DIR): \"/proc/none\" cannot be used"},
		{"client list", "STEPWARD_DATA_DIR=" + broken, "data-dir (STEPWARD_DATA_DIR): \"" + broken + "\" cannot be used: sqlite: file is not a database"},
		{"client list", "STEPWARD_DATA_DIR=" + loop, "data-dir (STEPWARD_DATA_DIR): \"" + loop + "/stepward.db\" cannot be used: too many levels of symbolic links; it must"},
		{"serve", "STEPWARD_DATA_DIR=" + t.TempDir() + " STEPWARD_LISTEN=" + taken, "listen (STEPWARD_LISTEN): cannot listen on " + taken + ": address already in use"},
	} {
		err := run(t.Context(), strings.Fields(row.args), strings.Fields(row.environ))
		if err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "hunter2") || strings.Count(err.Error(), "\n") > 1 {
			t.Errorf("%s with %s: %v", row.args, row.environ, err)
		}
	}
}

func TestConfigCheckLooksIntoTheStoresOfProduction(t *testing.T) {
	url := storetest.PostgresURL(t)
	parsed, err := neturl.Parse(url)
	if err != nil {
		t.Fatal(err)
	}
	missing := *parsed
	missing.Path = "/nosuchdatabase"
	for _, row := range []struct{ database, redis, want string }{
		{url, "redis://127.0.0.1:1", "redis-url (STEPWARD_REDIS_URL): Redis does not answer: connection refused"},
		{missing.String(), "redis://127.0.0.1:1", `refuses this: database "nosuchdatabase" does not exist`},
	} {
		environ := []string{
			"STEPWARD_KEY=" + strings.Repeat("A", 43) + "=", "STEPWARD_DATABASE_URL=" + row.database, "STEPWARD_REDIS_URL=" + row.redis,
		}
		if err := run(t.Context(), []string{"config", "check"}, environ); err != nil {
			t.Errorf("without --stores: %v", err)
		}
		err := run(t.Context(), []string{"config", "check", "--stores"}, environ)
		if err == nil || !strings.Contains(err.Error(), row.want) || !strings.Contains(err.Error(), "redis-url") {
			t.Errorf("%v\nwant %s", err, row.want)
		}
		if row.database == url {
			if err := run(t.Context(), []string{"migrate"}, environ); err != nil {
				t.Fatal(err)
			}
			err := run(t.Context(), []string{"config", "check", "--stores"}, environ)
			if err == nil || !strings.Contains(err.Error(), row.want) {
				t.Errorf("after migrate: %v", err)
			}
		}
	}
}
