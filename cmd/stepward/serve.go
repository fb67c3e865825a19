package main

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
)

type serveCmd struct{}

func (serveCmd) Run(e *manage.Env) error {
	cfg, err := e.Load()
	if err != nil {
		return err
	}
	log, flush := manage.ServerLogger(cfg)
	defer flush()
	s, err := server.New(e.Context(), cfg, log, nil)
	if err != nil {
		return err
	}
	defer s.Close()
	link, until, err := manage.FirstAdmin(e.Context(), s)
	if err != nil {
		return fmt.Errorf("first admin: %w", err)
	}
	listener, err := s.Listen()
	if err != nil {
		return err
	}
	log.Info("serving", "issuer", cfg.Issuer.String(), "listen", listener.Addr().String(),
		"stores", s.DB.Backend(), "version", version())
	flush()
	if link != "" {
		fmt.Printf("\nThere is no admin yet. The first person to open this link becomes one (it works once, until %s):\n\n",
			until.Format(time.DateTime))
		fmt.Printf("  %s\n\n", link.Reveal())
	}
	return s.Serve(e.Context(), listener)
}
