# make demo   set everything up, then regenerate every table and figure on phantom CT
# make test   set everything up, then run the tests
# make cluster   the tests on a real Slurm, started here for them
# make browser   the tests of the report in a real browser: of the demo's where it was made, else of a small one
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CORES ?= $(shell nproc 2>/dev/null || echo 2)
BIN := .venv/bin

.PHONY: demo test cluster browser slurm lint schemas envs docs setup clean
.DEFAULT_GOAL := demo

setup: .venv/.ready

# torch first and by itself: pip takes a CPU wheel where it is configured for one, the CUDA build elsewhere.
# Everything else comes from uv.lock, hash-checked, and is compiled once here: where PYTHONDONTWRITEBYTECODE is set, each of the
# demo's hundreds of processes would compile it again. The stamp is written last, so an interrupted set-up starts again.
.venv/.ready: pyproject.toml uv.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "covidseg needs Python 3.11; name one with: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up .venv ..."
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==0.13.8 "torch==2.13.0" numpy==2.4.6
	@$(BIN)/uv export --quiet --frozen --prune torch --no-emit-project --extra pipeline -o .venv/requirements.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --compile-bytecode --require-hashes --no-deps -r .venv/requirements.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --no-deps -e .
	@$(BIN)/python -m compileall -q src
	@touch $@

demo: setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --workflow-profile workflow/profiles/default --cores $(CORES) --no-hooks
	@$(BIN)/covidseg show

# One thread for each of the processes that share the cores.
test: setup
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses $(CORES) --dist worksteal

# A real Slurm on this machine, as root on Debian; installed where it is missing. The plugin stays out of .venv.
cluster: setup
	@$(BIN)/uv export --quiet --frozen --prune torch --no-emit-project --extra pipeline --extra slurm -o .venv/slurm.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target .venv/plugin --no-deps -c .venv/slurm.txt \
		snakemake-executor-plugin-slurm snakemake-executor-plugin-slurm-jobstep
	@COVIDSEG_CLUSTER=1 PYTHONPATH=.venv/plugin $(BIN)/python -m pytest tests/cluster

# A real browser: the system's Chromium, installed where it is missing, as root on Debian. Playwright stays out of .venv.
browser: setup
	@$(BIN)/uv export --quiet --frozen --prune torch --no-emit-project --extra browser -o .venv/browser.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target .venv/browser --no-deps -c .venv/browser.txt \
		playwright axe-playwright-python greenlet pyee
	@COVIDSEG_BROWSER=1 PYTHONPATH=.venv/browser $(BIN)/python -m pytest tests/browser

# Snakemake's Slurm plugin, which only clusters need. Where Slurm is set up but does not answer, it makes snakemake slow.
slurm: setup
	@$(BIN)/uv export --quiet --frozen --prune torch --no-emit-project --extra pipeline --extra slurm -o .venv/slurm.txt
	@VIRTUAL_ENV=.venv $(BIN)/uv pip install --quiet --require-hashes --no-deps -r .venv/slurm.txt

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/snakefmt --check Snakefile workflow
	PATH="$(CURDIR)/$(BIN):$$PATH" snakemake --lint

# What is written from elsewhere in the project; tests fail when it is out of step.
schemas: setup
	$(BIN)/python -c "import pathlib, covidseg.schema as s; \
		[pathlib.Path('workflow/schemas', n).write_text(t) for n, t in s.json_schemas().items()]"

envs: setup
	$(BIN)/python envs/write.py

# The reference pages, from the program.
docs: setup
	$(BIN)/python docs/write.py

clean:
	rm -rf results/demo data/demo .snakemake
