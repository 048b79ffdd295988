# `make` lists the targets. Everything else is cargo: CONTRIBUTING.md.

# Where cargo puts what it builds.
RELAY = $(or $(CARGO_TARGET_DIR),target)/release/proof-messenger-relay

.PHONY: help demo test

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-6s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The release build: it is the one to try by hand, and to measure. It takes about twice as long as a debug build.
demo: ## send requests through Envoy, and show what the relay makes of each (KEEP=1: leave it running)
	cargo build --release --locked
	python3 examples/demo/demo.py $(RELAY) $(if $(KEEP),--keep)

test: ## run every test, with a real Envoy
	ENVOY="$$(envoy/obtain)" && export ENVOY && cargo test --locked
