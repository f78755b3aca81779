# The commands that people type. `make help` lists them.

CARGO ?= cargo
BUILD := $(or $(CARGO_TARGET_DIR),target)
SERVER := $(BUILD)/release/oneloop

.DEFAULT_GOAL := all
.PHONY: all run test check msrv semver package guide sanitize miri chaos console models planted torture fuzz bench count conformance uv uv-programs install static image deb clean help

# The parts of the server: features of crates/server. `make all FEATURES=` leaves all of them out.
FEATURES ?= full

all: ## Build the server: ./main, with the parts that FEATURES lists
	$(CARGO) build --release --locked -p oneloop-server --no-default-features --features "$(FEATURES)"
	@cp -f $(SERVER) main.new && mv -f main.new main
	@echo "built ./main; try: ./main, and in another terminal: telnet localhost 8080"

run: all ## Build the server and run it
	./main

test: all ## Run all tests (those that need telnet, strace or a C compiler say so when they are skipped)
	$(CARGO) test --workspace --locked --no-fail-fast
	ONELOOP_TEST_STYLE=callback $(CARGO) test --locked -p oneloop-server
	ONELOOP_TEST_STYLE=green $(CARGO) test --locked -p oneloop-server
	$(CARGO) run --locked -p oneloop-torture -- --main $(BUILD)/debug/oneloop \
	--examples $(BUILD)/debug/examples --sample 150

check: ## Check format, lints, features, docs, dependencies, wording and spelling, as CI does
	@! git grep -nE '^(<<<<<<< |>>>>>>> )' || { echo "a merge was committed with its conflicts"; exit 1; }
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	.ci/features
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps --locked
	.ci/pages
	@if $(CARGO) deny --version >/dev/null 2>&1; then $(CARGO) deny --offline check licenses bans sources; \
	else echo "skipped: cargo deny is not installed (cargo install cargo-deny)"; fi
	.ci/wording
	@if command -v typos >/dev/null; then typos; \
	else echo "skipped: typos is not installed (cargo install typos-cli)"; fi

# The toolchain that `rust-version` names, by the name under which rustup has it: 1.95 is 1.95.0 there.
MSRV := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
MSRV_TOOLCHAIN = $(shell rustup toolchain list 2>/dev/null | grep -oE '^$(subst .,\.,$(MSRV))(\.[0-9]+)?' | tail -1)

msrv: ## Check all crates with the oldest supported compiler
	@if [ -n "$(MSRV_TOOLCHAIN)" ]; then set -x; rustup run $(MSRV_TOOLCHAIN) cargo check --workspace --locked; \
	else echo "skipped: Rust $(MSRV) is not installed (rustup toolchain install $(MSRV))"; fi

RELEASE = $(shell git describe --tags --match 'v*' --abbrev=0 2>/dev/null)

semver: ## Compare the public items of the crates with the latest release
	@if ! $(CARGO) semver-checks --version >/dev/null 2>&1; then \
		echo "skipped: cargo semver-checks is not installed (cargo install cargo-semver-checks)"; \
	elif [ -z "$(RELEASE)" ]; then echo "skipped: there is no release yet to compare with (a tag v*)"; \
	else set -x; $(CARGO) semver-checks --workspace --baseline-rev $(RELEASE); fi

package: ## Package every crate as for the registry, uncommitted changes included, without building the packages
	$(CARGO) package --workspace --locked --no-verify --allow-dirty

guide: ## Build the guide as a book, in target/guide
	@if command -v mdbook >/dev/null; then mdbook build docs/guide --dest-dir $(CURDIR)/target/guide; \
	else echo "skipped: mdbook is not installed (cargo install mdbook); read docs/guide/src/SUMMARY.md"; fi

HOST := $(shell rustc -vV | sed -n 's/^host: //p')
SANITIZED := --test threads --test scopes --test soundness --test thread_end --test thread_end_main --test sockets \
	--test eventlet --test random --test signals_on_stacks
ASAN := RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address $(CARGO) test --locked -p oneloop-green \
	--features sanitizer --target $(HOST) $(SANITIZED)
# The first tests leak on purpose, and `a_hundred_thousand` takes half a minute under ASan. The tests
# from `small_stack` on need a full stack, which ASan's larger frames change. `leave_no_stacks` counts
# memory, and both tools hold freed memory back for a while, so it runs under neither.
ASAN_SKIPS := --skip a_drop_that_waits_forever --skip left_behind --skip whatever_panics \
	--skip a_deadlock_in_the_main --skip a_hundred_thousand --skip the_smallest_stack \
	--skip small_stack --skip that_does_not_fit --skip if_the_process_continues --skip leave_no_stacks
# Valgrind pushes the frames of signal handlers itself, and is too slow for a storm of signals.
VALGRIND_SKIPS := --skip that_does_not_fit --skip if_the_process_continues --skip a_storm \
	--skip leave_no_stacks

sanitize: export ONELOOP_TEST_RANDOM_COUNT = 200
sanitize: ## Run the tests of the green stacks, and C programs on libuv.so.1, under AddressSanitizer and valgrind
	$(ASAN) -- $(ASAN_SKIPS)
	@if command -v valgrind >/dev/null; then \
	CARGO_TARGET_$(shell echo $(HOST) | tr a-z- A-Z_)_RUNNER="valgrind -q --trace-children=yes --error-exitcode=9" \
	$(CARGO) test --locked -p oneloop-green --target $(HOST) $(SANITIZED) \
	-- --test-threads=1 --skip a_hundred_thousand $(VALGRIND_SKIPS) && \
	ONELOOP_VALGRIND=1 $(CARGO) test --locked -p oneloop-uv --test library each_program; \
	else echo "skipped: valgrind is not installed"; fi

