// These tests are inside the package: they know the bounds of a challenge, which are not exported.
package stepup

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestChallengesAreWrittenAsInTheRFC(t *testing.T) {
	for want, c := range map[string]Challenge{
		// RFC 9470 §3, figures 2 and 3
		`Bearer error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="myACR"`: {
			Error: InsufficientUserAuthentication, Description: "A different authentication level is required", Requirement: Requirement{ACRValues: []string{"myACR"}},
		},
		`Bearer error="insufficient_user_authentication", error_description="More recent authentication is required", max_age="5"`: {
			Error: InsufficientUserAuthentication, Description: "More recent authentication is required", Requirement: Requirement{MaxAge: Within(5 * time.Second)},
		},
		`DPoP realm="bank", error="insufficient_user_authentication", acr_values="phrh phr", max_age="300", scope="openid payouts"`: {
			Scheme: "DPoP", Realm: "bank", Error: InsufficientUserAuthentication,
			Requirement: Requirement{ACRValues: []string{"phrh", "phr"}, MaxAge: Within(300*time.Second + 999*time.Millisecond), Scopes: []string{"openid", "payouts"}},
		},
		`Bearer realm=""`: {}, // RFC 6750 §3: at least one parameter
	} {
		if got := c.String(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestChallengeCannotBreakOutOfItsHeader(t *testing.T) {
	evil := "a\r\nSet-Cookie: x=\"1\\\", max_age=\"9é"
	got := Challenge{Realm: evil, Error: evil, Description: evil, Requirement: Requirement{ACRValues: []string{evil}, Scopes: []string{evil}}}.String()
	if strings.ContainsAny(got, "\r\n\\é") || strings.Count(got, `"`) != 10 {
		t.Error(got)
	}
}

func TestChallengesAreParsed(t *testing.T) {
	stepUp := Challenge{Scheme: "Bearer", Error: InsufficientUserAuthentication, Requirement: Requirement{ACRValues: []string{"phr"}, MaxAge: Within(5 * time.Minute)}}
	many := strings.Repeat("Bearer error=x, ", maxChallenges)
	for name, test := range map[string]struct {
		headers []string
		want    []Challenge
	}{
		"nothing":        {nil, nil},
		"only commas":    {[]string{" ,, ,"}, nil},
		"as we write it": {[]string{stepUp.String()}, []Challenge{stepUp}},
		"tokens, not quoted, odd case and blanks": {[]string{"bEARER ERROR = insufficient_user_authentication ,acr_values=phr,\tmax_age=\t300"}, []Challenge{stepUp}},
		"escapes and commas in a quoted-string":   {[]string{`Bearer realm="a \"b\", \\c=\d"`}, []Challenge{{Scheme: "Bearer", Realm: `a "b", \c=d`}}},
		"several in one header, ours in the middle": {
			[]string{`Basic realm="x, Bearer error=\"no\"", Bearer error="insufficient_user_authentication", acr_values="phr", max_age=300, DPoP algs="ES256", error="invalid_token"`},
			[]Challenge{stepUp, {Scheme: "DPoP", Error: InvalidToken}},
		},
		"several headers":                         {[]string{`Negotiate`, `DPoP`, stepUp.String()}, []Challenge{{Scheme: "DPoP"}, stepUp}},
		"token68 of another scheme":               {[]string{`Negotiate YII/abc+d==, Bearer error=x`}, []Challenge{{Scheme: "Bearer", Error: "x"}}},
		"a scheme alone, then another":            {[]string{`Negotiate, Bearer error=x`}, []Challenge{{Scheme: "Bearer", Error: "x"}}},
		"empty list elements":                     {[]string{`, Bearer ,, error=x ,, scope="a b"`}, []Challenge{{Scheme: "Bearer", Error: "x", Requirement: Requirement{Scopes: []string{"a", "b"}}}}},
		"repeated values count once":              {[]string{`Bearer acr_values="phr  phr", scope=" a a"`}, []Challenge{{Scheme: "Bearer", Requirement: Requirement{ACRValues: []string{"phr"}, Scopes: []string{"a"}}}}},
		"max_age of zero is a requirement":        {[]string{`Bearer max_age=0`}, []Challenge{{Scheme: "Bearer", Requirement: Requirement{MaxAge: Within(0)}}}},
		"a negative age is no challenge":          {[]string{`Bearer max_age="-1"`}, nil},
		"an age with a fraction is no challenge":  {[]string{`Bearer max_age="1.5"`}, nil},
		"a huge age is no challenge":              {[]string{`Bearer max_age="99999999999999999999"`}, nil},
		"an empty age is no challenge":            {[]string{`Bearer max_age=""`}, nil},
		"a repeated parameter drops the header":   {[]string{`Bearer error=x, Error=y`, `Bearer error=z`}, []Challenge{{Scheme: "Bearer", Error: "z"}}},
		"an unclosed string drops it":             {[]string{`Bearer error="x`}, nil},
		"a control character drops it":            {[]string{"Bearer error=\"a\x00\""}, nil},
		"a backslash at the end drops it":         {[]string{`Bearer error="a\`}, nil},
		"a parameter without a scheme":            {[]string{`error="x"`}, nil},
		"a parameter without a value":             {[]string{`Bearer error=, scope=x`}, nil},
		"a token68 is not a parameter":            {[]string{`Bearer error==`, `Bearer abc/d`}, nil},
		"words without commas":                    {[]string{`Bearer error=x scope=y`}, nil},
		"a quoted name":                           {[]string{`Bearer "error"=x`}, nil},
		"as many challenges as fit":               {[]string{many}, slices.Repeat([]Challenge{{Scheme: "Bearer", Error: "x"}}, maxChallenges)},
		"more challenges than fit":                {[]string{many + "Bearer error=x"}, nil},
		"more bytes than fit":                     {[]string{`Bearer error="` + strings.Repeat("x", maxHeader) + `"`}, nil},
		"more parameters than fit":                {[]string{"Bearer " + manyParams(maxParams+1)}, nil},
		"a long but bounded header before others": {[]string{"Bearer " + manyParams(maxParams), `Bearer error=x`}, []Challenge{{Scheme: "Bearer"}, {Scheme: "Bearer", Error: "x"}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := ParseChallenges(http.Header{"Www-Authenticate": test.headers})
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func manyParams(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("p" + strings.Repeat("x", i) + "=1,")
	}
	return b.String()
}

func TestFromResponseFindsTheChallengeToAnswer(t *testing.T) {
	for name, test := range map[string]struct {
		status  int
		headers []string
		want    string
		found   bool
	}{
		"step-up goes before a bad token":   {401, []string{`DPoP error="invalid_token"`, `Bearer error="insufficient_user_authentication"`}, InsufficientUserAuthentication, true},
		"a missing scope can be asked for":  {403, []string{`Bearer error="insufficient_scope", scope="a"`}, InsufficientScope, true},
		"a bad token can be replaced":       {401, []string{`Bearer error="invalid_token"`}, InvalidToken, true},
		"no token at all":                   {401, []string{`Bearer realm="x"`}, "", true},
		"a bad request cannot be helped":    {400, []string{`Bearer error="invalid_request"`}, "", false},
		"an unknown error cannot be helped": {401, []string{`Bearer error="go_away"`}, "", false},
		"Basic cannot be helped":            {401, []string{`Basic realm="x"`}, "", false},
		"success is not a challenge":        {200, []string{`Bearer error="insufficient_scope"`}, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			c, found := FromResponse(&http.Response{StatusCode: test.status, Header: http.Header{"Www-Authenticate": test.headers}})
			if found != test.found || c.Error != test.want {
				t.Errorf("got %v %+v", found, c)
			}
		})
	}
}

func TestWriteUsesTheStatusOfTheError(t *testing.T) {
	for code, status := range map[string]int{InvalidRequest: 400, InvalidToken: 401, InsufficientUserAuthentication: 401, InsufficientScope: 403, "": 401} {
		w := httptest.NewRecorder()
		Challenge{Error: code}.Write(w)
		if w.Code != status || w.Header().Get("WWW-Authenticate") == "" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%q: %d %v", code, w.Code, w.Header())
		}
	}
}

// No input makes the parser fail, and what it parsed survives writing and parsing again.
func FuzzParseChallenges(f *testing.F) {
	for _, seed := range []string{
		`Bearer error="insufficient_user_authentication", acr_values="phr", max_age="300", scope="payouts"`,
		`Basic realm="x\"y", DPoP algs="ES256", max_age=0,,Negotiate a/b==`, `Bearer realm="\`, "Bearer \tx = y,", `a=b`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		for _, c := range ParseChallenges(http.Header{"Www-Authenticate": {value}}) {
			written := c.String()
			again := ParseChallenges(http.Header{"Www-Authenticate": {written}})
			if len(again) != 1 || again[0].String() != written {
				t.Fatalf("%q was read as %+v, written as %q and read as %+v", value, c, written, again)
			}
		}
	})
}
