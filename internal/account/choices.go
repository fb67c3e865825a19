package account

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/words"
)

// A choiceGroup is a part of a list of choices, as HTML's optgroup.
type choiceGroup struct {
	Title   words.Text // may be empty
	Choices []choice
}

type choice struct {
	Value string
	Label words.Text
}

// choicesOf returns the choices for a field of the profile, or nil if users type it. A value that is not in the list is
// added, so that saving the form keeps it.
func choicesOf(field, value string) []choiceGroup {
	groups := map[string][]choiceGroup{"locale": languages, "zoneinfo": zones}[field]
	known := value == "" || slices.ContainsFunc(groups, func(g choiceGroup) bool {
		return slices.ContainsFunc(g.Choices, func(c choice) bool { return c.Value == value })
	})
	if groups != nil && !known {
		groups = append([]choiceGroup{{Choices: []choice{{value, words.Data(value)}}}}, groups...)
	}
	return groups
}

// languages are named in their own language.
var languages = languageChoices(`
	id Bahasa Indonesia
	bs Bosanski
	ca Català
	cs Čeština
	cy Cymraeg
	da Dansk
	de Deutsch
	de-AT Deutsch (Österreich)
	de-CH Deutsch (Schweiz)
	et Eesti
	en English
	en-AU English (Australia)
	en-CA English (Canada)
	en-IN English (India)
	en-GB English (United Kingdom)
	en-US English (United States)
	es Español
	es-419 Español (Latinoamérica)
	eu Euskara
	fil Filipino
	fr Français
	fr-BE Français (Belgique)
	fr-CA Français (Canada)
	fr-CH Français (Suisse)
	ga Gaeilge
	gl Galego
	hr Hrvatski
	is Íslenska
	it Italiano
	sw Kiswahili
	lv Latviešu
	lb Lëtzebuergesch
	lt Lietuvių
	hu Magyar
	ms Melayu
	mt Malti
	nl Nederlands
	nl-BE Nederlands (België)
	nb Norsk bokmål
	nn Norsk nynorsk
	pl Polski
	pt Português
	pt-BR Português (Brasil)
	ro Română
	sq Shqip
	sk Slovenčina
	sl Slovenščina
	fi Suomi
	sv Svenska
	vi Tiếng Việt
	tr Türkçe
	el Ελληνικά
	bg Български
	mk Македонски
	ru Русский
	sr Српски
	uk Українська
	hy Հայերեն
	he עברית
	ur اردو
	ar العربية
	fa فارسی
	hi हिन्दी
	bn বাংলা
	ta தமிழ்
	te తెలుగు
	th ไทย
	ka ქართული
	ko 한국어
	ja 日本語
	zh-Hans 简体中文
	zh-Hant 繁體中文
`)

func languageChoices(lines string) []choiceGroup {
	var g choiceGroup
	for line := range strings.Lines(strings.TrimSpace(lines)) {
		tag, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		g.Choices = append(g.Choices, choice{tag, words.Data(name)})
	}
	return []choiceGroup{g}
}

