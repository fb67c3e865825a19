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

// CheckSector fetches the client's sector_identifier_uri, if it has one, and checks that the document lists all
// redirect URIs. Otherwise anybody could join a sector and learn its pairwise names (OIDC Core §8.1, OIDC Registration
// §5). The error may be shown to the person who registers the client.
func CheckSector(ctx context.Context, fetch *outbound.Client, c idp.Client) error {
	if c.SectorIdentifierURI == "" {
		return nil
	}
	// The host of the URI is the sector, so an open redirect must not lead to a list elsewhere.
	got, err := fetch.GetDirect(ctx, c.SectorIdentifierURI, "application/json", maxSector)
	if err != nil {
		return fmt.Errorf("sector_identifier_uri: %w", err)
	}
	var listed []string
	if err := json.Unmarshal(got.Body, &listed); err != nil {
		return badMetadata("sector_identifier_uri must lead to a JSON array of redirect URIs")
	}
	if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !slices.Contains(listed, uri) }) {
		return badMetadata("sector_identifier_uri must list all redirect_uris")
	}
	return nil
}

// checkSameSector rejects a change that would give a registered client other names for its users. Otherwise a client
// with users in its own sector could learn their names in another.
func checkSameSector(before, after idp.Client) error {
	known := before.AuthMethod != ""
	if known && (before.Pairwise() != after.Pairwise() || after.Pairwise() && before.Sector() != after.Sector()) {
		return badMetadata("subject_type and the sector of a pairwise client cannot be changed; register a new client")
	}
	return nil
}
