package tryout

import (
	"cmp"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A claim is one of a token, with a sentence about it.
type claim struct {
	Name, Value string
	At          time.Time // of a claim that is a time; zero: it is none
	Text        words.Text
}

// order is that of the claims that every token has; those about the person follow by name.
var order = []string{
	"iss", "sub", "aud", "client_id", "scope", "acr", "amr", "auth_time", "iat", "exp", "nonce", "at_hash", "sid", "jti",
	"authorization_details", "cnf", "groups",
}

// moments are the claims that are times, in seconds.
var moments = []string{"auth_time", "iat", "exp", "updated_at"}

func claimsOf(u token.Unsigned) (list []claim) {
	for name, value := range u.Claims {
		c := claim{Name: name, Value: string(value), Text: words.T("console.try.claim.other")}
		if text, err := strconv.Unquote(c.Value); err == nil {
			c.Value = text
		}
		if seconds, err := strconv.ParseInt(c.Value, 10, 64); err == nil && slices.Contains(moments, name) {
			c.At = time.Unix(seconds, 0)
		}
		if slices.Contains(order, name) {
			c.Text = words.T("console.try.claim." + name)
		}
		list = append(list, c)
	}
	place := func(c claim) int {
		if i := slices.Index(order, c.Name); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortFunc(list, func(a, b claim) int {
		return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a.Name, b.Name))
	})
	return list
}

// A page shows a try.
type page struct {
	try
	Parameters []parameter
	Verdict    words.Text // what the client would get
	ID, Access []claim
	Fields     []parameter // of the form for another try
}

func (t *Tryout) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	if err := may(v); err != nil {
		return err
	}
	is, err := t.ended.Get(r.Context(), r.PathValue("try"))
	if err == nil && !is.of(v.Session) {
		err = idp.ErrNotFound
	}
	if errors.Is(err, idp.ErrNotFound) {
		return &web.Problem{Status: http.StatusGone, Words: "console.try.gone", NextURL: desk.Path}
	} else if err != nil {
		return err
	}
	p := page{
		try: is, Parameters: parameters(is.Form),
		Verdict: is.verdict(),
	}
	if is.Preview != nil && is.Preview.ID != nil {
		p.ID = claimsOf(*is.Preview.ID)
	}
	if is.Preview != nil && is.Preview.Access != nil {
		p.Access = claimsOf(*is.Preview.Access)
	}
	for _, name := range changeable {
		p.Fields = append(p.Fields, parameter{name, strings.Join(is.Form[name], " ")})
	}
	return t.cfg.Desk.Render(w, r, t.pages, v, "try", web.Page{Nav: "Clients", Data: p})
}

// verdict says in a sentence what the client would get.
func (is try) verdict() words.Text {
	switch {
	case is.First.Ended():
		return is.First.Verdict()
	case is.Error != nil:
		return words.T("console.explain.refused", "error", is.Error.Error, "why", is.Error.Description)
	case is.Preview.Refused != nil:
		return words.T("console.try.notokens", "error", is.Preview.Refused.Error, "why", is.Preview.Refused.Description)
	}
	return words.T("console.try.tokens")
}

// Outcome is the verdict as one word, for tests and for styles.
func (p page) Outcome() string { return p.outcome() }

// Changed reports whether the end differs from the beginning.
func (p page) Changed() bool { return p.Last != nil && p.Last.Check != p.First.Check }

// Pretty returns JSON for reading.
func (p page) Pretty(text json.RawMessage) (string, error) {
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		return "", err
	}
	out, err := json.MarshalIndent(v, "", "  ")
	return string(out), err
}
