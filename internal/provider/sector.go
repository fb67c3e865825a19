package provider

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
	got, err := fetch.Get(ctx, c.SectorIdentifierURI, "application/json", maxSector)
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
