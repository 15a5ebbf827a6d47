# Everything a person or CI does here has a name; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Looked for only where .venv has to be made.
PYTHON ?= $(shell scripts/find-python)
BIN := .venv/bin
CODE := odavl_hub dashboard insight autopilot guardian uploads teams workspaces storage jobs accounts frame cli/odavl scripts mutants manage.py
# What `manage.py check` and its like need; nothing connects to a database there.
CHECK_ENVIRONMENT := SECRET_KEY=$$($(BIN)/python -c 'import secrets; print(secrets.token_urlsafe(48))') \
	ODAVL_PUBLIC_URL=https://hub.example.com ALLOWED_HOSTS=hub.example.com SECURE_SSL_REDIRECT=true \
	TRUSTED_PROXIES=10.0.0.0/8 EMAIL_HOST=mail.example.com

.PHONY: help run test check faults soak bench measure mutants install frontend messages static format clean

help: ## This list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: install static messages ## Start a hub, analyse this repository, serve until Ctrl-C (PORT, ODAVL_DATA)
	@exec $(BIN)/python manage.py hub --analyze .

test: install static messages tests/storage/servers/node_modules/.installed ## All tests, with a PostgreSQL and a Redis of their own (ARGUMENTS for pytest)
	@$(BIN)/pytest -n auto $(ARGUMENTS)

check: install messages ## Format, lint, types, layers, migrations, deployment, templates, docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy $(CODE)
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_names.py
	$(CHECK_ENVIRONMENT) $(BIN)/python -W ignore::RuntimeWarning manage.py makemigrations --check --dry-run
	$(CHECK_ENVIRONMENT) $(BIN)/python manage.py check --deploy --fail-level WARNING
	git ls-files -z '*.html' | xargs -0 --no-run-if-empty $(BIN)/djade --target-version 5.2 --check
	$(BIN)/python scripts/check_docs.py

faults: install static messages ## The fault suite, with a gigabyte and a million findings (`make test` has a tenth)
	@ODAVL_TEST_LARGE_MEBIBYTES=1024 ODAVL_TEST_FINDINGS=1000000 $(BIN)/pytest -n 2 --timeout 1800 tests/faults $(ARGUMENTS)

SAMPLE ?= 200
ROOM ?=
FILES ?=

mutants: install static messages ## Make small mistakes in a copy of the core; does a test notice? (SAMPLE, SEED, ROOM, FILES, ARGUMENTS)
	@$(BIN)/python -m mutants --sample $(SAMPLE) $(if $(SEED),--seed $(SEED)) \
		$(if $(ROOM),--room $(ROOM)) $(if $(FILES),--files $(FILES)) $(ARGUMENTS)

PAYLOADS ?= 2000
CLIENTS ?= 8
SECONDS ?= 4
SEED ?=

soak: install static messages ## Kill the hub's processes at random under load; nothing may be lost (PAYLOADS, CLIENTS, SECONDS between kills, SEED)
	@$(BIN)/python -m tests.faults.soak --payloads $(PAYLOADS) --clients $(CLIENTS) \
		--seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

bench: install static ## Measure speed and memory beside their goals; 0 where all hold, 1 where not (ARGUMENTS: parts, --list, --quick)
	@$(BIN)/python -m benchmarks $(ARGUMENTS)

measure: ## Sizes, silences and dependencies of the code, as in docs/architecture.md (TREE: another checkout)
	@$(shell command -v $(BIN)/python || command -v python3) scripts/measure.py $(TREE)

format: install ## Put the code into shape
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	git ls-files -z '*.html' | xargs -0 --no-run-if-empty $(BIN)/djade --target-version 5.2

# ── What the above stand on; each is done again only when what it is made from has changed ──

install: .venv/.requirements .venv/.client ## The Python packages, as locked

.venv/.requirements: requirements/dev.txt
	@test -x $(BIN)/pip || { python="$(PYTHON)" && "$${python:?was not found}" -m venv .venv; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "ODAVL needs Python 3.11 to 3.14, and .venv has an older one: rm -r .venv, make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@echo "Installing Python packages into .venv (a minute, once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

.venv/.client: cli/pyproject.toml .venv/.requirements
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e cli
	@$(BIN)/python -m compileall -q cli/odavl
	@touch $@

frontend: odavl_hub/static/vendor/.built ## Styles, scripts and fonts for the pages, from npm packages

node_modules/.installed: package-lock.json | .venv/.requirements
	@echo "Installing front-end packages into node_modules" >&2
	@scripts/npm ci --silent
	@touch $@

tests/storage/servers/node_modules/.installed: tests/storage/servers/package-lock.json | .venv/.requirements
	@echo "Installing the servers that tests talk to" >&2
	@scripts/npm --prefix tests/storage/servers ci --silent
	@touch $@

TEMPLATES := $(shell find odavl_hub dashboard insight autopilot guardian storage accounts -path '*/templates/*' -name '*.html' -o -path '*/templatetags/*.py' 2>/dev/null)
SCRIPTS := $(shell find odavl_hub dashboard insight autopilot guardian storage -path '*/static/js/*' -name '*.js' 2>/dev/null)

odavl_hub/static/vendor/.built: node_modules/.installed $(wildcard frontend/*) $(TEMPLATES) $(SCRIPTS)
	@scripts/npm run --silent build
	@touch $@

static: staticfiles/staticfiles.json ## Static files, hashed and compressed for serving

OWN_STATIC := $(shell find */static -type f -not -path '*/vendor/*' 2>/dev/null)

staticfiles/staticfiles.json: odavl_hub/static/vendor/.built $(OWN_STATIC) .venv/.client
	@echo "Collecting static files" >&2
	@$(BIN)/python manage.py collectstatic --no-input --clear --verbosity 0 \
		--ignore .built --ignore rest_framework
	@touch $@

CATALOGUES := $(shell find locale */locale -name '*.po' 2>/dev/null)

messages: $(CATALOGUES:.po=.mo) ## Translations, compiled

%.mo: %.po scripts/compile_messages.py | .venv/.requirements
	@$(BIN)/python scripts/compile_messages.py $< $@

clean: ## Remove what was built (not the hub's data in .data)
	rm -rf .venv node_modules staticfiles odavl_hub/static/vendor .mypy_cache .ruff_cache .pytest_cache \
		.import_linter_cache .hypothesis .schemathesis .mutants htmlcov .coverage
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
	find . -name '*.mo' -not -path './.data/*' -delete
