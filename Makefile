# Two commands do everything on a machine that has Python >= 3.11, make and a package index:
#   make quickstart    meta-learn a genome and see it at work
#   make test          lint, type-check and test
# And more that takes its time:
#   make test-oldest   test with the oldest jax that is supported
#   make test-slow     kill processes at random moments, run every example, read all real data
# And the pages, into docs/_build/html:
#   make docs          build the documentation, executing its tutorials

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
ARGS   ?=

OLDEST_JAX := $(shell sed -n 's/^ *"jax>=\(.*\)",/\1/p' pyproject.toml)

.PHONY: quickstart test test-oldest test-slow lint benchmark docs clean help

help:
	@sed -n 's/^#   //p' Makefile

quickstart: $(VENV)/installed
	$(BIN)/hebbax quickstart $(ARGS)

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS)

test-oldest: $(VENV)-oldest/installed-test
	$(VENV)-oldest/bin/python -m pytest -n auto --dist loadfile $(ARGS)

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto -m slow $(ARGS)

lint: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

benchmark: $(VENV)/installed-test
	$(BIN)/python benchmarks/blur.py $(ARGS)

docs: $(VENV)/installed-docs
	$(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "hebbax needs Python >= 3.11; $(PYTHON) is older. Try: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-test: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	@touch $@ $(VENV)/installed

$(VENV)/installed-docs: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	@touch $@ $(VENV)/installed

$(VENV)-oldest/installed-test: pyproject.toml
	$(MAKE) $@ VENV=$(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check "jax==$(OLDEST_JAX).*"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest runs docs/_build .pytest_cache .ruff_cache
