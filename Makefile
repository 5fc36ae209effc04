# dropmill: everything from a fresh clone with Python >= 3.11, make and git.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# systemd is one more; it is compiled, against libsystemd.
EXTRAS ?= heif,dev

.PHONY: run test test-wheel test-long test-kills test-slow simulate ledger check format bench clean help

help: ## Say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dropmill needs Python 3.11 or newer; try make PYTHON=python3.13 $(MAKECMDGOALS)")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[$(EXTRAS)]'
	@touch $@

run: $(STAMP) ## Start the daemon in the foreground on ./var
	@test -d var || { mkdir -p var/inbox && $(BIN)/python tests/pictures.py samples var/inbox; }
	@exec $(BIN)/dropmill run --config config/local.toml

test: $(STAMP) ## All tests but the long ones (minutes)
	$(BIN)/python -m pytest -n auto --dist worksteal

test-wheel: ## The tests of `make test` on the built wheel, with the sources absent; PYTHON=python3.13
	.ci/test-wheel $(PYTHON) $(TESTS)

test-long: test-kills test-slow ## The long ones: crash, burst, fuzz

test-kills: $(STAMP) ## Hundreds of kills under load, by themselves
	$(BIN)/python -m pytest -m long -s tests/crash/test_sigkill.py

test-slow: $(STAMP) ## The other long ones
	$(BIN)/python -m pytest -m long -n auto --dist worksteal -rP --ignore tests/crash/test_sigkill.py

ledger: $(STAMP) ## Each row of docs/ledger.md, its tests, and how they last ended; those never run are run first (15 min)
	@cd tests && ../$(BIN)/python -m ledger $(LEDGER)

SEEDS ?= 1000
simulate: $(STAMP) ## Random histories with crashes and bad disks; SEEDS=1000, or SEED=7 for one in full
	@cd tests && ../$(BIN)/python -m simulation.sim $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

check: $(STAMP) ## Style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Put the code in shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## Figures as ratios within one run; BENCH=--quick for a short one
	cd tests && ../$(BIN)/python -m bench $(BENCH)

clean: ## Remove the environment and what `make run` made
	rm -rf $(VENV) var
