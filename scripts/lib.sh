# shellcheck shell=bash
# lib.sh - what the other scripts share; to be sourced from the top of the source tree.

# Building needs these and nothing else.
# shellcheck disable=SC2034 # used by the scripts that source this file
BUILD_PACKAGES=(meson ninja-build pkgconf gcc libc6-dev libjansson-dev libsmartcols-dev)
# The tests need these beside them.
# shellcheck disable=SC2034
TEST_PACKAGES=(libcmocka-dev g++ clang libclang-rt-dev llvm python3-jsonschema pciutils scdoc man-db
	shellcheck)
# The benchmarks compare with these.
# shellcheck disable=SC2034
BENCH_PACKAGES=(libdpdk-dev)
# The second build: clang, its sanitizers, and the fuzzers.
# shellcheck disable=SC2034
CLANG_OPTIONS=(-Db_sanitize=address,undefined -Db_lundef=false -Dfuzz=true)

die() {
	echo "$0: $*" >&2
	exit 1
}

# as_root COMMAND...: through sudo only when needed.
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		command -v sudo >/dev/null || die "not root, and no sudo here: run the line above as root"
		sudo "$@"
	fi
}

# as_user COMMAND...: as the person behind sudo, so that no file in the tree ends up root's.
as_user() {
	if [ "$(id -u)" = 0 ] && [ "${SUDO_USER:-root}" != root ] &&
		runuser -u "$SUDO_USER" -- test -w . 2>/dev/null; then
		runuser -u "$SUDO_USER" -- "$@"
	else
		"$@"
	fi
}

# missing_packages PACKAGE...: those not installed, one a line.
missing_packages() {
	local package
	for package; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qx installed || echo "$package"
	done
}

# all_have_candidates PACKAGE...: whether apt knows where to get each of them.
all_have_candidates() {
	local package
	for package; do
		LC_ALL=C apt-cache policy "$package" | grep -q 'Candidate: [^(]' || return 1
	done
}

# need_packages PACKAGE...: installs those that are missing; silent when none is.
need_packages() {
	local missing
	if ! command -v apt-get dpkg-query >/dev/null; then
		echo "$0: no apt here; in Debian's names this needs: $*" >&2
		return
	fi
	mapfile -t missing < <(missing_packages "$@")
	[ ${#missing[@]} -gt 0 ] || return 0

	local install=(apt-get install -y --no-install-recommends "${missing[@]}")
	if all_have_candidates "${missing[@]}"; then
		echo "${install[*]}"
	else
		echo "apt-get update && ${install[*]}"
		as_root apt-get update
	fi
	as_root env DEBIAN_FRONTEND=noninteractive "${install[@]}" ||
		die "apt-get failed, see above: is there a network?  If there is, its package" \
			"lists may be old: run apt-get update and try again"
}

# configure DIR OPTION...: a build directory that knows what is installed by now; silent unless it fails.
configure() {
	local dir=$1 output again=()
	shift
	[ ! -f "$dir/build.ninja" ] || again=(--reconfigure)
	# meson 1.0 leaves build.ninja older than what it depends on; let ninja say so here, unheard.
	output=$(as_user meson setup "${again[@]}" "$dir" "$@" 2>&1 &&
		as_user ninja -C "$dir" build.ninja 2>&1) || {
		echo "$output" >&2
		die "meson setup $dir failed, see above"
	}
}
