package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/outbound"
)

const maxSector = 64 << 10 // bytes

// CheckSector fetches the client's sector_identifier_uri, if it has one, and checks that the document lists all its redirect
// URIs: else anybody could join a sector, and learn its names (OIDC Core §8.1, OIDC Registration §5). The error is for whoever
// registers the client.
func CheckSector(ctx context.Context, fetch *outbound.Client, c idp.Client) error {
	if c.SectorIdentifierURI == "" {
		return nil
	}
	// Its host is the sector: somebody's open redirect must not bring in a list of others.
	got, err := fetch.GetDirect(ctx, c.SectorIdentifierURI, "application/json", maxSector)
	if err != nil {
		return fmt.Errorf("sector_identifier_uri: %w", err)
	}
	var listed []string
	if err := json.Unmarshal(got.Body, &listed); err != nil {
		return badMetadata("sector_identifier_uri leads to something else than a JSON array of redirect URIs")
	}
	if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !slices.Contains(listed, uri) }) {
		return badMetadata("sector_identifier_uri leads to a list that lacks one of redirect_uris")
	}
	return nil
}

// sameSector refuses a client that describes itself anew and would be known by other names than before: what it was given as
// one client of its own host would tell it the names of another sector.
func sameSector(before, after idp.Client) error {
	known := before.AuthMethod != ""
	if known && (before.Pairwise() != after.Pairwise() || after.Pairwise() && before.Sector() != after.Sector()) {
		return badMetadata("subject_type, and the sector of a pairwise sub, stay what they were; register anew to change them")
	}
	return nil
}
