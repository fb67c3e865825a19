// These tests are inside the package: they call name and id directly, without a client.
package subject

import (
	"bytes"
	"encoding/base64"
	"testing"

	"github.com/stepward/stepward/internal/idp"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestForgedNamesAreRejected(t *testing.T) {
	p, err := NewNames(bytes.Repeat([]byte{1}, 32))
	check(t, err)
	id := idp.NewID()
	name := p.name(nameOfUser, "a.example", id)
	if got, ok := p.id(nameOfUser, "a.example", name); !ok || got != id || p.name(nameOfUser, "a.example", id) != name {
		t.Fatalf("%q %v", got, ok)
	}
	stranger, err := NewNames(bytes.Repeat([]byte{2}, 32))
	check(t, err)
	for name, row := range map[string]struct {
		by                    *Names
		purpose, sector, name string
	}{
		"another sector":   {p, nameOfUser, "b.example", name},
		"another purpose":  {p, nameOfSession, "a.example", name},
		"another key":      {stranger, nameOfUser, "a.example", name},
		"the ID itself":    {p, nameOfUser, "a.example", id},
		"nothing":          {p, nameOfUser, "a.example", ""},
		"too short":        {p, nameOfUser, "a.example", name[:22]},
		"a trailing space": {p, nameOfUser, "a.example", name + " "},
		"a line break":     {p, nameOfUser, "a.example", name[:8] + "\n" + name[8:]},
	} {
		if got, ok := row.by.id(row.purpose, row.sector, row.name); ok {
			t.Errorf("%s: %q", name, got)
		}
	}
	raw, err := base64.RawURLEncoding.DecodeString(name)
	check(t, err)
	for i := range raw {
		turned := bytes.Clone(raw)
		turned[i] ^= 1
		if _, ok := p.id(nameOfUser, "a.example", base64.RawURLEncoding.EncodeToString(turned)); ok {
			t.Errorf("accepted with octet %d changed", i)
		}
	}
}

func FuzzNames(f *testing.F) {
	p, err := NewNames(bytes.Repeat([]byte{1}, 32))
	check(f, err)
	f.Add(p.name(nameOfUser, "a.example", "1"))
	f.Add("")
	f.Add("AAAA")
	f.Fuzz(func(t *testing.T, name string) {
		if id, ok := p.id(nameOfUser, "a.example", name); ok && p.name(nameOfUser, "a.example", id) != name {
			t.Errorf("%q decodes to %q, which has another name", name, id)
		}
	})
}
