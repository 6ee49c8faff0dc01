#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""p2pdma sim: what it takes, how it refuses, and that its numbers are of one piece."""

import json
import os
import pathlib
import re
import tempfile
import unittest

import cli
from cli import run

DRIVES = "tests/cli/fabric/two-drives.json"
PORTS = "tests/cli/fabric/two-ports.json"
FLOW = "from=nvme1n1,to=nvme0n1,op=write"
# Below one switch: root port 00:01.0, its upstream port, two downstream ports, two drives.
NEAR, FAR = "0000:03:00.0", "0000:04:00.0"


class Case(unittest.TestCase):
    def fails(self, code, words, *args):
        """Nothing on standard output, and all of @words in the message."""
        result = run("sim", *args)
        self.assertEqual(result.returncode, code, (args, result.stderr))
        self.assertTrue(result.stderr.startswith("p2pdma: "), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr, args)
        self.assertEqual(result.stdout, "", args)

    def flows(self, path, *flows, code=0, options=()):
        """The JSON of a run."""
        args = [part for flow in flows for part in ("--flow", flow)]
        result = run("sim", "run", path, "--json", *args, *options)
        self.assertEqual((result.returncode, result.stderr), (code, ""), flows)
        return json.loads(result.stdout)


class Usage(Case):
    def test_flow(self):
        for flow, words in {
                "": ["from= is missing"],
                "from=nvme1n1": ["to= is missing"],
                "from=nvme1n1,to=dram": ["op= is missing"],
                "from=nvme1n1,to=dram,op=copy": ["op=copy", "read or write"],
                "from=nvme9n1,to=dram,op=read": ["nvme9n1", "sim check"],
                "from=99:00.0,to=dram,op=read": ["99:00.0", "sim check"],
                "from=nvme1n1,to=nvme9n1,op=read": ["nvme9n1"],
                "from=dram,to=nvme1n1,op=read": ["dram"],
                "from=nvme1n1,to=dram,op=read,": [],
                FLOW + ",size=0": ["size=0", "1 to 1M"],
                FLOW + ",size=2M": ["size=2M", "1 to 1M"],
                FLOW + ",size=4k": ["size=4k"],
                FLOW + ",size=-1": ["size=-1"],
                FLOW + ",size=18446744073709551617": ["1 to 1M"],
                FLOW + ",size=": ["1 to 1M"],
                FLOW + ",depth=0": ["depth=0", "1 to 4096"],
                FLOW + ",depth=5K": ["depth=5K", "1 to 4096"],
                FLOW + ",depth": ["depth", "expected from="],
                FLOW + ",translated=maybe": ["translated=maybe", "yes or no"],
                FLOW + ",op=read": ["op= twice"],
                FLOW + ",speed=fast": ["speed", "expected from="]}.items():
            if words:
                self.fails(3, ["--flow", *words], "run", DRIVES, "--flow", flow)

    def test_options(self):
        self.fails(3, ["expected --flow"], "run", DRIVES)
        self.fails(3, ["sim run FILE"], "run", "--flow", FLOW)
        self.fails(3, ["sim check FILE"], "check")
        self.fails(3, ["sim check FILE"], "check", DRIVES, PORTS)
        self.fails(3, ["no such verb", "sim check or sim run"])
        self.fails(3, ["sim walk", "no such verb", "expected sim check or sim run\n"], "walk", DRIVES)
        self.fails(3, ["sim check has no use for --flow"], "check", DRIVES, "--flow", FLOW)
        self.fails(3, ["sim check has no use for --json"], "check", DRIVES, "--json")
        self.fails(3, ["sim run has no use for --op"], "run", DRIVES, "--op", "read")
        self.fails(3, ["sim run has no use for --machine"], "run", DRIVES, "-M", "live:")
        for bytes_ in ("0", "", "-1", "16X", "1KK", "9223372036854775808", "8589934592G"):
            self.fails(3, ["--bytes", "such as 64M"], "run", DRIVES, "--flow", FLOW, "--bytes",
                       bytes_)
        self.fails(3, ["flow 1", "BAR"], "run", DRIVES, "--flow", "from=nvme0n1,to=00:01.0,op=read")

    def test_many_flows(self):
        for args in (["--flow", FLOW] * 1025, ["--set", "x"] * 1025):
            self.fails(3, [args[0], "more than 1024"], "run", DRIVES, *args)

    def test_set(self):
        for text in ("", "x", NEAR, f"{NEAR},4", f"{NEAR},4.w", f"{NEAR},4.q=0", f"{NEAR},4. =0",
                     f"{NEAR},4.w=", f"{NEAR},4.w=-1", f"{NEAR},4.w=4z", f"{NEAR},.w=4", f"{NEAR},-4.w=4",
                     f"{NEAR},4.wl=4", f"{NEAR},4.b=100", f"{NEAR},4.w=10000", f"{NEAR},4.l=100000000",
                     f"{NEAR},1000.b=0", f"{NEAR},ffe.l=0", f"{NEAR},fffffffffffffffff.b=0"):
            self.fails(3, [f"--set {text}: expected DEVICE,OFFSET.WIDTH=VALUE"], "run", DRIVES, "--flow",
                       FLOW, "--set", text)
        self.fails(3, ["multiple of 4"], "run", DRIVES, "--flow", FLOW, "--set", f"{NEAR},6.l=0")
        self.fails(3, ["99:00.0", "sim check"], "run", DRIVES, "--flow", FLOW, "--set", "99:00.0,4.w=0")
        self.fails(3, ["sim check has no use for --set"], "check", DRIVES, "--set", f"{NEAR},4.w=0")

    def test_prefix(self):
        """As after --machine."""
        for verb in (("check",), ("run", "--flow", FLOW, "--bytes", "64K")):
            self.assertEqual(run("sim", *verb, f"sim:{DRIVES}").stdout, run("sim", *verb, DRIVES).stdout)

    def test_files(self):
        for verb in (("check",), ("run", "--flow", FLOW)):
            self.fails(4, ["/nonexistent", "No such file"], *verb, "/nonexistent")
            self.fails(4, ["meson.build"], *verb, "meson.build")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "broken.json")
            path.write_text('{"format":"p2pdma-fabric","version":1,\n"roots":[{"below":[{}}]}')
            self.fails(4, ["broken.json", "2:"], "check", str(path))

    def test_trace_file(self):
        args = ("run", DRIVES, "--flow", FLOW, "--bytes", "64K", "--trace")
        self.fails(4, ["/nonexistent/trace", "No such file"], *args, "/nonexistent/trace")
        self.fails(4, ["/dev/full", "not all was written"], *args, "/dev/full")
        with open("/dev/full", "w") as full:
            result = run("sim", *args, "-", stdout=full)
        self.assertEqual((result.returncode, result.stderr),
                         (4, "p2pdma: standard output: No space left on device\n"))

    def test_output(self):
        wanted = run("sim", "run", DRIVES, "--flow", FLOW, "--bytes", "1M").stdout
        self.assertEqual(run("--flow", FLOW, "sim", "--bytes=1M", "run", DRIVES).stdout, wanted)
        for verb in (("check", DRIVES), ("run", DRIVES, "--flow", FLOW, "--bytes", "1M"),
                     ("run", DRIVES, "--flow", FLOW, "--bytes", "1M", "--json")):
            with open("/dev/full", "w") as full:
                result = run("sim", *verb, stdout=full)
            self.assertEqual((result.returncode, result.stderr),
                             (4, "p2pdma: standard output: No space left on device\n"), verb)

    def test_help(self):
        text = run("sim", "run", "--help").stdout
        self.assertIn("p2pdma sim run", text)
        self.assertNotIn("p2pdma sim check", text)


