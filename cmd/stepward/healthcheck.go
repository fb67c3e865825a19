package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/outage"
)

type healthcheckCmd struct {
	Ready bool `help:"Also check that the stores work (/readyz?stores=required)."`
}

func (c healthcheckCmd) Run(e *manage.Env) error {
	cfg, err := e.LoadWithoutMail()
	if err != nil {
		return err
	}
	host, port, err := net.SplitHostPort(cfg.Listen)
	if err != nil {
		return err
	}
	if host == "" || host == "0.0.0.0" || host == "::" {
		host = "localhost"
	}
	scheme, path := "http", "/healthz"
	if cfg.TLSCertPath != "" {
		scheme = "https"
	}
	if c.Ready {
		path = "/readyz?stores=required"
	}
	ctx, cancel := context.WithTimeout(e.Context(), 3*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+net.JoinHostPort(host, port)+path, nil)
	if err != nil {
		return err
	}
	// This checks whether the process responds on its own port, not whether its certificate names localhost.
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	resp, err := client.Do(r)
	if err != nil {
		return config.Faults{cfg.Fault("listen",
			fmt.Sprintf("not healthy: nothing answers at %s: %s", r.URL.Host, outage.Reason(err)), err)}
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("not healthy: %s", resp.Status)
	}
	return nil
}
