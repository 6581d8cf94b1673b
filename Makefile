# Every target works alone on a machine that has Python 3.11 or newer and make.
#   PYTHON=python3.12   which Python to make the environment with (default: the newest supported one found)
#   ARGS="..."          more arguments for the command behind the target

python := .venv/bin/python
# Two more than there are cores: many tests wait for a process, or for time to pass.
workers := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 2)
pytest := $(python) -m pytest -n $(workers) --maxprocesses 4 --dist worksteal
# The tests of what speaks to a database all day.
served := tests/agent_runtime tests/admin_api tests/registry

.DEFAULT_GOAL := help
.PHONY: help venv demo test test-pgbouncer test-jamjet test-mcp test-browser test-clients test-js \
	test-newest fuzz bench soak wheel lint check format lock \
	clean

# What follows the word `bench` says what to measure, and is no target of its own.
ifeq (bench,$(firstword $(MAKECMDGOALS)))
measured := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
.PHONY: $(measured)
$(eval $(measured):;@:)
endif

# A Python that was set up for something else must not reach into the environment.
unexport PYTHONHOME
unexport PYTHONPATH
# Tests start hundreds of processes, each of which would compile all of the software once more.
unexport PYTHONDONTWRITEBYTECODE

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' Makefile

venv:  ## make .venv from requirements.lock, if it is not there yet
	@sh scripts/venv.sh

demo: venv  ## a registry and an agent: scaffold it, talk to it, kill it, run a workflow with it
	@$(python) -m demo $(ARGS)

test: venv  ## run all tests; ARGS="-k summary" runs some
	@$(pytest) $(ARGS)

test-pgbouncer: venv  ## run the services' tests through PgBouncer in transaction mode
	@$(python) scripts/with_pgbouncer.py $(pytest) $(served) $(ARGS)

test-jamjet: venv  ## run the tests of JamJet's client with the newest one (needs Python 3.12 or 3.13)
	@$(python) scripts/with_newest_jamjet.py $(pytest) tests/contract/test_jamjet_clients.py tests/contract/test_jamjet_runs.py $(ARGS)

test-mcp: venv  ## run the tests with MCP servers of others (needs npm, and a network the first time)
	@$(python) scripts/with_mcp_servers.py $(pytest) tests/strangers/mcp_servers $(ARGS)

test-browser: venv  ## run the console's tests in a real browser (needs chromium, or CHROMIUM=/where/it/is)
	@browser="$${CHROMIUM:-$$(command -v chromium || command -v chromium-browser || command -v google-chrome)}"; \
	test -x "$$browser" || { echo "no chromium was found; name one by CHROMIUM=/where/it/is" >&2; exit 1; }; \
	CHROMIUM="$$browser" $(python) -m pytest -n 0 tests/browser $(ARGS)

test-clients: venv  ## generate clients in Python and TypeScript from the OpenAPI documents, and use them (needs npm)
	@$(python) scripts/with_client_generators.py $(pytest) tests/clients $(ARGS)

test-js: venv  ## run LangGraph's clients for JavaScript (needs node with npm, and a network the first time)
	@browser="$${CHROMIUM:-$$(command -v chromium || command -v chromium-browser || command -v google-chrome)}"; \
	CHROMIUM="$$browser" $(python) scripts/with_langgraph_js.py $(python) -m pytest -n 0 tests/javascript $(ARGS)

test-newest:  ## run all tests with the newest packages instead of the locked ones
	@sh scripts/test-newest.sh $(ARGS)

fuzz: venv  ## 100,000 hostile requests to both services; ARGS="5000 7" for another number and seed
	@$(python) -m tests.hostile $(ARGS)

bench: venv  ## measure what the software costs; `make bench turns` measures one thing
	@$(python) -m benchmarks $(measured) $(ARGS)

soak: venv  ## break things under load, and look what holds; ARGS="--minutes 5 --seed 1"
	@$(python) -m tests.faults $(ARGS)

wheel: venv  ## build the wheel into dist/, for projects and containers elsewhere
	@rm -rf build
	@$(python) -m pip --disable-pip-version-check wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/agent_sidecar-*.whl

lint: venv  ## ruff, mypy --strict and the import layers, on everything
	@$(python) -m ruff check .
	@$(python) -m ruff format --check .
	@.venv/bin/lint-imports --no-cache
	@$(python) -m mypy

check: lint  ## lint, and the tests that belong to what has changed; ARGS=main compares with that branch
	@$(python) scripts/check.py $(ARGS)

format: venv  ## let ruff put everything into shape
	@$(python) -m ruff check --fix .
	@$(python) -m ruff format .

lock:  ## resolve requirements.lock again; ARGS=--upgrade takes the newest versions
	@"$$(sh scripts/find-python.sh)" scripts/lock.py $(ARGS)

clean:  ## remove the environment and everything else that is made again by itself
	rm -rf .venv .venv-jamjet .venv-mcp .venv-clients .venv-js build dist *.egg-info
	rm -rf .mypy_cache .pytest_cache .ruff_cache .hypothesis .schemathesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
