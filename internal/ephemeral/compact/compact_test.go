package compact_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/ephemeral/compact/compacttest"
)

type inner struct {
	Name string
	Yes  bool
}

type entry struct {
	Text     string
	Raw      []byte
	N        int64
	Took     time.Duration
	At       time.Time
	A, B, C  bool
	Texts    []string
	Inners   []inner
	Optional *inner
	JSON     inner
}

// encode never fails: the only JSON is a text and a flag.
func encode[T any](v *T, fields func(*compact.Codec, *T)) []byte {
	b, err := compact.Encode(v, fields)
	if err != nil {
		panic(err)
	}
	return b
}

func innerFields(c *compact.Codec, v *inner) {
	c.Text(&v.Name)
	c.Bools(&v.Yes)
}

func fields(c *compact.Codec, v *entry) {
	c.Text(&v.Text)
	c.Bytes(&v.Raw)
	c.Int(&v.N)
	c.Duration(&v.Took)
	c.Time(&v.At)
	c.Bools(&v.A, &v.B, &v.C)
	c.Texts(&v.Texts)
	compact.List(c, &v.Inners, innerFields)
	compact.Optional(c, &v.Optional, innerFields)
	compact.JSON(c, &v.JSON)
}

func TestEveryFieldIsReadAsItWasWritten(t *testing.T) {
	compacttest.Check(t, fields)
	for _, e := range []entry{
		{N: math.MinInt64, Took: math.MaxInt64, At: time.Date(1969, 1, 2, 3, 4, 5, 6, time.UTC), B: true},
		{Texts: []string{"", "ü", strings.Repeat("x", 5000)}, Optional: &inner{}},
	} {
		var read entry
		if err := compact.Decode(encode(&e, fields), &read, fields); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(e, read); diff != "" {
			t.Error(diff)
		}
	}
}

func TestTextsOfOurIDsTakeHalfTheBytes(t *testing.T) {
	for text, most := range map[string]int{
		"01a220e8-ea52-7544-9ea6-3103dc79208b":                   17,
		"01A220E8-ea52-7544-9ea6-3103dc79208b":                   38,
		"01a220e8-ea52-7544-9ea6-3103dc79208g":                   38,
		"01a220e8aea52-7544-9ea6-3103dc79208b":                   38,
		"YZR5DqNePTa7IIrFkHfA7A1kPIxrFSZYezcFh5VW4bM":            33,
		"YZR5DqNePTa7IIrFkHfA7A1kPIxrFSZYezcFh5VW4bN":            45, // spare bits are set
		"YZR5DqNePTa7IIrFkHfA7A1kPIxrFSZYezcFh5VW4b\n":           45,
		"\nYZR5DqNePTa7IIrFkHfA7A1kPIxrFSZYezcFh5VW4b":           45,
		"YZR5DqNePTa7IIrFkHfA7A1kPIxrFSZYezcFh5VW4+M":            45,
		"BAEHEJUXU4XMI56YMZHMDC6AYR":                             18,
		"77777777777777777777777777":                             18,
		"BAEHEJUXU4XMI56YMZHMDC6AYr":                             27,
		"BAEHEJUXU4XMI56YMZHMDC6AY=":                             27,
		"BAEHEJUXU4XMI56YMZHMDC6AY\n":                            27,
		"\n\nEHEJUXU4XMI56YMZHMDC6AYR":                           27,
		"":                                                       1,
		"http://localhost:1/callback?with=a&long=query&and=more": 56,
	} {
		stored := encode(&text, (*compact.Codec).Text)
		var read string
		if err := compact.Decode(stored, &read, (*compact.Codec).Text); err != nil || read != text {
			t.Errorf("%q is read as %q, %v", text, read, err)
		}
		if len(stored)-1 > most {
			t.Errorf("%q takes %d bytes", text, len(stored)-1)
		}
	}
}

func TestProgramsWithMoreAndLessFieldsUnderstandEachOther(t *testing.T) {
	shorter := func(c *compact.Codec, v *entry) { c.Text(&v.Text); c.Bytes(&v.Raw) }
	e, read := entry{Text: "a", Raw: []byte("b"), N: 7, Texts: []string{"c"}}, entry{}
	if err := compact.Decode(encode(&e, fields), &read, shorter); err != nil || read.Text != "a" || string(read.Raw) != "b" || read.N != 0 {
		t.Errorf("the older program reads %+v, %v", read, err)
	}
	read = entry{}
	if err := compact.Decode(encode(&e, shorter), &read, fields); err != nil || read.Text != "a" || read.N != 0 || read.Texts != nil {
		t.Errorf("the newer program reads %+v, %v", read, err)
	}
}

func TestOtherBytesAreDamaged(t *testing.T) {
	for _, b := range []string{"", "{}", "\x02", "\x01\xff", "\x01\x30abc", "\x01\x04ab", "\x01\x05abcdefghijklmnopqrst", "\x01\x01ab", "\x01\x02ab", "\x01\x03ab", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		var read entry
		if err := compact.Decode([]byte(b), &read, fields); !errors.Is(err, compact.ErrDamaged) {
			t.Errorf("%q: %+v, %v", b, read, err)
		}
	}
}

func TestWhatCannotBeJSONIsAnError(t *testing.T) {
	v := map[string]any{"f": func() {}}
	if b, err := compact.Encode(&v, compact.JSON); err == nil {
		t.Errorf("encoded as %q", b)
	}
}

func FuzzDecode(f *testing.F) {
	e := entry{Text: "01a220e8-ea52-7544-9ea6-3103dc79208b", Raw: []byte("b"), N: 7, At: time.Unix(1e9, 0), Texts: []string{"c"}, Inners: []inner{{"d", true}}, Optional: &inner{}}
	f.Add(encode(&e, fields))
	f.Fuzz(func(t *testing.T, b []byte) {
		var read, again entry
		if compact.Decode(b, &read, fields) != nil {
			return
		}
		if err := compact.Decode(encode(&read, fields), &again, fields); err != nil || cmp.Diff(read, again) != "" {
			t.Errorf("%+v is read again as %+v, %v", read, again, err)
		}
	})
}
