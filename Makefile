# Everything from a fresh clone: `make test`, `make demo`. Needs Python 3.11 and nothing else.
# Each environment is made once and again when the files it is made from change.

PYTHON ?= python3.11
# Label Studio's pins are for 3.11; sparsedet itself may run on another.
SERVER_PYTHON ?= $(PYTHON)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

SERVER_VENV := .venv-label-studio
SERVER_INSTALLED := $(SERVER_VENV)/.installed

DOCS_VENV := .venv-docs
DOCS_INSTALLED := $(DOCS_VENV)/.installed

# A venv whose pip does not run is what an interrupted set-up left: it is made again.
make_venv = $(1)/bin/python -m pip --version >/dev/null 2>&1 || $(2) -m venv --clear $(1)

.DEFAULT_GOAL := help
.PHONY: help install label-studio environments lint test demo docs gpu-check clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | \
		awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Install sparsedet, editable, with its test tools into .venv.

# The stamp is written last: an interrupted installation resumes where it stopped.
$(INSTALLED): pyproject.toml requirements/constraints.txt
	@echo "installing sparsedet into $(VENV) (some minutes, 6 GB) ..."
	@$(call make_venv,$(VENV),$(PYTHON))
	@$(BIN)/python -m pip install --quiet --constraint requirements/constraints.txt --editable '.[test]'
	@$(BIN)/sparsedet doctor --fix
	@touch $@

# The link is where `sparsedet demo` finds the server.
label-studio: install $(SERVER_INSTALLED) ## Install the Label Studio server into .venv-label-studio.
	@ln -sf ../../$(SERVER_VENV)/bin/label-studio $(BIN)/label-studio

$(SERVER_INSTALLED): requirements/label-studio.txt
	@echo "installing Label Studio into $(SERVER_VENV) (some minutes, 1 GB) ..."
	@$(call make_venv,$(SERVER_VENV),$(SERVER_PYTHON))
	@$(SERVER_VENV)/bin/python -m pip install --quiet --requirement requirements/label-studio.txt
	@touch $@

# The two don't touch each other, and mostly wait for downloads.
environments:
	@$(MAKE) --no-print-directory --silent -j2 label-studio

lint: install ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sparsedet cli integrations splits tests

# A thread for each worker: torch would take all cores in every one of them.
test: environments ## Lint, then run all tests; ARGS="-k split" passes arguments to pytest.
	@$(MAKE) --no-print-directory lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 \
		--dist loadgroup --no-loadscope-reorder $(ARGS)

demo: environments ## Run the loop once on generated data with a local Label Studio.
	$(BIN)/sparsedet demo $(ARGS)

# Its own environment: the site needs neither torch nor detectron2. It imports the command line, to
# list the commands, and nothing else.
$(DOCS_INSTALLED): requirements/docs.txt pyproject.toml
	@echo "installing mkdocs into $(DOCS_VENV) ..."
	@$(call make_venv,$(DOCS_VENV),$(PYTHON))
	@$(DOCS_VENV)/bin/python -m pip install --quiet --requirement requirements/docs.txt
	@$(DOCS_VENV)/bin/python -m pip install --quiet --no-deps --editable .
	@touch $@

docs: $(DOCS_INSTALLED) ## Build the manual as a site into build/docs; a broken link is an error.
	@$(DOCS_VENV)/bin/python -m docs.generate.site_source build/docs-source
	@NO_MKDOCS_2_WARNING=1 $(DOCS_VENV)/bin/python -m mkdocs build --quiet --strict
	@echo "build/docs/index.html"

gpu-check: install ## Compare training on this machine's GPU with the CPU; needs CUDA.
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

clean: ## Remove all environments, caches and build leftovers.
	rm -rf $(VENV) $(SERVER_VENV) $(DOCS_VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
