#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The man pages are built and shown without a warning.  man.sh PAGE...
# A page is roff, or scdoc's text where its name ends in .scd.
set -euo pipefail

command -v scdoc man >/dev/null || {
	echo "no scdoc or no man (apt-get install scdoc man-db)"
	exit 77
}
page=$(mktemp)
trap 'rm -f "$page" "$page.warnings"' EXIT
for source; do
	case $source in
	*.scd) scdoc <"$source" >"$page" ;;
	*) cp "$source" "$page" ;;
	esac
	LC_ALL=C.UTF-8 MANWIDTH=80 man --warnings --local-file "$page" \
		>/dev/null 2>"$page.warnings"
	if [ -s "$page.warnings" ]; then
		cat "$page.warnings"
		exit 1
	fi
	echo "${source##*/}: no warnings"
done
