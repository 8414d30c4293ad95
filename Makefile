# Needs Python 3.11+ and make. `make PYTHON=python3.12 ...` chooses the interpreter.
PYTHON ?= python3
PIP_VERSION := 26.3
BIN := .venv/bin
DEMO := outputs/quickstart
DEMO_TEST := $(DEMO)/corpus/MultiClinNER/MultiClinNER-es/MultiClinNER-es-test/MultiClinNER-es-test-disease

.DEFAULT_GOAL := help
.PHONY: help install quickstart test test-slow lint format clean

help:
	@echo "make quickstart   train, predict and score on a generated corpus (minutes, two CPU cores)"
	@echo "make test         the fast tests          make test-slow   the slow ones"
	@echo "make lint         ruff and mypy           make format      ruff rewrites the files"
	@echo "make install      only the environment, in .venv"
	@echo "make clean        remove the environment and all caches; outputs/ stays"

# One stamp for what users need, one for what developers need on top.
.venv/runtime.stamp: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "multiclin needs Python 3.11 or newer; this is %s. Name another: make PYTHON=python3.11" \
	  % sys.version.split()[0])'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check pip==$(PIP_VERSION)
	$(BIN)/python -m pip install --quiet --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@

.venv/dev.stamp: .venv/runtime.stamp requirements-dev.txt
	$(BIN)/python -m pip install --quiet --requirement requirements-dev.txt
	@touch $@

install: .venv/dev.stamp

quickstart: .venv/runtime.stamp
	rm -rf $(DEMO)
	$(BIN)/multiclin corpus sample $(DEMO)/corpus
	$(BIN)/python train.py experiment=quickstart entity=disease data.root=$(DEMO)/corpus \
	  hydra.run.dir=$(DEMO)/train
	$(BIN)/python predict.py ckpt=$(DEMO)/train/model input=$(DEMO_TEST) output=$(DEMO)/predictions
	$(BIN)/python evaluate.py gold=$(DEMO_TEST) pred=$(DEMO)/predictions entity=disease
	@echo "The report: $(DEMO)/train/report.html"

test: .venv/dev.stamp
	$(BIN)/python -m pytest -m "not slow" -n 2

test-slow: .venv/dev.stamp
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/dev.stamp
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
