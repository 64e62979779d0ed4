# Every target works on a fresh clone: the first one that needs .venv makes it.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
HUB := $(BIN)/patternhub --hub demo
STDLIB := $(shell $(PYTHON) -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
DEMO_PACKAGES := asyncio concurrent email http json logging multiprocessing unittest urllib

.PHONY: setup demo test test-all lint bench tuned-embedders clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Pattern Hub needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt \
		--editable '.[train,app,dev]'
	@touch $@

demo: setup
	@mkdir -p demo
	$(HUB) index $(addprefix $(STDLIB)/,$(DEMO_PACKAGES)) .
	@echo
	$(HUB) search "retry with a growing delay" --limit 3
	@echo
	$(HUB) search "parse a date header" --kind function --limit 2
	@echo
	$(HUB) dataset build demo/dataset
	@echo
	@echo "Try next:"
	@echo "  $(HUB) search \"your question\" --source http"
	@echo "  $(HUB) status"
	@echo "  cd your/repository && $(CURDIR)/$(BIN)/patternhub index ."

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: lint
	$(BIN)/pytest -n 3 --dist loadfile -m "not slow"

test-all: lint
	$(BIN)/pytest -n 3 --dist loadfile

bench: setup
	$(BIN)/python -m tests.benchmarks

tuned-embedders: setup
	$(BIN)/python -m hub.tuning.recipe build/tuned-embedders

clean:
	rm -rf $(VENV) demo .pytest_cache .ruff_cache .mypy_cache .import_linter_cache