var zones = []choiceGroup{
	zonesIn("Africa", `
		Abidjan Accra Addis_Ababa Algiers Cairo Casablanca Dakar Dar_es_Salaam Harare Johannesburg Kampala
		Khartoum Kinshasa Lagos Luanda Maputo Nairobi Tripoli Tunis Windhoek`),
	zonesIn("America", `
		Anchorage Argentina/Buenos_Aires Asuncion Bogota Caracas Chicago Costa_Rica Denver Guatemala
		Guayaquil Halifax Havana Jamaica La_Paz Lima Los_Angeles Manaus Mexico_City Montevideo New_York
		Panama Phoenix Puerto_Rico Regina Santiago Santo_Domingo Sao_Paulo St_Johns Tijuana Toronto
		Vancouver Winnipeg`),
	zonesIn("Asia", `
		Almaty Amman Baghdad Baku Bangkok Beirut Colombo Damascus Dhaka Dubai Ho_Chi_Minh Hong_Kong Irkutsk
		Jakarta Jerusalem Kabul Karachi Kathmandu Kolkata Kuala_Lumpur Kuwait Manila Novosibirsk Qatar
		Riyadh Seoul Shanghai Singapore Taipei Tashkent Tbilisi Tehran Tokyo Ulaanbaatar Vladivostok Yangon
		Yekaterinburg Yerevan`),
	zonesIn("Atlantic", "Azores Canary Cape_Verde Madeira Reykjavik"),
	zonesIn("Australia", "Adelaide Brisbane Darwin Hobart Melbourne Perth Sydney"),
	zonesIn("Europe", `
		Amsterdam Athens Belgrade Berlin Bratislava Brussels Bucharest Budapest Chisinau Copenhagen Dublin
		Helsinki Istanbul Kyiv Lisbon Ljubljana London Luxembourg Madrid Malta Minsk Moscow Oslo Paris
		Prague Riga Rome Sarajevo Skopje Sofia Stockholm Tallinn Tirane Vienna Vilnius Warsaw Zagreb Zurich`),
	zonesIn("Pacific", "Auckland Fiji Guam Honolulu Noumea Port_Moresby Tongatapu"),
	{words.T("zone.Elsewhere"), []choice{{"UTC", words.Data("UTC")}}},
}

func zonesIn(region, cities string) choiceGroup {
	g := choiceGroup{Title: words.T("zone." + region)}
	for city := range strings.FieldsSeq(cities) {
		_, label, found := strings.Cut(city, "/")
		if !found {
			label = city
		}
		g.Choices = append(g.Choices, choice{region + "/" + city, words.Data(strings.ReplaceAll(label, "_", " "))})
	}
	return g
}

var months = func() (list []choice) {
	for n := 1; n <= 12; n++ {
		list = append(list, choice{fmt.Sprintf("%02d", n), words.T("month." + strconv.Itoa(n))})
	}
	return list
}()

// A birthday is the claim birthdate as users fill it in. Each part may be empty.
type birthday struct{ Day, Month, Year string }

// Months returns the choices for the month.
func (birthday) Months() []choice { return months }

// parseBirthday splits the claim into its parts.
func parseBirthday(claim string) (b birthday) {
	parts := strings.Split(claim, "-")
	if b.Year = parts[0]; b.Year == "0000" {
		b.Year = ""
	}
	if len(parts) == 3 {
		b.Month, b.Day = parts[1], strings.TrimPrefix(parts[2], "0")
	}
	return b
}

// readBirthday reads the parts from a form. sent is false if it has none of them.
func readBirthday(form url.Values) (b birthday, sent bool) {
	part := func(name string) string { return strings.TrimSpace(form.Get("birthdate_" + name)) }
	sent = form.Has("birthdate_day") || form.Has("birthdate_month") || form.Has("birthdate_year")
	return birthday{part("day"), part("month"), part("year")}, sent
}

// claim joins the parts. Parts that make no claim give a value that checkBirthdate refuses.
func (b birthday) claim() string {
	switch {
	case b == birthday{}:
		return ""
	case b.Day == "" && b.Month == "":
		return b.Year
	}
	day, err := strconv.Atoi(b.Day)
	if err != nil || b.Month == "" {
		return "?"
	}
	year := b.Year
	if year == "" {
		year = "0000"
	}
	return fmt.Sprintf("%s-%s-%02d", year, b.Month, day)
}

// text returns the birthday as people write it; false if it is only a year, or no date.
func (b birthday) text() (words.Text, bool) {
	day, err := strconv.Atoi(b.Day)
	month, fault := strconv.Atoi(b.Month)
	if err != nil || fault != nil || month < 1 || month > 12 {
		return words.Text{}, false
	}
	if year, err := strconv.Atoi(b.Year); err == nil {
		return words.T("data", "text", time.Date(year, time.Month(month), day, 0, 0, 0, 0, time.UTC)), true
	}
	return words.T("date.day", "day", day, "month", words.T("month."+strconv.Itoa(month))), true
}
