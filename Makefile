# `make repro` computes the whole report; `make test` runs the tests. Both set up .venv first, once.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

# Without .git, as in a ZIP of the repository, DVC is told to do without; git knows no such file.
SCM := $(if $(wildcard .git),,.dvc/config.local)

.PHONY: setup repro train test test-slow torture fresh rescore gate verify docs wheel lint check clean bench bench-gpu bench-start
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	$(BIN)/uv pip install --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

.dvc/config.local:
	printf '[core]\n    no_scm = true\n' > $@

repro: $(READY) $(SCM)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tpsm.jobs.repro --side-by-side
	@ls reports/index.html reports/*/README.md

# Everything from scratch into trained/, for `tpsm publish`; it says beforehand how long it takes, and resumes.
train: $(READY)
	$(BIN)/dvc repro --quiet *.dvc
	$(BIN)/tpsm train-all $(TRAIN)
	$(BIN)/python -m eval evaluators --dataset puppets --fresh

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

# The slow ones: every configuration of the papers at full size, twenty minutes and more on two cores.
test-slow: $(READY)
	$(BIN)/python -m pytest -m slow

# Kills every stage in its midst, and feeds the programs hostile inputs: a quarter of an hour.
# TORTURE='--kills 500' changes what runs.
torture: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python tests/torture $(TORTURE)

# Is the committed report that of this code and these parameters? Needs no data, and takes seconds.
fresh: $(READY) $(SCM)
	@$(BIN)/tpsm configure > /dev/null
	@$(BIN)/python -m eval.checks.fresh

# Scores stored predictions anew, in a clone without data, and trains nothing. See docs/reviewers.md.
# DVC pulls what a stage depends on only where that is one output; a run's outputs are several, so they come first.
rescore: $(READY) $(SCM)
	$(BIN)/dvc pull $$($(BIN)/dvc stage list --name-only | grep -E '^(train|reconstruct|animate)')
	PATH="$(abspath $(BIN)):$$PATH" python -m tpsm.jobs.repro --pull --allow-missing

# Does this code, with the published weights, still give the committed numbers, and does training compute what it did?
# See docs/gate.md.
gate: $(READY) $(SCM)
	PATH="$(CURDIR)/$(BIN):$$PATH" python -m tpsm.jobs.repro --quiet report@puppets
	$(BIN)/python -m eval gate
	$(BIN)/tpsm check-training

# Do the reported numbers follow from the scores? In a fresh clone it says what to pull.
verify: $(READY)
	@$(BIN)/tpsm configure > /dev/null
	@for report in reports/*/metrics.json; do set -- $$(dirname $$report); \
	  $(BIN)/python -m eval verify --dataset $$(basename $$1) || exit 1; done

# How fast this package is beside the released code, both in turn -> reports/bench/<machine>.json and a plot, in
# half an hour, after make repro; BENCH='--only training' changes what runs.
bench: $(READY)
	$(BIN)/tpsm bench $(BENCH)

# How fast the methods reconstruct and train on this machine -> reports/bench/<device>. It ends within ten minutes, and
# goes on where it was; BENCH='--steps 200 --method tps' changes what runs.
bench-gpu: $(READY)
	$(BIN)/tpsm bench-gpu $(BENCH)

# What each stage's start takes, beside `import torch` (or pandas) alone; CPU seconds, the best of three.
bench-start: $(READY)
	$(BIN)/python -m tpsm.profiling.start

# The pages of docs/ as a site -> .work/site/index.html; the first time it installs mkdocs-material.
docs: $(READY)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,docs]'
	$(BIN)/mkdocs build --quiet

# The package as a wheel -> dist/, installed and started in an empty environment.
wheel: $(READY)
	rm -rf dist .work/empty
	$(BIN)/uv build --quiet --wheel
	$(PYTHON) -m venv .work/empty
	$(BIN)/uv pip install --quiet --python .work/empty/bin/python --constraint constraints.txt dist/*.whl
	cd .work/empty && bin/tpsm --help > /dev/null && bin/python -m eval --help > /dev/null
	@ls dist/*.whl

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

check: lint test fresh

# Forgets what the pipeline made (DVC's cache keeps it); leaves the environment, and downloads of weights and data.
clean:
	rm -rf avd configs data/clips evaluators features models outputs pages scores $(filter-out .work/weights .work/fetch .work/real-clips,$(wildcard .work/*))
