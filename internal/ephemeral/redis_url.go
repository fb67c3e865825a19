package ephemeral

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// A target is what redis-url names; one of the three is set.
type target struct {
	single   *redis.Options
	cluster  *redis.ClusterOptions
	sentinel *redis.FailoverOptions
}

// CheckURL reports a URL that OpenRedis cannot read. It does not connect.
func CheckURL(rawURL string) error {
	_, err := parseURL(rawURL)
	return err
}

// parseURL reads the URL of a server, of Sentinels (it has master_name) or of a cluster (it has addr). Errors do not
// contain the URL, which may hold a password.
func parseURL(rawURL string) (*target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return nil, notAURL(err)
	}
	query := u.Query()
	config, err := tlsOf(u, query)
	if err != nil {
		return nil, err
	}
	u.RawQuery = query.Encode()
	t := &target{}
	switch {
	case query.Has("master_name"):
		if query.Get("master_name") == "" {
			return nil, errors.New("master_name is empty: it names the set of servers that the Sentinels watch")
		}
		t.sentinel, err = redis.ParseFailoverURL(u.String())
	case query.Has("addr"):
		t.cluster, err = clusterOf(u)
	default:
		t.single, err = redis.ParseURL(u.String())
	}
	if err != nil {
		return nil, notAURL(err)
	}
	t.tune(config)
	return t, nil
}

func notAURL(err error) error {
	reason := strings.TrimPrefix(err.Error(), "redis: ")
	return fmt.Errorf("not a URL like redis://user:password@host:6379/0: %s", reason)
}

// clusterOf reads the URL of a cluster, which has one database.
func clusterOf(u *url.URL) (*redis.ClusterOptions, error) {
	if db := strings.Trim(u.Path, "/"); db != "" && db != "0" {
		return nil, errors.New("a Redis Cluster has no database but 0: remove the number after the host")
	}
	return redis.ParseClusterURL(u.String())
}

// tune sets defaults for options missing in the URL, and overrides some that must not be changed: a lost response may
// hide a Take or Claim that won, so a retry would lose it or count twice.
func (t *target) tune(config *tls.Config) {
	const dial, answer = 2 * time.Second, time.Second
	off := &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// Without a second pool with half-megabyte buffers for pipelines: ours are short.
	if o := t.single; o != nil {
		o.DialTimeout, o.PipelinePoolSize = cmp.Or(o.DialTimeout, dial), cmp.Or(o.PipelinePoolSize, -1)
		o.ReadTimeout, o.WriteTimeout = cmp.Or(o.ReadTimeout, answer), cmp.Or(o.WriteTimeout, answer)
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.MaintNotificationsConfig = off
		o.TLSConfig = serverTLS(o.TLSConfig, config)
	}
	if o := t.sentinel; o != nil {
		o.DialTimeout, o.PipelinePoolSize = cmp.Or(o.DialTimeout, dial), cmp.Or(o.PipelinePoolSize, -1)
		o.ReadTimeout, o.WriteTimeout = cmp.Or(o.ReadTimeout, answer), cmp.Or(o.WriteTimeout, answer)
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.ReplicaOnly, o.RouteByLatency, o.RouteRandomly = false, false, false
		o.TLSConfig = eachTLS(o.TLSConfig, config)
	}
	if o := t.cluster; o != nil {
		o.DialTimeout, o.PipelinePoolSize = cmp.Or(o.DialTimeout, dial), cmp.Or(o.PipelinePoolSize, -1)
		o.ReadTimeout, o.WriteTimeout = cmp.Or(o.ReadTimeout, answer), cmp.Or(o.WriteTimeout, answer)
		o.MaxRetries, o.DialerRetries, o.ContextTimeoutEnabled, o.DisableIdentity = -1, 1, true, true
		o.MaintNotificationsConfig = off
		o.ReadOnly, o.RouteByLatency, o.RouteRandomly = false, false, false // replicas lag behind
		o.MaxRedirects, o.DisableRoutingPolicies = 3, true                  // see once
		o.ClusterStateReloadInterval = 10 * time.Second
		o.TLSConfig = eachTLS(o.TLSConfig, config)
	}
}

// tlsOf takes sslrootcert, sslcert and sslkey out of a rediss query, named as in a URL of Postgres, and reads their
// files. It returns nil if there are none.
func tlsOf(u *url.URL, query url.Values) (*tls.Config, error) {
	root, cert, key := query.Get("sslrootcert"), query.Get("sslcert"), query.Get("sslkey")
	for _, name := range []string{"sslrootcert", "sslcert", "sslkey"} {
		query.Del(name)
	}
	switch {
	case root == "" && cert == "" && key == "":
		return nil, nil
	case u.Scheme != "rediss":
		return nil, fmt.Errorf("sslrootcert, sslcert and sslkey need TLS: use rediss:// instead of %s://", u.Scheme)
	case (cert == "") != (key == ""):
		return nil, errors.New("sslcert and sslkey belong together: set both or none")
	}
	config := &tls.Config{}
	if root != "" {
		pem, err := os.ReadFile(root)
		if err != nil {
			return nil, fmt.Errorf("sslrootcert: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("sslrootcert: %s has no certificate in PEM form", root)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("sslcert and sslkey: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// serverTLS adds the files of config to what a URL said of TLS.
func serverTLS(of, config *tls.Config) *tls.Config {
	if of == nil {
		return nil
	}
	of.MinVersion = tls.VersionTLS12
	if config != nil {
		of.RootCAs, of.Certificates = config.RootCAs, config.Certificates
	}
	return of
}

// eachTLS is serverTLS where the URL leads to more addresses: each server's certificate names its own.
func eachTLS(of, config *tls.Config) *tls.Config {
	of = serverTLS(of, config)
	if of != nil {
		of.ServerName = ""
	}
	return of
}
