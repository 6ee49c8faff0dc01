#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# What is installed serves a program outside the tree, in C and C++, through pkg-config alone.
# install.sh SOURCE_ROOT BUILD_ROOT
set -euo pipefail
root=$1 build=$2

dest=$(mktemp -d)
trap 'rm -rf "$dest"' EXIT
DESTDIR=$dest/root meson install -C "$build" --no-rebuild >"$dest/log" || {
	cat "$dest/log"
	exit 1
}

pc=$(find "$dest/root" -name libp2pdma.pc)
library=$(find "$dest/root" -name libp2pdma.so)
[ -n "$pc" ] && [ -n "$library" ]
export PKG_CONFIG_SYSROOT_DIR=$dest/root PKG_CONFIG_LIBDIR=${pc%/*}
read -ra flags < <(pkg-config --cflags --libs libp2pdma)

# Where there is scdoc, each header has its page.
if [ -e "$build/man/p2pdma.1" ]; then
	[ -n "$(find "$dest/root" -path '*/man/man1/p2pdma.1')" ]
	while read -r header; do
		header=${header#"$root"/include/} page=${header%.h} page=${page//\//-}.3
		[ -n "$(find "$dest/root" -path "*/man/man3/$page")" ] || {
			echo "$page is not installed"
			exit 1
		}
	done < <(find "$root/include/p2pdma" -name '*.h')
fi

build_and_run() {
	"$@" -Wall -Wextra -Werror "$root/tests/abi/outside.c" -x none \
		-o "$dest/outside" "${flags[@]}"
	LD_LIBRARY_PATH=${library%/*} "$dest/outside"
}
build_and_run gcc -std=c99
if ! command -v g++ >/dev/null; then
	echo "the C half passed; no g++ for the C++ half"
	exit 77
fi
build_and_run g++ -std=c++17 -x c++
