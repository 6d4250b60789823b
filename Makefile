# childgait: `make run` makes the report from raw videos; `make help` lists all targets.

SHELL := /bin/bash
VENV := .venv
READY := $(VENV)/.ready
PROFILE ?= default
ifeq ($(origin PROFILE),command line)  # overrides a profile set by workflow/environment
override SNAKEMAKE_PROFILE := profiles/$(PROFILE)
endif
export SNAKEMAKE_PROFILE ?= profiles/$(PROFILE)

.PHONY: help run test quick fuzz cluster-test cancel plan lint lock borders remarks publish doctor

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

run: $(READY)  ## the whole study, from raw videos to reports/index.html (PRESET=smoke, PROFILE=slurm)
	@workflow/run $(PRESET)

test: $(READY)  ## all tests except those on a cluster
	@workflow/with-environment env OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 15 \
	  --ignore tests/cluster

quick: $(READY)  ## the tests without the slow ones, in five minutes
	@workflow/with-environment env OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile --no-loadscope-reorder -m "not slow" \
	  --ignore tests/cluster

fuzz: $(READY)  ## malformed input of every kind to every reader of a user's file, with new seeds (FUZZ_EXAMPLES=2000)
	@workflow/with-environment env OMP_NUM_THREADS=1 FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),2000) \
	  pytest -n 2 --dist worksteal tests/test_user_files.py

cluster-test: $(READY)  ## the study and its failures on a Slurm started on this host; skipped without Slurm
	@workflow/with-environment env OMP_NUM_THREADS=1 pytest -n 2 --dist loadfile tests/cluster -rs --durations 5

cancel:  ## stop the run of this clone and its jobs on a cluster (PROFILE=slurm)
	@workflow/cancel

plan: $(READY)  ## list the jobs that would run, with reasons
	@workflow/with-environment snakemake --dry-run --quiet host --printshellcmds

lint: $(READY)  ## style, format, workflow, types and layers of imports
	@workflow/with-environment ruff check src tests bench workflow
	@workflow/with-environment ruff format --check --quiet src tests bench workflow
	@workflow/with-environment snakefmt --check Snakefile workflow/rules
	@workflow/with-environment snakemake --lint --quiet all
	@workflow/with-environment mypy
	@workflow/with-environment lint-imports

borders: $(READY)  ## write the stamps of the stages' source files, as the DVC stage `sources` does
	@workflow/with-environment python workflow/borders.py --write

remarks: $(READY)  ## write the remarks of params.yaml and its JSON schema, from params.py
	@workflow/with-environment python workflow/params_remarks.py --write

publish: $(READY)  ## stage the finished demo's dvc.lock and figures for the next commit
	@workflow/publish

doctor: $(READY)  ## check the installation
	@workflow/with-environment childgait doctor

lock:  ## resolve envs/requirements.in into the pinned, hash-checked lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  --overrides envs/overrides.txt envs/requirements.in --output-file envs/requirements.lock > /dev/null
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url \
	  envs/bootstrap.in --output-file envs/bootstrap.lock > /dev/null

$(READY): envs/requirements.lock envs/bootstrap.lock pyproject.toml envs/install
	@envs/install $(VENV)
