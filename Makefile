# For people: the build itself is CMake's (CMakePresets.json). `make help` lists what there is.
PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 600

.PHONY: all help build tour check install fuzz bench clean
.DEFAULT_GOAL := all

all: build ## build the release

help:
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/' | expand -t 10

build:
	@scripts/deps.sh build
	@cmake --preset release >/dev/null
	@cmake --build --preset release --target tola tola_static tola_shared tola_docs

tour: ## build, then the life of a model: trained, inspected, quantized, taught, run (CORPUS=FILE)
	@scripts/deps.sh build
	@scripts/tour.sh

check: ## build with gcc and clang, all tests, sanitizers, fuzz corpora, structure
	@scripts/deps.sh check
	@scripts/check.sh

install: build ## install to PREFIX (/usr/local), below DESTDIR
	@DESTDIR="$(DESTDIR)" cmake --install build/release --prefix "$(PREFIX)"
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" -eq 0 ]; then ldconfig; fi

fuzz: ## each fuzz target for FUZZ_SECONDS (600)
	@scripts/deps.sh check
	@FUZZ_SECONDS=$(FUZZ_SECONDS) scripts/fuzz.sh

bench: ## the benchmarks in bench/
	@scripts/deps.sh build
	@scripts/bench.sh

clean: ## remove what was built
	rm -rf build
