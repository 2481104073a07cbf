# What one does with Vigil from a checkout. Each target sets up what it needs; nothing is installed outside .venv.

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.vigil-installed
LINTERS := .cache/linters

# Extras of the lock: the embedded broker and the tools of development.
LOCK = $(UV) pip compile --universal --generate-hashes --no-header --quiet
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

# The first Python that Vigil and its compiled parts run on.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$one -c '$(SUITS)' >/dev/null 2>&1 && { echo $$one; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help install demo test test-kafka test-slow check audit deploy-check pictures bench chaos lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## .venv with Vigil in it, exactly the locked versions
	@:

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Vigil needs Python 3.11 to 3.14, and there is no such python3 on PATH." \
		"Install one, or name it: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "making $(VENV) with $$($(PYTHON) --version): once, takes about a minute" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) could not make $(VENV); on Debian and Ubuntu the module is" \
		"in the package python3-venv. A half-made $(VENV) may be deleted: make clean" >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

demo: install ## Vigil at work on made-up rooms, in this terminal; Ctrl-C ends it
	@$(BIN)/vigil demo

# More processes than cores: tests wait for brokers, browsers and clocks for half of their time.
TEST_PROCESSES ?= 3
SPREAD = -n $(TEST_PROCESSES) --dist worksteal

test: install ## all tests but the slow ones; real Kafka where Java and Maven are
	$(BIN)/python -m pytest $(SPREAD) -m "not slow"

test-kafka: install ## the tests on real Apache Kafka, and fail where it cannot run
	VIGIL_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m "kafka and not slow"

test-slow: install ## the tests that take minutes
	VIGIL_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m slow

check: install ## style, types, locks, and whether the contract breaks anybody
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools
	$(BIN)/python tools/locks.py
	$(BIN)/python tools/compat.py

audit: install ## known vulnerabilities in the locked packages; says so where nobody can be asked
	$(BIN)/python -m tools.audit

pictures: install ## the manual's pictures, from a running demo and the system's Chromium
	$(BIN)/python -m tools.pictures

deploy-check: $(LINTERS)/.vigil-installed ## Dockerfile, Compose and Kubernetes examples and scripts by linters and the official schemas
	$(LINTERS)/bin/hadolint Dockerfile
	$(LINTERS)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(LINTERS)/bin/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml deploy/kubernetes/optional/ingress.yaml
	$(LINTERS)/bin/shellcheck .ci/run tools/ci-packages

$(LINTERS)/.vigil-installed: deploy/linters.lock
	@test -n "$(PYTHON)" || { echo "error: there is no Python 3.11 to 3.14 on PATH" >&2; exit 1; }
	@$(PYTHON) -m venv $(LINTERS)
	@$(LINTERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/linters.lock
	@touch $@

bench: install ## the benchmarks
	$(BIN)/python -m benchmarks

chaos: install ## seeded runs that kill, freeze and cut off workers and broker
	$(BIN)/python -m tools.chaos

lock: install ## renew the locks from pyproject.toml (keeps what still fits; LOCK_OPTIONS=--upgrade for the newest)
	@test -x "$(UV)" || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) $(LOCK_OPTIONS) --extra demo --extra dev pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock pyproject.toml -o deploy/requirements.lock
	$(LOCK) $(LOCK_OPTIONS) deploy/linters.in -o deploy/linters.lock
	$(BIN)/python tools/locks.py

clean: ## delete .venv and what tools left in the tree
	rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
