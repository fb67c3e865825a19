package tryout

import (
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
)

// changeable are the parameters that an admin may set; the others are the client's usual ones.
var changeable = []string{"scope", "acr_values", "max_age", "prompt", "resource", "claims"}

// requestOf returns the request of a try: the client's usual one, with the parameters that the form sets.
func requestOf(c idp.Client, form url.Values) url.Values {
	request := explain.UsualRequest(c)
	request.Set("state", idp.NewSecret().Reveal())
	request.Set("nonce", idp.NewSecret().Reveal())
	for _, name := range changeable {
		if value := desk.Query(form, name); value != "" {
			request.Set(name, value)
		}
	}
	if list := strings.Fields(request.Get("resource")); len(list) > 0 {
		request["resource"] = list
	}
	return request
}

// A parameter is one of a request, as the page shows it.
type parameter struct{ Name, Value string }

// parameters returns the parameters of a request, the usual ones first.
func parameters(form url.Values) (list []parameter) {
	order := []string{"client_id", "redirect_uri", "response_type", "scope"}
	names := slices.Clone(order)
	for name := range form {
		if !slices.Contains(order, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names[len(order):])
	for _, name := range names {
		for _, value := range form[name] {
			list = append(list, parameter{name, value})
		}
	}
	return list
}
