package movein

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/stepward/stepward/internal/passkey"
)

// The representations of a realm export, as far as an import reads them, with the names that Keycloak gives them
// (core/src/main/java/org/keycloak/representations/idm, 26.7). Times are Unix milliseconds.
type (
	realm struct {
		Realm   string        `json:"realm"`
		Groups  []realmGroup  `json:"groups"`
		Clients []realmClient `json:"clients"`
		// RPID is empty for the host of the request. A verification that is not "required" may be missing.
		RPID                     string `json:"webAuthnPolicyRpId"`
		Verification             string `json:"webAuthnPolicyUserVerificationRequirement"`
		PasswordlessRPID         string `json:"webAuthnPolicyPasswordlessRpId"`
		PasswordlessVerification string `json:"webAuthnPolicyPasswordlessUserVerificationRequirement"`
	}
	realmGroup struct {
		ID        string       `json:"id"`
		Name      string       `json:"name"`
		Path      string       `json:"path"`
		SubGroups []realmGroup `json:"subGroups"`
	}
	realmClient struct {
		ClientID      string            `json:"clientId"`
		Name          string            `json:"name"`
		Enabled       *bool             `json:"enabled"`
		Protocol      string            `json:"protocol"`
		Public        bool              `json:"publicClient"`
		BearerOnly    bool              `json:"bearerOnly"`
		StandardFlow  *bool             `json:"standardFlowEnabled"`
		ServiceUser   bool              `json:"serviceAccountsEnabled"`
		Consent       bool              `json:"consentRequired"`
		Authenticator string            `json:"clientAuthenticatorType"`
		Secret        string            `json:"secret"`
		RootURL       string            `json:"rootUrl"`
		RedirectURIs  []string          `json:"redirectUris"`
		Default       []string          `json:"defaultClientScopes"`
		Optional      []string          `json:"optionalClientScopes"`
		Attributes    map[string]string `json:"attributes"`
		Mappers       []struct {
			Mapper string `json:"protocolMapper"`
		} `json:"protocolMappers"`
	}
	realmUser struct {
		ID             string              `json:"id"`
		Username       string              `json:"username"`
		Email          string              `json:"email"`
		EmailVerified  bool                `json:"emailVerified"`
		FirstName      string              `json:"firstName"`
		LastName       string              `json:"lastName"`
		Enabled        *bool               `json:"enabled"`
		Created        int64               `json:"createdTimestamp"`
		Attributes     map[string][]string `json:"attributes"`
		Groups         []string            `json:"groups"` // paths
		ServiceAccount string              `json:"serviceAccountClientId"`
		Credentials    []realmCredential   `json:"credentials"`
		Consents       []struct {
			ClientID string   `json:"clientId"`
			Scopes   []string `json:"grantedClientScopes"`
			Created  int64    `json:"createdDate"`
		} `json:"clientConsents"`
	}
	realmCredential struct {
		Type    string `json:"type"`
		Label   string `json:"userLabel"`
		Created int64  `json:"createdDate"`
		Data    string `json:"credentialData"` // a webAuthnData, as JSON
	}
	// webAuthnData has the credential ID in base64 and the COSE key in base64url. The counter is at most what the
	// authenticator sent last. Backup flags are not kept.
	webAuthnData struct {
		AAGUID     string   `json:"aaguid"`
		ID         string   `json:"credentialId"`
		Counter    uint32   `json:"counter"`
		PublicKey  string   `json:"credentialPublicKey"`
		Transports []string `json:"transports"`
	}
)

// The types of credentials that are passkeys: the only factor, or the second after a password.
const (
	passwordless = "webauthn-passwordless"
	secondFactor = "webauthn"
)

// key returns the passkey of a credential; false if it is a password or something else.
func (c realmCredential) key(r *realm) (k key, ok bool) {
	switch c.Type {
	case passwordless:
		// Versions that do not export the requirement require verification.
		k.rpID = r.PasswordlessRPID
		k.UserVerified = r.PasswordlessVerification == "required" || r.PasswordlessVerification == ""
	case secondFactor:
		k.rpID, k.UserVerified = r.RPID, r.Verification == "required"
	default:
		return k, false
	}
	var data webAuthnData
	if json.Unmarshal([]byte(c.Data), &data) != nil {
		k.left = "its credentialData cannot be read"
		return k, true
	}
	verified := k.UserVerified
	k.Foreign = passkey.Foreign{
		CredentialID: anyBase64(data.ID), PublicKey: anyBase64(data.PublicKey), SignCount: data.Counter,
		UserVerified: verified, AAGUID: parseAAGUID(data.AAGUID), Transports: data.Transports, Name: c.Label,
		CreatedAt: millis(c.Created),
	}
	return k, true
}

// anyBase64 decodes both alphabets, with or without padding; nil if it is neither.
func anyBase64(s string) []byte {
	s = strings.NewReplacer("+", "-", "/", "_").Replace(strings.TrimRight(s, "="))
	decoded, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil
	}
	return decoded
}
