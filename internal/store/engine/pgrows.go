package engine

import (
	"bytes"
	"database/sql"
	"encoding/binary"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// pgRows reads the four types of our columns itself. pgx looks for a way to scan each column again in every query,
// which costs more than the scanning: a family with its user has forty columns.
type pgRows struct{ pgx.Rows }

// Scan leaves a row to pgx if it has a value that read does not know, for example NULL, or one that does not fit.
func (r pgRows) Scan(dest ...any) error {
	fields, values := r.FieldDescriptions(), r.RawValues()
	if len(fields) != len(dest) || len(values) != len(dest) {
		return r.Rows.Scan(dest...)
	}
	for i, to := range dest {
		if values[i] == nil || !read(to, fields[i], values[i]) {
			return r.Rows.Scan(dest...)
		}
	}
	return nil
}

// read stores a value as pgx does and reports whether it could. The value is valid until the next row.
func read(to any, field pgconn.FieldDescription, value []byte) bool {
	if field.DataTypeOID == pgtype.TextOID { // the same in both formats
		switch to := to.(type) {
		case *string:
			*to = string(value)
			return true
		case sql.Scanner:
			return to.Scan(string(value)) == nil
		}
		return false
	}
	if field.Format != pgtype.BinaryFormatCode {
		return false
	}
	switch {
	case field.DataTypeOID == pgtype.Int8OID && len(value) == 8:
		n := int64(binary.BigEndian.Uint64(value))
		switch to := to.(type) {
		case *int64:
			*to = n
			return true
		case sql.Scanner:
			return to.Scan(n) == nil
		}
	case field.DataTypeOID == pgtype.BoolOID && len(value) == 1:
		if to, ok := to.(*bool); ok {
			*to = value[0] == 1
			return true
		}
	case field.DataTypeOID == pgtype.ByteaOID:
		switch to := to.(type) {
		case *[]byte:
			*to = bytes.Clone(value)
			return true
		case sql.Scanner:
			return to.Scan(bytes.Clone(value)) == nil
		}
	}
	return false
}
