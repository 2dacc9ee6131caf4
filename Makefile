# Every target needs only python3 (3.11 or newer, with venv), make and a package registry.
# The environment is .venv, from pinned and hashed requirements; PYTHON=… picks another interpreter.

PYTHON ?= python3
ARGS ?=
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo run test check coverage bench bench-kannel peers crash faults fuzz power sim machine clean

help: ## show this list
	@awk 'BEGIN { FS = ":.*## " } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo '  Further arguments go in ARGS, as in: make run ARGS="--config my.toml"'

demo: .venv/.runtime ## watch the broker at work over simulated providers
	$(BIN)/broker demo $(ARGS)

# Without accounts there is nobody to send to, so the twins answer unless ARGS says otherwise.
run: .venv/.runtime ## run the broker with ./broker.toml, each provider played by its twin
	$(BIN)/broker run $(or $(ARGS),--twins)

test: .venv/.dev ## run the tests
	$(BIN)/python -m pytest -n 2 $(ARGS)

check: .venv/.dev ## lint and check the types
	$(BIN)/ruff check .
	$(BIN)/mypy --strict

coverage: .venv/.dev ## run the tests and tell which branches none takes (long)
	$(BIN)/python -m coverage erase
	$(BIN)/python -m coverage run -m pytest -n 2 --timeout 600 $(ARGS)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

bench: .venv/.dev ## measure speed
	$(BIN)/python -m tests.bench $(ARGS)

bench-kannel: .venv/.dev ## measure beside Kannel 1.4.5, where it is installed (long)
	$(BIN)/python -m tests.bench kannel $(ARGS)

peers: .venv/.dev ## bind Kannel to our SMSC and our plugin to node-smpp's, where those are installed
	$(BIN)/python -m pytest -n 0 -rs -o timeout=150 tests/peers/kannel.py tests/peers/node_smpp.py $(ARGS)

crash: .venv/.dev ## kill the daemon again and again, and look at what is left (long)
	$(BIN)/python -m tests.crash $(ARGS)

faults: .venv/.dev ## every fault there is a test of, every promise with its protections off, one report (hours)
	$(BIN)/python -m tests.faults $(ARGS)

fuzz: .venv/.dev ## tell random stories of links and octets, five minutes unless ARGS says otherwise
	$(BIN)/python -m tests.fuzz $(ARGS)

power: .venv/.dev ## cut the power under the store, again and again (long)
	$(BIN)/python -m tests.power $(ARGS)

sim: .venv/.dev ## run simulated worlds, 1,000 unless SEEDS or ARGS say otherwise
	PYTHONHASHSEED=0 $(BIN)/python -m tests.sim $(if $(SEEDS),--seeds $(SEEDS)) $(ARGS)

machine: .venv/.dev ## let disks fill, syncs fail, processes starve, providers flap, run dry and die (long)
	$(BIN)/python -m tests.machine $(ARGS)

clean: ## remove the environment, the caches and ./var
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage build dist var
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# What the broker needs to run. The checkout is put on the path by a .pth file and not installed: an
# editable install would copy plugins/ into the environment, and the copy would grow old.
.venv/.runtime: requirements.txt
	@command -v $(PYTHON) >/dev/null 2>&1 || { \
	  echo 'make: "$(PYTHON)" was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: $(PYTHON) is $$($(PYTHON) --version 2>&1), and the broker needs 3.11 or newer. Name another: make PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || { \
	  echo 'make: $(PYTHON) has no venv module. On Debian and Ubuntu: apt-get install python3-venv' >&2; exit 1; }
	@$(BIN)/python -c 'import pip' 2>/dev/null || $(PYTHON) -m venv --clear .venv
	$(PIP) -r requirements.txt
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' | { read -r site && echo '$(CURDIR)' > "$$site/broker-checkout.pth"; }
	@printf '#!/bin/sh\nexec "%s" -P -m broker "$$@"\n' '$(CURDIR)/$(BIN)/python' > $(BIN)/broker && chmod +x $(BIN)/broker
	@touch $@

# …and what its tests and checks need on top.
.venv/.dev: requirements-dev.txt .venv/.runtime
	$(PIP) -r requirements-dev.txt
	@touch $@
