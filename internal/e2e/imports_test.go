package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/stepward/stepward/"

// layers is the direction of imports (docs/design.md): a package imports only from rows below its own, and of its own row
// only what beside names.
var layers = [][]string{
	{"cmd/stepward", "cmd/stepward/sample", "internal/e2e", "internal/e2e/floor"},
	{"internal/manage/clients", "internal/manage/users", "internal/manage/groups", "internal/manage/rules"},
	{"internal/manage", "internal/movein", "internal/apply", "internal/backup", "internal/secrets", "internal/provision/commands"},
	{"internal/server"},
	{"internal/console", "internal/console/rules", "internal/tryout", "internal/provision/pages", "internal/adminapi", "internal/scim"},
	{"internal/adminapi/repeat", "internal/adminapi/wire"},
	{"internal/explain", "internal/provision", "internal/bearer", "internal/desired", "internal/adminapi/file"},
	{"internal/recipe", "internal/desk"},
	{"internal/login", "internal/account", "internal/enrol", "internal/address", "internal/recovery", "internal/otherdevice", "internal/checkup", "internal/details", "internal/takeout", "internal/admin", "internal/admin/sync", "internal/provider", "internal/deletion", "internal/notices"},
	{"internal/house", "internal/recoverycode"},
	{"internal/authorize", "internal/device", "internal/logout"},
	{"internal/token"},
	{"internal/lint"},
	{"internal/access", "internal/client", "internal/sender", "internal/scim/resource"},
	{"internal/oauth"},
	{"internal/store/addresses", "internal/store/erasure", "internal/store/rpid", "internal/admin/revision"},
	{"internal/passkey", "internal/session", "internal/audit", "internal/mail", "internal/telemetry", "internal/operatorkey"},
	{"internal/keys", "internal/subject", "internal/dpop", "internal/outbound", "internal/web"},
	{"internal/limit", "internal/store/roster", "internal/store/outbox", "internal/store/registrations", "internal/store/recoveries", "internal/store/personal", "internal/store/transfer", "internal/store/forms", "internal/store/sealed", "internal/store/registry", "internal/store/lookup", "internal/store/managed", "internal/store/plan", "internal/store/policies", "internal/store/arrivals", "internal/store/leases", "internal/store/declared", "internal/store/provisioning"},
	{"internal/store", "internal/ephemeral", "internal/config"},
	{"internal/store/engine", "internal/store/rows", "internal/store/clientcache", "internal/ephemeral/compact", "internal/config/policy"},
	{"internal/idp"},
	{"internal/admin/sheet"},
	{"internal/directory", "internal/x509name", "internal/outage", "internal/pubkey", "internal/words", "internal/logs", "internal/geoip", "internal/datafile", "internal/duration", "internal/drain"},
	{"pkg/stepup", "pkg/adminapi"},
}

var beside = map[string][]string{
	"cmd/stepward":                {"cmd/stepward/sample"},
	"internal/server":             {},
	"internal/backup":             {"internal/manage"}, // Env
	"internal/movein":             {"internal/manage"}, // Env
	"internal/apply":              {"internal/manage"}, // Env
	"internal/secrets":            {"internal/manage"}, // Env
	"internal/provision/commands": {"internal/manage"}, // Env
	"internal/recovery":           {"internal/enrol"},
	"internal/address":            {"internal/enrol"},
	"internal/deletion":           {"internal/enrol"},
	"internal/notices":            {"internal/enrol"},
	"internal/details":            {"internal/admin"}, // CheckValues
	"internal/admin":              {"internal/enrol", "internal/address", "internal/recovery"},
	"internal/admin/sync":         {"internal/admin"},
	"internal/otherdevice":        {"internal/enrol"},
	"internal/account":            {"internal/enrol", "internal/address", "internal/recovery", "internal/otherdevice", "internal/checkup", "internal/details", "internal/takeout", "internal/deletion", "internal/notices"}, // account asks for a step-up through a func that cmd wires to login.Require
}

