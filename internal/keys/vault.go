package keys

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outage"
)

// Vault decrypts the operator's key with the transit engine of HashiCorp Vault or OpenBao: the settings hold only its
// ciphertext, "vault:v1:…". It is asked once, at the start.
type Vault struct {
	url       string // of transit/decrypt
	namespace string
	token     idp.Secret
	client    *http.Client
}

// NewVault reads https://HOST/MOUNT/KEY, with ?namespace=NAME if needed. http is for this machine only, where an agent
// of Vault adds the token.
func NewVault(text string, token idp.Secret) (*Vault, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("not a URL like https://vault.example.com:8200/transit/stepward")
	}
	if local := u.Hostname() == "localhost" || u.Hostname() == "127.0.0.1" || u.Hostname() == "::1"; u.Scheme == "http" &&
		!local {
		return nil, errors.New("use https: the key would cross the network in clear")
	}
	mount, key, ok := cutLast(strings.Trim(u.Path, "/"))
	if !ok {
		return nil, errors.New("the path must be the engine's mount and the name of the key: /transit/stepward")
	}
	v := &Vault{namespace: u.Query().Get("namespace"), token: token, client: &http.Client{
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	u.Path, u.RawQuery = "/v1/"+mount+"/decrypt/"+key, ""
	v.url = u.String()
	return v, nil
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndexByte(path, '/')
	if i <= 0 || i == len(path)-1 {
		return "", "", false
	}
	return path[:i], path[i+1:], true
}

// Decrypt returns the plaintext of a ciphertext of transit.
func (v *Vault) Decrypt(ctx context.Context, ciphertext string) ([]byte, error) {
	body, err := json.Marshal(map[string]string{"ciphertext": ciphertext})
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Vault-Request", "true") // agents and proxies of Vault require it
	if v.token != "" {
		r.Header.Set("X-Vault-Token", v.token.Reveal())
	}
	if v.namespace != "" {
		r.Header.Set("X-Vault-Namespace", v.namespace)
	}
	resp, err := v.client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("Vault does not answer at %s: %s", r.URL.Host, outage.Reason(err))
	}
	defer resp.Body.Close()
	var answer struct {
		Data   struct{ Plaintext string }
		Errors []string
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("Vault answers %s: %s", resp.Status, strings.Join(answer.Errors, "; "))
	}
	if err != nil {
		return nil, fmt.Errorf("Vault does not answer in JSON: %s", outage.Reason(err))
	}
	plain, err := base64.StdEncoding.DecodeString(answer.Data.Plaintext)
	if err != nil {
		return nil, errors.New("the plaintext of Vault is not base64")
	}
	return plain, nil
}
