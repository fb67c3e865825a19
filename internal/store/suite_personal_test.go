package store_test

import (
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/personal"
)

var personalCases = map[string]func(*fixture){
	"e-mails that a user has switched off": func(f *fixture) {
		r, u := personal.New(f.DB), f.user("a@example.org")
		off := func() []string { return must2(r.NoticesOff(f.ctx, u.ID))(f) }
		f.must(r.SetNoticesOff(f.ctx, u.ID, []string{"browser", "application"}))
		f.same(off(), []string{"application", "browser"})
		f.must(r.SetNoticesOff(f.ctx, u.ID, nil, f.event(idp.EventNoticesChanged, u.ID)))
		f.same(len(off()), 0)
		f.refuses(r.SetNoticesOff(f.ctx, "nobody", nil, f.event(idp.EventNoticesChanged, u.ID)), idp.ErrNotFound)
	},
	"events are found by kind, client, passkey and place": func(f *fixture) {
		r := personal.New(f.DB)
		u, other := f.user("a@example.org"), f.user("b@example.org")
		var all []idp.Event
		for i, kind := range []idp.EventKind{idp.EventSignedIn, idp.EventSignedOut, idp.EventSignedIn, idp.EventUserChanged} {
			e := f.event(kind, u.ID)
			e.At = f.now.Add(time.Duration(i/2) * time.Millisecond) // two of each millisecond
			e.ClientID, e.PasskeyID = []string{"https://app.example/", "a", "a", ""}[i], []string{"p", "p", "q", ""}[i]
			all = append(all, e)
		}
		hers := f.event(idp.EventSignedIn, other.ID)
		hers.ClientID = "hers"
		f.must(f.RecordEvents(f.ctx, append([]idp.Event{hers}, all...)...))
		kinds := func(filter personal.Filter, limit int) string {
			var found []string
			for _, e := range must2(r.Events(f.ctx, u.ID, filter, limit))(f) {
				found = append(found, string(e.Kind)+"/"+e.ClientID)
			}
			return strings.Join(found, " ")
		}
		f.same(kinds(personal.Filter{ClientID: "a"}, 9), "session.signed_in/a session.signed_out/a")
		f.same(kinds(personal.Filter{ClientID: "a", PasskeyID: "p"}, 9), "session.signed_out/a")
		f.same(kinds(personal.Filter{Kinds: []idp.EventKind{idp.EventSignedIn}}, 1), "session.signed_in/a")
		f.same(kinds(personal.Filter{Kinds: []idp.EventKind{}}, 9), "")
		whole := must2(r.Events(f.ctx, u.ID, personal.Filter{}, 9))(f)
		f.same(len(whole), 4)
		for i := range whole {
			rest := must2(r.Events(f.ctx, u.ID, personal.Filter{Before: personal.After(whole[i])}, 9))(f)
			f.same(rest, whole[i+1:])
		}
		f.same(must2(r.ClientsOf(f.ctx, u.ID, 9))(f), []string{"a", "https://app.example/"})
		f.same(must2(r.Event(f.ctx, u.ID, all[0].ID))(f).ClientID, "https://app.example/")
		for _, id := range []string{hers.ID, "none", ""} {
			_, err := r.Event(f.ctx, u.ID, id)
			f.refuses(err, idp.ErrNotFound)
		}
	},
}
