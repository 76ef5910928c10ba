# OpenBPU: every task of the repository. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV ?= .venv
PY := $(VENV)/bin/python
PACKAGES := bpu_common bpu_sim bpu_board bpu_host openbpu
export GRPC_ENABLE_FORK_SUPPORT := 0

.PHONY: help setup demo test test-system chaos soak fuzz fuzz-long lint type proto bench docs wheels clean lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

setup: $(VENV)/.installed $(VENV)/.kernels ## create the environment (.venv) with pinned, hashed dependencies

$(VENV)/.installed: pyproject.toml requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("OpenBPU needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Next: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	@if UV=$$(command -v uv) || { $(PY) -m pip install -q --disable-pip-version-check uv && UV=$(VENV)/bin/uv; }; then \
	  "$$UV" pip install -q --python $(PY) --require-hashes -r requirements.txt && "$$UV" pip install -q --python $(PY) --no-deps -e .; \
	else \
	  $(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements.txt && $(PY) -m pip install -q --disable-pip-version-check --no-deps -e .; \
	fi
	touch $@

$(VENV)/.kernels: $(VENV)/.installed $(wildcard simulator/bpu_sim/kernels/src/*) $(addprefix simulator/bpu_sim/kernels/,build.py library.py)
	@$(PY) -m bpu_sim.kernels.build --optional
	touch $@

demo: setup ## convert a real face detector, run it on a simulated board, draw what it finds (MODEL=, IMAGE=, SIZE=, TYPE=)
	$(PY) demo/run.py $(if $(MODEL),--model "$(MODEL)") $(if $(IMAGE),--image "$(IMAGE)") \
	  $(if $(SIZE),--size "$(SIZE)") $(if $(TYPE),--train-type "$(TYPE)") $(DEMO_ARGS)

test: setup ## every test that needs only Python packages
	$(PY) -m pytest -n 2 --dist loadfile -m "not system" tests

test-system: setup ## tests that need system packages; installs them where it may, else names what is missing
	bash tests/system/install.sh
	$(PY) -m pytest -m system tests

chaos: setup ## kill everything 100 times at random moments (BPU_CHAOS_SEED=N repeats a run)
	bash tests/system/install.sh
	$(PY) -m pytest -m system -s tests/chaos

soak: setup ## two minutes of mixed load on an agent: what it holds must not grow
	$(PY) -m tests.soak --seconds 120

$(VENV)/.fuzzing: requirements-fuzz.txt $(VENV)/.installed
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-fuzz.txt
	touch $@

fuzz: setup $(VENV)/.fuzzing ## every reader guided by coverage, some minutes (docs/reliability.md)
	$(PY) -m tests.fuzz_targets --runs 5000 --cpu-s 15

fuzz-long: setup $(VENV)/.fuzzing ## the same, 100,000 executions and 10 minutes of CPU a target
	$(PY) -m tests.fuzz_targets --runs 100000 --cpu-s 600

lint: setup ## style, import contracts, types, generated files, file lengths
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(MAKE) --no-print-directory type
	$(PY) -m pytest -m "not system" tests/arch

type: setup ## mypy --strict on all packages
	$(PY) -m mypy $(addprefix -p ,$(PACKAGES))

proto: setup ## generate the protobuf code that is checked in
	$(PY) proto/generate.py

bench: setup ## measure everything that is claimed; writes benchmarks/RESULTS.md
	$(PY) -m benchmarks.run

docs: setup ## rewrite the generated pages of docs/
	$(PY) -m bpu_host.compiler.rules.document
	$(PY) docs/generate_status.py
	$(PY) -m bpu_host.cli.write_first_screens
	$(PY) -m bpu_board.cli.write_first_screens
	$(PY) -m bpu_host.reference
	$(PY) -m tests.hostile.table

wheels: setup ## build the wheels of host and board for x86_64 and aarch64 into dist/, kernels inside
	$(PY) -m pip install -q --disable-pip-version-check --require-hashes -r requirements-release.txt
	for machine in x86_64 aarch64; do \
	  $(PY) -m bpu_sim.kernels.build --cross --machine $$machine \
	    --output build/kernels/libbpukernels-$$machine.so; \
	done
	for machine in x86_64 aarch64; do for project in . board; do \
	  BPU_WHEEL=$$machine $(PY) -m build --wheel --outdir dist $$project; \
	done; done

lock: ## renew requirements.txt, requirements-release.txt and requirements-fuzz.txt (names and hashes, no addresses)
	uv export -q --no-emit-project --all-extras --format requirements-txt --no-header -o requirements.txt
	echo 'ziglang>=0.15,<0.18' | uv pip compile -q --generate-hashes --no-header --no-annotate -o requirements-release.txt -
	echo 'atheris>=3,<4' | uv pip compile -q --generate-hashes --no-header --no-annotate -o requirements-fuzz.txt -
	rm -f uv.lock

clean: ## remove everything that was made
	rm -rf $(VENV) dist build demo_output .mypy_cache .ruff_cache .pytest_cache .hypothesis
