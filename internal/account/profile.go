package account

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"

	_ "time/tzdata" // containers may have no zone files, and every zone would be refused

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A field is one line of the profile. value points to where it is kept in the user. check returns the value to store,
// or a sentence about what is wrong with it. Only the name is checked when empty; users may leave out all others.
type field struct {
	Name, Label, Autocomplete, Hint string
	value                           func(*idp.User) *string
	check                           func(string) (value, fault string)
}

// A group is a section of the form; all but the first are folded. The fields are the claims of OIDC Core §5.1.
type group struct {
	Title  string
	fields []field
}

var groups = []group{
	{Title: "Name", fields: []field{
		{"name", "Name", "name", "", func(u *idp.User) *string { return &u.Name }, checkName},
	}},
	{Title: "Language and time zone", fields: []field{
		{"locale", "Language", "language", "", func(u *idp.User) *string { return &u.Profile.Locale }, checkLocale},
		{"zoneinfo", "Time zone", "off", "", func(u *idp.User) *string { return &u.Profile.Zoneinfo }, checkZone},
	}},
	{Title: "More names", fields: []field{
		{"given_name", "Given name", "given-name", "", func(u *idp.User) *string { return &u.Profile.GivenName }, checkName},
		{
			"middle_name", "Middle name", "additional-name", "",
			func(u *idp.User) *string { return &u.Profile.MiddleName }, checkName,
		},
		{
			"family_name", "Family name", "family-name", "",
			func(u *idp.User) *string { return &u.Profile.FamilyName }, checkName,
		},
		{"nickname", "Nickname", "nickname", "", func(u *idp.User) *string { return &u.Profile.Nickname }, checkName},
		{
			"preferred_username", "User name", "off", "What applications may call you. Others may have the same.",
			func(u *idp.User) *string { return &u.Profile.PreferredUsername }, checkName,
		},
	}},
	{Title: "About you", fields: []field{
		{
			"birthdate", "Birthday", "bday", "You can leave out the year, or give only the year.",
			func(u *idp.User) *string { return &u.Profile.Birthdate }, checkBirthdate,
		},
		{"gender", "Gender", "sex", "In your own words.", func(u *idp.User) *string { return &u.Profile.Gender }, checkName},
		{
			"picture", "Picture", "photo", "The web address of a picture. It starts with https://",
			func(u *idp.User) *string { return &u.Profile.Picture }, checkURL,
		},
		{"profile", "Profile page", "off", "", func(u *idp.User) *string { return &u.Profile.URL }, checkURL},
		{"website", "Website", "url", "", func(u *idp.User) *string { return &u.Profile.Website }, checkURL},
	}},
	{Title: "Phone and address", fields: []field{
		{
			"phone_number", "Phone", "tel", "With the country code, like +49 30 123456.",
			func(u *idp.User) *string { return &u.Profile.PhoneNumber }, checkPhone,
		},
		{
			"street_address", "Street and number", "street-address", "",
			func(u *idp.User) *string { return &u.Profile.Address.StreetAddress }, checkLine,
		},
		{
			"postal_code", "Postal code", "postal-code", "",
			func(u *idp.User) *string { return &u.Profile.Address.PostalCode }, checkLine,
		},
		{
			"locality", "Town", "address-level2", "",
			func(u *idp.User) *string { return &u.Profile.Address.Locality }, checkLine,
		},
		{"region", "Region", "address-level1", "", func(u *idp.User) *string { return &u.Profile.Address.Region }, checkLine},
		{
			"country", "Country", "country-name", "",
			func(u *idp.User) *string { return &u.Profile.Address.Country }, checkLine,
		},
	}},
}

// The data of the page.
type (
	profilePage struct {
		Email    string
		Verified bool
		Confirms bool // the service can e-mail a code
		Groups   []shownGroup
		Notice   string
		Faults   int
		Signal   *signal // after a change: devices show the name beside the passkey
	}
	shownGroup struct {
		Title       string
		First, Open bool
		Present     string // the values, shown while the group is folded
		Fields      []shownField
	}
	shownField struct {
		field
		Value, Fault string
		First        bool // the first fault gets the focus
		Choices      []choiceGroup
		Birthday     birthday
	}
)

