// These tests are inside the package: they parse metadata without fetching it.
package passkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-webauthn/webauthn/metadata"
	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// publisher stands in for the FIDO Metadata Service: it signs BLOBs under its own root.
type publisher struct {
	root  string
	chain []any
	key   *ecdsa.PrivateKey
}

func newPublisher(t *testing.T, change func(leaf *x509.Certificate)) publisher {
	t.Helper()
	fatal := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	rootKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	fatal(err)
	valid := func(name string, serial int64) *x509.Certificate {
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name},
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), BasicConstraintsValid: true,
		}
	}
	root, leaf := valid("Root", 1), valid("BLOB signer", 2)
	root.IsCA, root.KeyUsage = true, x509.KeyUsageCertSign
	change(leaf)
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, rootKey.Public(), rootKey)
	fatal(err)
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), rootKey)
	fatal(err)
	encode := base64.StdEncoding.EncodeToString
	return publisher{root: encode(rootDER), chain: []any{encode(leafDER), encode(rootDER)}, key: key}
}

func (p publisher) blob(t *testing.T) []byte {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"no": 1, "nextUpdate": "2026-12-31",
		"entries": []any{
			map[string]any{
				"aaguid": "01020304-0506-0708-090a-0b0c0d0e0f10",
				"metadataStatement": map[string]any{
					"aaguid": "01020304-0506-0708-090a-0b0c0d0e0f10", "description": "Test Key", "keyProtection": []string{"hardware"},
				},
				"statusReports":          []any{map[string]any{"status": "FIDO_CERTIFIED", "effectiveDate": "2024-01-01"}},
				"timeOfLastStatusChange": "2024-01-01",
			},
			map[string]any{"aaguid": "not an AAGUID", "timeOfLastStatusChange": "2024-01-01"},
		},
	})
	token.Header["x5c"] = p.chain
	signed, err := token.SignedString(p.key)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(signed)
}

func TestMetadataIsReadOfflineWithoutUnreadableEntries(t *testing.T) {
	var asked atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	defer elsewhere.Close()
	p := newPublisher(t, func(leaf *x509.Certificate) {
		leaf.CRLDistributionPoints, leaf.IssuingCertificateURL = []string{elsewhere.URL + "/crl"}, []string{elsewhere.URL + "/issuer"}
		leaf.OCSPServer = []string{elsewhere.URL + "/ocsp"}
	})
	known, err := parseMetadata(p.blob(t), metadata.WithRootCertificate(p.root))
	if err != nil {
		t.Fatal(err)
	}
	entry := known(uuid.UUID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16})
	if entry == nil || entry.MetadataStatement.Description != "Test Key" || !protectsKeys(entry) {
		t.Errorf("entry %+v", entry)
	}
	if known(uuid.UUID{}) != nil {
		t.Error("an unreadable entry is used for the zero AAGUID")
	}
	if n := asked.Load(); n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestMetadataNotSignedByFIDOIsRefused(t *testing.T) {
	trusted, other := newPublisher(t, func(*x509.Certificate) {}), newPublisher(t, func(*x509.Certificate) {})
	expired := newPublisher(t, func(leaf *x509.Certificate) { leaf.NotAfter = time.Now().Add(-time.Minute) })
	changed := trusted.blob(t)
	changed[len(changed)-5] ^= 1
	for name, c := range map[string]struct {
		blob []byte
		root string
	}{
		"another root":    {other.blob(t), trusted.root},
		"expired signer":  {expired.blob(t), expired.root},
		"changed":         {changed, trusted.root},
		"no BLOB":         {[]byte("hello"), trusted.root},
		"nothing":         {nil, trusted.root},
		"not FIDO's root": {trusted.blob(t), metadata.ProductionMDSRoot},
	} {
		if _, err := parseMetadata(c.blob, metadata.WithRootCertificate(c.root)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	file := filepath.Join(t.TempDir(), "blob.jwt")
	if _, err := LoadMetadata(file); err == nil {
		t.Error("a missing file was accepted")
	}
	if err := os.WriteFile(file, trusted.blob(t), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadMetadata(file); err == nil {
		t.Error("a BLOB that FIDO did not sign was accepted")
	}
}
