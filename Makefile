# Everything runs in .venv, made from the pinned and hashed requirements; `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# One thread each: workers are processes, and results must not depend on the number of cores.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export TF_CPP_MIN_LOG_LEVEL = 2

.PHONY: help demo test lint bench requirements clean

help: ## list the targets
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 16

.venv/dev: requirements/dev.txt pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	touch $@

.venv/demo: requirements/base.txt pyproject.toml
	test -e .venv/dev || $(PYTHON) -m venv .venv
	test -e .venv/dev || $(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/base.txt
	test -e .venv/dev || $(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: .venv/demo ## fit softmax regression to the shipped digits on this machine, and write the report
	$(BIN)/dask-jobs minimize --data digits --l2 1 --run runs/demo
	$(BIN)/dask-jobs report runs/demo

test: .venv/dev ## run all tests that need no Kubernetes (installs Debian's chromium, for the report's pages, if there is none)
	@command -v chromium >/dev/null || ./tests/install-chromium
	$(BIN)/pytest

lint: .venv/dev ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: .venv/dev ## measure everything beside its peers and write benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks

requirements: .venv/dev ## pin and hash the requirements anew (needs uv)
	uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/base.txt
	uv pip compile pyproject.toml --extra tensorflow --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/tensorflow.txt
	uv pip compile pyproject.toml --extra tensorflow --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/dev.txt

clean: ## remove what the targets made
	rm -rf .venv build dist runs *.egg-info .mypy_cache .ruff_cache .pytest_cache
