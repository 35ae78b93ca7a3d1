# `make check` is what CI runs. `make` alone lists the targets.

PYTHON ?= python3

# The tests of random shapes draw the same ones at every run, so that a commit passes or fails for good; `make fuzz`
# draws others.
export PROPTEST_RNG_SEED ?= 2021

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help check fmt lint test onnx-engine fuzz examples doc golden data

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: fmt lint test examples doc ## fmt, lint, test, examples and doc: what CI runs

fmt: ## check the formatting (`cargo fmt --all` puts it right)
	cargo fmt --all --check
	cargo fmt --check --manifest-path tools/onnx-engine/Cargo.toml

lint: ## clippy on every target, warnings are errors
	cargo clippy --release --workspace --all-targets --locked -- -D warnings

test: ## all tests and documentation examples
	@$(MAKE) --no-print-directory onnx-engine || \
		echo "tools/onnx-engine could not be built: tests that run ONNX files will say SKIPPED"
	cargo test --release --workspace --locked

onnx-engine: ## build what the tests run ONNX files in (they skip that part without it)
	cargo build --release --locked --manifest-path tools/onnx-engine/Cargo.toml --target-dir target/onnx-engine

fuzz: ## the tests of random shapes, with other shapes each time (RUNS times, 20 unless said)
	for run in $$(seq $(or $(RUNS),20)); do \
		seed=$$(od -An -N4 -tu4 /dev/urandom | tr -d ' '); echo "seed $$seed"; \
		PROPTEST_RNG_SEED=$$seed cargo test --release --locked -p njet-basis -p njet-kernels --test '*' --quiet && \
		PROPTEST_RNG_SEED=$$seed cargo test --release --locked -p njet --quiet \
			--test layer --test layer_forms --test transposed --test fit --test tensors || exit 1; \
	done

examples: ## run the example programs, a few seconds each
	for name in layer_only custom_classifier custom_unet; do \
		cargo run --release -p njet --locked --example $$name || exit 1; \
	done

doc: ## build the documentation, warnings are errors
	RUSTDOCFLAGS="-D warnings" cargo doc --release --workspace --no-deps --locked

golden: ## write the golden files anew (needs python3 with numpy)
	$(PYTHON) tools/golden.py

data: ## make the embedded data anew (needs python3 and the full Fashion-MNIST; FROM=DIR names its directory)
	$(PYTHON) tools/make_embedded.py $(if $(FROM),--from "$(FROM)")
