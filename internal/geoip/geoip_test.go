package geoip_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/geoip"
	"github.com/stepward/stepward/internal/geoip/geoiptest"
)

func germany(t *testing.T) []byte {
	return geoiptest.File(t, geoiptest.Name{English: "Germany", German: "Deutschland"}, geoiptest.Name{English: "Munich", German: "München"})
}

func open(t *testing.T, content []byte) (*geoip.File, string, *bytes.Buffer) {
	t.Helper()
	path, log := filepath.Join(t.TempDir(), "places.mmdb"), &bytes.Buffer{}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := geoip.Open(path, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return f, path, log
}

func TestAnAddressIsRoughlySomewhere(t *testing.T) {
	f, _, _ := open(t, germany(t))
	for _, row := range []struct {
		address, language string
		want              geoip.Place
	}{
		{"192.0.2.7", "en", geoip.Place{Country: "Germany", City: "Munich"}},
		{"192.0.2.7", "de", geoip.Place{Country: "Deutschland", City: "München"}},
		{"192.0.2.7", "ar", geoip.Place{Country: "Germany", City: "Munich"}},
		{"::ffff:192.0.2.7", "en", geoip.Place{Country: "Germany", City: "Munich"}},
		{"2001:db8::1", "en", geoip.Place{Country: "Germany"}}, // a country without a city
		{"198.51.100.1", "en", geoip.Place{}},
		{"", "en", geoip.Place{}},
		{"192.0.2.7:443", "en", geoip.Place{}},
	} {
		if got := f.Of(row.address, row.language); got != row.want {
			t.Errorf("%s in %s: %+v", row.address, row.language, got)
		}
	}
	var none *geoip.File
	if got := none.Of("192.0.2.7", "en"); got != (geoip.Place{}) {
		t.Errorf("without a file: %+v", got)
	}
}

func TestAChangedFileIsReadAndABrokenOneIsNot(t *testing.T) {
	f, path, log := open(t, germany(t))
	later := time.Now()
	put := func(content []byte) {
		t.Helper()
		later = later.Add(time.Minute)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, later, later); err != nil {
			t.Fatal(err)
		}
	}
	is := func(country string) {
		t.Helper()
		f.Forget()
		if got := f.Of("192.0.2.7", "en").Country; got != country {
			t.Errorf("%q, want %q (%s)", got, country, log)
		}
	}
	is("Germany")
	put(geoiptest.File(t, geoiptest.Name{English: "France"}, geoiptest.Name{English: "Lyon"}))
	is("France")
	put([]byte("half a file"))
	is("France")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	is("France")
	if _, err := geoip.Open(path, slog.Default()); err == nil {
		t.Error("a missing file is opened")
	}
}
