# Everything is installed into .venv, nothing outside the checkout. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MATURIN := $(VENV)/.build/bin/maturin
RUST_NEEDED := 1.89
JOBS ?= 2
# Without bytecode every process that a test starts compiles all modules anew.
unexport PYTHONDONTWRITEBYTECODE
NATIVE := src/hornbeam/_native.abi3.so
# A checkout has the kernels for its own machine; ISA=all compiles those for all, as wheels have them.
ISA ?= native
FEATURES := $(if $(filter native,$(ISA)),--features native)
# Without make's own job server, which cargo cannot reach.
CARGO := env -u MAKEFLAGS cargo
RUST_FEATURES := $(if $(filter native,$(ISA)),--features hornbeam-kernels/native)
# Clippy builds PyO3 for another Python than maturin: in the same folder each would undo the other's work.
LINT := --target-dir target/lint --release --quiet
RUST_SOURCES := Cargo.toml Cargo.lock $(shell find crates -name '*.rs' -o -name Cargo.toml)

.PHONY: mnist help check c-library wheel release-check test test-rest test-all docs lint lint-python lint-rust lint-small rust-test quick-test python-rest python-test web ecosystem sanitize fuzz bench clean check-rust develop dev-packages extension

mnist: $(VENV)/.installed  ## install Hornbeam alone, train a small net on MNIST, and report on it
	$(BIN)/hornbeam mnist

help:  ## list the targets
	@awk -F ':.*##' '/^[a-z-]+:.*##/ { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

check: $(VENV)/.installed  ## lint and the closest tests of what has changed, in two minutes: make check FILES=...
	@test -x $(BIN)/mypy || { echo "make check needs the development tools: make develop"; exit 1; }
	$(BIN)/python tools/check.py $(FILES)

# mypy, which has one thread, runs beside the compiler.
test: develop  ## install the development tools too, lint, and test every room in Rust and Python
	$(MAKE) --jobs 2 --output-sync=target lint-python lint-rust rust-test
	$(MAKE) --old-file=develop quick-test

test-rest: lint-small python-rest ecosystem docs  ## what CI runs besides `test`

test-all: lint rust-test c-library  ## all tests, with the long sweeps
	$(BIN)/python -m pytest -n $(JOBS) -m "slow or not slow"

check-rust:
	@command -v cargo >/dev/null || { echo "hornbeam builds its native engine with Rust $(RUST_NEEDED)+,"; echo "and cargo is not on the PATH: get it from https://rustup.rs"; exit 1; }
	@cargo --version | awk '{ split($$2, have, "."); split("$(RUST_NEEDED)", need, "."); if (have[1] < need[1] || (have[1] == need[1] && have[2] < need[2])) { print "hornbeam needs Rust $(RUST_NEEDED)+, this is " $$2 ": run `rustup update stable` (https://rustup.rs)"; exit 1 } }'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(f"hornbeam needs Python 3.10+, this is {sys.version.split()[0]}: set PYTHON=..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

# Beside the environment, which has what runs need and nothing more.
$(MATURIN): | $(BIN)/python
	@echo "Installing maturin, which builds the native engine."
	@$(BIN)/python -m pip install --quiet --upgrade --target $(VENV)/.build "maturin>=1.7,<2"

$(VENV)/.installed: pyproject.toml $(RUST_SOURCES) $(NATIVE) | check-rust $(MATURIN)
	@echo "Installing the dependencies into $(VENV), then compiling"
	@echo "the native engine in Rust. The first compilation takes"
	@echo "1 to 2 minutes on 2 cores; later ones take seconds."
	@PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) $(MATURIN) develop --release $(FEATURES)
	@touch $@

# A missing extension module counts as newer than all that needs it.
$(NATIVE):

# pip, which has one thread, works beside the compiler.
develop: check-rust $(MATURIN)  ## install Hornbeam with the tools that checks and tests need
	@echo "Installing the tools for tests while the native engine compiles."
	@$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"  # the first to know groups
	@$(MAKE) --jobs 2 --output-sync=target dev-packages extension
	@PIP_QUIET=1 VIRTUAL_ENV=$(CURDIR)/$(VENV) $(MATURIN) develop --release --quiet $(FEATURES)
	@touch $(VENV)/.installed

dev-packages:
	$(BIN)/python -m pip install --quiet --group develop