# Miri emulates no EPOLLPRI, so no loop runs there. It takes the threads of the process's pool, which
# never end, for a leak, and minutes for the three last tests.
MIRI := --lib -- mechanisms:: waker:: --skip reactor:: --skip job_pool:: --skip a_million \
	--skip as_an_ordered_map --skip thousands_of_timers

miri: ## Run the tests of slots, timers and wakers under Miri
	@if rustup run nightly cargo miri --version >/dev/null 2>&1; then set -x; \
	MIRIFLAGS=-Zmiri-disable-isolation rustup run nightly cargo miri test --locked -p oneloop-core $(MIRI); \
	else echo "skipped: Miri is not installed (rustup component add --toolchain nightly miri)"; fi

chaos: ## Run programs in three styles under 10,000 schedules each, with faults from seeds
	ONELOOP_CHAOS_SEEDS=10000 $(CARGO) test --release --locked -p oneloop-core --test chaos

console: ## Check what tokio-console shows of our tasks; builds console-subscriber
	cd crates/ecosystem/console && $(CARGO) test

MODELS := CARGO_TARGET_DIR=target/models RUSTFLAGS="--cfg loom" $(CARGO) test --profile models --locked -p oneloop-models

models: ## Run what threads share under each of their schedules (loom)
	$(MODELS) --test models -- --nocapture

planted: ## Show that the models find the bugs that are planted in a copy of the crates
	$(CARGO) test --locked -p oneloop-models --test planted -- --include-ignored --nocapture

# A failed case of the sample above names the debug server.
torture: all ## Fail each system call of the server and of examples, with each plausible error, by strace
	$(if $(findstring /debug/oneloop,$(ARGS)),$(CARGO) build --locked -p oneloop-server)
	$(CARGO) build --locked -p oneloop --examples
	$(CARGO) run --locked -p oneloop-torture -- --examples $(BUILD)/debug/examples $(ARGS)

fuzz: ## Give random input to each target for a minute (TARGET=chat SECS=600), or one INPUT=FILE to a TARGET
	@fuzz/run "$(TARGET)" "$(or $(INPUT),$(SECS))"

bench: all ## Compare the server with C, mio and tokio, side by side
	$(CARGO) run --release --locked -p oneloop-bench -- all
	$(CARGO) bench --locked -p oneloop

count: all ## Count instructions and system calls of the server, and compare with those recorded (RECORD=1 records them)
	$(CARGO) run --locked -p oneloop-bench -- count --main $(SERVER) $(if $(RECORD),--record)

conformance: ## Record again what the conformance programs print on the node, gevent and eventlet of this machine
	conformance/record-node
	conformance/record-python
	$(CARGO) test --locked -p oneloop-conformance

UV_OUT := $(BUILD)/release

uv: ## Build libuv.so.1, for programs that are linked with libuv, and libuv.pc
	$(CARGO) build --release --locked -p oneloop-uv
	@cp -f $(UV_OUT)/libuv.so $(UV_OUT)/libuv.so.new && mv -f $(UV_OUT)/libuv.so.new $(UV_OUT)/libuv.so.1
	@strip --strip-unneeded $(UV_OUT)/libuv.so.1 2>/dev/null || echo "skipped: strip is not installed"
	@sed -e 's|@FOLDER@|$(abspath $(UV_OUT))|' -e 's|@INCLUDE@|$(CURDIR)/crates/uv/include|' \
		crates/uv/libuv.pc.in > $(UV_OUT)/libuv.pc
	@echo "built $(UV_OUT)/libuv.so.1; try: LD_LIBRARY_PATH=$(UV_OUT) PROGRAM"

uv-programs: uv ## Run programs on libuv and on our libuv.so.1, and compare (SUITE=1: gevent's tests, too)
	crates/uv/programs/run $(UV_OUT)

PREFIX ?= /usr/local

install: all ## Install the server, its man pages, completions and units below $(DESTDIR)$(PREFIX)
	packaging/install main "$(DESTDIR)" "$(PREFIX)"

STATIC := x86_64-unknown-linux-musl
STATIC_SERVER := $(BUILD)/$(STATIC)/release/oneloop

static: ## Build a static server, which needs no library and no file
	@rustup target list --installed 2>/dev/null | grep -qx $(STATIC) || { \
	echo "the static server needs a compiler for musl: rustup target add $(STATIC)"; exit 1; }
	$(CARGO) build --release --locked -p oneloop-server --no-default-features --features "$(FEATURES)" --target $(STATIC)
	@echo "built $(STATIC_SERVER)"

IMAGE ?= oneloop

image: static ## Build a container image of the static server alone, by podman or docker
	@builder=$$(command -v podman || command -v docker) || { \
	echo "skipped: neither podman nor docker is installed"; exit 0; }; \
	rm -rf $(BUILD)/image && mkdir -p $(BUILD)/image && \
	cp packaging/container/Containerfile $(STATIC_SERVER) $(BUILD)/image && \
	$$builder build --tag $(IMAGE) --file $(BUILD)/image/Containerfile $(BUILD)/image

deb: all ## Build a Debian package, in target
	@if command -v dpkg-deb >/dev/null; then packaging/debian/build main $(BUILD); \
	else echo "skipped: dpkg-deb is not installed"; fi

clean: ## Remove what was built
	$(CARGO) clean
	rm -f main main.new

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
