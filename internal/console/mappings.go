package console

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/directory"
)

// mappingLines returns mappings as the form of a client has them, one a line:
//
//	department https://example.com/dept access-token default="none"
func mappingLines(mappings []directory.Mapping) (lines []string) {
	for _, m := range mappings {
		line := m.Source + " " + m.Claim
		if m.AccessToken {
			line += " access-token"
		}
		if len(m.Default) > 0 {
			line += " default=" + string(m.Default)
		}
		lines = append(lines, line)
	}
	return lines
}

// readMappings reads what mappingLines writes. A default that is not JSON is a text.
func readMappings(lines []string) (mappings []directory.Mapping, faults directory.Faults) {
	for i, line := range lines {
		said, fallback, has := strings.Cut(line, " default=")
		words := strings.Fields(said)
		if len(words) == 3 && words[2] == "access-token" || len(words) == 2 {
			m := directory.Mapping{Source: words[0], Claim: words[1], AccessToken: len(words) == 3}
			if fallback = strings.TrimSpace(fallback); has {
				m.Default = json.RawMessage(fallback)
				if !json.Valid(m.Default) {
					m.Default, _ = json.Marshal(fallback) // a text always marshals
				}
			}
			mappings = append(mappings, m)
			continue
		}
		faults = append(faults, directory.Fault{Field: "claim_mappings", Text: fmt.Sprintf(
			"line %d must be: SOURCE CLAIM, then access-token and default=VALUE if needed", i+1)})
	}
	return mappings, faults
}
