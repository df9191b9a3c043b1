# Two commands are all a newcomer needs:  make demo   and   make test.
# Each makes its own virtual environment in .venv; Python 3.11 or newer and a network to PyPI are assumed.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore $(BIN)/python -m pip
JOBS ?= 2

.PHONY: help demo test lint types floors unit docs benchmarks clean

help: ## Show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "maestro needs Python 3.11 or newer; name one: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable '.[demo]'
	@touch $@

$(VENV)/.docs: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable '.[docs]'
	@touch $@

$(VENV)/.test: $(BIN)/python pyproject.toml
	$(PIP) install --quiet --editable '.[test,browser,docs]'
	@touch $@ $(VENV)/.demo $(VENV)/.docs

demo: $(VENV)/.demo ## A real service from nothing to a scored verdict
	$(BIN)/maestro demo

test: lint types floors unit ## Everything CI runs

lint: $(VENV)/.test ## Style
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.test ## Strict types
	$(BIN)/mypy
	cd templates/service && $(CURDIR)/$(BIN)/mypy --config-file ../../pyproject.toml service tests migrations

floors: $(VENV)/.test ## Imports point down only
	$(BIN)/lint-imports

unit: $(VENV)/.test ## Tests against a real PostgreSQL and a real Valkey
	@# Where PYTHONDONTWRITEBYTECODE is set, as in many containers, each of the hundreds of processes would compile it all anew.
	@$(BIN)/python -m compileall -q maestro_cli checks migrations templates tests
	@# Two processes of tests on a busy machine can starve a third: what failed is tried once more, by itself.
	$(BIN)/pytest -n $(JOBS) --dist loadfile || $(BIN)/pytest --last-failed --last-failed-no-failures none

docs: $(VENV)/.docs ## The reference pages and the manual from the code, and the site in build/site
	$(BIN)/python docs/generate.py
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site
	@echo "open build/site/index.html"

benchmarks: $(VENV)/.test ## Ratios against named baselines (minutes)
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

clean: ## Remove what the other targets made
	rm -rf $(VENV) build dist reports .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
