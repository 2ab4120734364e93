# `make demo` and `make test` do all the set-up on a fresh Debian machine with Python 3.11; second runs reuse it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable
INSTALLED := $(VENV)/.installed
PYTEST := $(BIN)/pytest -n auto --maxprocesses 8 --dist worksteal
DEMO_RUN ?= runs/demo
SUITES ?= objective views loaders training_step ablation startup roofline
GPU_SUITES ?= objective views ablation
SECONDS ?= 600
TRIALS ?= benchmarks/accuracy/tables/digits.yaml
RUNS ?= runs/accuracy
JOBS ?= 2
THREADS ?= 1
FINDINGS ?= findings
RESULTS := benchmarks/results
NATIVE := $(wildcard kernels/hscl_kernels/contrast/native/*)

.PHONY: demo test browser quick faults hostile fuzz coverage bench accuracy gpu-check check format clean

demo: $(INSTALLED)
	$(BIN)/hscl train digits --recipe minute --out $(DEMO_RUN) --overwrite

# Each test uses one thread, so there is one process per core; --dist worksteal evens out long and short ones.
test: $(INSTALLED) browser
	$(PYTEST) --durations=25

# What tests of web pages need beside the packages above: two Debian packages.
browser:
	@PYTHON="$(PYTHON)" sh tools/debian-packages chromium chromium-driver

# All tests except those marked slow: a few minutes, for use while working.
quick: $(INSTALLED)
	$(PYTEST) -m 'not slow'

# 100 kills instead of the thirteen of `make test`, and more failing disks and lost ranks; takes half an hour on two cores.
faults: $(INSTALLED)
	HSCL_FAULTS=100 $(PYTEST) tests/faults

# Every hostile input, and a fuzzer of the readers of files from outside; what it finds is kept in $(FINDINGS).
hostile: $(INSTALLED)
	$(PYTEST) tests/hostile

fuzz: $(INSTALLED)
	$(INSTALL) '.[fuzz]'
	PYTHONPATH=tests nice -n 10 $(BIN)/python -m hostile.fuzz --seconds $(SECONDS) --findings $(FINDINGS)

coverage: $(INSTALLED) browser
	$(PYTEST) --cov --cov-report=term

# Takes half an hour on two quiet cores; to run fewer suites: make bench SUITES=views. The figures are written to
# benchmarks/results/, the tables to docs/benchmarks.md and the README.
bench: $(INSTALLED)
	$(INSTALL) '.[bench,peers]'
	mkdir -p $(RESULTS)
	set -e; for suite in $(SUITES); do \
		$(BIN)/python -m pytest benchmarks -k $$suite --benchmark-json=$(RESULTS)/$$suite.json; done
	$(BIN)/python -m benchmarks.docs_page $(RESULTS) docs/benchmarks.md README.md

# Trains what a table of trials lists and writes docs/accuracy.md; the same command goes on after it was stopped. Where
# data lies: make accuracy TRIALS=FILE AT="cifar10=/data/cifar10 pcb=/data/pcb". JOBS runs side by side, each of THREADS.
accuracy: $(INSTALLED)
	$(BIN)/python -m benchmarks.accuracy $(TRIALS) --runs $(RUNS) --jobs $(JOBS) --threads $(THREADS) \
		$(if $(AT),--at $(AT))

# Checks the kernels on a GPU. Without one it fails, because everything would be skipped.
gpu-check: $(INSTALLED)
	@$(BIN)/python -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' \
		|| { echo "gpu-check: torch finds no CUDA or ROCm device here, so nothing was checked; hscl doctor checks the CPU"; \
			exit 1; }
	$(BIN)/hscl doctor --device cuda
	$(BIN)/pytest -m gpu
	$(INSTALL) '.[bench,peers]'
	mkdir -p $(RESULTS)
	set -e; for suite in $(GPU_SUITES); do \
		$(BIN)/python -m pytest benchmarks/test_gpu_$$suite.py --benchmark-json=$(RESULTS)/gpu_$$suite.json; done

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): setup.py pyproject.toml tools/debian-packages $(NATIVE)
	PYTHON="$(PYTHON)" sh tools/debian-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "hscl-fast needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev,bench,tensorboard,export,ray,ffcv]' \
		|| { echo "continuing without the FFCV loader, which did not build (see above); its tests are skipped"; \
			$(INSTALL) '.[dev,bench,tensorboard,export,ray]'; }
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
