// Package geoip says roughly where an address is, by a MaxMind DB file of the operator. It asks nobody, and keeps
// nothing: an answer is for one page. Only this package imports maxminddb.
package geoip

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// A File is a MaxMind DB with countries and, possibly, cities (GeoLite2, GeoIP2, DB-IP). It is read again within a
// second after its time changes; if the new one cannot be read, the current one stays in use. It is in memory, because
// a mapped file that is overwritten in place would end the process. Safe for concurrent use; a nil File knows no place.
type File struct {
	path string
	log  *slog.Logger

	mu       sync.Mutex
	db       *maxminddb.Reader
	looked   time.Time
	modified time.Time
}

// Open reads the file.
func Open(path string, log *slog.Logger) (*File, error) {
	f := &File{path: path, log: log}
	return f, f.load()
}

func (f *File) load() error {
	f.modified = f.time()
	content, err := os.ReadFile(f.path)
	if err != nil {
		return fmt.Errorf("load places: %w", err)
	}
	db, err := maxminddb.OpenBytes(content)
	if err != nil {
		return fmt.Errorf("load places: %w", err)
	}
	f.db = db
	return nil
}

func (f *File) time() time.Time {
	info, err := os.Stat(f.path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}

// current returns the database, after reading a changed file.
func (f *File) current() *maxminddb.Reader {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := time.Now(); now.Sub(f.looked) >= time.Second {
		f.looked = now
		if t := f.time(); !t.Equal(f.modified) {
			if err := f.load(); err != nil {
				f.log.Error("places not reloaded", "error", err)
			} else {
				f.log.Info("places reloaded")
			}
		}
	}
	return f.db
}

// A Place is roughly where an address is. City is empty if only the country is known; both are, if nothing is.
type Place struct{ Country, City string }

// Of returns the place of an IP address, in the language with this tag (BCP 47) or else in English.
func (f *File) Of(address, language string) (p Place) {
	ip, err := netip.ParseAddr(address)
	if f == nil || err != nil {
		return p
	}
	found := f.current().Lookup(ip.Unmap())
	p.Country = name(found, "country", language)
	if p.Country != "" {
		p.City = name(found, "city", language)
	}
	return p
}

// name returns the name of a part of a record; "" if there is none, or the record is damaged.
func name(r maxminddb.Result, part, language string) (s string) {
	for _, tag := range []string{language, "en"} {
		if err := r.DecodePath(&s, part, "names", tag); err == nil && s != "" {
			return s
		}
	}
	return ""
}
