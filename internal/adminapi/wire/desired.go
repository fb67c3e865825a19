package wire

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/pkg/adminapi"
)

// hashed begins the hash of a secret in a request.
const hashed = "sha256:"

// DesiredOf returns the state that a caller describes, with defaults filled in.
func DesiredOf(in adminapi.Desired) (s desired.State, err error) {
	var faults directory.Faults
	for i, c := range in.Clients {
		client, err := desiredClient(c)
		if found, ok := errors.AsType[directory.Faults](err); ok {
			for _, f := range found {
				faults = append(faults, directory.Fault{Field: fmt.Sprintf("clients[%d].%s", i, f.Field), Text: f.Text})
			}
		} else if err != nil {
			return s, err
		}
		s.Clients = append(s.Clients, client)
	}
	for _, g := range in.Groups {
		s.Groups = append(s.Groups, desired.Group{
			Name: g.Name, Description: g.Description, Within: g.Within, Claims: g.Claims,
		})
	}
	for _, c := range in.Claims {
		if c.SeenBy == nil {
			c.SeenBy = []string{"user", "admin", "scim"}
		}
		if c.EditedBy == nil {
			c.EditedBy = []string{"admin", "scim"}
		}
		s.Claims = append(s.Claims, ClaimOf(adminapi.Claim{
			Name: c.Name, Type: cmp.Or(c.Type, "string"), Scope: cmp.Or(c.Scope, "profile"), Description: c.Description,
			SeenBy: c.SeenBy, EditedBy: c.EditedBy,
		}))
	}
	s.Policy, s.Roles = config.Document(in.Policy), map[string]directory.Role{}
	for _, email := range slices.Sorted(maps.Keys(in.Roles)) {
		role, ok := directory.ParseRole(in.Roles[email])
		if !ok {
			faults = append(faults, directory.Fault{
				Field: "roles." + email, Text: "must be none, auditor, support, admin or owner",
			})
			continue
		}
		s.Roles[email] = role
	}
	return s, faults.Err()
}

// desiredClient returns a client of a file, with the defaults of stepward client add.
func desiredClient(in adminapi.DesiredClient) (out desired.Client, err error) {
	c, err := ClientOf(in.Client)
	if err != nil {
		return out, err
	}
	if c.AuthMethod == "" {
		c.AuthMethod, c.AnySecretMethod = idp.AuthMethodBasic, true
	}
	if len(c.GrantTypes) == 0 && len(c.RedirectURIs) > 0 {
		c.GrantTypes = []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken}
	}
	if len(c.Scopes) == 0 && slices.ContainsFunc(c.GrantTypes, idp.SignsIn) {
		c.Scopes = []string{"openid", "profile", "email", "offline_access"}
	}
	if c.IDTokenAlg == "" && c.Policy != idp.PolicyFAPI2 {
		c.IDTokenAlg = idp.RS256
	}
	var faults directory.Faults
	for i, s := range in.Secrets {
		hash, ok := strings.CutPrefix(s.Value, hashed)
		if !ok || len(hash) != len(idp.Secret("").Hash()) {
			faults = append(faults, directory.Fault{
				Field: fmt.Sprintf("secrets[%d].value", i), Text: "must be sha256: and the hash of the secret",
			})
		}
		c.Secrets = append(c.Secrets, idp.ClientSecret{Name: s.Name, Hash: hash, ExpiresAt: TimeOf(s.ExpiresAt)})
	}
	return desired.Client{Client: desired.Normal(c), Disabled: in.Disabled}, faults.Err()
}

// Hashed is the value of a secret in a request.
func Hashed(_ string, _ int, s idp.ClientSecret) string { return hashed + s.Hash }

// Variables is the value of a secret in an export: a reference to a variable that is named after the client, such as
// GRAFANA_SECRET and GRAFANA_SECRET_2.
func Variables(clientID string, i int, _ idp.ClientSecret) string {
	return "env:" + variable(clientID, i)
}

// Desired returns a state in its wire form. value returns the value of the secret number i of a client.
func Desired(
	s desired.State, value func(clientID string, i int, s idp.ClientSecret) string,
) (out adminapi.Desired) {
	for _, c := range s.Clients {
		client := adminapi.DesiredClient{Client: Client(c.Client, registry.Usage{}), Disabled: c.Disabled}
		client.Client.Secrets, client.Usage, client.CreatedAt, client.UpdatedAt = nil, nil, nil, nil
		client.DisabledAt = nil
		for i, secret := range c.Secrets {
			client.Secrets = append(client.Secrets, adminapi.DesiredSecret{
				Name: secret.Name, Value: value(c.ID, i, secret), ExpiresAt: Moment(secret.ExpiresAt),
			})
		}
		out.Clients = append(out.Clients, client)
	}
	for _, g := range s.Groups {
		out.Groups = append(out.Groups, adminapi.DesiredGroup{
			Name: g.Name, Description: g.Description, Within: g.Within, Claims: g.Claims,
		})
	}
	for _, c := range s.Claims {
		out.Claims = append(out.Claims, adminapi.DesiredClaim{
			Name: c.Name, Type: string(c.Type), Scope: c.Scope, Description: c.Description, SeenBy: Parties(c.SeenBy),
			EditedBy: Parties(c.EditedBy),
		})
	}
	if len(s.Policy) > 0 {
		out.Policy = s.Policy
	}
	if len(s.Roles) > 0 {
		out.Roles = map[string]string{}
	}
	for email, role := range s.Roles {
		out.Roles[email] = role.Name()
	}
	return out
}

func variable(clientID string, i int) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z':
			return r - 'a' + 'A'
		case 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return r
		}
		return '_'
	}, clientID)
	if name[0] >= '0' && name[0] <= '9' {
		name = "CLIENT_" + name
	}
	name += "_SECRET"
	if i > 0 {
		name += fmt.Sprintf("_%d", i+1)
	}
	return name
}
