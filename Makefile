# What a user types: demo, run, build, test, check. Each target says what it does in `make help`.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.PHONY: help demo run build test threats faults check docs fuzz races memcheck conservation bench fmt clean deps install

# Another nginx than the installed one: its source, and where that was configured.
NGINX_SOURCE_DIR ?= $(CURDIR)/build/nginx-src
NGINX_BUILD_DIR ?= $(NGINX_SOURCE_DIR)/objs
export NGINX_SOURCE_DIR NGINX_BUILD_DIR

help: ## This list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' Makefile | expand -t 20

demo: build ## A paid location, bought twice by a client; leaves nothing running
	@scripts/demo.sh

run: build ## The same, left serving; prints what to type. WALLET=nwc (lnc, cln, …) is how nginx reaches the node
	@scripts/demo.sh --serve

build: deps ## The module, l402d, l402 and lnsim, into build/
	@scripts/build.sh

test: build ## Every test: units, conformance, scenarios through nginx on lnsim and on real nodes
	@scripts/test.sh

threats: build ## What has been done to paywalls, as scenarios; a table of row and result
	@scripts/threats.sh

faults: build ## Redis killed, paused, failed over, full, read-only, with clients: a table of what came of each payment
	@cargo test --release -q --workspace --test scenarios -- lnsim::redis::

check: deps ## Lints, docs, forbidden dependency edges, cargo-deny
	@scripts/check.sh

docs: deps ## Write the reference pages anew from the setting records
	@UPDATE_DOCS=1 cargo test --release -q -p settings
	@UPDATE_DOCS=1 cargo test --release -q --workspace --lib -- the_page_has_the_table

fuzz: deps ## Every fuzz target, SECONDS each (60)
	@scripts/fuzz.sh $(SECONDS)

races: ## What l402d's threads share on the way of a claim, in every order that they may take
	@scripts/races.sh

memcheck: build ## The scenarios with nginx and the module under AddressSanitizer
	@scripts/memcheck.sh

conservation: deps ## A thousand random ecash payments with kills and outages; the books must agree
	@scripts/cashu-mint.sh
	@ECASH_PAYMENTS=$${ECASH_PAYMENTS:-1000} cargo test --release --workspace --test mint -- conservation --nocapture

bench: build ## Speed and size against plain nginx and a bare node, into bench/RESULTS.md
	@scripts/bench.sh

fmt: ## Lay the code out
	@cargo fmt --all

deps: ## What is missing of Debian's packages (asks for root), and nginx's headers
	@scripts/deps.sh
	@scripts/nginx-source.sh

install: build ## The module and programs into the system (asks for root)
	@scripts/install.sh

clean: ## Remove what was built
	@rm -rf build target .cache
