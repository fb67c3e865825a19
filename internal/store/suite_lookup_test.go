package store_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/lookup"
)

var lookupCases = map[string]func(*fixture){
	"users are found by the beginning of the address first, then by any part": func(f *fixture) {
		for _, name := range []string{
			"zoe@love.example Zoe", "ada@example.org Ada Lovelace", "bob@example.org Bob 100%", "lovis@example.org Lovis",
			"ae@example.org Änne Ärger",
		} {
			email, name, _ := strings.Cut(name, " ")
			u := f.user(email)
			u.Name = name
			f.must(f.UpdateUser(f.ctx, u))
		}
		l := lookup.New(f.DB)
		search := func(text string, limit int) (emails []string) {
			f.Helper()
			for cursor, calls := "", 0; ; calls++ {
				users, next, err := l.Users(f.ctx, text, cursor, limit)
				f.must(err)
				for _, u := range users {
					local, _, _ := strings.Cut(u.Email, "@")
					emails = append(emails, local)
				}
				if next == "" {
					return emails
				}
				if cursor = next; calls > 20 {
					f.Fatal("the search does not end")
				}
			}
		}
		for text, want := range map[string]string{
			"":                "zoe ada bob lovis ae",
			" LOV":            "lovis zoe ada",
			"love":            "zoe ada",
			"ada@example.org": "ada",
			"@example":        "ada bob lovis ae",
			"100%":            "bob",
			"0%":              "bob",
			"b_b":             "",
			"är":              "ae",
			"Är":              "ae",
			"nobody":          "",
		} {
			for _, limit := range []int{1, 2, 50} {
				f.same(strings.Join(search(text, limit), " "), want)
			}
		}
		_, _, err := l.Users(f.ctx, "x", "?", 1)
		f.refuses(err, idp.ErrNotFound)
	},
	"events of the whole installation are found by kind, client, actor, user and time": func(f *fixture) {
		u, l := f.user("a@example.org"), lookup.New(f.DB)
		var all []idp.Event
		for i := range 6 {
			e := f.event([]idp.EventKind{idp.EventSignedIn, idp.EventUserChanged}[i%2], "")
			e.At = f.now.Add(time.Duration(i) * time.Second)
			e.ClientID, e.ActorID = []string{"app", "https://app.example"}[i%2], []string{"", "", "boss"}[i%3]
			if i > 3 {
				e.UserID = u.ID
			}
			all = append(all, e)
		}
		f.must(f.RecordEvents(f.ctx, all...))
		find := func(filter lookup.Filter, limit int) (seconds string) {
			f.Helper()
			for cursor, calls := "", 0; ; calls++ {
				events, next, err := l.Events(f.ctx, filter, cursor, limit)
				f.must(err)
				for _, e := range events {
					seconds += fmt.Sprint(int(e.At.Sub(f.now).Seconds()))
				}
				if next == "" {
					return seconds
				}
				if cursor = next; calls > 20 {
					f.Fatal("the search does not end")
				}
			}
		}
		for _, limit := range []int{1, 2, 50} {
			f.same(find(lookup.Filter{}, limit), "543210")
			f.same(find(lookup.Filter{Kinds: []idp.EventKind{idp.EventUserChanged}}, limit), "531")
			f.same(find(lookup.Filter{Kinds: []idp.EventKind{}}, limit), "")
			f.same(find(lookup.Filter{ClientID: "app"}, limit), "420")
			f.same(find(lookup.Filter{ActorID: "boss"}, limit), "52")
			f.same(find(lookup.Filter{UserID: u.ID}, limit), "54")
			f.same(find(lookup.Filter{UserID: u.ID, ClientID: "app"}, limit), "4")
			f.same(find(lookup.Filter{From: f.now.Add(time.Second), Until: f.now.Add(3 * time.Second)}, limit), "21")
			f.same(find(lookup.Filter{Until: f.now.Add(-48 * time.Hour)}, limit), "")
		}
	},
}
