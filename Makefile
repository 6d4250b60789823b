# childgait: `make run` takes raw videos to an audited report; `make help` says the rest.

SHELL := /bin/bash
VENV := .venv
READY := $(VENV)/.ready
PROFILE ?= default
ifeq ($(origin PROFILE),command line)  # a shell that sourced workflow/environment has one already
override SNAKEMAKE_PROFILE := profiles/$(PROFILE)
endif
export SNAKEMAKE_PROFILE ?= profiles/$(PROFILE)

.PHONY: help run test cluster-test cancel plan lint lock borders remarks doctor

help:  ## print these lines
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(READY)  ## the whole study, from raw videos to reports/index.html (PRESET=smoke, PROFILE=slurm)
	@workflow/run $(PRESET)

test: $(READY)  ## unit, architecture, plan and end-to-end tests
	@workflow/with-environment env OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --durations 15 --ignore tests/cluster

cluster-test: $(READY)  ## the study and its faults on a real Slurm of this host; skipped where none is installed
	@workflow/with-environment env OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile tests/cluster -rs --durations 5

cancel:  ## stop the run of this clone, and its jobs on a cluster (PROFILE=slurm)
	@workflow/cancel

plan: $(READY)  ## what would run, job by job, and why
	@workflow/with-environment snakemake --dry-run --quiet host --printshellcmds

lint: $(READY)  ## style, format, types and the package's layers
	@workflow/with-environment ruff check src tests bench workflow
	@workflow/with-environment ruff format --check --quiet src tests bench workflow
	@workflow/with-environment snakefmt --check Snakefile workflow/rules
	@workflow/with-environment snakemake --lint --quiet all
	@workflow/with-environment mypy
	@workflow/with-environment lint-imports

borders: $(READY)  ## write the borders of the stages in dvc.yaml anew from the rules
	@workflow/with-environment python workflow/borders.py --write

remarks: $(READY)  ## write the remarks of params.yaml from the descriptions in params.py
	@workflow/with-environment python workflow/params_remarks.py --write

doctor: $(READY)  ## prove the installation
	@workflow/with-environment childgait doctor

lock:  ## resolve envs/requirements.in into the pinned, hash-checked lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --overrides envs/overrides.txt envs/requirements.in --output-file envs/requirements.lock > /dev/null
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  envs/bootstrap.in --output-file envs/bootstrap.lock > /dev/null

$(READY): envs/requirements.lock envs/bootstrap.lock pyproject.toml envs/install
	@envs/install $(VENV)
