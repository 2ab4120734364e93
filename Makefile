# `make demo` and `make test` do all the set-up on a fresh Debian machine with Python 3.11; second runs reuse it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --editable
INSTALLED := $(VENV)/.installed
DEMO_RUN ?= runs/demo
BENCH_JSON ?= benchmarks/results/objective.json

.PHONY: demo test bench check format clean

demo: $(INSTALLED)
	$(BIN)/hscl train digits --out $(DEMO_RUN) --overwrite

test: $(INSTALLED)
	$(BIN)/pytest --cov --cov-report=term

# A quiet quarter of an hour on two cores; the figures go into benchmarks/results/ and the README.
bench: $(INSTALLED)
	$(INSTALL) '.[bench,peers]'
	mkdir -p $(dir $(BENCH_JSON))
	$(BIN)/python -m pytest benchmarks --benchmark-json=$(BENCH_JSON)
	$(BIN)/python -m benchmarks.table $(BENCH_JSON) README.md

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(INSTALLED): setup.py pyproject.toml tools/debian-packages
	PYTHON="$(PYTHON)" sh tools/debian-packages
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "hscl-fast needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(INSTALL) '.[dev,bench,tensorboard,ffcv]' \
		|| { echo "going on without the FFCV loader, whose tests are skipped: it did not build (see above)"; \
			$(INSTALL) '.[dev,bench,tensorboard]'; }
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
