# The front door: see README.md and CONTRIBUTING.md.  The work is done by meson and scripts/.
PREFIX ?= /usr/local
export PREFIX DESTDIR FUZZ_SECONDS SOAK_SECONDS SOAK_FROM

help:
	@echo 'make run      install what building needs, build, show the verdicts of two machines'
	@echo 'make check    the tests, in under a minute; needs no network'
	@echo 'make test     everything: installs test tools; gcc, clang, sanitizers, mutants'
	@echo 'make bench    the benchmarks, from an optimised build'
	@echo 'make fuzz     each fuzzer for FUZZ_SECONDS (default 60)'
	@echo 'make soak     random operations and faults for SOAK_SECONDS (default 3600)'
	@echo 'make mutants  turn each rule of tests/rules.tsv off: its test must fail'
	@echo 'make install  to PREFIX (default /usr/local), below DESTDIR'
	@echo 'make clean    remove all build directories'

run check test bench fuzz soak mutants install:
	@scripts/$@

clean:
	rm -rf build build-*

.PHONY: help run check test bench fuzz soak mutants install clean
