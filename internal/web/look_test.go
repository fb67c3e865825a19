package web

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/words"
)

type samplePasskey struct {
	Name         string
	Here, Synced bool
	Used         time.Time
}

type sampleEvent struct {
	At          time.Time
	What, Where string
}

// samples are all pages with realistic content.
func samples() map[string]Page {
	now := time.Now()
	bank := &ClientChip{Name: "Acme Bank", Host: "bank.example", PolicyURI: "https://bank.example/privacy", TOSURI: "https://bank.example/terms"}
	ada := &Chip{Name: "Ada Lovelace", Email: "ada@example.org", SwitchURL: "/login/switch", Interaction: "abc"}
	long := &Chip{Name: "Maximiliane-Alexandra von und zu Donaudampfschifffahrtsgesellschaft-Hohenstaufen", Email: strings.Repeat("sehrlang", 7) + "@example.org", SwitchURL: "/s"}
	var rail []Link
	for _, name := range []string{"Passkeys", "Sessions", "Applications", "Activity", "Profile", "Recovery", "Administration"} {
		rail = append(rail, Link{name, words.Data(name), "/" + name})
	}
	challenge := map[string]any{"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "rpId": "localhost", "userVerification": "required"}
	options := map[string]any{"Options": challenge}

	var many []samplePasskey
	for i, name := range []string{
		"iCloud Keychain", "YubiKey 5C NFC", "Google Password Manager", "Windows Hello", "🦄🌈 mein 🔑", "1Password",
		"Bitwarden", "Samsung Pass", "Maximiliane-Alexandras beruflich genutztes Sicherheitsschlüsselbundverwaltungsgerät", "مفتاح المكتب", "Dashlane", "Old phone",
	} {
		many = append(many, samplePasskey{Name: name, Here: i == 0, Synced: i%2 == 0, Used: now.Add(-time.Duration(i*i*7) * time.Hour)})
	}
	events := []sampleEvent{{now, "Signed in with iCloud Keychain", "Firefox on macOS · 2001:db8:85a3:8d3:1319:8a2e:370:7348"}, {now.AddDate(0, -1, 0), "Passkey added: YubiKey 5C NFC", "Chrome on Windows · 192.0.2.7"}}
	account := func(user *Chip, keys []samplePasskey) Page {
		return Page{
			Name: "account", Title: "Passkeys", Layout: LayoutHouse, User: &Chip{Name: user.Name, Email: user.Email}, Rail: rail, Nav: "Passkeys", SignOutURL: "/out",
			Data: map[string]any{"Passkeys": keys, "Events": events},
		}
	}
	return map[string]Page{
		"signin":  {Name: "login", Title: "Sign in", Client: bank, Data: options},
		"signup":  {Name: "signup", Title: "Create your account", Client: bank, Data: map[string]any{"Name": "🦄🌈👩‍🚀"}},
		"verify":  {Name: "verify", Title: "Check your e-mail"},
		"passkey": {Name: "passkey", Title: "Make your passkey", User: &Chip{Name: "🦄🌈👩‍🚀", Email: "u@example.org"}, Data: options},
		"stepup":  {Name: "stepup", Title: "Confirm it's you", Client: bank, User: ada, Data: options},
		"consent": {Name: "consent", Title: "Allow Acme Bank?", Client: &ClientChip{Name: "Acme Bank", Host: "bank.example", LogoURL: "/logo.svg"}, User: ada},
		"approve": {Name: "approve", Title: "Approve this payment", Client: bank, User: ada},
		"device":  {Name: "device", Title: "Connect a device", User: ada},
		"first":   {Name: "passkey", Title: "Add another passkey", User: ada},
		"german":  {Name: "stepup", Title: "Bestätigen", Client: &ClientChip{Name: "Bundesanstalt für Finanzdienstleistungsaufsichtsangelegenheiten", Host: "finanzdienstleistungsaufsichtsangelegenheiten.example"}, User: long},
		"rtl":     {Name: "consent", Title: "تأكد", Client: &ClientChip{Name: "بنك أكمي", Host: "bank.example"}, User: &Chip{Name: "آدا لوفلايس", Email: "ada@example.org", SwitchURL: "/s"}},
		"account": account(long, many),
		"empty":   {Name: "account", Title: "Passkeys", Layout: LayoutHouse, User: &Chip{Email: "ada@example.org"}, Rail: rail[:5], Nav: "Passkeys", Data: map[string]any{}},
	}
}

// house serves every sample at /sample/NAME, together with an error page and some logos.
func house(t *testing.T, s *Shell) http.Handler {
	t.Helper()
	own := os.DirFS("testdata")
	pages, err := s.Parse(own, "pages/*.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	all := samples()
	all["account-rtl"] = all["account"]
	s.Handle(mux, "GET /sample/{name}", func(w http.ResponseWriter, r *http.Request) error {
		name := r.PathValue("name")
		p, ok := all[name]
		if !ok {
			return fmt.Errorf("this page fails, and this text must stay here")
		}
		if base, found := strings.CutSuffix(name, "-rtl"); found {
			AskLanguages(r.Context(), []string{"ar"})
			name = base
		}
		if tag := map[string]string{"german": "de", "rtl": "ar"}[name]; tag != "" {
			AskLanguages(r.Context(), []string{tag})
		}
		if name == "empty" {
			name = "account"
		}
		return s.Render(w, r, pages, name, p)
	})
	mux.HandleFunc("GET /logo.svg", s.static.icon.ServeHTTP)
	return s.Browser(mux)
}

func sampleNames() []string {
	names := []string{"no-such", "account-rtl"}
	for name := range samples() {
		names = append(names, name)
	}
	return names
}

const (
	blockedByPolicy = `(() => { const o = new ReportingObserver(() => {}, {types: ["csp-violation"], buffered: true}); o.observe();
		return o.takeRecords().map(r => r.body.effectiveDirective + " " + r.body.blockedURL); })()`
	layoutShift = `(() => { const o = new PerformanceObserver(() => {}); o.observe({type: "layout-shift", buffered: true});
		return o.takeRecords().reduce((sum, e) => sum + e.value, 0); })()`
)

// Checks that the measurement can fail.
func TestABlockedStyleIsDetected(t *testing.T) {
	s := newShell(t, nil)
	pages, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}<p style="color:red">x</p>{{end}}`)}}, "a.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	s.Handle(mux, "GET /a", func(w http.ResponseWriter, r *http.Request) error {
		return s.Render(w, r, pages, "a", Page{Name: "login", Title: "x"})
	})
	base, ctx := onLocalhost(t, s.Browser(mux)), browser(t)
	do(t, ctx, chromedp.Navigate(base+"/a"))
	if blocked := eval[[]string](t, ctx, blockedByPolicy); len(blocked) != 1 {
		t.Errorf("blocked: %q", blocked)
	}
}

func TestAnInvitationLeavesTheAddressBar(t *testing.T) {
	s := newShell(t, nil)
	pages, err := s.Parse(fstest.MapFS{"a.html": {Data: []byte(`{{define "content"}}<form method="post" data-fragment-token><button>Go</button></form>
		<script src="{{asset "enrol.js"}}" defer></script>{{end}}`)}}, "a.html")
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	s.Mount(mux)
	s.Handle(mux, "GET /enrol", func(w http.ResponseWriter, r *http.Request) error {
		return s.Render(w, r, pages, "a", Page{Name: "passkey", Title: "x"})
	})
	base, ctx := onLocalhost(t, s.Browser(mux)), browser(t)
	do(t, ctx, chromedp.Navigate(base+"/enrol#TOKEN23"))
	if got := eval[string](t, ctx, `document.querySelector("input[name=token][type=hidden]").value + " " + location.hash + " " + history.length`); got != "TOKEN23  2" {
		t.Errorf("token, fragment, history: %q", got)
	}
}

func TestPagesFitAnyScreenAndKeepTheirOwnContentPolicy(t *testing.T) {
	s := newShell(t, func(c *Config) {
		c.Footer = []Link{{Text: words.T("layout.help"), URL: "/help"}, {Text: words.T("layout.privacy"), URL: "/privacy"}}
	})
	base, ctx := onLocalhost(t, house(t, s)), browser(t)
	pictures := t.ArtifactDir()
	for _, name := range sampleNames() {
		for _, view := range []struct {
			width  int64
			scheme string
		}{{1280, "light"}, {1280, "dark"}, {360, "light"}, {360, "dark"}, {320, "light"}} {
			screen(t, ctx, view.width, view.scheme)
			do(t, ctx, chromedp.Navigate(base+"/sample/"+name))
			if wide := eval[int64](t, ctx, `document.documentElement.scrollWidth`); wide > view.width {
				t.Errorf("%s at %d px scrolls sideways: %d px wide", name, view.width, wide)
			}
			small := eval[[]string](t, ctx, `[...document.querySelectorAll("button, .button, input:not([type=hidden]), .rail a, summary, a.link, .foot a")]
				.filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 43.5).map(e => e.outerHTML)`)
			if len(small) > 0 {
				t.Errorf("%s at %d px: targets lower than 44 px: %q", name, view.width, small)
			}
			if blocked := eval[[]string](t, ctx, blockedByPolicy); len(blocked) > 0 {
				t.Errorf("%s: the content policy blocked %q", name, blocked)
			}
			shift := eval[float64](t, ctx, layoutShift)
			for tries := 0; shift > 0.001 && tries < 3; tries++ { // a shift of the page comes every time; one of a busy machine does not
				do(t, ctx, chromedp.Reload())
				shift = min(shift, eval[float64](t, ctx, layoutShift))
			}
			if shift > 0.001 { // a hundredth of what counts as good; fonts round by less
				t.Errorf("%s at %d px: the layout shifts by %v", name, view.width, shift)
			}
			picture, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(pictures, fmt.Sprintf("%s-%d-%s.png", name, view.width, view.scheme))
			if err := os.WriteFile(file, picture, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
