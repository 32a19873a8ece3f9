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

$(READY): requirements/dev.txt pyproject.toml
	@test -n "$(PYTHON)" || { echo "No Python 3.11 or newer with venv found; install one, or set PYTHON=..."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes --requirement $<
	$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: binaries ## the quickstart, step by step; QUIET_TIME=2m0s, CLUSTER=kind
	@$(BIN)/python -m tools.demo

.PHONY: bench
bench: binaries ## every workload beside kube-scheduler and a blind binder; ARGS="--help" tells more
	@$(BIN)/python -m tools.bench $(ARGS)

.PHONY: parity
parity: binaries ## 5,000 random pods, each decided here and by kube-scheduler, compared; about ten minutes
	@$(BIN)/python -m tools.parity $(ARGS)

.PHONY: conformance
conformance: binaries ## Kubernetes' own scheduling tests, here and with kube-scheduler; about ten minutes
	@$(BIN)/python -m tools.conformance $(ARGS)

.PHONY: chaos
chaos: binaries ## two replicas under faults and load, then a checker; ARGS="--minutes 30 --seed 1"
	@$(BIN)/python -m tools.chaos $(ARGS)

.PHONY: fuzz
fuzz: $(READY) ## a million random inputs for every parser, compared with Go's own; about ten minutes
	@$(BIN)/python -m tools.fuzz $(ARGS)

.PHONY: test-node
test-node: binaries ## the scenes on a real node; needs root, and Debian's packages; CLUSTER=kind
	$(BIN)/pytest tests/node -m "$(if $(CLUSTER),,not )kind" $(ARGS)

.PHONY: test-versions
test-versions: binaries ## short scenes beside each supported release of Kubernetes; builds the other one too
	$(BIN)/pytest tests/versions $(ARGS)

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

.PHONY: node
node: binaries ## start a cluster of one real node that keeps running, with NODES=100 that pretend; needs root
	@$(BIN)/python -m tools.node up --fake $(or $(NODES),0)

.PHONY: node-down
node-down: $(READY) ## end it, and leave nothing of it on this machine
	@$(BIN)/python -m tools.node down

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
	$(BIN)/hadolint Dockerfile examples/load-experiment/app/Dockerfile examples/random-scheduler/Dockerfile

.PHONY: fmt
fmt: $(READY) ## put the code in shape
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.PHONY: generate
generate: $(READY) ## the gRPC code, from api/planner.proto
	$(BIN)/python -m tools.generate_wire

UV ?= uv
COMPILE := $(UV) pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-header --no-annotate --quiet

.PHONY: lock
lock: ## the locked dependencies, from pyproject.toml; needs uv, UPGRADE=--upgrade takes newer ones
	$(COMPILE) $(UPGRADE) --output-file requirements/runtime.txt
	$(COMPILE) $(UPGRADE) --extra dev --extra kind --constraint requirements/runtime.txt --output-file requirements/dev.txt
	sed -n '/^setuptools==/,/^[^ ]/{/^setuptools==/p;/^ /p}' requirements/dev.txt > requirements/build.txt

.PHONY: clean
clean: ## remove what was made in this folder
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

##@ Build

# The Docker engine, or buildah where there is none.
DOCKER ?= $(shell docker info >/dev/null 2>&1 || ! command -v buildah >/dev/null && echo docker || echo buildah)
DOCKER_REGISTRY ?=
DOCKER_TAG ?= $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE := $(if $(DOCKER_REGISTRY),$(DOCKER_REGISTRY)/)podset-planner-scheduler

.PHONY: build
build: $(READY) ## a wheel, in dist/
	$(BIN)/python -m pip wheel --disable-pip-version-check --quiet --no-deps --no-build-isolation --wheel-dir dist .

.PHONY: run
run: $(READY) ## the scheduler from this folder, on the cluster of KUBECONFIG or ~/.kube/config
	$(BIN)/python -m pallet --config=config/scheduler/scheduler-config.yaml --leader-elect=false -v=2 \
		--kubeconfig="$${KUBECONFIG:-$$HOME/.kube/config}" $(ARGS)

.PHONY: docker-build
docker-build: docker ## the image; DOCKER_REGISTRY, DOCKER_TAG
	$(DOCKER) build --build-arg COMMIT="$$(git rev-parse HEAD 2>/dev/null)" --tag $(IMAGE):$(DOCKER_TAG) .

.PHONY: docker-push
docker-push: docker ## push it
	$(DOCKER) push $(IMAGE):$(DOCKER_TAG)

.PHONY: docker
docker:
	@$(DOCKER) info >/dev/null 2>&1 || { echo "No Docker engine answers here: install or start one, or buildah, or set DOCKER=podman." \
		"Without one, 'make demo' runs the same process beside a local control plane."; exit 1; }

##@ Deployment

KUBECTL ?= kubectl
ignore-not-found ?= false

.PHONY: install
install: ## the custom resource definitions, on the cluster of KUBECONFIG
	$(KUBECTL) apply -k config/crd

.PHONY: uninstall
uninstall: ## remove them, and with them all triggers and plans
	$(KUBECTL) delete --ignore-not-found=$(ignore-not-found) -k config/crd

.PHONY: deploy
deploy: build/deploy/kustomization.yaml ## everything in config/, with the image of DOCKER_REGISTRY and DOCKER_TAG
	$(KUBECTL) apply -k build/deploy

.PHONY: migrate
migrate: ## remove ciena/pallet, pods included, before `make install deploy` takes its place
	$(KUBECTL) delete --ignore-not-found --cascade=foreground -f config/migrate/ciena-pallet.yaml

.PHONY: undeploy
undeploy: ## remove it again; namespace and custom resource definitions stay
	$(KUBECTL) delete --ignore-not-found=$(ignore-not-found) -k config/scheduler
	$(KUBECTL) delete --ignore-not-found=$(ignore-not-found) -k config/rbac

.PHONY: build/deploy/kustomization.yaml
build/deploy/kustomization.yaml:
	@mkdir -p $(@D)
	@printf '%s\n' 'resources: [../../config/default]' 'images:' '  - name: podset-planner-scheduler' \
		'    newName: $(IMAGE)' '    newTag: "$(DOCKER_TAG)"' > $@
