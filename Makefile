# What can be done here: `make help`. Needs Python 3.11 or newer; everything else is prepared on first use.

SHELL := /bin/sh
.DEFAULT_GOAL := help

PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	$$candidate -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$candidate && break; done)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

##@ Start

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(READY) ## an isolated Python environment with the locked dependencies

$(READY): requirements/dev.txt
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv found; install one, or set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	@touch $@

# -- demo, bench --------------------------------------------------------------

##@ Control plane

.PHONY: binaries
binaries: $(READY)
	@test -n "$$KUBEBUILDER_ASSETS" || $(BIN)/python -m tools.controlplane build >/dev/null

.PHONY: cluster
cluster: binaries ## start a control plane with three workers that keeps running
	@$(BIN)/python -m tools.controlplane up

.PHONY: cluster-down
cluster-down: $(READY) ## end it
	@$(BIN)/python -m tools.controlplane down

##@ Development

.PHONY: test
test: binaries ## every test, end-to-end ones included; ARGS="-k name" picks
	$(BIN)/pytest $(ARGS)

.PHONY: lint
lint: $(READY) ## style, format, types, layers
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: fmt
fmt: $(READY) ## put the code in shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# -- generate -----------------------------------------------------------------

.PHONY: clean
clean: ## remove what was made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- docker-build, docker-push, install, deploy --------------------------------
