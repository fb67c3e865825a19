package engine_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/storetest"
)

// seen is a sql.Scanner that keeps what it gets.
type seen struct{ v any }

func (s *seen) Scan(v any) error {
	if v == "bad" {
		return fmt.Errorf("bad value")
	}
	s.v = v
	return nil
}

type row struct {
	Text           string
	Number         int64
	Flag           bool
	Bytes          []byte
	SText, SNumber any
	SBytes         any
}

func collect(rows pgx.Rows, err error) ([]row, string) {
	if err != nil {
		return nil, err.Error()
	}
	all, err := pgx.CollectRows(rows, func(r pgx.CollectableRow) (v row, err error) {
		var text, number, bytes seen
		err = r.Scan(&v.Text, &v.Number, &v.Flag, &v.Bytes, &text, &number, &bytes)
		v.SText, v.SNumber, v.SBytes = text.v, number.v, bytes.v
		return v, err
	})
	if err != nil {
		return nil, err.Error()
	}
	return all, ""
}

func TestRowsAreReadAsPgxReadsThem(t *testing.T) {
	p, err := engine.OpenPostgres(t.Context(), storetest.PostgresURL(t), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for name, sql := range map[string]string{
		"values": `SELECT n::text, n, n > 2, decode(repeat('0' || n, n::int), 'hex'), 'é' || n, -n, decode('00', 'hex')
			FROM generate_series(1::bigint, 3) n`,
		"empty":                 `SELECT '', 0::bigint, FALSE, ''::bytea, '', 0::bigint, ''::bytea`,
		"other types":           `SELECT 'x'::varchar, 7::int, TRUE, ''::bytea, 'y'::varchar, 8::int, ''::bytea`,
		"NULL":                  `SELECT NULL::text, 0::bigint, FALSE, ''::bytea, '', 0::bigint, ''::bytea`,
		"NULL for a scanner":    `SELECT '', 0::bigint, FALSE, NULL::bytea, NULL::text, NULL::bigint, NULL::bytea`,
		"a type that cannot":    `SELECT 'x', 'y', FALSE, ''::bytea, '', 0::bigint, ''::bytea`,
		"a scanner refuses":     `SELECT '', 0::bigint, FALSE, ''::bytea, 'bad', 0::bigint, ''::bytea`,
		"fewer columns":         `SELECT '', 0::bigint`,
		"an error in a row":     `SELECT '', 1 / (2 - n), FALSE, ''::bytea, '', n, ''::bytea FROM generate_series(1::bigint, 3) n`,
		"no row":                `SELECT '', 0::bigint, FALSE, ''::bytea, '', 0::bigint, ''::bytea WHERE FALSE`,
		"an error at the start": `SELECT nothing`,
	} {
		t.Run(name, func(t *testing.T) {
			var want []row
			var wantErr string
			_ = p.Raw(t.Context(), func(c *pgx.Conn) error {
				want, wantErr = collect(c.Query(t.Context(), sql))
				return nil
			})
			got, gotErr := collect(p.Query(t.Context(), sql))
			if diff := cmp.Diff(want, got); diff != "" || wantErr != gotErr {
				t.Errorf("%s\npgx: %s\nengine: %s", diff, wantErr, gotErr)
			}
			var inBatch []row
			b := engine.Batch{}
			b.Read(func(rows pgx.Rows) error { inBatch, gotErr = collect(rows, nil); return nil }, sql)
			if err := p.Run(context.Background(), &b); err == nil && wantErr == "" {
				if diff := cmp.Diff(want, inBatch); diff != "" {
					t.Errorf("in a batch: %s", diff)
				}
			} else if (err == nil) != (wantErr == "") && gotErr != wantErr {
				t.Errorf("in a batch: %v, %s", err, gotErr)
			}
		})
	}
}
