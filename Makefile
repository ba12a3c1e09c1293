# make demo · make test · make check · make bench · make api-fuzz · make crash · make chaos · make fuzz · make prove. Needs Python 3.11, nothing installed by hand.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test bench api-fuzz crash chaos chaos-each fuzz prove check

demo: $(VENV)/.demo
	@$(BIN)/answerable demo $(ARGS)

test: $(VENV)/.dev
	@SECONDS=0; $(BIN)/python -m pytest --numprocesses $${WORKERS:-2} --dist loadfile --no-loadscope-reorder $(ARGS); echo "the tests took $$SECONDS s"

bench: $(VENV)/.dev
	@$(BIN)/python -m benchmarks $(ARGS)

api-fuzz: $(VENV)/.dev
	@export API_FUZZ_EXAMPLES=$${API_FUZZ_EXAMPLES:-1000} API_FUZZ_SEED=$${API_FUZZ_SEED:-$$RANDOM}; \
	  echo "API_FUZZ_EXAMPLES=$$API_FUZZ_EXAMPLES API_FUZZ_SEED=$$API_FUZZ_SEED"; \
	  $(BIN)/python -m pytest tests/e2e/test_api_schema.py $(ARGS)

crash: $(VENV)/.dev
	@$(BIN)/python -m tests.crash $(ARGS)

fuzz: $(VENV)/.fuzz
	@$(BIN)/python -m tests.fuzz $(ARGS)

prove: $(VENV)/.dev
	@$(BIN)/python -m pytest -m prove --numprocesses $${WORKERS:-2} --dist worksteal $(ARGS)

chaos: $(VENV)/.dev
	@$(BIN)/python -m tests.chaos $(ARGS)

chaos-each: $(VENV)/.dev
	@$(BIN)/python -m tests.chaos each

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11 …"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "this Python cannot make environments: install python3-venv (Debian: apt-get install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.demo

$(VENV)/.fuzz: pyproject.toml | $(VENV)/.dev
	-$(PIP) --editable '.[fuzz]'
	@touch $@