// fetchers fetch what clients named, and tell them of logouts.
var fetchers = []string{"internal/client", "internal/authorize", "internal/logout", "internal/provider", "internal/server", "internal/provision", "cmd/stepward", "internal/manage"}

// owners are the only packages that may import these modules.
var owners = map[string]string{
	"github.com/zitadel/oidc":         "internal/provider",
	"golang.org/x/crypto/ssh":         "internal/keys",
	"github.com/tink-crypto":          "internal/subject",
	"github.com/go-webauthn":          "internal/passkey",
	"github.com/jackc/pgx":            "internal/store internal/store/transfer internal/store/engine internal/e2e/floor", // store: rows
	"github.com/jackc/pgx/v5/pgxpool": "internal/store/engine internal/e2e/floor",
	"github.com/pressly/goose":        "internal/store/engine",
	"modernc.org/sqlite":              "internal/store/engine internal/ephemeral",
	"github.com/redis/go-redis":       "internal/ephemeral internal/e2e/floor",
	"github.com/wneessen":             "internal/mail",
	"github.com/oschwald/maxminddb":   "internal/geoip",
	"github.com/prometheus":           "internal/telemetry",
	"go.opentelemetry.io":             "internal/telemetry",
	"google.golang.org/protobuf":      "internal/telemetry",
	"github.com/alecthomas/kong":      "cmd/stepward",
	"github.com/coreos/go-oidc":       "cmd/stepward/sample",
	"github.com/santhosh-tekuri":      "internal/config/policy",
	"rsc.io/qr":                       "internal/otherdevice",
	"github.com/danielgtaylor/huma":   "internal/adminapi internal/adminapi/file",
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		row := rowOf(name)
		if row < 0 {
			t.Errorf("%s has no place in the house", name)
			continue
		}
		for _, imported := range p.Imports {
			other, ours := strings.CutPrefix(imported, module)
			if ours {
				to := rowOf(other)
				switch {
				case strings.HasPrefix(name, "pkg/") && !strings.HasPrefix(other, "pkg/"):
					t.Errorf("%s, which others build on, imports %s", name, other)
				case strings.HasPrefix(name, "cmd/stepward/sample") && strings.HasPrefix(other, "internal/"):
					t.Errorf("the sample application imports %s; it must be an ordinary relying party", other)
				case other == "internal/outbound" && !slices.Contains(fetchers, name):
					t.Errorf("%s imports %s; only the protocol fetches what others named", name, other)
				case name == "internal/server" && other == "cmd/stepward/sample": // the demo serves both
				case to < row, to == row && !slices.Contains(beside[name], other):
					t.Errorf("%s imports %s, against the direction", name, other)
				}
				continue
			}
			for mod, allowed := range owners {
				if strings.HasPrefix(imported, mod) && !slices.Contains(strings.Fields(allowed), name) {
					t.Errorf("%s imports %s, which belongs to %s", name, imported, allowed)
				}
			}
		}
	}
}

func TestLoginAndProviderNeverMeet(t *testing.T) {
	for _, p := range packages(t) {
		name := strings.TrimPrefix(p.ImportPath, module)
		for pkg, other := range map[string]string{"internal/login": "internal/provider", "internal/provider": "internal/login"} {
			if name == pkg && slices.Contains(p.Deps, module+other) {
				t.Errorf("%s depends on %s", pkg, other)
			}
		}
	}
}

// rowOf returns a package's row; test helpers (storetest, …) belong to the package they stand beside.
func rowOf(name string) int {
	return slices.IndexFunc(layers, func(row []string) bool { return slices.Contains(row, name) })
}

type goPackage struct {
	ImportPath    string
	Imports, Deps []string
}

// packages returns all packages but those that serve tests alone: storetest, ephemeraltest, passkeytest.
func packages(t *testing.T) []goPackage {
	t.Helper()
	return slices.DeleteFunc(allPackages(t), func(p goPackage) bool { return strings.HasSuffix(p.ImportPath, "test") })
}

func allPackages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", module+"...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 5 {
		t.Fatalf("go list found %d packages", len(list))
	}
	return list
}
