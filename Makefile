.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run check test lint docs nightly walkthrough bench lock audit doctor up down deploy cancel rollback undeploy clean check-python need-stage

# Recipes read these from the environment. They stay text: make would run a $(shell ...) in them.
override STAGE := $(value STAGE)
override ARGS := $(value ARGS)
export STAGE ARGS

# The first Python on the path that is new enough. To use another: make run PYTHON=/path/to/python
PYTHON ?= $(shell for p in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$p -E -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)

# Two processes, each with whole files, because fixtures of a file may take a minute. The order of
# collection starts the longest files early. A process that crashes ends the run, which would not end
# otherwise.
PARALLEL = --numprocesses 2 --dist loadfile --no-loadscope-reorder --max-worker-restart 0

# What make check covers: nothing that needs torch, a browser or processes of its own.
CHECK_TYPES = app.py chalicelib model_code cli aws ops tests/chalicelib tests/model_code tests/cli tests/aws tests/ops
CHECK_TESTS = tests/chalicelib tests/model_code tests/cli tests/aws tests/ops tests/test_packaging.py

help:
	@awk '/^##/ { print "\n" substr($$0, 4) } /^[a-z-]+:.*## / { split($$0, part, /:.*## /); printf "  make %-11s %s\n", part[1], part[2] }' $(MAKEFILE_LIST)

## Use
run: .venv/ready ## start the API and the model on this machine; PORT=9000, MODEL=folder
	@.venv/bin/python -E -m ops local

## Develop
check: .venv-check/ready ## lint, types and unit tests without torch: the API, the model server, operations
	$(call style,.venv-check)
	@.venv-check/bin/mypy --follow-imports=silent $(wildcard $(CHECK_TYPES))
	@.venv-check/bin/python -m pytest $(PARALLEL) -m "not server and not browser and not photos and not training" $(wildcard $(CHECK_TESTS))

test: .venv-dev/ready $(if $(ARGS),,lint) ## lint and all tests; ARGS="tests/chalicelib -k redirects" selects tests
	@.venv-dev/bin/python -m pytest $(or $(ARGS),$(PARALLEL))

lint: .venv-dev/ready ## style, spelling, imports between packages, types
	$(call style,.venv-dev)
	@.venv-dev/bin/mypy

docs: .venv-dev/ready ## regenerate docs/settings.md and the generated tables of README.md and docs/
	@.venv-dev/bin/python -m tests.settings_page
	@.venv-dev/bin/python -m tests.ops.iam.permission_tables
	@.venv-dev/bin/python -m benchmarks.document
	@UPDATE_DOCS=1 .venv-dev/bin/python -m pytest --quiet tests/ops/costs/test_scaling_doc.py

walkthrough: .venv-dev/ready ## run docs/walkthrough.ipynb and save its output
	@.venv-dev/bin/python -m tests.walkthrough

nightly: .venv-dev/ready ## fuzz and soak tests, ten times as long as in make test
	@NIGHTLY=1 .venv-dev/bin/python -m pytest tests/test_fuzz.py tests/test_soak.py tests/model_code/test_image_cost.py

bench: .venv-dev/ready ## run all benchmarks: Java, an idle machine, 15 minutes; ARGS=--quick takes two minutes
	@case " $$ARGS " in *" --quick "*|*" --smoke "*) ;; *) \
		$(MAKE) .venv-bench/ready || .venv-dev/bin/python -m benchmarks.install_peers || true;; esac
	@.venv-dev/bin/python -m benchmarks $(ARGS)

## Dependencies
lock: .venv-tools/ready ## write the locks from pyproject.toml; ARGS=--upgrade, or ARGS="--upgrade-package NAME"
	$(call lock,locks/dev.txt,dev)
	$(call lock,locks/check.txt,check,--constraints locks/dev.txt)
	$(call lock,locks/run.txt,run,--constraints locks/dev.txt --generate-hashes)
	$(call lock,locks/deploy.txt,deploy,--constraints locks/dev.txt --generate-hashes)
	$(call lock,model_code/requirements.txt,serving,--constraints locks/dev.txt --generate-hashes)
	$(call lock,training/requirements.txt,training,--constraints locks/dev.txt)
	$(call lock,training/jobs/requirements.txt,training-job,--no-deps)
	$(call lock,locks/bench.txt,bench)
	$(call lock,locks/tools.txt,tools,--generate-hashes)

