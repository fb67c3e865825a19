package account

import (
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/checkup"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"

	_ "time/tzdata" // containers may have no zone files, and every zone would be refused

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A field is one line of the profile. value points to where it is kept in the user. check returns the value to store,
// or the key of a sentence about what is wrong with it. Only the name is checked when empty; users may leave out all
// others.
type field struct {
	Name, Autocomplete string
	value              func(*idp.User) *string
	check              func(string) (value, fault string)
}

// Label names the field.
func (f field) Label() words.Text { return words.T("profile.field." + f.Name) }

// Hint says more about the field, if there is more to say.
func (f field) Hint() words.Text {
	if key := "profile.hint." + f.Name; words.Has(key) {
		return words.T(key)
	}
	return words.Text{}
}

// A group is a section of the form; all but the first are folded. The fields are the claims of OIDC Core §5.1.
type group struct {
	Title  string // the end of a key
	fields []field
}

var groups = []group{
	{Title: "name", fields: []field{
		{"name", "name", func(u *idp.User) *string { return &u.Name }, checkName},
	}},
	{Title: "language", fields: []field{
		{"locale", "language", func(u *idp.User) *string { return &u.Profile.Locale }, checkLocale},
		{"zoneinfo", "off", func(u *idp.User) *string { return &u.Profile.Zoneinfo }, checkZone},
	}},
	{Title: "names", fields: []field{
		{"given_name", "given-name", func(u *idp.User) *string { return &u.Profile.GivenName }, checkName},
		{"middle_name", "additional-name", func(u *idp.User) *string { return &u.Profile.MiddleName }, checkName},
		{"family_name", "family-name", func(u *idp.User) *string { return &u.Profile.FamilyName }, checkName},
		{"nickname", "nickname", func(u *idp.User) *string { return &u.Profile.Nickname }, checkName},
		{"preferred_username", "off", func(u *idp.User) *string { return &u.Profile.PreferredUsername }, checkName},
	}},
	{Title: "you", fields: []field{
		{"birthdate", "bday", func(u *idp.User) *string { return &u.Profile.Birthdate }, checkBirthdate},
		{"gender", "sex", func(u *idp.User) *string { return &u.Profile.Gender }, checkName},
		{"picture", "photo", func(u *idp.User) *string { return &u.Profile.Picture }, checkURL},
		{"profile", "off", func(u *idp.User) *string { return &u.Profile.URL }, checkURL},
		{"website", "url", func(u *idp.User) *string { return &u.Profile.Website }, checkURL},
	}},
	{Title: "contact", fields: []field{
		{"phone_number", "tel", func(u *idp.User) *string { return &u.Profile.PhoneNumber }, checkPhone},
		{
			"street_address", "street-address",
			func(u *idp.User) *string { return &u.Profile.Address.StreetAddress }, checkLine,
		},
		{"postal_code", "postal-code", func(u *idp.User) *string { return &u.Profile.Address.PostalCode }, checkLine},
		{"locality", "address-level2", func(u *idp.User) *string { return &u.Profile.Address.Locality }, checkLine},
		{"region", "address-level1", func(u *idp.User) *string { return &u.Profile.Address.Region }, checkLine},
		{"country", "country-name", func(u *idp.User) *string { return &u.Profile.Address.Country }, checkLine},
	}},
}

// The data of the page.
type (
	profilePage struct {
		Email    string
		Verified bool
		Confirms bool // the service can e-mail a code
		Checkup  checkup.Report
		Details  bool // claims are defined that people see about themselves
		Groups   []shownGroup
		Notice   words.Text
		Faults   int
		Signal   *signal // after a change: devices show the name beside the passkey
	}
	shownGroup struct {
		Title       words.Text
		First, Open bool
		Present     words.Text // the values, shown while the group is folded
		Fields      []shownField
	}
	shownField struct {
		field
		Value    string
		Fault    words.Text
		First    bool // the first fault gets the focus
		Choices  []choiceGroup
		Birthday birthday
	}
)

func (a *Account) showProfile(w http.ResponseWriter, r *http.Request, v visitor) error {
	p := newProfilePage(v.User, nil, nil, nil)
	p.Confirms = a.cfg.Mailer.Delivers()
	var err error
	if p.Checkup, err = a.checkup.Of(r.Context(), v.User); err != nil {
		return err
	}
	if p.Details, err = a.details.Any(r.Context()); err != nil {
		return err
	}
	if r.URL.Query().Get("done") == "saved" {
		keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.User.ID)
		if err != nil {
			return fmt.Errorf("load passkeys: %w", err)
		}
		s := a.signal(v.User, keys)
		p.Notice, p.Signal = words.T("profile.saved"), &s
	}
	return a.renderHouse(w, r, v, "profile", web.Page{Nav: "Profile", Data: p})
}

// newProfilePage shows the user's values or, with typed, what they typed with its faults.
func newProfilePage(u idp.User, typed, faults map[string]string, born *birthday) profilePage {
	p := profilePage{Email: u.Email, Verified: u.EmailVerified, Faults: len(faults)}
	focused := false
	for i, g := range groups {
		shown := shownGroup{Title: words.T("profile.group." + g.Title), First: i == 0}
		var present []words.Text
		for _, f := range g.fields {
			s := shownField{field: f, Value: *f.value(&u), Fault: words.T(faults[f.Name])}
			if typed != nil {
				s.Value = enrol.Clip(typed[f.Name])
			}
			if s.Value != "" {
				present = append(present, f.shown(s.Value))
			}
			s.Choices, s.Birthday = choicesOf(f.Name, s.Value), parseBirthday(s.Value)
			if born != nil {
				s.Birthday = *born
			}
			s.First = s.Fault.Key != "" && !focused
			focused = focused || s.First
			shown.Open = shown.Open || s.Fault.Key != ""
			shown.Fields = append(shown.Fields, s)
		}
		if !shown.Open {
			shown.Present = words.Join("list.comma", present...)
		}
		p.Groups = append(p.Groups, shown)
	}
	return p
}

