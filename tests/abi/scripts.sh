#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# No script of the project gives shellcheck anything to say.  scripts.sh SOURCE_ROOT
set -euo pipefail
cd "$1"

command -v shellcheck >/dev/null || {
	echo "no shellcheck (apt-get install shellcheck)"
	exit 77
}
mapfile -t scripts < <(grep -lrE '^#!/(usr/bin/env bash|bin/sh)' scripts .ci tests man)
shellcheck --external-sources "${scripts[@]}"
echo "${#scripts[@]} scripts"
