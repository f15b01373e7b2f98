# One verb per intention; `make help` lists the targets. Needs only Python 3.11 or newer.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO_ARGS ?=
TEST_ARGS ?=
BENCH_ARGS ?=
PAGE_TOOLS := tests/browser
PIP_INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all bench-serving lint lint-page format format-page materialize serve dagster
.PHONY: mlflow lock clean

help: ## List the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "movierank needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Set PYTHON=…"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# The same lock file constrains both environments; the second only adds the test extras.
$(VENV)/.setup: pyproject.toml requirements.lock | $(BIN)/pip
	@echo "Installing into $(VENV) (about two minutes the first time)"
	$(PIP_INSTALL) '.[all]'
	@touch $@

$(VENV)/.setup-test: $(VENV)/.setup
	$(PIP_INSTALL) '.[all,test]'
	@touch $@

setup: $(VENV)/.setup ## Create the environment in .venv

demo: setup ## Data, training, registry, service and page (DEMO_ARGS=--check to test and stop)
	$(BIN)/movierank demo $(DEMO_ARGS)

# The order of files comes from tests/support/order.py: longest first.
PYTEST = $(BIN)/pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

test: $(VENV)/.setup-test ## Run all tests in three processes (TEST_ARGS="-m 'not slow'" for the quick ones)
	$(PYTEST) $(TEST_ARGS)

test-all: $(VENV)/.setup-test ## Run the large variants that `make test` leaves out
	$(PYTEST) -m heavy $(TEST_ARGS)

lint: $(VENV)/.setup-test ## Check style, format and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory lint-page; else \
		echo "Not checked: format and types of ui/. Install Node.js 20 or newer to check them."; fi

# The types of the service's answers come from its OpenAPI document.
lint-page: $(VENV)/.setup-test $(PAGE_TOOLS)/node_modules/.package-lock.json
	mkdir -p $(PAGE_TOOLS)/build
	$(BIN)/python -c 'from movierank_serving.openapi import openapi_json as f; print(f().decode())' \
		> $(PAGE_TOOLS)/build/openapi.json
	npm --prefix $(PAGE_TOOLS) run --silent check

$(PAGE_TOOLS)/node_modules/.package-lock.json: $(PAGE_TOOLS)/package-lock.json
	npm --prefix $(PAGE_TOOLS) ci --silent

format: $(VENV)/.setup-test ## Fix style and format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@if command -v npm >/dev/null; then $(MAKE) --no-print-directory format-page; fi

format-page: $(PAGE_TOOLS)/node_modules/.package-lock.json
	npm --prefix $(PAGE_TOOLS) run --silent format

bench-serving: $(VENV)/.setup-test ## Measure the service under load beside a naive one (BENCH_ARGS=--quick for a look)
	PYTHONPATH=. $(BIN)/python benchmarks/serving.py $(BENCH_ARGS)

materialize: setup ## Run the asset graph on the configured data
	$(BIN)/movierank materialize

serve: setup ## Serve the version that carries the alias production
	$(BIN)/movierank serve

dagster: setup ## Open the Dagster UI on the asset graph
	$(BIN)/movierank dagster

mlflow: setup ## Open the MLflow UI on the embedded store
	$(BIN)/movierank mlflow

lock: $(VENV)/.setup-test ## Update the pinned dependencies in requirements.lock
	$(BIN)/pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --upgrade \
		--no-header --no-annotate --output-file requirements.lock pyproject.toml

clean: ## Remove files that can be made again; the event store and the MLflow store stay
	rm -rf $(VENV) .movierank/assets .movierank/datasets .movierank/dagster .movierank/model_cache
