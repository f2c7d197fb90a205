# In a fresh clone: `make quickstart`, `make test`; `make help` lists the targets.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Files of tests run in parallel, one per core up to four: see docs/contributing.md.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help quickstart test format lint types pytest docs constraints clean

help: ## show this list
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

quickstart: $(READY) ## install, run the quickstart study, print its table
	@$(BIN)/ottt sweep run experiments/studies/quickstart.yaml

test: $(READY) ## install, then format check, lint, type check, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

format: $(READY) ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY) ## format check and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## type check
	$(BIN)/mypy

pytest: $(READY) ## tests only
	$(PYTEST)

docs: $(READY) ## regenerate the pages derived from the code
	$(BIN)/python -m docs.generate

constraints: ## pin the versions of a fresh install in constraints.txt
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --editable '.[dev,bench]'
	build/constraints/bin/pip freeze --exclude-editable | LC_ALL=C sort -f > constraints.txt
	rm -rf build/constraints

clean: ## remove the environment and caches, but not results
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python must be >= 3.11, got `$(PYTHON) --version`; use another: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 7 GB, a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
