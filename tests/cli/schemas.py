#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every --json output obeys its schema in docs/schema/, and matrix holds the pairs it promises."""

import copy
import json
import sys

import cli

try:
    import jsonschema
except ImportError:
    cli.skip("no python3-jsonschema (apt install python3-jsonschema)")

EXIT_CODES = {"matrix": {0}, "tree": {0}, "check": {0, 1, 2}, "find": {0, 1, 2}}
failures = []


def load(verb):
    schema = json.loads((cli.ROOT / f"docs/schema/{verb}.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    return jsonschema.Draft7Validator(schema)


VALIDATORS = {verb: load(verb) for verb in EXIT_CODES}


def ask(machine, verb, *args):
    """The parsed answer, or None after noting what is wrong with it."""
    result = cli.run(verb, "--json", "-M", machine, *args)
    where = f"{verb} --json -M {machine} {' '.join(args)}"
    if result.returncode not in EXIT_CODES[verb]:
        failures.append(f"{where}: exit code {result.returncode}: {result.stderr.strip()}")
        return None
    answer = json.loads(result.stdout)
    for error in VALIDATORS[verb].iter_errors(answer):
        at = "/".join(map(str, error.absolute_path))
        failures.append(f"{where}: at {at}: {error.message[:300]}")
    return answer


def address(bdf):
    return [int(part, 16) for part in bdf.replace(".", ":").split(":")]


def functions(path):
    """By the bytes of a capture: header type 0, base class other than 06."""
    def is_function(config):
        return config[0x0e] & 0x7f == 0 and config[0x0b] != 0x06
    rows = json.loads((cli.ROOT / path).read_text())["functions"]
    return sorted((row["bdf"] for row in rows
                   if is_function(bytes.fromhex(row["config"]).ljust(64, b"\0"))), key=address)


def expect_pairs(machine, bdfs, *args):
    answer = ask(machine, "matrix", *args)
    got = answer and [(p["provider"], p["client"]) for p in answer["pairs"]]
    wanted = [(provider, client) for provider in bdfs for client in bdfs]
    if got != wanted:
        failures.append(f"matrix -M {machine} {' '.join(args)}: {got and len(got)} pairs, expected "
                        f"{len(wanted)} of {bdfs}")


def expect_machine(machine, bdfs):
    ask(machine, "tree")
    ask(machine, "check", bdfs[0], *bdfs)
    ask(machine, "check", bdfs[-1], bdfs[0], "--op", "read")
    ask(machine, "find", bdfs[-1])
    ask(machine, "find", bdfs[0], "--for", "kernel")


def expect_filters():
    bdfs = functions("data/two-socket.json")
    gpus = [f"0000:{bus}:00.0" for bus in ("1a", "3d", "88", "b1")]
    expect_pairs(cli.SERVER, gpus, "10de:*")
    expect_pairs(cli.SERVER, ["0000:88:00.0", "0000:89:00.0"], "88:00.0", "eth2")
    expect_pairs(cli.SERVER, ["0000:1a:00.0"], "1a:")
    expect_pairs(cli.SERVER, bdfs, "*:*.*")
    expect_pairs(cli.SERVER, [], "17:00.0")  # a bridge is no function of the matrix


def expect_strict():
    """The schemas refuse what they should: a word, a key and a pair out of place."""
    answer = ask(cli.SERVER, "matrix", "10de:*")
    for spoil in (lambda a: a["pairs"][0].update(answer="maybe"),
                  lambda a: a["pairs"][0].update(more=1),
                  lambda a: a["pairs"][0]["kernel"].pop("distance"),
                  lambda a: a.update(version=2),
                  lambda a: a["pairs"][0]["stops"].append({"code": "tags", "at": "0000:00:00.0"})):
        wrong = copy.deepcopy(answer)
        spoil(wrong)
        if VALIDATORS["matrix"].is_valid(wrong):
            failures.append("matrix.schema.json accepts an answer that was spoiled")


def expect_live():
    answer = ask("live:", "matrix")
    bdfs = sorted({pair["provider"] for pair in answer["pairs"]}, key=address) if answer else []
    if bdfs:
        expect_machine("live:", bdfs)


def expect_flows():
    """Flows that arrive, and flows that do not, with events."""
    validator = load("sim")
    for name, code, *flows in [
            ("two-drives", 0, "from=nvme1n1,to=nvme0n1,op=read", "from=nvme0n1,to=dram,op=write"),
            ("two-ports", 1, "from=nvme0n1,to=gpu,op=read"),
            ("two-ports", 1, "from=gpu,to=nvme0n1,op=read,size=64", "from=nvme0n1,to=gpu,op=write")]:
        flows = [part for flow in flows for part in ("--flow", flow)]
        result = cli.run("sim", "run", "--json", f"tests/cli/fabric/{name}.json", *flows)
        if result.returncode != code:
            failures.append(f"{name} {flows}: exit code {result.returncode}: {result.stderr}")
            continue
        answer = json.loads(result.stdout)
        for error in validator.iter_errors(answer):
            at = "/".join(map(str, error.absolute_path))
            failures.append(f"{name} {flows}: at {at}: {error.message[:300]}")
        answer["links"][0]["direction"] = "sideways"
        if validator.is_valid(answer):
            failures.append("sim.schema.json accepts an answer that was spoiled")


def main():
    for path in cli.captures():
        bdfs = functions(path)
        expect_pairs(f"capture:{path}", bdfs)
        expect_machine(f"capture:{path}", bdfs)
    expect_filters()
    expect_strict()
    expect_flows()
    if cli.run("tree").returncode == 4:
        print("this machine has no PCI that can be read: live: not checked")
    else:
        expect_live()
    print("\n".join(failures) or f"{len(cli.captures())} captures: all answers as in docs/schema/")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
