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

LINT = $(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/pyright --pythonpath $(BIN)/python

OLDEST_JAX := $(shell sed -n 's/^ *"jax>=\(.*\)",/\1/p' pyproject.toml)

.PHONY: quickstart test test-oldest test-slow lint benchmark docs clean help

help:
	@sed -n 's/^#   //p' Makefile

quickstart: $(VENV)/installed
	$(BIN)/hebbax quickstart $(ARGS)

# The checks beside the first tests, for they keep one core busy only; what they say, below the tests.
test: $(VENV)/installed-test
	@($(LINT)) > $(VENV)/lint.txt 2>&1 & lint=$$!; \
	$(BIN)/python -m pytest -n auto --dist loadfile $(ARGS); tests=$$?; \
	wait $$lint; lint=$$?; cat $(VENV)/lint.txt; exit $$((tests || lint))

test-oldest: $(VENV)-oldest/installed-test
	$(VENV)-oldest/bin/python -m pytest -n auto --dist loadfile $(ARGS)

test-slow: $(VENV)/installed-test
	$(BIN)/python -m pytest -n auto -m slow $(ARGS)

lint: $(VENV)/installed-test
	$(LINT)

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

# What the two above install, by one call of pip.
$(VENV)/installed-all: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs,test]"
	@touch $(VENV)/installed $(VENV)/installed-test $(VENV)/installed-docs $@

$(VENV)-oldest/installed-test: pyproject.toml
	$(MAKE) $@ VENV=$(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check "jax==$(OLDEST_JAX).*"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-oldest runs docs/_build .pytest_cache .ruff_cache