extension:
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(MATURIN) develop --release --quiet --skip-install $(FEATURES)

c-library: $(BIN)/python check-rust  ## build libhornbeam and hornbeam.h for programs in C, as the wheel has them
	$(BIN)/python tools/build_c_library.py

wheel: c-library $(MATURIN)  ## build the wheel into dist
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(MATURIN) build --release --out dist

release-check: develop  ## try a release as far as this machine can: sdist, wheel, installs (Linux, slow)
	$(BIN)/python -m pip install --quiet --group release
	$(BIN)/python tools/release_check.py

lint: develop lint-python lint-rust lint-small  ## ruff, mypy, rustfmt, clippy

lint-python:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lint-rust: check-rust
	$(CARGO) fmt --all --check
	$(CARGO) clippy $(LINT) --workspace --all-targets $(RUST_FEATURES) -- -D warnings

lint-small: check-rust  ## clippy for the smallest C library
	$(CARGO) clippy $(LINT) -p hornbeam-capi --no-default-features -- -D warnings

rust-test: check-rust  ## the Rust tests
	$(CARGO) test --workspace --release --quiet $(RUST_FEATURES)

# RUSTC_BOOTSTRAP enables instrumented builds on a stable compiler. Leaks are not detected: the threads of
# a pool live as long as the process (`pool/mod.rs`).
SANITIZED ?= /tmp/hornbeam-sanitize
HOST = $(shell rustc -vV | sed -n 's/^host: //p')

sanitize: check-rust  ## Rust tests under AddressSanitizer, and the thread pool under ThreadSanitizer (Linux, slow)
	ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address CARGO_TARGET_DIR=$(SANITIZED) cargo test --release --quiet --lib --tests --target $(HOST) -p hornbeam-kernels -p hornbeam-engine
	RUSTC_BOOTSTRAP=1 rustc --edition 2021 --test -O -g -Zsanitizer=thread -Cunsafe-allow-abi-mismatch=sanitizer crates/hornbeam-kernels/src/pool/mod.rs -o $(SANITIZED)/pool
	TSAN_OPTIONS=suppressions=tools/tsan.supp $(SANITIZED)/pool --test-threads=1

# Seconds per target. One thread, so that findings can be reproduced.
FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= decode graph resize

fuzz: check-rust  ## libFuzzer on the Rust parsers under AddressSanitizer (Linux): make fuzz FUZZ_SECONDS=3600
	@cargo fuzz --version >/dev/null 2>&1 || { echo "make fuzz needs cargo-fuzz: cargo install cargo-fuzz"; exit 1; }
	for target in $(FUZZ_TARGETS); do \
	  mkdir -p fuzz/corpus/$$target && \
	  ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 HORNBEAM_THREADS=1 RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir fuzz --target-dir $(SANITIZED)/fuzz $$target fuzz/corpus/$$target fuzz/seeds fuzz/found -- \
	    -max_total_time=$(FUZZ_SECONDS) -timeout=20 -rss_limit_mb=1536 -malloc_limit_mb=64 || exit 1; \
	done

quick-test: develop  ## a tenth of the Python tests, of every module
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" --part quick

python-rest: develop c-library  ## the Python tests that `test` leaves out, without the long sweeps
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow" --part rest

python-test: develop c-library  ## the Python tests, without the long sweeps
	$(BIN)/python -m pytest -n $(JOBS) -m "not slow"

web: $(BIN)/python  ## build the engine in WebAssembly, which pages of models contain (after a change of what it can do)
	$(BIN)/python tools/build_web.py

ecosystem: develop  ## small programs over ten packages built on Keras
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target $(VENV)/.ecosystem -r tests/ecosystem/requirements-sample.txt
	PYTHONPATH=$(CURDIR)/$(VENV)/.ecosystem $(BIN)/python -m pytest -n $(JOBS) tests/ecosystem

docs: check-rust $(MATURIN)  ## build the site of docs/ into build/docs; warnings are errors
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --group docs
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(MATURIN) develop --release --quiet $(FEATURES)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/docs
	$(BIN)/python tools/check_site.py build/docs

bench: $(VENV)/.installed  ## measure common models; see benchmarks/README.md for comparisons
	$(BIN)/hornbeam bench

clean:  ## remove the environment and all build outputs
	rm -rf $(VENV) target dist build
