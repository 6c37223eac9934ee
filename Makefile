# The front door. Each target sets up what it needs first (tools/setup); nothing has to be
# installed or activated by hand.

PORT ?= 8000
HOST ?= 127.0.0.1
# An application to serve, as module:attribute, and the folder it is imported from.
APP ?= shop.main:app
APP_DIR ?= examples/python
# Seconds per fuzz target.
SECONDS ?= 60
# Arguments for pytest, such as: make test ARGS='-k lifespan'
ARGS ?=

.PHONY: help run test build build-debug bench lint check fuzz clean

help:
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
	    printf 'make %-12s %s\n' "$$name" "$$text"; done

run: ## serve the example shop on http://127.0.0.1:8000 (PORT=, HOST=, APP=, APP_DIR=)
	@tools/setup run
	@root=$$PWD && cd "$(APP_DIR)" && \
	    exec "$$root/.venv/bin/fasterapi" run "$(APP)" --host "$(HOST)" --port "$(PORT)"

test: ## run the C tests, then the Python suite on every Python of 3.11 to 3.13 (ARGS=)
	@tools/python tools/run_tests.py -- $(ARGS)

build: ## build the C library (build/release) and the extension (.venv), optimised
	@tools/setup run
	@.venv/bin/python tools/builds.py release

build-debug: ## build the C library and its tests (build/debug) and the extension (.venv-debug) for a debugger
	@tools/setup debug
	@.venv-debug/bin/python tools/builds.py debug

bench: ## measure this server beside its peers; writes text, JSON and a page (ARGS=--full)
	@tools/setup bench
	@.venv/bin/python benchmarks/runner.py --setup $(or $(ARGS),--quick)

lint: ## check formatting, run the analysers and type checkers, the layer and function rules
	@tools/setup lint
	@.venv/bin/python tools/lint.py

check: ## everything CI does: test, lint, sanitizers, fuzz targets, NEON, packaging
	@tools/python tools/ci.py

fuzz: ## run each fuzz target (SECONDS=60)
	@tools/setup fuzz
	@.venv/bin/python tools/fuzz.py --seconds $(SECONDS)

clean: ## remove everything the other targets made
	@rm -rf build .venv .venv-* dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
