# Each target sets itself up in .venv: `make demo` on a fresh machine is all it takes.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet

.PHONY: demo test lint bench clean

demo: $(VENV)/.has-demo
	$(BIN)/sorawatch demo $(ARGS)

# Two runs: most tests side by side, then those that need the machine to themselves. Where ARGS
# chooses tests of one kind only, the other run finds none (status 5). Cameras and programs run in
# real time, and a machine that is away for a second costs them frames: what fails is tried once
# more, and the summary tells which did (RERUN).
test: $(VENV)/.has-dev $(VENV)/.has-train
	$(BIN)/python -m pytest -m 'not alone' -n logical --maxprocesses 4 --dist loadfile --reruns 1 $(ARGS) || test $$? = 5
	$(BIN)/python -m pytest -m alone --reruns 1 $(ARGS) || test $$? = 5

lint: $(VENV)/.has-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.has-dev
	$(BIN)/python -m benchmarks $(ARGS)

# One stamp for each extra: made once, and again when the dependencies change.
$(VENV)/.has-%: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable '.[$*]'
	@touch $@

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Sorawatch needs Python \
	3.11 or newer, $(PYTHON) is " + sys.version.split()[0] + ": try make PYTHON=python3.11")'
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out
