package rows

import "github.com/stepward/stepward/internal/idp"

// PasskeyColumns are the columns of a passkey k. Its attestation has a table of its own.
const PasskeyColumns = `k.id, k.user_id, k.credential_id, k.public_key, k.flags, k.sign_count, k.uv_initialized,
	k.counter_regressed_at,
	k.aaguid, k.attestation_type, k.attestation_format, k.attestation_verified_at, k.key_protection,
	k.transports, k.attachment, k.extensions, k.name, k.created_at, k.created_agent, k.last_used_at, k.last_agent,
	k.suspended_at, k.strong_from`

// PasskeyDest returns the destinations of PasskeyColumns.
func PasskeyDest(k *idp.Passkey) []any {
	return []any{
		&k.ID, &k.UserID, &k.CredentialID, &k.PublicKey, &k.Flags, &k.SignCount, &k.UVInitialized,
		(*Instant)(&k.CounterRegressedAt),
		&k.AAGUID, &k.AttestationType, &k.AttestationFormat, (*Instant)(&k.AttestationVerifiedAt),
		(*string)(&k.KeyProtection),
		&Document{&k.Transports}, &k.Attachment, (*Raw)(&k.Extensions), &k.Name, (*Instant)(&k.CreatedAt), &k.CreatedAgent,
		(*Instant)(&k.LastUsedAt), &k.LastAgent,
		(*Instant)(&k.SuspendedAt), (*Instant)(&k.StrongFrom),
	}
}
