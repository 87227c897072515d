# The commands of this project; "make help" lists them.

PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
DEMO := output/demo

.PHONY: help setup demo test fuzz scores lint format docs clean

help:  ## List the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(VENV)/.complete  ## Create .venv with the package and all that it needs (6 GB, a few minutes)

$(VENV)/.complete: setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "error: $(PYTHON) is older than 3.10; set PYTHON=python3.11 or newer."; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip
	@$(PY) -m pip install --quiet --editable ".[dev]" || \
		{ echo "error: the installation failed, for the reason above; it needs 6 GB of disk," \
			"and 3 GB more while it runs."; exit 1; }
	@touch $@

demo: setup  ## Predict and segment generated videos with the shipped weights (about a minute after setup)
	$(PY) tools/demo.py --output $(DEMO)

test: setup  ## Run the tests; those of the Detectron2 interface on every engine that can be imported
	$(PY) -m pytest --numprocesses auto --dist loadfile
	@if $(PY) -c 'import detectron2' 2>/dev/null; then \
		VPS_D2_ENGINE=embedded $(PY) -m pytest tests/d2; fi

fuzz: setup  ## Try CASES changed files (1000), KILLS kills (20), each reader FUZZ_SECONDS (60)
	@$(PY) -m pip install --quiet --only-binary atheris --editable ".[fuzz]" 2>/dev/null || true
	$(PY) -m tests.hostile.coverage $${FUZZ_SECONDS:-60}
	VPS_D2_FUZZ_SEED=$${SEED:-$$(date +%s)} VPS_D2_FUZZ_CASES=$${CASES:-1000} \
		VPS_D2_FUZZ_KILLS=$${KILLS:-20} $(PY) -m pytest tests/hostile

lint: setup  ## Check style, formatting and types
	$(VENV)/bin/ruff check --no-cache .
	$(VENV)/bin/ruff format --no-cache --check .
	$(VENV)/bin/mypy

format: setup  ## Fix style and formatting
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

docs: $(VENV)/.docs  ## Build the manual and the API pages in output/docs/
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build

$(VENV)/.docs: $(VENV)/.complete
	$(PY) -m pip install --quiet --editable ".[docs]"
	@touch $@

scores: setup  ## Write the measured scores to the pages that show them
	$(PY) docs/write_scores.py $(SCORES)

clean:  ## Remove .venv and everything in output/
	rm -rf $(VENV) output build *.egg-info