class Run(Case):
    def test_numbers_agree(self):
        for op in ("read", "write"):
            answer = self.flows(DRIVES, f"from={FAR},to={NEAR},op={op},size=64K,depth=4",
                                options=("--bytes", "4M"))
            flow, = answer["flows"]
            self.assertEqual((flow["from"], flow["to"], flow["op"], flow["size"]),
                             (FAR, NEAR, op, 65536))
            self.assertEqual((flow["bytes"], flow["arrived"]), (4 << 20, True))
            latency = flow["latency_ns"]
            self.assertLessEqual(latency["min"], latency["p50"])
            self.assertLessEqual(latency["p50"], latency["p99"])
            self.assertEqual(answer["dram"], {"read_bytes": 0, "write_bytes": 0})
            self.assertEqual(answer["events"], [])
            # gen4 x4 carries 7.8 GB/s before headers and acknowledgements.
            self.assertGreater(flow["bytes_per_second"], 5e9)
            self.assertLess(flow["bytes_per_second"], 7.88e9)
            links = {(link["port"], link["direction"]): link for link in answer["links"]}
            below = {port: links for (port, _), links in links.items()}
            self.assertEqual(len(below), 2)  # nothing above the switch
            heavy = [link for link in links.values() if link["bytes"] >= 4 << 20]
            self.assertEqual(sorted(link["direction"] for link in heavy), ["down", "up"])
            for link in heavy:
                self.assertGreater(link["utilisation"], 0.9)
                self.assertLess(link["bytes"], (4 << 20) * 1.15)

    def test_host_memory(self):
        answer = self.flows(DRIVES, "from=nvme0n1,to=dram,op=read", "from=nvme1n1,to=dram,op=write",
                            options=("--bytes", "1M"))
        self.assertEqual([flow["to"] for flow in answer["flows"]], ["dram", "dram"])
        self.assertEqual([flow["bytes"] for flow in answer["flows"]], [1 << 20, 1 << 20])
        self.assertEqual(answer["dram"], {"read_bytes": 1 << 20, "write_bytes": 1 << 20})

    def test_refused(self):
        """Writes between root ports pass, reads come back as ones: and are not taken for data."""
        answer = self.flows(PORTS, "from=nvme0n1,to=gpu,op=write", "from=nvme0n1,to=gpu,op=read",
                            code=1, options=("--bytes", "1M"))
        write, read = answer["flows"]
        self.assertEqual((write["arrived"], write["bytes"]), (True, 1 << 20))
        self.assertEqual((read["arrived"], read["bytes"]), (False, 0))
        self.assertEqual(write["stopped"], None)
        self.assertEqual(read["stopped"], {"fate": "root", "at": "0000:00:00.0"})
        self.assertEqual(read["bytes_per_second"], None)
        self.assertEqual(set(read["latency_ns"].values()), {None})
        self.assertEqual({event["kind"] for event in answer["events"]}, {"root"})
        text = run("sim", "run", PORTS, "--flow", "from=nvme0n1,to=gpu,op=read").stdout
        self.assertIn("0 of 16M, root at 0000:00:00.0 ", text)
        self.assertIn("events:", text)

    def test_fates(self):
        """Each flow says why it failed, whatever the log of all is full of."""
        flows = ("from=nvme0n1,to=gpu,op=read", "from=gpu,to=nvme0n1,op=read")
        off = ("--bytes", "1M", "--set", "0000:01:00.0,4.b=2")
        answer = self.flows(PORTS, *flows, code=1, options=off)
        self.assertEqual([flow["stopped"] for flow in answer["flows"]],
                         [{"fate": "root", "at": "0000:00:00.0"},
                          {"fate": "not-sent", "at": "0000:01:00.0"}])
        self.assertEqual({link["utilisation"] for link in answer["links"]}, {None})
        self.assertEqual({flow["bytes_per_second"] for flow in answer["flows"]}, {None})
        text = run("sim", "run", PORTS, "--flow", flows[0], "--flow", flows[1], *off).stdout
        self.assertIn("0 of 1M, not-sent at 0000:01:00.0 ", text)
        self.assertEqual(text.count(" ns  root "), 10)
        titles, first, second = text.splitlines()[:3]
        self.assertEqual({len(titles), len(second)}, {len(first)})

    def test_timeout_is_no_time(self):
        """Waiting for a lost completion does not make links idle, nor the flow slow."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "lossy.json")
            path.write_text((cli.ROOT / DRIVES).read_text().replace(
                '"version": 1,', '"version": 1, "faults": [{"tlp": {"type": "completion", "nth": 3000}, '
                '"do": "drop"}],'))
            answer = self.flows(str(path), "from=nvme1n1,to=nvme0n1,op=read", code=1)
            flow, = answer["flows"]
            self.assertEqual(flow["stopped"]["fate"], "lost")
            self.assertGreater(flow["bytes_per_second"], 5e9)
            self.assertGreater(max(link["utilisation"] for link in answer["links"]), 0.9)
            self.assertIn("timeout", {event["kind"] for event in answer["events"]})
            self.assertEqual(answer["faults_pending"], 0)

    def test_faults_pending(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "later.json")
            path.write_text((cli.ROOT / DRIVES).read_text().replace(
                '"version": 1,', '"version": 1, "faults": [{"tlp": {"nth": 1000000}, "do": "drop"}, '
                f'{{"at_ns": 1000000000000, "do": "remove", "device": "{NEAR}"}}],'))
            answer = self.flows(str(path), FLOW, options=("--bytes", "64K"))
            self.assertEqual(answer["faults_pending"], 2)
            self.assertTrue(answer["flows"][0]["arrived"])
            text = run("sim", "run", str(path), "--flow", FLOW, "--bytes", "64K").stdout
            self.assertTrue(text.endswith("\nscripted faults that did not happen: 2\n"), text)

    def test_registers(self):
        """ACS of the client's port (at 150h) sends requests up, and the root port lets them back."""
        def above(*sets):
            options = [part for text in sets for part in ("--set", text)]
            answer = self.flows(DRIVES, FLOW, options=("--bytes", "1M", *options))
            return {(link["port"], link["direction"]) for link in answer["links"]
                    if link["bytes"] > 1 << 20 and link["port"] == "0000:00:01.0"}

        redirect, forward = "02:01.0,156.w=4", "0000:00:01.0,0x156.w=0x10"
        self.assertEqual(above(), set())
        self.assertEqual(above(redirect, forward),
                         {("0000:00:01.0", "up"), ("0000:00:01.0", "down")})
        self.assertEqual(above(redirect, forward, "02:01.0,156.w=0"), set())  # in order
        answer = self.flows(DRIVES, FLOW, code=1, options=("--set", redirect))
        self.assertEqual(answer["flows"][0]["stopped"], {"fate": "ur", "at": "0000:00:01.0"})

    def test_short_last(self):
        flow, = self.flows(DRIVES, FLOW + ",size=1000,depth=3", options=("--bytes", "10001"))["flows"]
        self.assertEqual((flow["bytes"], flow["arrived"]), (10001, True))

    def test_too_large_for_the_target(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "small.json")
            path.write_text((cli.ROOT / DRIVES).read_text().replace("64M", "16K"))
            self.fails(3, ["flow 1", "65536 bytes", "16384"], "run", str(path), "--flow",
                       FLOW + ",size=64K")
            # Two flows get half of it each.
            self.fails(3, ["flow 1", "8192"], "run", str(path), "--flow", FLOW + ",size=16K",
                       "--flow", FLOW)
            answer = self.flows(str(path), FLOW + ",size=8K", "from=nvme1n1,to=nvme0n1,op=read,size=8K",
                                options=("--bytes", "64K"))
            self.assertEqual([flow["arrived"] for flow in answer["flows"]], [True, True])

    def test_same_every_time(self):
        with tempfile.TemporaryDirectory() as folder:
            paths = [pathlib.Path(folder, name) for name in ("a", "b")]
            texts = [run("sim", "run", DRIVES, "--flow", FLOW, "--flow", "from=nvme0n1,to=dram,op=read",
                         "--bytes", "256K", "--trace", str(path)).stdout for path in paths]
            self.assertEqual(texts[0], texts[1])
            self.assertEqual(paths[0].read_bytes(), paths[1].read_bytes())
            lines = paths[0].read_text().splitlines()
            self.assertGreater(len(lines), 100)
            self.assertTrue({"t", "id", "tlp", "at"} <= set(json.loads(lines[0])))
            both = run("sim", "run", DRIVES, "--flow", FLOW, "--flow", "from=nvme0n1,to=dram,op=read",
                       "--bytes", "256K", "--trace", "-").stdout
            self.assertEqual(both, paths[0].read_text() + texts[0])

    def test_translated(self):
        """The IOMMU lets through what the clients were given for the run."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "translated.json")
            path.write_text((cli.ROOT / PORTS).read_text().replace(
                '"version": 1,', '"version": 1, "iommu": "translated",'))
            answer = self.flows(str(path), "from=nvme0n1,to=gpu,op=write",
                                "from=gpu,to=dram,op=read", options=("--bytes", "1M"))
            self.assertEqual([flow["arrived"] for flow in answer["flows"]], [True, True])

    def test_asks_first(self):
        """What the IOMMU has translated passes by ACS as its own rules say."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "ats.json")
            path.write_text((cli.ROOT / DRIVES).read_text().replace(
                '"version": 1,', '"version": 1, "iommu": "translated",').replace(
                '"name": "nvme1n1"', '"name": "nvme1n1", "ats": true'))
            options = ["--bytes", "1M"]
            both = (FLOW, FLOW + ",translated=yes")
            answer = self.flows(str(path), *both, options=options)
            self.assertEqual([flow["translated"] for flow in answer["flows"]], [False, True])
            self.fails(3, ["flow 2", f"ATS of {NEAR} is off"], "run", str(path), "--flow", FLOW, "--flow",
                       "from=nvme0n1,to=nvme1n1,op=read,translated=yes")
            block = [*options, "--set", "02:01.0,156.w=1f"]  # TransBlk beside what Linux sets
            answer = self.flows(str(path), *both, code=1, options=block)
            self.assertEqual([flow["stopped"] for flow in answer["flows"]],
                             [None, {"fate": "acs", "at": "0000:02:01.0"}])

    def test_stray(self):
        """No flow's own memory is a stranger's."""
        answer = self.flows(DRIVES, "from=nvme0n1,to=dram,op=read", "from=nvme1n1,to=dram,op=write,size=1000",
                            options=("--bytes", "100K"))
        self.assertEqual(answer["events"], [])

    def test_pulled(self):
        """A target that goes in the middle ends its flow, and nothing hangs."""
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "pulled.json")
            path.write_text((cli.ROOT / DRIVES).read_text().replace(
                '"version": 1,', '"version": 1, "faults": [{"at_ns": 20000, "do": "remove", '
                f'"device": "{NEAR}"}}],'))
            for op in ("read", "write"):
                answer = self.flows(str(path), f"from={FAR},to={NEAR},op={op}", code=1)
                flow, = answer["flows"]
                self.assertFalse(flow["arrived"])
                self.assertGreater(flow["bytes"], 0)
                self.assertIn("removed", {event["kind"] for event in answer["events"]})


