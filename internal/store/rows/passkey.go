package rows

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

// passkeyColumns are the columns of a passkey, in the order of PasskeyDest. Its attestation has a table of its own.
var passkeyColumns = []string{
	"id", "user_id", "credential_id", "public_key", "flags", "sign_count", "uv_initialized", "counter_regressed_at",
	"aaguid", "attestation_type", "attestation_format", "attestation_verified_at", "key_protection", "transports",
	"attachment", "extensions", "name", "created_at", "created_agent", "last_used_at", "last_agent", "suspended_at",
	"strong_from",
}

// The values that most passkeys have. In the brief form on Postgres NULL stands for them: never change one.
const (
	usualFlags      = int64(idp.FlagUserPresent | idp.FlagUserVerified | idp.FlagBackupEligible | idp.FlagBackedUp)
	usualType       = "none"
	usualFormat     = "none"
	usualTransports = `["hybrid","internal"]`
	usualAttachment = "platform"
	usualExtensions = `{"rk":true}`
)

// usual are these values as SQL, by column of passkeys.
var usual = map[string]string{
	"flags": strconv.FormatInt(usualFlags, 10), "sign_count": "0", "uv_initialized": "TRUE",
	"counter_regressed_at": "0", "attestation_type": text(usualType),
	"attestation_format": text(usualFormat), "attestation_verified_at": "0", "key_protection": text(""),
	"attestation": text(""), "transports": text(usualTransports), "attachment": text(usualAttachment),
	"extensions": text(usualExtensions), "last_agent": "created_agent", "suspended_at": "0", "strong_from": "0",
}

func text(s string) string { return "'" + s + "'" }

// ColumnOf returns the expression for the value of a column, whose table may say NULL for the usual one.
func ColumnOf(table, column string) string {
	if value, ok := usual[column]; ok && table == "passkeys" {
		return "COALESCE(" + column + ", " + value + ")"
	}
	return column
}

// PasskeyColumns are the columns of a passkey k.
var PasskeyColumns = func() string {
	var all []string
	for _, name := range passkeyColumns {
		name = strings.ReplaceAll(ColumnOf("passkeys", name), "COALESCE(", "COALESCE(k.")
		if !strings.HasPrefix(name, "COALESCE") {
			name = "k." + name
		}
		all = append(all, strings.ReplaceAll(name, ", created_agent", ", k.created_agent"))
	}
	return strings.Join(all, ", ")
}()

// PasskeyDest returns the destinations of PasskeyColumns.
func PasskeyDest(k *idp.Passkey) []any {
	return []any{
		&k.ID, &k.UserID, &k.CredentialID, (*key)(&k.PublicKey), &k.Flags, &k.SignCount, &k.UVInitialized,
		(*Instant)(&k.CounterRegressedAt),
		&k.AAGUID, &k.AttestationType, &k.AttestationFormat, (*Instant)(&k.AttestationVerifiedAt),
		(*string)(&k.KeyProtection),
		&Document{&k.Transports}, &k.Attachment, (*Raw)(&k.Extensions), &k.Name, (*Instant)(&k.CreatedAt),
		(*agent)(&k.CreatedAgent),
		(*Instant)(&k.LastUsedAt), (*agent)(&k.LastAgent),
		(*Instant)(&k.SuspendedAt), (*Instant)(&k.StrongFrom),
	}
}

// A Form says how passkeys are written. The zero value is the form of older programs.
type Form struct {
	Brief bool // keys without their frame, browsers as letters
	Nulls bool // NULL for usual values, which Postgres stores in a bit each
}

// InsertPasskey adds the values of [Form.Passkey].
const InsertPasskey = `INSERT INTO passkeys (id, user_id, credential_id, public_key, flags, sign_count, uv_initialized,
		counter_regressed_at, aaguid, attestation_type, attestation_format, attestation, attestation_verified_at,
		key_protection, transports, attachment, extensions, name, created_at, created_agent, last_used_at, last_agent,
		suspended_at, strong_from)
	VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24)`

