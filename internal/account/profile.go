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

	_ "time/tzdata" // a container without zone files must not call every zone wrong

	"golang.org/x/text/language"
	"golang.org/x/text/unicode/norm"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A field is one line of the profile: where it is kept, and what may stand in it. check returns the value to store, or what
// is wrong with it; it never sees an empty one, since everything but the name may be left out.
type field struct {
	Name, Label, Autocomplete, Hint string
	value                           func(*idp.User) *string
	check                           func(string) (value, fault string)
}

// A group is a part of the form. All claims are those of OIDC Core §5.1. The first is what matters to everybody; the others
// are folded until somebody wants them.
type group struct {
	Title  string
	fields []field
}

var groups = []group{
	{Title: "Name", fields: []field{
		{"name", "Name", "name", "", func(u *idp.User) *string { return &u.Name }, name},
	}},
	{Title: "Language and time zone", fields: []field{
		{"locale", "Language", "language", "", func(u *idp.User) *string { return &u.Profile.Locale }, locale},
		{"zoneinfo", "Time zone", "off", "", func(u *idp.User) *string { return &u.Profile.Zoneinfo }, zone},
	}},
	{Title: "More names", fields: []field{
		{"given_name", "Given name", "given-name", "", func(u *idp.User) *string { return &u.Profile.GivenName }, name},
		{"middle_name", "Middle name", "additional-name", "", func(u *idp.User) *string { return &u.Profile.MiddleName }, name},
		{"family_name", "Family name", "family-name", "", func(u *idp.User) *string { return &u.Profile.FamilyName }, name},
		{"nickname", "What friends call you", "nickname", "", func(u *idp.User) *string { return &u.Profile.Nickname }, name},
		{
			"preferred_username", "User name", "off", "What applications may call you. It does not have to be unique.",
			func(u *idp.User) *string { return &u.Profile.PreferredUsername }, name,
		},
	}},
	{Title: "About you", fields: []field{
		{
			"birthdate", "Birthday", "bday", "Leave out the year, or all but the year, if you would rather not say it.",
			func(u *idp.User) *string { return &u.Profile.Birthdate }, birthdate,
		},
		{"gender", "Gender", "sex", "In your own words.", func(u *idp.User) *string { return &u.Profile.Gender }, name},
		{"picture", "Picture", "photo", "The address of a picture, beginning with https://", func(u *idp.User) *string { return &u.Profile.Picture }, httpsURL},
		{"profile", "Profile page", "off", "", func(u *idp.User) *string { return &u.Profile.URL }, httpsURL},
		{"website", "Website", "url", "", func(u *idp.User) *string { return &u.Profile.Website }, httpsURL},
	}},
	{Title: "Phone and address", fields: []field{
		{"phone_number", "Phone", "tel", "With the country’s number, like +49 30 123456.", func(u *idp.User) *string { return &u.Profile.PhoneNumber }, phone},
		{"street_address", "Street and number", "street-address", "", func(u *idp.User) *string { return &u.Profile.Address.StreetAddress }, line},
		{"postal_code", "Postal code", "postal-code", "", func(u *idp.User) *string { return &u.Profile.Address.PostalCode }, line},
		{"locality", "Town", "address-level2", "", func(u *idp.User) *string { return &u.Profile.Address.Locality }, line},
		{"region", "Region", "address-level1", "", func(u *idp.User) *string { return &u.Profile.Address.Region }, line},
		{"country", "Country", "country-name", "", func(u *idp.User) *string { return &u.Profile.Address.Country }, line},
	}},
}

// The data of the page.
type (
	profilePage struct {
		Email    string
		Verified bool
		Confirms bool // a code can be mailed
		Groups   []shownGroup
		Notice   string
		Faults   int
		Signal   *signal // after a change: devices show the name beside the passkey
	}
	shownGroup struct {
		Title       string
		First, Open bool
		Present     string // the values, for a group that is folded
		Fields      []shownField
	}
	shownField struct {
		field
		Value, Fault string
		First        bool // of the faults: it gets the focus
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
	return a.house(w, r, v, http.StatusOK, "profile", "Profile", "Your profile", p)
}

// newProfilePage shows the user's values, or what was typed and is wrong with it.
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
			s.Choices, s.Birthday = choicesOf(f.Name, s.Value), birthdayOf(s.Value)
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
			if parts, sent := postedBirthday(r.PostForm); sent && f.Name == "birthdate" {
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
		return a.house(w, r, v, http.StatusUnprocessableEntity, "profile", "Profile", "Your profile", newProfilePage(v.user, typed, faults, born))
	case len(changed) == 0:
		return seeOther(w, r, "/account")
	}
	if slices.Contains(changed, "phone_number") {
		u.Profile.PhoneVerified = false // what was verified was the other number
	}
	u.Profile.Address.Formatted = formatted(u.Profile.Address)
	ev := web.Event(r, idp.EventUserChanged, u.ID)
	ev.SessionID, ev.Detail = v.session.ID, map[string]string{"fields": strings.Join(changed, " ")}
	if err := a.cfg.DB.UpdateProfile(r.Context(), u.ID, u.Name, u.Profile, time.Now(), ev); err != nil {
		return fmt.Errorf("update profile: %w", err)
	}
	return seeOther(w, r, "/account?done=saved")
}

// formatted is the address as it would stand on a letter (OIDC Core §5.1.1).
func formatted(a idp.Address) string {
	town := strings.TrimSpace(a.PostalCode + " " + a.Locality)
	lines := slices.DeleteFunc([]string{a.StreetAddress, town, a.Region, a.Country}, func(s string) bool { return s == "" })
	return strings.Join(lines, "\n")
}

func name(s string) (string, string) {
	if n, ok := directory.NormalizeName(s); ok {
		return n, ""
	}
	return "", "Between 1 and 80 characters, please."
}

func line(s string) (string, string) {
	s = norm.NFC.String(s)
	if utf8.RuneCountInString(s) > 200 || !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r)
	}) {
		return "", "One line of at most 200 characters, please."
	}
	return s, ""
}

// httpsURL takes what a browser of somebody else may be sent to: no other scheme, no password in it.
func httpsURL(s string) (string, string) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || len(s) > 500 || strings.ContainsFunc(s, unicode.IsSpace) {
		return "", "A web address that begins with https://, please."
	}
	return u.String(), ""
}

// birthdate takes YYYY-MM-DD, 0000-MM-DD and YYYY (OIDC Core §5.1).
func birthdate(s string) (string, string) {
	const fault = "A day and a month, a year, or all three, please."
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

func locale(s string) (string, string) {
	tag, err := language.Parse(s)
	if err != nil || len(s) > 35 || tag == language.Und {
		return "", "A language of the list, please."
	}
	return tag.String(), "" // canonical spelling (BCP 47 §2.1.1)
}

func zone(s string) (string, string) {
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || len(s) > 64 {
		return "", "A time zone of the list, please."
	}
	return s, ""
}

// phone takes what people type and keeps E.164: a plus and at most fifteen digits.
func phone(s string) (string, string) {
	digits := strings.NewReplacer(" ", "", "-", "", "/", "", "(", "", ")", "", ".", "").Replace(s)
	rest, ok := strings.CutPrefix(digits, "+")
	if !ok || len(rest) < 6 || len(rest) > 15 || strings.ContainsFunc(rest, func(r rune) bool { return r < '0' || r > '9' }) {
		return "", "A number with the country’s number in front, like +49 30 123456, please."
	}
	return digits, ""
}
