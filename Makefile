.DEFAULT_GOAL := help
.PHONY: help test deps lint tidy unit fmt

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

unit: ## unit and integration tests against a real PostgreSQL, with the race detector
	go test -race -count=1 ./...

fmt: ## format the code
	go tool gofumpt -w .
