# A fresh clone needs two commands: `make quickstart` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Files of tests side by side; much of what they do is to wait for processes.
PYTEST := $(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help quickstart test format lint types pytest docs constraints clean

help: ## show this
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

quickstart: $(READY) ## install, run the quickstart study, show its table
	@$(BIN)/ottt sweep run experiments/studies/quickstart.yaml

test: $(READY) ## install, then format check, lint, type check, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST)

format: $(READY) ## rewrite the code in its standard form
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(READY) ## format check and lint
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(READY) ## type check
	$(BIN)/mypy

pytest: $(READY) ## tests alone
	$(PYTEST)

docs: $(READY) ## rewrite the pages that follow from the code
	$(BIN)/python -m docs.generate

constraints: ## pin what a clean install of today takes, in constraints.txt
	$(PYTHON) -m venv build/constraints
	build/constraints/bin/pip install --quiet --editable '.[dev,bench]'
	build/constraints/bin/pip freeze --exclude-editable | LC_ALL=C sort -f > constraints.txt
	rm -rf build/constraints

clean: ## remove the environment and caches; results stay
	rm -rf $(VENV) build .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python >= 3.11 is needed, got `$(PYTHON) --version`; name another: make PYTHON=python3.12" >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about 7 GB, a few minutes the first time"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@
