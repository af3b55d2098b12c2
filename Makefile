# Everything a newcomer needs: `make run` and `make test`. The rest is for those who change something.
PYTHON ?= python3
BIN := .venv/bin
PY_SOURCES := runtime accounts backlog coalesced cursors idempotency in_process outbox readers cql_client redis_client signals statuses flights relations ordered svc_user svc_graph svc_tweet svc_timeline svc_engage views edge ops stack simulation bench tools tests

.PHONY: run test check gen fmt simulate bench stack soak clean venv lock
.DEFAULT_GOAL := run

venv:
	@$(PYTHON) tools/bootstrap.py

# Servers, services and real data, in the foreground; Ctrl-C ends all of it.
run: venv
	@$(BIN)/aviary up --seed

# Three at once, each with servers of its own: most of the time goes into waiting for what was killed to be back. What is long begins, so
# that short files fill what is left of the time of all; what shares a stack is done by one process (tests/conftest.py). Bytecode is kept
# whatever the shell says: two hundred processes are started, and each would compile all that it imports.
test: export PYTHONDONTWRITEBYTECODE :=
test: venv
	$(BIN)/pytest -n 3 --dist loadscope --no-loadscope-reorder $(addprefix tests/,chaos faults e2e simulation integration conformance unit contract)

# What CI demands beside the tests: format, lint, types, import rules, fresh generated code, contracts, dead code, own rules.
check: venv
	$(BIN)/ruff format --check $(PY_SOURCES)
	$(BIN)/ruff check $(PY_SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/vulture
	$(BIN)/python -m tools.gen --check
	$(BIN)/python -m tools.access --check
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code proto
	$(BIN)/buf breaking proto --against proto/baseline.binpb
	$(BIN)/python -m tools.rules

gen: venv
	$(BIN)/buf format -w proto
	$(BIN)/python -m tools.gen
	$(BIN)/python -m tools.access

fmt: venv
	$(BIN)/ruff check --fix $(PY_SOURCES)
	$(BIN)/ruff format $(PY_SOURCES)
	$(BIN)/buf format -w proto

# The path in virtual time under one seeded scheduler: SEEDS=1234 for one run (WHOLE=1: all of its history), SEEDS=1-3000 for many.
SEEDS ?= 1-3000
simulate: venv
	@PYTHONPATH=.:gen $(BIN)/python -m simulation $(SEEDS) $(if $(BUG),--bug $(BUG)) $(if $(WHOLE),--whole)

bench: venv
	$(BIN)/python -m bench

# Cassandra, Redis and NATS alone, with their addresses to export.
stack: venv
	@$(BIN)/aviary stack up

# Long runs; results go to bench/results/.
soak: venv
	$(BIN)/python -m bench.soak

# Locks from their inputs, with hashes and without the addresses of any registry.
lock: venv
	cd locks && for group in bootstrap run stack dev; do \
	  ../$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate -q $$group.in -o $$group.txt || exit 1; \
	done

# Stops what this folder runs and removes everything that was made; sources stay.
clean:
	@[ ! -x $(BIN)/aviary ] || $(BIN)/aviary down
	rm -rf .venv .aviary .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