// Passkey returns the values of a new passkey, which is neither suspended nor weak after a recovery.
func (f Form) Passkey(k idp.Passkey) []any {
	public := k.PublicKey
	if f.Brief {
		public = packKey(public)
	}
	return []any{
		k.ID, k.UserID, k.CredentialID, public, f.Flags(k), orNull(f, int64(k.SignCount), 0),
		f.UVInitialized(k), orNull(f, Millis(k.CounterRegressedAt), 0),
		k.AAGUID, orNull(f, k.AttestationType, usualType), orNull(f, k.AttestationFormat, usualFormat), orNull(f, "", ""),
		orNull(f, Millis(k.AttestationVerifiedAt), 0), f.KeyProtection(k),
		orNull(f, Text(k.Transports), usualTransports), orNull(f, k.Attachment, usualAttachment),
		orNull(f, string(k.Extensions), usualExtensions), k.Name, Millis(k.CreatedAt), f.agent(k.CreatedAgent),
		Millis(k.LastUsedAt), f.LastAgent(k), orNull[int64](f, 0, 0), orNull[int64](f, 0, 0),
	}
}

// Flags returns the value of that column.
func (f Form) Flags(k idp.Passkey) any { return orNull(f, int64(k.Flags), usualFlags) }

// UVInitialized returns the value of that column.
func (f Form) UVInitialized(k idp.Passkey) any { return orNull(f, k.UVInitialized, true) }

// KeyProtection returns the value of that column.
func (f Form) KeyProtection(k idp.Passkey) any { return orNull(f, string(k.KeyProtection), "") }

// LastAgent returns the value of that column.
func (f Form) LastAgent(k idp.Passkey) any {
	return orNull(f, f.agent(k.LastAgent), f.agent(k.CreatedAgent))
}

func (f Form) agent(name string) string {
	if f.Brief {
		return packAgent(name)
	}
	return name
}

// orNull returns the value, or NULL if it is the usual one and the form has NULLs.
func orNull[T comparable](f Form, value, usual T) any {
	if f.Nulls && value == usual {
		return nil
	}
	return value
}

// The frame of an ES256 key (COSE, RFC 9053 §7.1.1): what stands before its x and between x and y, which have 32 bytes
// each.
var (
	beforeX = []byte{0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20}
	beforeY = []byte{0x22, 0x58, 0x20}
)

const coordinate = 32 // bytes

// packKey returns the stored form of a COSE key in the brief form: of an ES256 key x and y, and all of any other.
// One that could be taken for x and y gets a NUL at its end.
func packKey(cose []byte) []byte {
	x, framed := bytes.CutPrefix(cose, beforeX)
	if framed && len(x) == 2*coordinate+len(beforeY) && bytes.HasPrefix(x[coordinate:], beforeY) {
		return append(bytes.Clone(x[:coordinate]), x[coordinate+len(beforeY):]...)
	}
	if padded(cose) {
		return append(bytes.Clone(cose), 0)
	}
	return cose
}

// padded reports 64 bytes with any number of NULs behind them.
func padded(b []byte) bool {
	return len(b) >= 2*coordinate && len(bytes.Trim(b[2*coordinate:], "\x00")) == 0
}

// key scans a public key in either form.
type key []byte

// Scan implements sql.Scanner.
func (k *key) Scan(v any) error {
	b, ok := v.([]byte)
	switch {
	case !ok:
		return fmt.Errorf("key stored as %T", v)
	case len(b) == 2*coordinate:
		*k = bytes.Join([][]byte{beforeX, b[:coordinate], beforeY, b[coordinate:]}, nil)
	case padded(b):
		*k = bytes.Clone(b[:len(b)-1])
	default:
		*k = bytes.Clone(b)
	}
	return nil
}
