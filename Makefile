# The two commands to know are `make demo` and `make test`; `make` alone lists the others.

# Named in full so that every recipe line goes through a shell that sees the PATH below.
SHELL := /bin/bash
.DEFAULT_GOAL := help

export PATH := $(CURDIR)/.venv/bin:$(PATH)

# Cores that Snakemake may use, and processes that the unit tests run in.
CORES ?= all
PROCESSES ?= auto

READY := .venv/ready

.PHONY: help setup demo serve test lint format docs lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' Makefile

setup: $(READY) ## make .venv with the pinned packages; done again only when they change

demo: setup ## run every lab at smoke scale on embedded data (minutes, no network) and say where the report is
	@snakemake --cores $(CORES) --config scale=smoke
	@echo
	@echo "The report (its numbers mean nothing at this scale): $(CURDIR)/results/smoke/reports/index.html"

serve: setup ## show a run on a page on this machine: RUN=quick, or the largest scale there is; PORT=7860
	@python -m compresslab.stages.serve $(if $(RUN),--run '$(RUN)') $(if $(PORT),--port '$(PORT)')

test: setup ## all tests: units, those of a GPU where there is one, those that run Snakemake, and the page in a browser
	@pytest tests/unit -n $(PROCESSES) --maxprocesses 4 --dist loadfile
	@pytest tests/gpu
	@pytest tests/workflow -n $(PROCESSES) --maxprocesses 2 --dist loadfile
	@pytest tests/browser

lint: setup ## every style, type and architecture check
	ruff check
	ruff format --check
	mypy
	lint-imports
	snakefmt --check workflow
	snakemake --lint

format: setup ## put Python and Snakemake files into the project's form
	ruff check --fix
	ruff format
	snakefmt workflow

docs: setup ## regenerate the configuration reference and the schema from the models in src/compresslab/config
	compresslab reference

lock: ## resolve envs/requirements.in anew into the pinned envs/requirements.txt
	@bash envs/lock.sh

clean: ## delete caches and the smoke run; data, other runs and .venv stay
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache build results/smoke
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A virtual environment holds absolute paths: one that travelled with a moved or copied project is made anew.
ifneq ($(shell cat $(READY) 2>/dev/null),$(CURDIR))
.PHONY: $(READY)
endif

$(READY): envs/requirements.txt pyproject.toml
	@python=$$(envs/find_python $(PYTHON)) \
	  && { test "$$(cat $@ 2>/dev/null || echo '$(CURDIR)')" = '$(CURDIR)' || rm -rf .venv; } \
	  && echo "Making .venv (a few minutes the first time)" \
	  && "$$python" -m venv .venv \
	  && .venv/bin/python -m pip install --quiet --disable-pip-version-check -r envs/requirements.txt \
		  && .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e . \
	  && echo '$(CURDIR)' > $@
