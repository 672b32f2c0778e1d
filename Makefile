# wgdeck: one program, linked two ways (DESIGN: build/wgdeck for the operator's machine, build/wgdeck-<machine> for nodes).
#   make            both programs            make deps     what is needed to build and test (Debian 12)
#   make check      the whole test suite     make demo     a lab of real hosts on this machine, and the mesh in it
#   make check-vm   the kernel's own WireGuard, in a guest (tests/vm)      make check-engine  the engine's tests that take minutes
#   make check-change  a change of a mesh, broken at each step in each way (an hour)
#   make check-join    a join, broken at each step in each way; every pair of NAT kinds; a rekey by the relay (20 minutes)
#   make bench      figures, as ratios       make install  DESTDIR and PREFIX are honoured
#   make unit|asan|tsan|fuzz|lint            parts of the suite          V=1 shows the commands
BUILD   ?= build
PREFIX  ?= /usr/local
CC      ?= gcc
MACHINE := $(shell uname -m)
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo unreleased)

ifeq ($(V),1)
Q :=
SAY := @:
else
Q := @
SAY := @printf '  %-7s %s\n'
endif

WARN := -Wall -Wextra -Wshadow -Wcast-qual -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wundef \
        -Wwrite-strings -Wpointer-arith -Wvla
# Where bytes come from outside, every narrowing is written down.
WARN_OUTSIDE := -Wconversion
OPT   ?= -O2 -g
HARD  := -fPIE -fstack-protector-strong -fstack-clash-protection -fcf-protection
ifeq ($(SANITIZE),)
HARD  += -D_FORTIFY_SOURCE=2
else
OPT   := -O1 -g -fno-omit-frame-pointer -fsanitize=$(SANITIZE) -fno-sanitize-recover=all
endif
ifneq ($(FUZZ),)
OPT   += -fsanitize=fuzzer-no-link
endif
CPPFLAGS += -Iinclude -I$(BUILD)/include -D_GNU_SOURCE $(shell pkg-config --cflags-only-I libnl-3.0 2>/dev/null)
CFLAGS   += -std=gnu11 $(OPT) $(HARD) $(WARN)
LDFLAGS  += -pie -Wl,-z,relro,-z,now -pthread
LIBS     := -lssh -lcrypto -lsodium -lcjson -lev -lnl-genl-3 -lnl-route-3 -lnl-3 -lncursesw -ltinfo -lseccomp -lm

# The linker says of each of libc's lookups that the static program needs the same glibc at run time for NSS modules. Files and DNS are
# built in since glibc 2.34, and nothing else is wanted.
STATIC_KNOWN := Using '[a-z_]+' in statically linked|[iI]n function
CJSON    := .deps/cjson/libcjson.a
# ipsec-mb: its archive in both programs (what is used of it is not in its shared library), and only of the version whose inner functions
# src/engine/seal_ipsecmb.c knows. Without it, or with IPSEC_MB= given, libcrypto seals.
IPSEC_MB_HEADER := /usr/include/intel-ipsec-mb.h
ifeq ($(MACHINE),x86_64)
IPSEC_MB ?= $(if $(shell grep -s 'IMB_VERSION_STR "1\.3\.' $(IPSEC_MB_HEADER)),$(wildcard $(shell $(CC) -print-file-name=libIPSec_MB.a)))
endif
IPSEC_MB := $(IPSEC_MB)
LIBS     += $(IPSEC_MB)
# QR codes of "wgdeck export --qr", in the dynamic program; without libqrencode, or with QRENCODE= given, it says that it has none.
QRENCODE ?= $(shell pkg-config --libs libqrencode 2>/dev/null)
QRENCODE := $(QRENCODE)
LIBS     += $(QRENCODE)
STATIC_LIBS := -lssh -lcrypto -lsodium $(CJSON) -lev -lnl-route-3 -lnl-genl-3 -lnl-3 -lncursesw -ltinfo -lseccomp -lz -lm $(IPSEC_MB)

