.DEFAULT_GOAL := help
.PHONY: help test deps lint tidy unit generate fmt
# The tools have a module of their own, so that what they need is not what pgchat needs.
TOOL = CGO_ENABLED=0 go tool -modfile=.ci/tools/go.mod

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-8s %s\n", $$1, $$2}'

test: deps tidy lint unit ## install what is needed and run every check and test

deps: ## install what the tests need
	@.ci/install-deps

tidy: ## fail where go.mod and go.sum are not tidy
	go mod tidy -diff

lint: ## vet, format and static analysis
	go vet ./...
	@out=$$(go tool gofumpt -l .); test -z "$$out" || { echo "not formatted (make fmt):"; echo "$$out"; exit 1; }
	go tool staticcheck ./...
	$(TOOL) sqlc diff

unit: ## unit and integration tests against a real PostgreSQL, with the race detector
	go test -race -count=1 ./...

generate: ## make the code of internal/store from queries/
	$(TOOL) sqlc generate

fmt: ## format the code
	go tool gofumpt -w .
