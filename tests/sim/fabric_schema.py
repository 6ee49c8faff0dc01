# SPDX-License-Identifier: MIT
"""docs/schema/fabric.schema.json against the fabrics here, those in docs/simulator.md, and bad ones;
and the library against the same.

usage: fabric_schema.py SOURCE_ROOT P2PDMA
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

try:
    import jsonschema
except ImportError:
    print("skipped: python3-jsonschema is not installed")
    sys.exit(77)

MEM = {"model": "mem", "size": "64K"}


def fabric(*below, **keys):
    return {"format": "p2pdma-fabric", "version": 1, "roots": [{"below": list(below)}], **keys}


def root(**keys):
    return fabric(roots=[keys])


GOOD = {
    "all functions' keys": fabric({
        "type": "endpoint", "name": "x", "class": "01080f", "numa_node": 1, "absent": True, "link": "gen6 x32",
        "trained": "gen1 x1", "max_mps": 4096, "mps": 128, "mrrs": 4096, "tags": 32, "ats": True,
        "flr": False, "vfs": 9, "ari": True, "acs": {"capability": ["ReqRedir"]}, **MEM}),
    "all ports' keys": fabric({
        "type": "port", "link": "gen3 x12", "port_number": 254, "latency_ns": 0, "mps": 256,
        "acs": {"capability": "all", "control": ["TransBlk"], "egress": [0, 254]}, "below": []}),
    "a switch": fabric({"type": "switch", "absent": False, "max_mps": 256, "below": [MEM]}),
    "a device by its functions": fabric({"functions": [MEM, {}], "link": "gen5 x8"}),
    "conventional ones": fabric({"type": "bridge", "below": [{"type": "conventional", **MEM}]},
                                {"type": "port", "below": [{"type": "bridge"}]}),
    "a platform": root(platform={"same_port": "rw", "across_ports": "w", "across_sockets": "none",
                                 "refused_reads": "ones", "splits": True,
                                 "host_bridge": "8086:2020"}, socket=1, domain=4294967295,
                       latency_ns=1),
    "the top": fabric(MEM, seed=0, landing_ns=0, completion_timeout_us=1, iommu="translated",
                      iova_bits=32, machine={"kernel": "6.1", "cpu_vendor": "x", "cpu_family": 0}),
    "faults": fabric(MEM, faults=[
        {"at_ns": 0, "do": "retrain", "device": "0000:00:01.0", "down_us": 1},
        {"tlp": {"type": "write", "requester": "01:00.0", "nth": 2}, "do": "delay",
         "delay_ns": 5}]),
}
BAD = {
    "another version": {**fabric(MEM), "version": 2},
    "another format": {**fabric(MEM), "format": "p2pdma"},
    "no roots": {"format": "p2pdma-fabric", "version": 1},
    "models without a capture": fabric(MEM, models={}),
    "unknown key": fabric(MEM, speed=1),
    "unknown IOMMU mode": fabric(MEM, iommu="on"),
    "wide IOVAs": fabric(MEM, iova_bits=58),
    "unknown key of a root": root(bus="0000:00"),
    "unknown ops": root(platform={"same_port": "wr"}),
    "short ID": root(platform={"host_bridge": "8086:20"}),
    "nothing": fabric({}),
    "unknown type": fabric({"type": "gpu"}),
    "parameter without a model": fabric({"type": "endpoint", "size": 4096}),
    "model of a switch": fabric({"type": "switch", **MEM}),
    "VFs of a switch": fabric({"type": "switch", "vfs": 1}),
    "latency of a switch": fabric({"type": "switch", "latency_ns": 1}),
    "two below a port": fabric({"type": "port", "below": [MEM, MEM]}),
    "below an endpoint": fabric({"below": [], **MEM}),
    "link of a function": fabric({"functions": [{"link": "gen1 x1"}]}),
    "no functions": fabric({"type": "device", "functions": []}),
    "class of a port": fabric({"type": "port", "class": "010802"}),
    "short class": fabric({"class": "0108", **MEM}),
    "odd width": fabric({"link": "gen4 x3", **MEM}),
    "odd payload": fabric({"mps": 192, **MEM}),
    "odd tags": fabric({"tags": 64, **MEM}),
    "unknown ACS bit": fabric({"type": "port", "acs": {"control": ["SV"]}}),
    "egress out of range": fabric({"type": "port", "acs": {"egress": [255]}}),
    "fault without moment": fabric(MEM, faults=[{"do": "reset", "device": "0000:01:00.0"}]),
    "fault with two": fabric(MEM, faults=[{"do": "reset", "device": "0000:01:00.0", "at_ns": 1,
                                           "tlp": {}}]),
    "drop of a device": fabric(MEM, faults=[{"do": "drop", "at_ns": 1}]),
    "hang of nothing": fabric(MEM, faults=[{"do": "hang", "at_ns": 1}]),
}


def main(source, p2pdma):
    source = pathlib.Path(source)
    schema = json.loads((source / "docs/schema/fabric.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    failed = 0

    def judge(name, text, good):
        nonlocal failed
        error = next(validator.iter_errors(json.loads(text)), None)
        if (error is None) != good:
            print(f"{name}: schema: {error.message if error else 'was accepted'}")
            failed += 1
        with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
            text = text.replace('"../', f'"{source.resolve()}/data/')
            file.write(text)
            file.flush()
            check = subprocess.run([p2pdma, "sim", "check", file.name], capture_output=True,
                                   text=True)
        if (check.returncode == 0) != good:
            print(f"{name}: library: {check.stderr or 'was accepted'}")
            failed += 1

    files = sorted(source.glob("data/sim/*.json")) + sorted(source.glob("tests/cli/fabric/*.json"))
    for path in files:
        judge(path.name, path.read_text(), True)
    shown = re.findall(r"```json\n(.*?)```", (source / "docs/simulator.md").read_text(), re.S)
    shown = [text for text in shown if "p2pdma-fabric" in text]
    for number, text in enumerate(shown):
        judge(f"example {number} of docs/simulator.md", text, True)
    for name, good in GOOD.items():
        judge(name, json.dumps(good), True)
    for name, bad in BAD.items():
        judge(name, json.dumps(bad), False)
    print(f"{len(files)} files, {len(shown)} examples, {len(GOOD)} good and {len(BAD)} bad ones, "
          f"{failed} failures")
    return 1 if failed or not files or not shown else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
