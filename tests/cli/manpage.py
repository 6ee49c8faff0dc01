#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The manual page and the command agree: options, verbs, samples and examples."""

import re
import shlex
import sys

import cli

failures = []


def expect(condition, message):
    if not condition:
        failures.append(message)


def options(text):
    return set(re.findall(r"(?<![\w-])(--[a-z]+|-[A-Za-z])(?![\w-])", text))


def section(page, name):
    match = re.search(rf"^# {name}$(.*?)(?=^# |\Z)", page, re.M | re.S)
    expect(match, f"the manual page has no section {name}")
    return match.group(1) if match else ""


def main():
    page = (cli.ROOT / "man/p2pdma.1.scd").read_text()
    usage = cli.run("--help").stdout
    told = options(" ".join(line for line in section(page, "OPTIONS").split("\n")
                            if line.startswith("*-")))
    helped = options(usage)
    expect(helped, "p2pdma --help names no option")
    expect(not helped - told, f"--help only: {sorted(helped - told)}")
    expect(not told - helped, f"manual page only: {sorted(told - helped)}")

    verbs = set(re.findall(r"^  p2pdma (\w+)", usage, re.M))
    for name, pattern in (("SYNOPSIS", r"^\*p2pdma\* (\w+)"), ("VERBS", r"^\*(\w+)\*")):
        expect(set(re.findall(pattern, section(page, name), re.M)) == verbs,
               f"{name} and --help name different verbs")

    for name in ("READING CHECK", "SIMULATED MACHINES"):
        sample = section(page, name).split("```")[1].strip("\n")
        command, _, sample = sample.partition("\n")
        printed = cli.run(*shlex.split(command)[2:]).stdout
        expect(printed == sample + "\n", f"{name}: {command} prints now:\n{printed}")
    legend = section(page, "READING MATRIX").split("```")[1].strip("\n")
    expect(legend in cli.run("matrix", "-M", cli.SERVER).stdout,
           "READING MATRIX: matrix prints another legend")

    examples = re.findall(r"^\tp2pdma (.*data/.*)$", section(page, "EXAMPLES"), re.M)
    expect(len(examples) >= 4, "EXAMPLES: fewer than four with a bundled machine")
    for example in examples:
        result = cli.run(*shlex.split(example))
        expect(result.returncode in (0, 1, 2) and not result.stderr,
               f"EXAMPLES: p2pdma {example}: exit code {result.returncode} {result.stderr}")

    print("\n".join(failures) or f"{len(helped)} options, {len(examples)} examples agree")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
