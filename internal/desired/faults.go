package desired

import (
	"fmt"
	"maps"
	"slices"

	"github.com/stepward/stepward/internal/directory"
)

// Faults returns what is wrong with a state by itself: what is there twice, and unknown roles.
func (s State) Faults() (faults directory.Faults) {
	fault := func(path, format string, args ...any) {
		faults = append(faults, directory.Fault{Field: path, Text: fmt.Sprintf(format, args...)})
	}
	seen := map[string]int{}
	once := func(list string, i int, member, key, name string) {
		if first, twice := seen[list+"\x00"+key]; twice {
			fault(fmt.Sprintf("%s[%d].%s", list, i, member), "%q is in %s[%d] already", name, list, first)
			return
		}
		seen[list+"\x00"+key] = i
	}
	for i, c := range s.Clients {
		path := fmt.Sprintf("clients[%d]", i)
		if c.ID == "" {
			fault(path, "client_id is missing")
			continue
		}
		once("clients", i, "client_id", c.ID, c.ID)
		hashes := map[string]bool{}
		for j, secret := range c.Secrets {
			if hashes[secret.Hash] {
				fault(fmt.Sprintf("%s.secrets[%d].value", path, j), "is the same secret as another one of this client")
			}
			hashes[secret.Hash] = true
		}
	}
	for i, g := range s.Groups {
		once("groups", i, "name", directory.GroupKey(g.Name), g.Name)
	}
	for i, c := range s.Claims {
		once("claims", i, "name", c.Name, c.Name)
	}
	emails := map[string]string{}
	for _, email := range slices.Sorted(maps.Keys(s.Roles)) {
		path := "roles." + email
		normal, ok := directory.NormalizeEmail(email)
		switch {
		case !ok:
			fault(path, "%q is not an e-mail address", email)
		case emails[normal] != "":
			fault(path, "is the same address as %s", emails[normal])
		case !s.Roles[email].Known():
			fault(path, "must be none, auditor, support, admin or owner")
		}
		emails[normal] = email
	}
	return faults
}

// nestingFaults returns what is wrong with the nesting of groups as it would be: within has the parents of each group
// by key, also of groups that the state does not name.
func (s State) nestingFaults(within map[string][]string) (faults directory.Faults) {
	const underWay = -1
	depth := map[string]int{} // the longest chain of groups from each one up
	var climb func(key string) (int, bool)
	climb = func(key string) (int, bool) {
		switch n, known := depth[key]; {
		case known && n == underWay:
			return 0, false
		case known:
			return n, true
		}
		depth[key] = underWay
		most := 0
		for _, parent := range within[key] {
			n, ok := climb(parent)
			if !ok {
				return 0, false
			}
			most = max(most, n)
		}
		depth[key] = most + 1
		return most + 1, true
	}
	for i, g := range s.Groups {
		clear(depth)
		path := fmt.Sprintf("groups[%d].within", i)
		n, ok := climb(directory.GroupKey(g.Name))
		switch {
		case !ok:
			faults = append(faults, directory.Fault{Field: path, Text: "is a cycle: a group cannot be in itself, directly or " +
				"through others"})
		case n > directory.MaxNesting:
			faults = append(faults, directory.Fault{
				Field: path, Text: fmt.Sprintf("is a chain of %d groups; it can have %d", n, directory.MaxNesting),
			})
		}
		if len(g.Within) > directory.MaxParents {
			faults = append(faults, directory.Fault{
				Field: path, Text: fmt.Sprintf("a group can be in %d others", directory.MaxParents),
			})
		}
	}
	return faults
}
