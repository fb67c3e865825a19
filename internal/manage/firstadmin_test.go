package manage_test

import (
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestReplicasThatStartTogetherPrintOneLinkForTheFirstAdmin(t *testing.T) {
	environ := []string{
		"STEPWARD_DATABASE_URL=" + storetest.PostgresURL(t), "STEPWARD_REDIS_URL=" + ephemeraltest.RedisURL(t),
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
	cfg, err := config.Load(config.Sources{Environ: environ})
	if err != nil {
		t.Fatal(err)
	}
	var replicas []*server.Server
	for range 3 {
		s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		replicas = append(replicas, s)
	}
	links := make([]idp.Secret, len(replicas))
	var wg sync.WaitGroup
	for i, s := range replicas {
		wg.Go(func() {
			link, until, err := manage.FirstAdmin(t.Context(), s)
			if left := time.Until(until); err != nil || left < 23*time.Hour || left > 24*time.Hour {
				t.Errorf("until %v: %v", until, err)
			}
			links[i] = link
		})
	}
	wg.Wait()
	again, _, err := manage.FirstAdmin(t.Context(), replicas[0])
	if err != nil || links[0] == "" || links[0] != links[1] || links[0] != links[2] || links[0] != again {
		t.Errorf("links %q %q %q, after a restart %q, %v", links[0].Reveal(), links[1].Reveal(), links[2].Reveal(), again.Reveal(), err)
	}
	invited := 0
	events, err := replicas[0].DB.Events(t.Context(), "", 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == idp.EventUserInvited {
			invited++
		}
	}
	distinct := map[idp.Secret]bool{links[0]: true, links[1]: true, links[2]: true, again: true}
	t.Logf("counted: %d links and %d invitations of 3 replicas and a restart", len(distinct), invited)
	if invited != 1 {
		t.Errorf("%d invitations", invited)
	}
	_, text, _ := strings.Cut(again.Reveal(), "#")
	token := idp.Secret(text)
	if _, err := replicas[0].DB.TakeLink(t.Context(), token.Hash(), "enrol", time.Now()); err != nil {
		t.Fatal(err)
	}
	fresh, _, err := manage.FirstAdmin(t.Context(), replicas[1])
	if err != nil || fresh == again {
		t.Errorf("a used link is printed again: %v", err)
	}
}
