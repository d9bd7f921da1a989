# Everything from a fresh clone: `make test`, `make demo`. Needs Python 3.11 and nothing else.
# Each environment is created once, and again when its requirements change.

PYTHON ?= python3.11
# Label Studio's pins are for 3.11; sparsedet itself runs on 3.12 and 3.13 too.
SERVER_PYTHON ?= $(PYTHON)
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

SERVER_VENV := .venv-label-studio
SERVER_INSTALLED := $(SERVER_VENV)/.installed

DOCS_VENV := .venv-docs
DOCS_INSTALLED := $(DOCS_VENV)/.installed

DIST_VENV := .venv-dist
DIST_INSTALLED := $(DIST_VENV)/.installed
WHEEL_VENV := build/wheel-venv

# PyPI's torch for Linux is built for CUDA, whose libraries are two thirds of the environment. Where
# there is no NVIDIA GPU (dxg is one in WSL), CPU builds are taken instead, by name, if pip's index has
# them; `CPU_TORCH=` (empty) doesn't ask for them.
CPU_TORCH ?= $(if $(wildcard /dev/nvidiactl /dev/dxg),,yes)
CPU_BUILDS = $(shell sed -nE 's/^(torch|torchvision)==.*/&+cpu/p' requirements/constraints.txt)

# A venv without a working pip comes from an interrupted set-up: recreate it.
make_venv = $(1)/bin/python -m pip --version >/dev/null 2>&1 || $(2) -m venv --clear $(1)

# What it requires comes with the packages that require torch. An index without CPU builds is no
# error: CUDA's run on a CPU too.
install_torch = test -z "$(CPU_TORCH)" || $(1)/bin/python -m pip show --quiet torchvision 2>/dev/null || \
	$(1)/bin/python -m pip install --quiet --no-deps $(CPU_BUILDS) 2>/dev/null || \
	echo "pip's index has no $(CPU_BUILDS): taking builds for CUDA, 4.6 GB more"

.DEFAULT_GOAL := help
.PHONY: help install label-studio environments lint test demo docs dist check-wheel image screenshots \
	gpu-check clean

help: ## Show this list.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /|/' | \
		awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

install: $(INSTALLED) ## Install sparsedet, editable, with its test tools into .venv.

# The stamp is written last: an interrupted installation resumes where it stopped.
$(INSTALLED): pyproject.toml requirements/constraints.txt
	@echo "installing sparsedet into $(VENV) (some minutes; 6.8 GB with CUDA's libraries) ..."
	@$(call make_venv,$(VENV),$(PYTHON))
	@$(call install_torch,$(VENV))
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

# The two are independent, and mostly wait for downloads.
environments:
	@$(MAKE) --no-print-directory --silent -j2 label-studio

lint: install ## Check style and types.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy sparsedet cli integrations splits tests

# One thread per worker: otherwise torch uses all cores in each of them.
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

# Its own environment: publishing needs nothing of sparsedet's.
$(DIST_INSTALLED): requirements/dist.txt
	@$(call make_venv,$(DIST_VENV),$(PYTHON))
	@$(DIST_VENV)/bin/python -m pip install --quiet --requirement requirements/dist.txt
	@touch $@

dist: $(DIST_INSTALLED) ## Build wheel and sdist into dist/, and check them.
	@rm -rf dist *.egg-info  # old lists of files would reach the sdist; the wheel is built from that
	@mkdir -p build
	@$(DIST_VENV)/bin/python -m build --no-isolation >build/dist.log 2>&1 || { tail build/dist.log; exit 1; }
	@$(DIST_VENV)/bin/python -m twine check --strict dist/*

# As people install it: the wheel and whatever is newest of its requirements. The README's commands
# are run by its tests, with the Python that SPARSEDET_PYTHON names.
check-wheel: dist environments ## Run the quick start from the wheel, in a fresh environment.
	@$(PYTHON) -m venv --clear $(WHEEL_VENV)
	@$(call install_torch,$(WHEEL_VENV))
	$(WHEEL_VENV)/bin/python -m pip install --quiet "$$(echo dist/*.whl)[demo]"
	$(WHEEL_VENV)/bin/sparsedet doctor --fix
	@du -sh $(WHEEL_VENV)
	rm -rf build/wheel-demo
	cd build && wheel-venv/bin/sparsedet demo --tool files --rounds 1 --iterations 60 -o wheel-demo
	cd build && wheel-venv/bin/sparsedet predict wheel-demo/workspace wheel-demo/scenes/test -o wheel-demo/found.json --score 0.05
	SPARSEDET_PYTHON=$(CURDIR)/$(WHEEL_VENV)/bin/python OMP_NUM_THREADS=1 $(BIN)/python -m pytest \
		tests/test_readme.py -k "label_studio_project or without_a_server" $(ARGS)
	rm -rf $(WHEEL_VENV) build/wheel-demo

image: ## Install sparsedet without its test tools; what the Dockerfile runs.
	@$(call make_venv,$(VENV),$(PYTHON))
	@$(call install_torch,$(VENV))
	@$(BIN)/python -m pip install --quiet --no-cache-dir --constraint requirements/constraints.txt \
		'.[demo,serve,onnx]'
	@$(BIN)/sparsedet doctor --fix

screenshots: environments ## Make the pictures of README and manual again, from the real pages.
	OMP_NUM_THREADS=1 $(BIN)/python -m docs.generate.screenshots $(ARGS)

gpu-check: install ## Check and measure training on this machine's GPU, in ten minutes; needs CUDA.
	$(BIN)/python benchmarks/gpu_check.py $(ARGS)

clean: ## Remove all environments, caches and build leftovers.
	rm -rf $(VENV) $(SERVER_VENV) $(DOCS_VENV) $(DIST_VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