class Documents(Case):
    def test_example(self):
        """docs/simulator.md shows what is printed."""
        examples = re.findall(r"^```\n\$ p2pdma (.*)\n((?:.*\n)*?)```", (cli.ROOT / "docs/simulator.md").read_text(), re.M)
        self.assertTrue(examples)
        for command, printed in examples:
            self.assertEqual(run(*command.split()).stdout, printed)


class Verbs(Case):
    def test_check(self):
        result = run("sim", "check", DRIVES)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        for word in ("intel-skylake-sp", "mem", "64M", "16GT/s x4", "nvme1n1", NEAR, FAR):
            self.assertIn(word, result.stdout)

    def test_other_verbs(self):
        machine = ("-M", f"sim:{DRIVES}")
        self.assertIn("YES", run("check", "nvme0n1", "nvme1n1", *machine).stdout)
        for verb in (("matrix",), ("find", "nvme0n1"), ("tree",), ("dump",)):
            result = run(*verb, *machine)
            self.assertEqual((result.returncode, result.stderr), (0, ""), verb)

    def test_peer_memory_is_near(self):
        """The server that others' examples use: its drives reach its memory without the CPU."""
        path = "data/sim/peer-memory.json"
        for memory in ("05:00.0", "06:00.0"):
            for drive in ("nvme0n1", "nvme1n1"):
                result = run("check", memory, drive, "-M", f"sim:{path}")
                self.assertEqual((result.returncode, result.stderr), (0, ""))
                self.assertIn("write  DIRECT", result.stdout)
                flow, = self.flows(path, f"from={drive},to={memory},op=write",
                                   options=("--bytes", "1M"))["flows"]
                self.assertTrue(flow["arrived"])

    def test_a_dump_is_a_machine(self):
        """A capture of a simulated machine can be simulated; without models its flows count."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "dump.json")
            self.assertEqual(run("dump", "-M", f"sim:{DRIVES}", "-o", path).returncode, 0)
            flow, = self.flows(path, f"from={FAR},to={NEAR},op=write", options=("--bytes", "1M"))["flows"]
            self.assertTrue(flow["arrived"])


if __name__ == "__main__":
    unittest.main(verbosity=1)
