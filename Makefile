# s3pipe. For BSD make and GNU make alike, so nothing here that only one knows.
#
# MANDIR is where FreeBSD has looked for /usr/local since 14 (hier(7)), and
# Linux always; on FreeBSD 13 say MANDIR=/usr/local/man.

PREFIX ?= /usr/local
MANDIR ?= $(PREFIX)/share/man
CARGO ?= cargo
CARGO_TARGET_DIR ?= target

BIN = $(CARGO_TARGET_DIR)/release/s3pipe

all:
	$(CARGO) build --release --locked

# Without prerequisites: what is built already is installed as it is, so that
# 'make' and then 'make install' as root never runs cargo as root.
$(BIN):
	$(CARGO) build --release --locked

install: $(BIN)
	install -d "$(DESTDIR)$(PREFIX)/bin" "$(DESTDIR)$(MANDIR)/man1" "$(DESTDIR)$(MANDIR)/man5"
	install -m 0755 "$(BIN)" "$(DESTDIR)$(PREFIX)/bin/s3pipe"
	install -m 0644 man/s3pipe.1 "$(DESTDIR)$(MANDIR)/man1/s3pipe.1"
	install -m 0644 man/s3pipe.5 "$(DESTDIR)$(MANDIR)/man5/s3pipe.5"

uninstall:
	rm -f "$(DESTDIR)$(PREFIX)/bin/s3pipe" "$(DESTDIR)$(MANDIR)/man1/s3pipe.1" "$(DESTDIR)$(MANDIR)/man5/s3pipe.5"

server:
	$(CARGO) build --release --locked --manifest-path tests/server/Cargo.toml

demo: all server
	@tests/demo

check:
	@CARGO="$(CARGO)" tests/check

check-freebsd:
	@tests/check-freebsd

soak:
	@CARGO="$(CARGO)" tests/soak

bench: all
	$(CARGO) bench --locked --bench bench

clean:
	rm -rf "$(CARGO_TARGET_DIR)" tests/server/target

.PHONY: all install uninstall server demo check check-freebsd soak bench clean
