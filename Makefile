# Two commands are enough: `make demo` and `make test`. Each makes what it needs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test acceptance ui serve lint format docs benchmark bench clean

help:
	@echo "make demo       install, code job titles to ISCO-08, show answers and report"
	@echo "make test       install, run the test suite"
	@echo "make acceptance what takes long: many kills, many jobs"
	@echo "make ui         Dagster UI, daemon and sensors on http://127.0.0.1:3000"
	@echo "make serve      the HTTP service on http://127.0.0.1:8000, its workers, and all of make ui"
	@echo "make lint       formatting, lint and types"
	@echo "make docs       bring the reference pages in docs/ up to date with the code"
	@echo "make benchmark  speed and memory, as published in the README"
	@echo "make bench      quality on benchmark sets: DATA=folder of the sets, OPTIONS='--sets isco08.* --regimes zero-shot'"
	@echo "make clean      remove the virtual environment and caches (data stays)"

$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(STAMP)

demo: $(STAMP)
	@$(BIN)/taxomind demo

test: $(STAMP)
	$(BIN)/python -m pytest -m "not endurance" --numprocesses 2 --dist loadgroup

acceptance: $(STAMP)
	$(BIN)/python -m pytest -m endurance

ui: $(STAMP)
	@$(BIN)/taxomind ui

serve: $(STAMP)
	@$(BIN)/taxomind serve --no-auth

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

docs: $(STAMP)
	$(BIN)/python -m tests.docs.generate

benchmark: $(STAMP)
	$(BIN)/python -m tests.benchmarks

$(VENV)/.bench: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[bench]'
	@touch $@

bench: $(VENV)/.bench
	@$(BIN)/python -m tests.bench $(DATA) --peers --ablations --draws 20 $(OPTIONS)

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
