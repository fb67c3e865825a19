package wire

import (
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Claim returns the definition of a claim.
func Claim(c directory.Claim) adminapi.Claim {
	return adminapi.Claim{
		Name: c.Name, Type: string(c.Type), Scope: c.Scope, Description: c.Description, SeenBy: Parties(c.SeenBy),
		EditedBy: Parties(c.EditedBy), CreatedAt: Moment(c.CreatedAt), UpdatedAt: Moment(c.UpdatedAt),
	}
}

// Parties returns who may see or edit a claim.
func Parties(list []directory.Party) []string {
	out := []string{}
	for _, p := range list {
		out = append(out, string(p))
	}
	return out
}

// ClaimOf returns the definition that a caller sends.
func ClaimOf(c adminapi.Claim) directory.Claim {
	out := directory.Claim{
		Name: c.Name, Type: directory.ClaimType(c.Type), Scope: c.Scope, Description: c.Description,
	}
	for _, p := range c.SeenBy {
		out.SeenBy = append(out.SeenBy, directory.Party(p))
	}
	for _, p := range c.EditedBy {
		out.EditedBy = append(out.EditedBy, directory.Party(p))
	}
	return out
}
