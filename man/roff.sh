#!/bin/sh
# SPDX-License-Identifier: MIT
# A page of man3.py as roff, on standard input and output: roff.sh SCDOC
#
# What scdoc says of hyphenation comes before .TH, which forgets it: names were cut.  At its hyphens
# roff may break a line, and some devices show another character: -EINVAL and p2pdma-map need \-.
set -eu
page=$("$1")
printf '%s\n' "$page" | sed -e '/^\.TH /a .nh' -e "/^\\\\h'/b" -e "/^[.']/!s/-/\\\\-/g"
