# Everything runs in .venv, made from the pinned and hashed requirements; `make` alone lists the targets.
PYTHON ?= python3
BIN := .venv/bin
# One thread each: workers are processes, and results must not depend on the number of cores.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export TF_CPP_MIN_LOG_LEVEL = 2
# Without compiled files each program would compile all of the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo demo-alexnet test fuzz test-torch lint test-charts manifests images e2e bench bench-alexnet bench-kubernetes requirements clean

help: ## list the targets
	@grep -E '^[a-z0-9-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | expand -t 20

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

# PyTorch is in an environment of its own, on top of .venv: it is 3 GB to download and 5 GB on the disk.
.venv/torch/ready: .venv/dev requirements/torch.txt
	$(BIN)/python -m venv --without-pip .venv/torch
	echo "import site; site.addsitedir('$$($(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")')" \
		> $$(.venv/torch/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/dev.pth
	$(BIN)/pip --python .venv/torch/bin/python install --quiet --disable-pip-version-check --require-hashes -r requirements/torch.txt
	touch $@

demo: .venv/demo ## fit softmax regression to the shipped digits on this machine, and write the report
	$(BIN)/dask-jobs minimize --data digits --l2 1 --run runs/demo
	$(BIN)/dask-jobs report runs/demo

demo-alexnet: .venv/dev ## train a small AlexNet on generated tars, served by an S3 server on this machine
	$(BIN)/dask-jobs alexnet --demo --run runs/demo-alexnet
	$(BIN)/dask-jobs report runs/demo-alexnet

test: .venv/dev ## run all tests that need neither Kubernetes nor helm (installs Debian's chromium, for the report's pages, if there is none)
	@./tests/install-chromium
	$(BIN)/pytest --numprocesses=4 --dist=loadfile --no-loadscope-reorder --durations=25

fuzz: .venv/dev ## run the fuzz tests with new seeds, 20 times as long (FUZZ_SEED, FUZZ_TIMES; a failure names its seed)
	FUZZ_SEED=$${FUZZ_SEED:-$$(date +%s)} FUZZ_TIMES=$${FUZZ_TIMES:-20} $(BIN)/pytest tests/fuzz --numprocesses=2 --timeout=7200

test-torch: .venv/torch/ready ## run the tests of PyTorch, in an environment of its own (3 GB to download)
	.venv/torch/bin/python -m pytest tests/minimize_torch --numprocesses=2 --dist=loadfile --durations=10

lint: .venv/dev ## check style, types, and that imports follow the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test-charts: .venv/dev ## lint and render the charts, check what is generated from them (needs helm)
	$(BIN)/pytest tests/charts --numprocesses=2 --dist=loadfile

manifests: .venv/dev ## generate the charts' values, schemas and READMEs, and the manifests in k8s/ (needs helm)
	$(BIN)/python charts/generate.py

images: ## build the image with docker, podman or buildah; TARGETS=base for the smallest alone
	./images/build $(TARGETS)

e2e: .venv/dev ## run the tests on a real cluster: KUBECONFIG and DASK_JOBS_IMAGE, the image's name on its nodes
	$(BIN)/pytest tests/e2e --numprocesses=4 --dist=loadscope --no-loadscope-reorder --durations=25

bench: .venv/torch/ready ## measure everything beside its peers and write benchmarks/RESULTS.md, SCALE.md, TUNE.md, TRAIN.md and TORCH.md
	$(BIN)/python -m benchmarks.minimize
	$(BIN)/python -m benchmarks.scale
	$(BIN)/python -m benchmarks.tune
	$(BIN)/python -m benchmarks.train
	.venv/torch/bin/python -m benchmarks.torch

bench-alexnet: .venv/dev ## measure the alexnet job beside its peers and write benchmarks/ALEXNET.md
	$(BIN)/python -m benchmarks.alexnet

bench-kubernetes: .venv/dev ## measure from helm install to the result (KUBECONFIG, DASK_JOBS_IMAGE) and write benchmarks/KUBERNETES.md
	$(BIN)/python -m benchmarks.kubernetes

requirements: .venv/dev ## pin and hash the requirements anew (needs uv)
	uv pip compile pyproject.toml --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/base.txt
	uv pip compile pyproject.toml --extra tables --constraint requirements/base.txt --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/tables.txt
	uv pip compile pyproject.toml --extra tensorflow --extra images --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/tensorflow.txt
	uv pip compile pyproject.toml --extra gpu --extra images --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/gpu.txt
	echo 'setuptools>=77' | uv pip compile - --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/build.txt
	uv pip compile pyproject.toml --extra tensorflow --extra images --extra demo --extra tables --extra sklearn --extra dev --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/dev.txt
	uv pip compile pyproject.toml --extra torch --constraint requirements/dev.txt --generate-hashes --no-emit-index-url --no-emit-find-links --no-header --python-version 3.11 -q -o requirements/torch.txt

clean: ## remove what the targets made
	rm -rf .venv build dist runs *.egg-info .mypy_cache .ruff_cache .pytest_cache
