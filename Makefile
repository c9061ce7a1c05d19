# Woven. "make" lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X github.com/wovensdn/woven/pkg/version.version=$(VERSION)
TOOL    := go tool -modfile=tools/go.mod
STEP    := hack/step.sh

# Every command becomes bin/woven-<name>. kubectl plugins keep their name, because kubectl finds them by it.
COMMANDS := $(notdir $(patsubst %/,%,$(dir $(wildcard cmd/*/main.go))))
# Existing packages whose tests need no cluster.
PACKAGES := $(foreach d,api config pkg cmd hack test/state test/nbtest test/conformance,$(if $(wildcard $(d)),./$(d)/...))
# How long each fuzz target runs.
FUZZTIME ?= 1m
# Packages with benchmarks. Those of test/api run against a real API server.
BENCHES  := $(foreach d,test/scale test/api pkg/node,$(if $(wildcard $(d)),./$(d)/...))
SANDBOX  := bin/woven-sandbox
# The conformance suites of Kubernetes and network-policy-api.
CONFORMANCE := go run ./test/conformance

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check-go
check-go:
	@hack/check-go.sh

.PHONY: deps
deps: ## Install the Debian packages that tests and sandbox need (as root)
	@hack/deps.sh

.PHONY: build
build: check-go ## Build every command into bin/
	@$(STEP) "build $(VERSION)" $(MAKE) binaries

.PHONY: binaries
binaries:
	@mkdir -p bin
	@for c in $(COMMANDS); do \
		case $$c in kubectl-*) out=bin/$$c ;; *) out=bin/woven-$$c ;; esac; \
		CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/$$c; \
		echo "    $$out"; \
	done

.PHONY: generate
generate: check-go ## Generate deep copies, CRDs, OVSDB rows, docs/reference and docs/compatibility.md
	@$(TOOL) controller-gen object:headerFile=hack/header.go.txt paths=./api/v1 crd:crdVersions=v1 output:crd:dir=config/crd
	@go generate ./...

.PHONY: lint
lint: check-go ## Run the linters (the first run builds them, two minutes)
	@hack/spdx.sh --check
	@$(STEP) "lint" $(TOOL) golangci-lint run ./...
	@bad=$$(if [ -d cmd/cni ]; then go list -deps ./cmd/cni | grep -E '^(k8s|sigs\.k8s)\.io/' || true; fi); \
		if [ -n "$$bad" ]; then echo "cmd/cni must not depend on Kubernetes, but does on:" $$bad >&2; exit 1; fi

.PHONY: fmt
fmt: check-go ## Format the Go code
	@$(TOOL) golangci-lint fmt ./...

.PHONY: unit
unit: check-go ## Run the tests that need no cluster, with the race detector
	@$(STEP) "tests without a cluster" go test -race -timeout 20m $(PACKAGES)

.PHONY: verify
verify: check-go ## Check generated files, lint, run the tests that need no cluster
	@$(STEP) "generated files" hack/generated.sh
	@$(MAKE) lint
	@$(MAKE) unit

.PHONY: test
test: check-go deps ## Run everything: install packages, verify, end-to-end tests (as root)
	@$(STEP) "make test" $(MAKE) verify e2e

.PHONY: sandbox
sandbox: check-go deps build ## Start a cluster with two nodes on this machine, and run a demo (as root)
	@$(STEP) "sandbox with two nodes" $(SANDBOX) up --nodes 2 --dev
	@$(SANDBOX) demo

.PHONY: sandbox-down
sandbox-down: build ## Tear down the sandbox
	@$(SANDBOX) down

.PHONY: e2e
e2e: check-go build ## Run end-to-end tests: a real API server, then real packets on a sandbox (as root)
	@$(STEP) "programs of the sandbox" $(SANDBOX) build
	@$(STEP) "tests on a real API server" go test ./test/api/... -count=1 -timeout 20m
	@$(STEP) "end-to-end tests" go test ./test/e2e/... -count=1 -v -timeout 30m
	@$(STEP) "a subset of Kubernetes' conformance specs" $(CONFORMANCE) -subset -nodes 2

.PHONY: conformance
conformance: check-go deps build ## Run the network conformance suites of Kubernetes and network-policy-api (as root; SUITE=…, SPEC=regex, KEEP=1)
	@$(STEP) "conformance" $(CONFORMANCE) $(if $(SUITE),-suite '$(SUITE)') $(if $(SPEC),-spec '$(SPEC)') $(if $(KEEP),-keep)

.PHONY: bench
bench: check-go ## Run the benchmarks at scale
	@$(STEP) "benchmarks" go test -run '^$$' -bench . -timeout 60m $(BENCHES)

# Where coverage depends on the order of maps, as with the allocator, the search for a smaller input with the same coverage
# takes its whole time limit, 60 seconds for each input: hence a number of attempts.
.PHONY: fuzz
fuzz: check-go ## Run every fuzz target for FUZZTIME (1m): parsers, wire formats, the allocator
	@for p in $$(grep -rl --include='*_test.go' '^func Fuzz' api pkg cmd | xargs -n1 dirname | sort -u); do \
		for f in $$(sed -n 's/^func \(Fuzz[A-Za-z0-9]*\)(.*/\1/p' $$p/*_test.go); do \
			$(STEP) "fuzz $$p $$f" go test ./$$p -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x; \
		done; \
	done
