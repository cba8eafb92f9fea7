# For hands that type make: every target only forwards.
.DEFAULT_GOAL := help
.PHONY: help run test fast lint docs site bench lock

COMPILE = .boot/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --custom-compile-command 'make lock'

help: ## Show this help
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-6s %s\n", $$1, $$2}'

run: ## Start the router
	./run

test: ## Check everything
	./test

fast: ## Check everything but the slow tests
	./test fast

lint: ## Mend what ruff can mend
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

docs: ## Rewrite the generated parts of the pages
	.venv/bin/cog -r -I . ./*.md docs/*.md

site: ## Build the pages as a site: build/site/pages
	.boot/uv/bin/uv venv --quiet --allow-existing build/site/python
	.boot/uv/bin/uv pip install --quiet --python build/site/python/bin/python --require-hashes -r docs/requirements.txt
	build/site/python/bin/zensical build --clean --strict

bench: ## Measure what the README claims
	.venv/bin/python -m bench

lock: ## Pin the newest libraries that requirements.in allows
	$(COMPILE) --upgrade --output-file requirements.txt requirements.in
	$(COMPILE) --upgrade --output-file tests/clients/requirements.txt tests/clients/requirements.in
	$(COMPILE) --upgrade --output-file docs/requirements.txt docs/requirements.in
	cd tests/clients && npm update --package-lock-only --omit-lockfile-registry-resolved
	cd bench/peers/portkey && npm update --package-lock-only --omit-lockfile-registry-resolved
	for lock in bench/peers/requirements-*.in; do \
		$(COMPILE) --upgrade --output-file $${lock%.in}.txt $$lock; done
	echo uv | $(COMPILE) --upgrade --output-file requirements-boot.txt -
