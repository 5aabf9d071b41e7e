.DEFAULT_GOAL := help
.PHONY: help run test lint check-python nightly walkthrough bench audit deploy rollback undeploy need-stage clean

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

nightly: .venv-dev/ready ## the long tests, ten times as long
	@NIGHTLY=1 .venv-dev/bin/python -m pytest tests/test_fuzz.py tests/test_soak.py

bench: .venv-dev/ready .venv-bench/ready ## measure all against its peers; needs Java, an idle machine and a quarter of an hour
	@.venv-dev/bin/python -m benchmarks $(ARGS)

walkthrough: .venv-dev/ready ## run docs/walkthrough.ipynb from top to bottom, in place
	@.venv-dev/bin/python -m tests.walkthrough

audit: .venv-audit/ready ## known vulnerabilities of what is pinned (asks PyPI)
	@for file in requirements-local.txt training/requirements.txt; do \
		.venv-audit/bin/pip-audit --requirement $$file || exit 1; done

deploy: need-stage .venv-deploy/ready ## the API to AWS: make deploy STAGE=dev; ARGS=--dry-run only says what would change
	@.venv-deploy/bin/python -m scripts.deploy --stage $(STAGE) $(ARGS)

rollback: need-stage .venv-deploy/ready ## the release before: make rollback STAGE=prod
	@.venv-deploy/bin/python -m scripts.deploy --stage $(STAGE) --rollback $(ARGS)

undeploy: need-stage .venv-deploy/ready ## remove the API from AWS: make undeploy STAGE=dev
	@.venv-deploy/bin/python -m scripts.undeploy --stage $(STAGE) $(ARGS)

clean: ## remove what make made
	rm -rf .venv .venv-dev .venv-bench .venv-audit .venv-deploy build tests/npm/node_modules .pytest_cache .mypy_cache .ruff_cache

# Light: the API, the model server, no torch.
.venv/ready: requirements.txt requirements-local.txt model_code/requirements.txt | check-python
	@echo "Setting up .venv (some 400 MB, once) …"
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --disable-pip-version-check -r requirements-local.txt
	@touch $@

# What talks to AWS: no model, no torch.
.venv-deploy/ready: scripts/requirements.txt requirements.txt | check-python
	@echo "Setting up .venv-deploy (some 70 MB, once) …"
	@$(PYTHON) -m venv .venv-deploy
	@.venv-deploy/bin/python -m pip install --disable-pip-version-check -r scripts/requirements.txt
	@touch $@

# Heavy: training and tests on top of that.
.venv-dev/ready: tests/requirements.txt training/requirements.txt requirements-local.txt \
		requirements.txt model_code/requirements.txt | check-python
	@echo "Setting up .venv-dev (torch and more: some gigabytes, once) …"
	@$(PYTHON) -m venv .venv-dev
	@.venv-dev/bin/python -m pip install --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# What the benchmarks compare with: kept from everything of ours.
.venv-bench/ready: benchmarks/requirements.txt | check-python
	@echo "Setting up .venv-bench (torch, TorchServe and more: some gigabytes, once) …"
	@$(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --disable-pip-version-check -r benchmarks/requirements.txt
	@touch $@

.venv-audit/ready: | check-python
	@$(PYTHON) -m venv .venv-audit
	@.venv-audit/bin/python -m pip install --disable-pip-version-check pip-audit==2.10.1
	@touch $@

need-stage:
	@test -n "$(STAGE)" || { echo "Name a stage of .chalice/config.json: make $(firstword $(MAKECMDGOALS)) STAGE=dev" >&2; exit 2; }

check-python:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed" \
		"$(if $(PYTHON),and $(PYTHON) is not one,and none is on the path)." \
		"Install it, or name it: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
