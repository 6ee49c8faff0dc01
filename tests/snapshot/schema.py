# SPDX-License-Identifier: MIT
"""docs/schema/capture.schema.json against the captures here, a dump made now, and bad ones.

usage: schema.py SOURCE_ROOT P2PDMA
"""

import copy
import json
import pathlib
import subprocess
import sys

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

BAD = {
    "another version": lambda c: c.update(version=2),
    "no functions": lambda c: c.update(functions=[]),
    "no address": lambda c: c["functions"][0].pop("bdf"),
    "short address": lambda c: c["functions"][0].update(bdf="00:00.0"),
    "upper-case config": lambda c: c["functions"][0].update(config="8A"),
    "odd config": lambda c: c["functions"][0].update(config="868"),
    "long config_len": lambda c: c["functions"][0].update(config_len=4097),
    "numeric resource": lambda c: c["functions"][0].update(resources=[[0, 0, 0]]),
    "unknown IOMMU mode": lambda c: c["functions"][0].update(iommu="off"),
    "empty name": lambda c: c["functions"][0].update(names=[""]),
    "textual flag": lambda c: c["machine"].update(privileged="no"),
}


def main(root, p2pdma):
    root = pathlib.Path(root)
    schema = json.loads((root / "docs/schema/capture.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failed = 0

    def judge(name, capture, good):
        nonlocal failed
        error = next(validator.iter_errors(capture), None)
        if (error is None) != good:
            print(f"{name}: {error.message if error else 'was accepted'}")
            failed += 1

    files = sorted(root.glob("data/*.json")) + sorted(root.glob("tests/data/*/*.json"))
    for path in files:
        judge(path.name, json.loads(path.read_text()), True)
    example = next(root.glob("data/*.json"))
    for machine in ("live:", f"capture:{example}"):
        dump = subprocess.run([p2pdma, "-M", machine, "dump"], capture_output=True, text=True)
        if dump.returncode == 0:
            judge(f"dump of {machine}", json.loads(dump.stdout), True)
        elif machine == "live:" and "no PCI functions" in dump.stderr:
            print("live: not dumped, this machine has no PCI functions")
        else:
            print(f"dump of {machine}: {dump.stderr}")
            failed += 1
    good = json.loads(example.read_text())
    for name, spoil in BAD.items():
        bad = copy.deepcopy(good)
        spoil(bad)
        judge(name, bad, False)
    print(f"{len(files)} captures, {len(BAD)} bad ones, {failed} failures")
    return 1 if failed or not files else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
