# Two commands matter: `make demo` and `make test`. Each sets up what it needs first.

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help setup demo test unit bench check format contracts released lock soak clean

help: ## Show what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

setup: $(VENV)/.ready ## Fill .venv with the locked dependencies

$(VENV)/.ready: requirements/bootstrap.lock requirements/dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Abdrift needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "This Python has no venv module. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the locked dependencies into $(VENV)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/bootstrap.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## Run the whole pipeline on embedded Kafka and a simulated fleet of 50 clusters
	@$(BIN)/abdrift demo

test: setup ## Run every check and every test, real parts included
	@$(BIN)/python -m tests.run

unit: setup ## Run the tests that start nothing
	@$(BIN)/pytest -q -m "not parts"

bench: setup ## Run the firehose and remote write here and on their peers, side by side
	@$(BIN)/abdrift bench firehose $(ARGS)
	@$(BIN)/abdrift bench remote-write

check: setup ## Lint, types, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo 2>/dev/null || $(BIN)/lint-imports

format: setup ## Format the code
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

contracts: setup ## Write all that is generated anew: schemas, pages, manifests, dashboards, saved objects
	@$(BIN)/python -c 'from pathlib import Path; from abdrift.contract import write; [print(p) for p in write(Path())]'
	@$(BIN)/python -m deploy.grafana
	@$(BIN)/python -m sinks.elasticsearch.kibana

released: setup ## Take the current contract as released, unless that would break who reads by the old one
	@$(BIN)/python -c 'from pathlib import Path; from abdrift.contract.released import release; [print(p) for p in release(Path("tests/contract/released"))]'

lock: ## Resolve the dependencies anew and pin them with hashes
	@$(LOCK) --group bootstrap -o requirements/bootstrap.lock
	@$(LOCK) --group bench -o requirements/bench.lock
	@$(LOCK) pyproject.toml --group dev -o requirements/dev.lock
	@$(LOCK) pyproject.toml -c requirements/dev.lock -o requirements/run.lock

soak: setup ## Run the trials that are too long for CI, whole
	@$(BIN)/pytest -q -m soak

clean: ## Remove what setup and the tests made here
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
