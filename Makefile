# wgdeck: one program, linked two ways (DESIGN: build/wgdeck for the operator's machine, build/wgdeck-<machine> for nodes).
#   make            both programs            make deps     what is needed to build and test (Debian 12)
#   make check      the whole test suite     make demo     a lab of real hosts on this machine, and the mesh in it
#   make bench      figures, as ratios       make asan|tsan|fuzz|lint      V=1 shows the commands
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
CPPFLAGS += -Iinclude -I$(BUILD)/include -D_GNU_SOURCE $(shell pkg-config --cflags-only-I libnl-3.0 2>/dev/null)
CFLAGS   += -std=gnu11 $(OPT) $(HARD) $(WARN)
LDFLAGS  += -pie -Wl,-z,relro,-z,now -pthread
LIBS     := -lssh -lcrypto -lsodium -lcjson -lev -lnl-genl-3 -lnl-route-3 -lnl-3 -lncursesw -ltinfo

CJSON    := $(BUILD)/cjson/libcjson.a
STATIC_LIBS := -lssh -lcrypto -lsodium $(CJSON) -lev -lnl-route-3 -lnl-genl-3 -lnl-3 -lncursesw -ltinfo -lz -lm

SOURCES  := $(filter-out src/static/%,$(wildcard src/*/*.c))
OBJECTS  := $(SOURCES:src/%.c=$(BUILD)/obj/%.o)
LIBRARY  := $(BUILD)/libwgdeck.a
STATIC_ONLY := $(patsubst src/%.c,$(BUILD)/obj/%.o,$(wildcard src/static/*.c))
DYNAMIC_PROGRAM := $(BUILD)/wgdeck
STATIC_PROGRAM  := $(BUILD)/wgdeck-$(MACHINE)
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/*_test.c))

.PHONY: all unit clean
all: $(DYNAMIC_PROGRAM) $(STATIC_PROGRAM)

$(BUILD)/obj/%.o: src/%.c
	@mkdir -p $(@D)
	$(SAY) CC $<
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) $(if $(filter src/wg/% src/mesh/% src/node/% src/ssh/%,$<),$(WARN_OUTSIDE)) -MMD -MP -c -o $@ $<

$(LIBRARY): $(filter-out $(BUILD)/obj/cmd/main.o,$(OBJECTS))
	$(SAY) AR $@
	$(Q)rm -f $@ && ar rcs $@ $^

$(DYNAMIC_PROGRAM): $(BUILD)/obj/cmd/main.o $(LIBRARY)
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(LIBS)

$(STATIC_PROGRAM): $(BUILD)/obj/cmd/main.o $(STATIC_ONLY) $(LIBRARY) $(CJSON)
	$(SAY) LINK $@
	$(Q)$(CC) $(CFLAGS) -static-pie $(filter-out -pie,$(LDFLAGS)) -o $@ $(filter %.o,$^) $(LIBRARY) $(STATIC_LIBS)

$(BUILD)/tests/%: tests/unit/%.c $(LIBRARY)
	@mkdir -p $(@D)
	$(SAY) TEST $@
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -Isrc $(LDFLAGS) -MMD -MP -o $@ $< $(LIBRARY) $(LIBS) -lcmocka

unit: $(UNIT_TESTS)
	$(Q)for t in $^; do $$t || exit 1; done

clean:
	rm -rf $(BUILD)

-include $(OBJECTS:.o=.d) $(STATIC_ONLY:.o=.d) $(UNIT_TESTS:=.d)
