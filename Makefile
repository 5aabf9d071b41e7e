.DEFAULT_GOAL := help
.PHONY: help run test lint check-python clean

# The first Python on the path that is new enough; PYTHON=/path/to/python make run chooses another.
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

run: .venv/ready ## the API and the model on this machine; PORT=9000 and MODEL=folder choose others
	@.venv/bin/python -m scripts.run_local

test: .venv-dev/ready lint ## everything that can be checked here
	@.venv-dev/bin/python -m pytest

lint: .venv-dev/ready ## style and types
	@.venv-dev/bin/ruff check .
	@.venv-dev/bin/ruff format --check .
	@.venv-dev/bin/mypy

clean: ## remove what make made
	rm -rf .venv .venv-dev build .pytest_cache .mypy_cache .ruff_cache

# Light: the API, the model server, no torch.
.venv/ready: requirements.txt requirements-local.txt model_code/requirements.txt | check-python
	@echo "Setting up .venv (some 400 MB, once) …"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --disable-pip-version-check -r requirements-local.txt
	@touch $@

# Heavy: training and tests on top of that.
.venv-dev/ready: tests/requirements.txt training/requirements.txt requirements-local.txt \
		requirements.txt model_code/requirements.txt | check-python
	@echo "Setting up .venv-dev (torch and more: some gigabytes, once) …"
	@$(PYTHON) -m venv .venv-dev
	@.venv-dev/bin/python -m pip install --disable-pip-version-check -r tests/requirements.txt
	@touch $@

check-python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed" \
		"$(if $(PYTHON),and $(PYTHON) is not one,and none is on the path)." \
		"Install it, or name it: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
