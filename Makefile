# DataToken. Needs Python 3.11 or 3.12 and, for the local chain, Node; all else it sets up itself.
#
#   make demo [ARGS="--users 6 --tensorflow --json"]   the main job, end to end
#   make demo-mpc [ARGS="--protocol CHEETAH --json"]   two banks and a fintech, on SPU
#   make demo-rosetta [ARGS=--json]                    the same model on Rosetta
#   make test                                          all tests but the next two
#   make test-slow                                     long fuzzing and notebooks
#   make test-rosetta                                  real Rosetta; needs a CPython 3.6
#   make test-all                                      all of them
#   make notebooks [ARGS=bank]                         the tutorials, made into notebooks and run
#   make lint | make contracts | make wheel | make clean

PYTHON ?= python3
UV_VERSION := 0.13.9
TOOLS := .tools
UV ?= $(TOOLS)/bin/uv
EXTRAS := --extra flower --extra service --extra mpc --extra examples --extra plot
ALL := $(EXTRAS) --extra simulation --extra tensorflow --extra notebooks --extra ipfs --group nodes
RUN := $(UV) run --frozen --no-sync
# Tests wait more than they compute: two at a time even on two cores, a file never split.
PYTEST := $(RUN) pytest --numprocesses 2 --dist loadfile
NPM := scripts/npm
STAMP := .venv/.synced
FULL := .venv/.synced-all
SPU_STAMP := .engines/spu/.synced
ROSETTA := rtt_tracer/engines/rosetta
ROSETTA_STAMP := .engines/rosetta/.complete
NODE_STAMP := contracts/node_modules/.synced
IPFS := tests/support/ipfs_daemon
IPFS_STAMP := $(IPFS)/node_modules/.synced
export UV_PYTHON_PREFERENCE ?= only-system

.PHONY: demo demo-mpc demo-rosetta test test-slow test-all lint contracts notebooks wheel clean setup spu ipfs-node

demo: $(if $(findstring tensorflow,$(ARGS)),$(FULL),$(STAMP)) $(NODE_STAMP)
	@$(RUN) python -m examples.mvp2_wearables $(ARGS)

demo-mpc: $(STAMP) $(NODE_STAMP) $(SPU_STAMP)
	@$(RUN) python -m examples.mvp1_banks $(ARGS)

demo-rosetta: $(STAMP) $(NODE_STAMP) $(SPU_STAMP) $(ROSETTA_STAMP)
	@$(RUN) python -m examples.mvp3_private_ai $(ARGS)

test: setup lint contracts
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(PYTEST) -m "not slow and not rosetta" $(ARGS); \
		status=$$?; echo; echo "Rosetta: not run (make test-all runs it)"; exit $$status

test-slow: setup $(IPFS_STAMP)
	@cd contracts && ../$(NPM) run coverage
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(PYTEST) -m "slow and not rosetta" $(ARGS)

# Without a CPython 3.6 there is no environment, and every one of these tests fails by name.
test-rosetta: setup
	-@$(MAKE) --no-print-directory rosetta
	@PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(PYTEST) -m rosetta $(ARGS)

test-all: test test-slow test-rosetta

lint: setup
	@$(RUN) ruff format --check .
	@$(RUN) ruff check .
	@$(RUN) mypy
	@$(RUN) lint-imports

contracts: $(NODE_STAMP)
	@cd contracts && ../$(NPM) run check
	@cd contracts && ../$(NPM) test

notebooks: setup
	@$(RUN) python -m examples.tutorials $(ARGS)

wheel: $(UV)
	@$(UV) build --wheel --quiet --out-dir dist

spu: $(SPU_STAMP)

ipfs-node: $(IPFS_STAMP)

rosetta: $(ROSETTA_STAMP)

setup: $(FULL) $(NODE_STAMP) $(SPU_STAMP)

$(UV):
	@echo "Setting up uv $(UV_VERSION) in $(TOOLS)…"
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(STAMP): $(UV) pyproject.toml uv.lock
	@echo "Installing the Python packages…"
	@$(UV) sync --quiet --frozen --inexact --python $(PYTHON) $(EXTRAS)
	@touch $@

$(FULL): $(STAMP)
	@$(UV) sync --quiet --frozen --python $(PYTHON) $(ALL)
	@touch $@

$(SPU_STAMP): $(UV) pyproject.toml uv.lock
	@echo "Installing the SPU engine in an environment of its own…"
	@UV_PROJECT_ENVIRONMENT=.engines/spu $(UV) sync --quiet --frozen --no-default-groups --python $(PYTHON) --extra spu
	@touch $@

$(ROSETTA_STAMP): $(ROSETTA)/requirements.txt $(ROSETTA)/environment.py
	@echo "Installing the Rosetta engine in an environment of its own…"
	@$(PYTHON) $(ROSETTA)/environment.py $(@D)
	@touch $@

$(NODE_STAMP): $(UV) contracts/package.json contracts/package-lock.json
	@cd contracts && ../$(NPM) ci --no-audit --no-fund --loglevel=error
	@touch $@

$(IPFS_STAMP): $(UV) $(IPFS)/package.json $(IPFS)/package-lock.json
	@echo "Installing an IPFS node for the tests…"
	@cd $(IPFS) && $(CURDIR)/$(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

clean:
	rm -rf .engines .venv $(TOOLS) contracts/node_modules contracts/out contracts/cache demo-output