func (a *Account) showProfile(w http.ResponseWriter, r *http.Request, v visitor) error {
	p := newProfilePage(v.user, nil, nil, nil)
	p.Confirms = a.cfg.Mailer.Delivers()
	if r.URL.Query().Get("done") == "confirmed" && v.user.EmailVerified {
		p.Notice = "Your e-mail address is confirmed."
	}
	if r.URL.Query().Get("done") == "saved" {
		keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.user.ID)
		if err != nil {
			return fmt.Errorf("load passkeys: %w", err)
		}
		s := a.signal(v.user, keys)
		p.Notice, p.Signal = "Your profile is saved.", &s
	}
	return a.renderHouse(w, r, v, "profile", web.Page{Nav: "Profile", Title: "Your profile", Data: p})
}

// newProfilePage shows the user's values or, with typed, what they typed with its faults.
func newProfilePage(u idp.User, typed, faults map[string]string, born *birthday) profilePage {
	p := profilePage{Email: u.Email, Verified: u.EmailVerified, Faults: len(faults)}
	focused := false
	for i, g := range groups {
		shown := shownGroup{Title: g.Title, First: i == 0}
		var present []string
		for _, f := range g.fields {
			s := shownField{field: f, Value: *f.value(&u), Fault: faults[f.Name]}
			if typed != nil {
				s.Value = enrol.Clip(typed[f.Name])
			}
			if s.Value != "" {
				present = append(present, s.Value)
			}
			s.Choices, s.Birthday = choicesOf(f.Name, s.Value), parseBirthday(s.Value)
			if born != nil {
				s.Birthday = *born
			}
			s.First = s.Fault != "" && !focused
			focused = focused || s.First
			shown.Open = shown.Open || s.Fault != ""
			shown.Fields = append(shown.Fields, s)
		}
		if !shown.Open {
			shown.Present = strings.Join(present, ", ")
		}
		p.Groups = append(p.Groups, shown)
	}
	return p
}

func (a *Account) saveProfile(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	u, typed, faults := v.user, map[string]string{}, map[string]string{}
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
		return a.renderHouse(w, r, v, "profile", web.Page{
			Nav: "Profile", Title: "Your profile", Status: http.StatusUnprocessableEntity,
			Data: newProfilePage(v.user, typed, faults, born),
		})
	case len(changed) == 0:
		return seeOther(w, r, "/account")
	}
	if slices.Contains(changed, "phone_number") {
		u.Profile.PhoneVerified = false // the former number was verified
	}
	u.Profile.Address.Formatted = formatAddress(u.Profile.Address)
	ev := web.Event(r, idp.EventUserChanged, u.ID)
	ev.SessionID, ev.Detail = v.session.ID, map[string]string{"fields": strings.Join(changed, " ")}
	if err := a.cfg.DB.UpdateProfile(r.Context(), u.ID, u.Name, u.Profile, time.Now(), ev); err != nil {
		return fmt.Errorf("update profile: %w", err)
	}
	return seeOther(w, r, "/account?done=saved")
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
	return "", "Enter 1 to 80 characters."
}

func checkLine(s string) (string, string) {
	s = norm.NFC.String(s)
	if utf8.RuneCountInString(s) > 200 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}) {
		return "", "Enter one line of at most 200 characters."
	}
	return s, ""
}

// checkURL accepts URLs that applications can safely show to others: https only, without a password.
func checkURL(s string) (string, string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > 500 ||
		strings.ContainsFunc(s, unicode.IsSpace) {
		return "", "Enter a web address that starts with https://"
	}
	return u.String(), ""
}

// checkBirthdate accepts YYYY-MM-DD, 0000-MM-DD and YYYY (OIDC Core §5.1).
func checkBirthdate(s string) (string, string) {
	const fault = "Enter a day and a month, a year, or all three."
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
		return "", "Choose a language from the list."
	}
	return tag.String(), "" // canonical spelling (BCP 47 §2.1.1)
}

func checkZone(s string) (string, string) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || len(s) > 64 {
		return "", "Choose a time zone from the list."
	}
	return s, ""
}

// checkPhone turns what users type into E.164: a plus and at most fifteen digits.
func checkPhone(s string) (string, string) {
	digits := strings.NewReplacer(" ", "", "-", "", "/", "", "(", "", ")", "", ".", "").Replace(s)
	rest, ok := strings.CutPrefix(digits, "+")
	noDigit := func(r rune) bool { return r < '0' || r > '9' }
	if !ok || len(rest) < 6 || len(rest) > 15 || strings.ContainsFunc(rest, noDigit) {
		return "", "Enter the number with its country code, like +49 30 123456."
	}
	return digits, ""
}
