# `make repro` computes the whole report; `make test` runs the tests. Both set up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: setup repro test lint check clean
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

repro: $(READY)
	PATH="$(CURDIR)/$(BIN):$$PATH" dvc repro
	@ls reports/*/README.md

test: $(READY)
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test

# Forgets what the pipeline made (DVC's cache keeps it); leaves the environment.
clean:
	rm -rf avd configs data/clips evaluators features models outputs scores .work