SOURCES  := $(filter-out src/static/%,$(wildcard src/*/*.c))
OBJECTS  := $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
LIBRARY  := $(BUILD)/libwgdeck.a
STATIC_ONLY := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/static/*.c))
DYNAMIC_PROGRAM := $(BUILD)/wgdeck
STATIC_PROGRAM  := $(BUILD)/wgdeck-$(MACHINE)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))

.PHONY: all deps check check-vm check-engine check-change check-join demo bench asan tsan fuzz lint unit install clean distclean FORCE
all: $(DYNAMIC_PROGRAM) $(STATIC_PROGRAM)

$(CJSON):
	$(Q)CJSON=$(CJSON) CC='$(CC)' tools/deps

# Written only when the version changes, so that nothing is built again for it.
$(BUILD)/include/wgdeck/version.h: FORCE
	@mkdir -p $(@D)
	@printf '/* Made by the Makefile. */\n#define WGDECK_VERSION "%s"\n' '$(VERSION)' | cmp -s - $@ || \
	    printf '/* Made by the Makefile. */\n#define WGDECK_VERSION "%s"\n' '$(VERSION)' > $@

$(OBJECTS): | $(BUILD)/include/wgdeck/version.h

# The scripts that a node's own shell runs, as string literals.
SCRIPTS := $(patsubst src/node/%.sh,$(BUILD)/include/%_script.h,$(wildcard src/node/*.sh))
$(SCRIPTS): $(BUILD)/include/%_script.h: src/node/%.sh tools/script-literal
	@mkdir -p $(@D)
	@tools/script-literal < $< > $@.new && mv $@.new $@
$(BUILD)/obj/node/bootstrap.o: $(SCRIPTS)
# The units of systemd, as the program writes them on a node.
UNITS := $(BUILD)/include/unit_texts.h
$(UNITS): systemd/wgdeck@.service systemd/wgdeck-engine@.service systemd/wgdeck-relay@.service
	@mkdir -p $(@D)
	@{ for unit in up:systemd/wgdeck@.service engine:systemd/wgdeck-engine@.service relay:systemd/wgdeck-relay@.service; do \
	    printf 'static const char %s_unit[] =\n' "$${unit%%:*}"; sed -e 's/[\\"?]/\\&/g' -e 's/.*/"&\\n"/' "$${unit#*:}"; echo ';'; done; } > $@.new && mv $@.new $@
$(BUILD)/obj/node/boot_systems.o $(BUILD)/obj/node/boot_relay.o: $(UNITS)
# The recording that "wgdeck replay" shows; the assembler takes it in.
$(BUILD)/obj/deck/incident.o: share/incident.jsonl

# The themes, as rows of a table, so that they are there where only the program was copied to.
THEMES := $(wildcard themes/*.theme)
$(BUILD)/include/themes_table.h: $(THEMES) tools/theme-literals
	@mkdir -p $(@D)
	@tools/theme-literals $(THEMES) > $@.new && mv $@.new $@
$(BUILD)/obj/tui/theme.o: $(BUILD)/include/themes_table.h

ifneq ($(QRENCODE),)
$(BUILD)/obj/cmd/qr.o: CPPFLAGS += -DWGDECK_QRENCODE
endif
ifneq ($(IPSEC_MB),)
$(BUILD)/obj/engine/seal%: CPPFLAGS += -DWGDECK_IPSEC_MB
$(BUILD)/tests/seal_test $(BUILD)/bench/seal_bench: CPPFLAGS += -DWGDECK_IPSEC_MB
endif

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(filter src/wg/% src/mesh/% src/node/% src/ssh/% src/engine/%,$<),$(WARN_OUTSIDE)) -MMD -MP -c -o $@ $<

$(LIBRARY): $(filter-out $(BUILD)/obj/cmd/main.o,$(OBJECTS))
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(DYNAMIC_PROGRAM): $(BUILD)/obj/cmd/main.o $(LIBRARY)
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(STATIC_PROGRAM): $(BUILD)/obj/cmd/main.o $(STATIC_ONLY) $(LIBRARY) $(CJSON)
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) -static-pie -s $(filter-out -pie,$(LDFLAGS)) -o $@ $(filter %.o,$^) $(LIBRARY) $(STATIC_LIBS) 2>$@.log; \
	    status=$$?; grep -vE "$(STATIC_KNOWN)" $@.log >&2; rm -f $@.log; exit $$status

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) TEST $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Isrc $(LDFLAGS) -MMD -MP -o $@ $< $(LIBRARY) $(LIBS) -lcmocka

# Those that look at the terminal's own side.
$(BUILD)/tests/terminal_test: LIBS += -lvterm

unit-programs: $(UNIT_TESTS)

# Fuzzers: clang's libFuzzer, the parsers' objects built with it, in a folder of their own.
FUZZERS := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
fuzz-programs: $(FUZZERS)
$(BUILD)/fuzz/%: tests/fuzz/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) FUZZ $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Isrc -fsanitize=fuzzer $(LDFLAGS) -MMD -MP -o $@ $< $(LIBRARY) $(LIBS)

# --- For people. Each installs what it needs first (as root), so that it works on a fresh Debian 12.

deps:
	$(Q)tools/deps build lab test

check:
	$(Q)tools/deps build lab test
	$(Q)$(MAKE) --no-print-directory all manuals unit-programs
	$(Q)$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined unit-programs
	$(Q)$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang SANITIZE=address,undefined FUZZ=1 fuzz-programs
	$(Q)tests/check $(BUILD)

# The kernel's own WireGuard, in a guest: the engine beside it, those of the lab's tests in which the engine matters, what only a kernel can show.
check-vm:
	$(Q)tools/deps build lab test vm
	$(Q)$(MAKE) --no-print-directory all unit-programs
	$(Q)tests/vm/run $(BUILD) 'cd tests/lab && BUILD=$(BUILD) LAB_ENGINE=kernel PEER=kernel ./run.py -j 3 ../interop/interop_test.py kernel_test.py grow_test.py adopt_plan_test.py signatures_test.py faults_test.py node_test.py' 1800

# The engine beside others for as long as a session lives and longer, and all of its tests again under AddressSanitizer.
check-engine:
	$(Q)tools/deps build lab test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined build-asan/wgdeck
	$(Q)INTEROP_LONG=1 tests/check $(BUILD) interop
	$(Q)tests/check build-asan interop

# Each operation on a mesh, broken at each of its steps in each way: about an hour.
check-change:
	$(Q)tools/deps build lab test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) WGDECK_LONG=1 tests/lab/run.py -j 3 tests/lab/crash_test.py

check-join:
	$(Q)tools/deps build lab test
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) WGDECK_LONG=1 tests/lab/run.py -j 3 tests/lab/join_test.py tests/lab/join_broken_test.py tests/lab/ladder_test.py tests/lab/relay_test.py

BENCHES := $(patsubst tests/bench/%.c,$(BUILD)/bench/%,$(wildcard tests/bench/*.c))
bench-programs: $(BENCHES)
$(BUILD)/bench/%: tests/bench/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) BENCH $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Isrc $(LDFLAGS) -MMD -MP -o $@ $< $(LIBRARY) $(LIBS)

unit: unit-programs
	$(Q)tests/check $(BUILD) unit

asan:
	$(Q)$(MAKE) --no-print-directory BUILD=build-asan SANITIZE=address,undefined all unit-programs
	$(Q)tests/check $(BUILD) asan

tsan:
	$(Q)$(MAKE) --no-print-directory BUILD=build-tsan SANITIZE=thread unit-programs
	$(Q)tests/check build-tsan unit

# FUZZ_SECONDS=600 make fuzz: longer; what was found is in build-fuzz/.
fuzz:
	$(Q)$(MAKE) --no-print-directory BUILD=build-fuzz CC=clang SANITIZE=address,undefined FUZZ=1 fuzz-programs
	$(Q)FUZZ_SECONDS=$${FUZZ_SECONDS:-60} tests/check $(BUILD) fuzz

lint: manuals
	$(Q)tests/check $(BUILD) lint
	$(Q)command -v cppcheck >/dev/null || { echo "make lint: cppcheck is missing (apt-get install cppcheck)"; exit 1; }
	$(Q)cppcheck --quiet --enable=warning,portability --inline-suppr --error-exitcode=1 -Iinclude \
	    --include=/usr/include/$(shell $(CC) -print-multiarch)/sys/queue.h src

demo:
	$(Q)tools/deps build lab
	$(Q)$(MAKE) --no-print-directory all
	$(Q)BUILD=$(BUILD) tests/lab/demo

bench:
	$(Q)tools/deps build lab test bench
	$(Q)$(MAKE) --no-print-directory all bench-programs
	$(Q)BUILD=$(BUILD) tests/bench/run

install: all manuals
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/wgdeck
	install -m 755 $(DYNAMIC_PROGRAM) $(DESTDIR)$(PREFIX)/bin/wgdeck
	ln -sf wgdeck $(DESTDIR)$(PREFIX)/bin/wgdeck-engine
	install -m 755 $(STATIC_PROGRAM) $(DESTDIR)$(PREFIX)/lib/wgdeck/wgdeck-$(MACHINE)
	for page in $(BUILD)/man/*.[1-8]; do \
	    install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/} || exit 1; done
	for unit in systemd/*.service; do install -d $(DESTDIR)$(PREFIX)/lib/systemd/system && \
	    sed 's|@BIN@|$(PREFIX)/bin|' $$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/} || exit 1; done
	install -D -m 644 $(BUILD)/completions/wgdeck.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/wgdeck
	install -D -m 644 $(BUILD)/completions/_wgdeck $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_wgdeck
	install -D -m 644 $(BUILD)/completions/wgdeck.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/wgdeck.fish

clean:
	rm -rf $(BUILD) build-asan build-tsan build-fuzz

distclean: clean
	rm -rf .deps

-include $(OBJECTS:.o=.d) $(STATIC_ONLY:.o=.d) $(UNIT_TESTS:=.d) $(FUZZERS:=.d) $(BENCHES:=.d)

# --- Manuals and completions: frames, filled from the program's own tables by a program that is not installed.
PAGES := $(patsubst man/%.in,$(BUILD)/man/%,$(wildcard man/*.in)) \
         $(patsubst completions/%.in,$(BUILD)/completions/%,$(wildcard completions/*.in))
.PHONY: manuals
manuals: $(PAGES)

$(BUILD)/generate: man/generate.c $(LIBRARY)
	$(SAY) LINK $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(LDFLAGS) -o $@ $< $(LIBRARY) $(LIBS)

$(BUILD)/man/%: man/%.in $(BUILD)/generate
	@mkdir -p $(@D)
	$(SAY) PAGE $@
	$(Q)$(BUILD)/generate $< > $@.part && mv $@.part $@

$(BUILD)/completions/%: completions/%.in $(BUILD)/generate
	@mkdir -p $(@D)
	$(SAY) PAGE $@
	$(Q)$(BUILD)/generate $< > $@.part && mv $@.part $@
