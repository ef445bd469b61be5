# Needs make, git and Python 3.11 or newer with venv; uses uv when it is there.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= python3
FOR_BENCH := .[dev,bench]
UV := $(shell command -v uv 2>/dev/null)
# Tests wait half of their time, for other processes. More than four workers wait for the one
# PostgreSQL.
WORKERS ?= 4

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test check fix bench clean

help: ## list these words
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1	\2/p' Makefile

demo: $(VENV)/.installed ## tests of two builds on two simulated phones
	@RUNYARD_HOME=$(CURDIR)/.runyard $(BIN)/runyard run examples/phones.yaml --simulate

test: $(VENV)/.installed-dev ## run all tests
	@.ci/chromium
	@$(BIN)/pytest -n $(WORKERS) --dist worksteal $(ARGS)

check: $(VENV)/.installed-dev ## lint, formatting, types, direction of imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: $(VENV)/.installed-dev ## repair lint and formatting
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.installed-bench ## measure speed
	@$(BIN)/python -m benchmarks $(ARGS)

clean: ## remove everything that make made
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis .artefacts
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The demo goes without the tools of development, to be quick on a new machine.
$(VENV)/.installed: pyproject.toml
	@$(call install,.)

$(VENV)/.installed-dev: pyproject.toml
	@$(call install,.[dev])
	@touch $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml
	@$(call install,$(FOR_BENCH))
	@touch $(VENV)/.installed $(VENV)/.installed-dev

ifdef UV
# A seeded environment has its own pip, so it goes on working should uv go away.
create = uv venv --quiet --seed --python '>=3.11' $(VENV)
install = [ -x $(BIN)/python ] || { rm -rf $(VENV); $(create); }; \
	uv pip install --python $(BIN)/python -e '$(1)' && touch $@
else
create = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Runyard needs Python 3.11 or newer: install it, or name it: make PYTHON=python3.12"; exit 1; }; \
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
# The stamp tells whether pip succeeded: a pipe keeps only the status of its last part.
install = [ -x $(BIN)/python ] || { rm -rf $(VENV); $(create); }; rm -f $@; \
	printf 'Installing into $(VENV):'; \
	{ $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off -e '$(1)' && touch $@; } | \
	while read -r word name rest; do \
		[ "$$word" != Collecting ] || printf ' %s' "$${name%%[][<>=~!;]*}"; \
	done; echo; [ -e $@ ]
endif
