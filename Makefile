# Targets for a checkout. Each installs what it needs; nothing is installed outside .venv (and .cache).

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.vigil-installed
DEMO_READY := $(VENV)/.vigil-demo-installed
LINTERS := .cache/linters

# The command that makes a lock.
LOCK = $(UV) pip compile --universal --generate-hashes --no-header --quiet
UV := $(shell command -v uv 2>/dev/null || echo $(BIN)/uv)

# The first Python on PATH that Vigil and its compiled dependencies support.
SUITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11 python3.14; do \
	$$one -c '$(SUITS)' >/dev/null 2>&1 && { echo $$one; break; }; done)

.DEFAULT_GOAL := help
.PHONY: help install demo demo-video demo-kafka test test-kafka test-ci test-slow test-properties check audit generated deploy-check pictures bench counts chaos reality lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(READY) ## create .venv with Vigil and the locked versions of all its dependencies, those of the tests included
	@:

# What `make demo` needs is a third of it, and is there first.
$(READY): $(DEMO_READY) requirements.lock
	@echo "installing what tests and tools need into $(VENV), once" >&2
	@$(BIN)/python tools/install.py requirements.lock
	@touch $@

$(DEMO_READY): deploy/demo.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "error: Vigil needs Python 3.11 to 3.14, and there is no such python3 on PATH." \
		"Install one, or name it: make install PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "creating $(VENV) with $$($(PYTHON) --version), once" >&2
	@$(PYTHON) -m venv $(VENV) || { echo "error: $(PYTHON) could not create $(VENV); on Debian and Ubuntu the module" \
		"venv is in the package python3-venv. To remove an incomplete $(VENV), run: make clean" >&2; exit 1; }
	@$(BIN)/python tools/install.py deploy/demo.lock
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-index --no-deps \
		--no-build-isolation --editable .
	@touch $@

demo: $(DEMO_READY) ## run Vigil on simulated rooms in this terminal, until Ctrl-C
	@$(BIN)/vigil demo

demo-video: install ## run Vigil on a stream of a drawn camera: RTMP, probe, worker, verdicts, console
	@$(BIN)/python -m tools.demo_video

demo-kafka: install ## run the demo on Apache Kafka instead of the embedded broker (needs Java and Maven)
	@$(BIN)/python -m tools.demo_kafka

# More processes than cores: tests spend half of their time waiting for brokers, browsers and timers.
TEST_PROCESSES ?= 3
SPREAD = -n $(TEST_PROCESSES) --dist worksteal

test: install ## run all tests but the slow ones, on Apache Kafka too if Java and Maven are installed
	$(BIN)/python -m pytest $(SPREAD) -m "not slow and not ci"

test-kafka: install ## run the tests on Apache Kafka; fail if it cannot be started
	VIGIL_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m "kafka and not slow"

test-ci: install ## run the longer tests that `.ci/run` adds to those of `make test`
	VIGIL_REQUIRE_KAFKA=1 $(BIN)/python -m pytest $(SPREAD) -m "ci and not slow"

test-slow: install ## run the tests that take minutes, and those of `make test-ci`
	VIGIL_REQUIRE_KAFKA=1 $(BIN)/python -m pytest -m "slow or ci"

test-properties: install ## run the property tests with ten times as many examples as `make test`
	VIGIL_EXAMPLES=4 $(BIN)/python -m pytest $(SPREAD) -m "hypothesis and not slow and not ci"

check: install ## check style, types, locks and the compatibility of the contract
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy tools
	$(BIN)/python tools/locks.py
	$(BIN)/python tools/compat.py

audit: install ## check the locked packages for known vulnerabilities; fails where the index has no advisories
	$(BIN)/python -m tools.audit

generated: install ## write the documents and dashboards that are made from the code
	$(BIN)/python tools/contracts.py write
	$(BIN)/python -m tools.metrics_page
	$(BIN)/python -m tools.dashboards
	$(BIN)/python -m tools.tables_page
	VIGIL_WRITE_DOCS=1 $(BIN)/python -m pytest -q tests/docs/test_docs_rulebook.py tests/docs/test_docs_rights.py tests/docs/test_analysis.py

pictures: install ## take the screenshots of the documentation from a running demo, with the system's Chromium
	$(BIN)/python -m tools.pictures

deploy-check: $(LINTERS)/.vigil-installed ## check Dockerfile, Compose and Kubernetes examples and scripts with linters and schemas
	$(LINTERS)/bin/hadolint Dockerfile
	$(LINTERS)/bin/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml
	$(LINTERS)/bin/kubernetes-validate --strict --quiet deploy/kubernetes/*.yaml deploy/kubernetes/optional/ingress.yaml
	$(LINTERS)/bin/shellcheck .ci/run tools/ci-packages

$(LINTERS)/.vigil-installed: deploy/linters.lock
	@test -n "$(PYTHON)" || { echo "error: there is no Python 3.11 to 3.14 on PATH" >&2; exit 1; }
	@$(PYTHON) -m venv $(LINTERS)
	@$(LINTERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement deploy/linters.lock
	@touch $@

# `make bench latency growth` runs the named ones: words after `bench` are names of benchmarks, not targets.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
BENCHMARKS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(BENCHMARKS)
$(BENCHMARKS):
	@:
endif

bench: install ## run the benchmarks, or those named after it: make bench peers latency
	$(BIN)/python -m benchmarks $(BENCHMARKS)

counts: install ## record what each kind of event costs, in calls and instructions, for this version of Python
	$(BIN)/python -m benchmarks counts --write

reality: install ## replay data that nobody here wrote, count again in SQL, and fail on any difference (needs npm)
	$(BIN)/python -m tools.reality

chaos: install ## run seeded chaos tests: workers and broker are killed, frozen and disconnected
	$(BIN)/python -m tools.chaos

lock: install ## renew the locks from pyproject.toml; keeps versions that still fit unless LOCK_OPTIONS=--upgrade
	@test -x "$(UV)" || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) $(LOCK_OPTIONS) --all-extras pyproject.toml -o requirements.lock
	$(LOCK) -c requirements.lock pyproject.toml -o deploy/requirements.lock
	$(LOCK) -c requirements.lock --extra demo pyproject.toml deploy/build.in -o deploy/demo.lock
	$(LOCK) -c requirements.lock deploy/build.in -o deploy/build.lock
	$(LOCK) $(LOCK_OPTIONS) deploy/linters.in -o deploy/linters.lock
	$(LOCK) --python-version 3.11 benchmarks/peers/requirements.in -o benchmarks/peers/requirements.lock
	$(BIN)/python tools/locks.py

clean: ## delete .venv and the caches of tools
	rm -rf $(VENV) build dist .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