audit: .venv-tools/ready ## look up known vulnerabilities of all locked versions
	@for lock in locks/dev.txt locks/bench.txt locks/tools.txt; do \
		.venv-tools/bin/pip-audit --disable-pip --no-deps --requirement $$lock || exit 1; done

## Bring a whole stage up or down
doctor: need-stage .venv-deploy/ready ## check a stage before it costs money: make doctor STAGE=dev
	@set -f; .venv-deploy/bin/python -m ops doctor --stage "$$STAGE" $$ARGS

up: need-stage .venv-deploy/ready ## from an empty account to a URL that answers: make up STAGE=dev; ARGS=--dry-run
	@set -f; .venv-deploy/bin/python -m ops up --stage "$$STAGE" $$ARGS

down: need-stage .venv-deploy/ready ## back to nothing: make down STAGE=dev; ARGS=--dry-run shows what, ARGS=--data also the bucket
	@set -f; .venv-deploy/bin/python -m ops down --stage "$$STAGE" $$ARGS

# The pipeline sets DIGEST, the SHA-256 of the bundle. An empty one is refused.

## Release the API
deploy: need-stage .venv-deploy/ready ## release to a stage: make deploy STAGE=dev; ARGS=--dry-run shows the changes
	@set -f; .venv-deploy/bin/python -m ops api release --stage "$$STAGE" $${DIGEST+--digest "$$DIGEST"} $$ARGS

cancel: need-stage .venv-deploy/ready ## stop a release in progress and roll it back: make cancel STAGE=prod
	@set -f; .venv-deploy/bin/python -m ops api release --stage "$$STAGE" --cancel $$ARGS

rollback: need-stage .venv-deploy/ready ## return to the previous release: make rollback STAGE=prod
	@set -f; .venv-deploy/bin/python -m ops api release --stage "$$STAGE" --rollback $$ARGS

undeploy: need-stage .venv-deploy/ready ## remove the API from AWS: make undeploy STAGE=dev
	@set -f; .venv-deploy/bin/python -m ops api remove --stage "$$STAGE" $$ARGS

## Clean up
clean: ## remove virtualenvs, caches and build output
	rm -rf .venv .venv-* build tests/npm/node_modules .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

define style
	@$(1)/bin/ruff check --quiet .
	@$(1)/bin/ruff format --check --quiet .
	@$(1)/bin/lint-imports
	@$(1)/bin/codespell
endef

# Versions in the old lock are kept if they can be. A lock that does not change keeps its time, which
# decides whether a virtualenv is set up again.
define lock
	@mkdir -p build && cp $(1) build/lock.txt
	@.venv-tools/bin/uv pip compile --quiet --group $(2) $(3) $(ARGS) --output-file build/lock.txt
	@cmp --silent build/lock.txt $(1) || { cp build/lock.txt $(1) && echo "$(1) has changed"; }
endef

# Everything is pinned, so pip has nothing to resolve.
define install
	@echo "Setting up $(@D) ($(1), once) …"
	@$(PYTHON) -E -m venv --clear $(@D)
	@$(@D)/bin/python -E -m pip install --quiet --disable-pip-version-check $(2) --requirement $<
	@touch $@
endef

.venv/ready: locks/run.txt | check-python
	$(call install,400 MB,--require-hashes)

.venv-deploy/ready: locks/deploy.txt | check-python
	$(call install,250 MB,--require-hashes)

.venv-tools/ready: locks/tools.txt | check-python
	$(call install,100 MB,--require-hashes)

.venv-check/ready: locks/check.txt | check-python
	$(call install,500 MB)

.venv-dev/ready: locks/dev.txt | check-python
	$(call install,torch and more: some gigabytes)

.venv-bench/ready: locks/bench.txt | check-python
	$(call install,torch and TorchServe: some gigabytes)

need-stage:
	@case "$$STAGE" in ''|*[!A-Za-z0-9_-]*) echo "Name a stage of .chalice/config.json: make $(firstword $(MAKECMDGOALS)) STAGE=dev" >&2; exit 2; esac
	@case "$$ARGS" in *[!A-Za-z0-9' =:/.,@%?&_+-']*) echo "ARGS may contain options only, without quotes and other special characters." >&2; exit 2; esac

check-python:
	@$(or $(PYTHON),false) -E -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { echo "Python 3.11 or newer is needed" \
		"$(if $(PYTHON),and $(PYTHON) is not one,and none is on the path)." \
		"Install it, or name it: make run PYTHON=/path/to/python3.11" >&2; exit 1; }