// About returns the attributes of the input that point to its hint or fault.
func (f shownField) About() template.HTMLAttr {
	var list []string
	if f.First {
		list = append(list, "autofocus")
	}
	if f.Fault.Key != "" {
		list = append(list, `aria-invalid="true"`)
	}
	if f.Fault.Key != "" || f.Hint().Key != "" {
		list = append(list, `aria-describedby="about-`+f.Name+`"`) // the name is ours
	}
	return template.HTMLAttr(strings.Join(list, " "))
}

// shown returns a value as text: dates as people write them, and choices by their labels.
func (f field) shown(value string) words.Text {
	if f.Name == "birthdate" {
		if text, ok := parseBirthday(value).text(); ok {
			return text
		}
	}
	for _, g := range choicesOf(f.Name, value) {
		for _, c := range g.Choices {
			if c.Value == value {
				return c.Label
			}
		}
	}
	return words.Data(value)
}

func (a *Account) saveProfile(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	u, typed, faults := v.User, map[string]string{}, map[string]string{}
	var changed []string
	var born *birthday
	for _, g := range groups {
		for _, f := range g.fields {
			value := strings.TrimSpace(r.PostFormValue(f.Name))
			if parts, sent := readBirthday(r.PostForm); sent && f.Name == "birthdate" {
				born, value = &parts, parts.claim()
			}
			typed[f.Name] = value
			if value != "" || f.Name == "name" {
				var fault string
				if value, fault = f.check(value); fault != "" {
					faults[f.Name] = fault
					continue
				}
			}
			if at := f.value(&u); *at != value {
				*at, changed = value, append(changed, f.Name)
			}
		}
	}
	switch {
	case len(faults) > 0:
		p := newProfilePage(v.User, typed, faults, born)
		var err error
		if p.Details, err = a.details.Any(r.Context()); err != nil {
			return err
		}
		return a.renderHouse(w, r, v, "profile", web.Page{
			Nav: "Profile", Status: http.StatusUnprocessableEntity, Data: p,
		})
	case len(changed) == 0:
		return house.SeeOther(w, r, "/account")
	}
	if slices.Contains(changed, "phone_number") {
		u.Profile.PhoneVerified = false // the former number was verified
	}
	u.Profile.Address.Formatted = formatAddress(u.Profile.Address)
	ev := web.Event(r, idp.EventUserChanged, u.ID)
	ev.SessionID, ev.Detail = v.Session.ID, map[string]string{"fields": strings.Join(changed, " ")}
	if err := a.cfg.DB.UpdateProfile(r.Context(), u.ID, u.Name, u.Profile, time.Now(), ev); err != nil {
		return fmt.Errorf("update profile: %w", err)
	}
	return house.SeeOther(w, r, "/account?done=saved")
}

// formatAddress returns the address as on a mailing label (OIDC Core §5.1.1).
func formatAddress(a idp.Address) string {
	town := strings.TrimSpace(a.PostalCode + " " + a.Locality)
	empty := func(s string) bool { return s == "" }
	lines := slices.DeleteFunc([]string{a.StreetAddress, town, a.Region, a.Country}, empty)
	return strings.Join(lines, "\n")
}

func checkName(s string) (string, string) {
	if n, ok := directory.NormalizeName(s); ok {
		return n, ""
	}
	return "", "profile.fault.name"
}

func checkLine(s string) (string, string) {
	s = norm.NFC.String(s)
	if utf8.RuneCountInString(s) > 200 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}) {
		return "", "profile.fault.line"
	}
	return s, ""
}

// checkURL accepts URLs that applications can safely show to others: https only, without a password.
func checkURL(s string) (string, string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > 500 ||
		strings.ContainsFunc(s, unicode.IsSpace) {
		return "", "profile.fault.url"
	}
	return u.String(), ""
}

// checkBirthdate accepts YYYY-MM-DD, 0000-MM-DD and YYYY (OIDC Core §5.1).
func checkBirthdate(s string) (string, string) {
	const fault = "profile.fault.birthdate"
	layout, full := time.DateOnly, s
	if len(s) == 4 {
		layout = "2006"
	} else if rest, ok := strings.CutPrefix(s, "0000-"); ok {
		full = "2000-" + rest // a leap year, for those born on 29 February
	}
	if t, err := time.Parse(layout, full); err != nil || t.After(time.Now()) || t.Year() < 1880 {
		return "", fault
	}
	return s, ""
}

func checkLocale(s string) (string, string) {
	tag, err := language.Parse(s)
	if err != nil || len(s) > 35 || tag == language.Und {
		return "", "profile.fault.locale"
	}
	return tag.String(), "" // canonical spelling (BCP 47 §2.1.1)
}

func checkZone(s string) (string, string) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || len(s) > 64 {
		return "", "profile.fault.zone"
	}
	return s, ""
}

// checkPhone turns what users type into E.164: a plus and at most fifteen digits.
func checkPhone(s string) (string, string) {
	digits := strings.NewReplacer(" ", "", "-", "", "/", "", "(", "", ")", "", ".", "").Replace(s)
	rest, ok := strings.CutPrefix(digits, "+")
	noDigit := func(r rune) bool { return r < '0' || r > '9' }
	if !ok || len(rest) < 6 || len(rest) > 15 || strings.ContainsFunc(rest, noDigit) {
		return "", "profile.fault.phone"
	}
	return digits, ""
}
