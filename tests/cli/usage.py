#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Options, arguments, inputs and outputs of the command: what it takes and how it refuses."""

import json
import os
import pathlib
import re
import stat
import subprocess
import sys
import tempfile
import unittest

import cli
from cli import DESKTOP, SERVER, run

PAIR = ("88:00.0", "89:00.0")  # below one switch: yes


class Case(unittest.TestCase):
    def ok(self, *args, code=0, **kw):
        result = run(*args, **kw)
        self.assertEqual((result.returncode, result.stderr), (code, ""), args)
        return result.stdout

    def fails(self, code, words, *args, **kw):
        """Nothing on standard output, and all of @words in the message."""
        result = run(*args, **kw)
        self.assertEqual(result.returncode, code, (args, result.stderr))
        self.assertTrue(result.stderr.startswith("p2pdma: "), result.stderr)
        for word in words:
            self.assertIn(word, result.stderr, args)
        self.assertEqual(result.stdout, "", args)


class Options(Case):
    # verb, its arguments, the exit code, and every option it takes
    TAKEN = [
        ("check", PAIR, [["--profile", "linux-6.5"], ["--cpu", "amd-zen"], ["--cpu=other"],
                         ["--cpu", "auto"], ["--op", "read"], ["--op", "write"], ["--op=both"],
                         ["--json"], ["-v"], ["--verbose"]]),
        ("matrix", PAIR, [["--profile", "linux-6.5"], ["--cpu", "amd-zen"], ["--op", "read"],
                          ["--json"], ["--all"]]),
        ("find", PAIR[:1], [["--profile", "linux-6.5"], ["--cpu", "other"], ["--op", "write"],
                            ["--json"], ["-v"], ["--for", "kernel"]]),
        ("tree", (), [["--json"]]),
        ("dump", (), [["--json"], ["--redact"], ["-o", "-"], ["--output", "-"]]),
    ]

    def test_before_and_after_the_verb(self):
        for verb, arguments, taken in self.TAKEN:
            for option in taken + [["--color", "never"], ["--color=always"], ["--color", "auto"]]:
                after = self.ok(verb, *arguments, *option, "-M", SERVER)
                self.assertTrue(after)
                self.assertEqual(self.ok("--machine", SERVER, *option, verb, *arguments), after)

    def test_without_effect_is_refused(self):
        all_options = {"--profile": ["linux-6.5"], "--cpu": ["auto"], "--op": ["read"],
                       "--json": [], "--verbose": [], "--all": [], "--for": ["kernel"],
                       "--output": ["-"], "--redact": []}
        for verb, arguments, taken in self.TAKEN:
            long = {option[0].split("=")[0] for option in taken}
            long |= {"--verbose"} if "-v" in long else set()
            for option in set(all_options) - long:
                self.fails(3, [f"{verb} has no use for {option}"], verb, *arguments, option,
                           *all_options[option], "-M", SERVER)

    def test_bad_values(self):
        for option, value, words in [
                ("--profile", "linux-5.10", ["linux-5.10", "not known", "6.0"]),
                ("--profile", "windows-11", ["windows-11", "linux-X.Y"]),
                ("--profile", "linux-6", ["linux-6", "linux-X.Y"]),
                ("--cpu", "intel", ["intel", "auto, amd-zen or other"]),
                ("--op", "atomic", ["atomic", "read, write or both"]),
                ("--for", "wire", ["wire", "expected kernel"]),
                ("--color", "red", ["red", "auto, always or never"]),
                ("--machine", "qemu:", ["qemu:", "live:", "capture:FILE"]),
                ("--machine", "live:boot=/", ["boot=/", "root=DIR"]),
                ("--machine", "capture:", ["capture:FILE", "capture:-"]),
                ("--machine", "data/two-socket.json", ["did you mean capture:data/two-socket"])]:
            self.fails(3, words, "find", "-M", SERVER, "88:00.0", option, value)

    def test_missing_and_unknown(self):
        verbs = "check, matrix, find, tree, dump, sim check or sim run"
        self.fails(3, [verbs, "--help"])
        self.fails(3, ["frobnicate", verbs], "frobnicate")
        self.fails(3, ["--frobnicate", "--help"], "tree", "--frobnicate")
        self.fails(3, ["-x"[1:], "--help"], "tree", "-x")
        self.fails(3, ["--op", "requires an argument"], "matrix", "--op")
        self.fails(3, ["-- 'M'"], "matrix", "-M")
        self.fails(3, ["check PROVIDER CLIENT..."], "check", "-M", SERVER, "88:00.0")
        self.fails(3, ["find CLIENT..."], "find", "-M", SERVER)
        self.fails(3, ["p2pdma tree\n"], "tree", "-M", SERVER, "88:00.0")
        self.fails(3, ["p2pdma dump\n"], "dump", "-M", SERVER, "88:00.0")

    def test_help_and_version(self):
        text = self.ok("--help")
        for verb, _, _ in self.TAKEN:
            self.assertIn(f"p2pdma {verb}", text)
        self.assertEqual(self.ok("-h"), text)
        self.assertNotIn("p2pdma find", self.ok("check", "--help"))
        self.assertRegex(self.ok("--version"), r"^p2pdma \d+\.\d+\.\d+\n$")

    def test_after_two_dashes_all_are_devices(self):
        self.fails(3, ["--json"], "check", "-M", SERVER, "--", "88:00.0", "--json")


class Devices(Case):
    def matched(self, *patterns):
        tree = json.loads(self.ok("matrix", "--json", "-M", SERVER, *patterns))
        return [pair["client"] for pair in tree["pairs"]
                if pair["provider"] == tree["pairs"][0]["provider"]]

    def test_patterns(self):
        for pattern, wanted in {
                "88:": ["88:00.0"], "88:*": ["88:00.0"], "88:00": ["88:00.0"],
                "0000:88:": ["88:00.0"], "*:88:*.*": ["88:00.0"], "0:88:0.0": ["88:00.0"],
                "10de:1db6": ["1a:00.0", "3d:00.0", "88:00.0", "b1:00.0"],
                "10de:": ["1a:00.0", "3d:00.0", "88:00.0", "b1:00.0"],
                "10DE:*": ["1a:00.0", "3d:00.0", "88:00.0", "b1:00.0"],
                "*:1db6": ["1a:00.0", "3d:00.0", "88:00.0", "b1:00.0"],
                ":1017": ["1b:00.0", "3e:00.0", "89:00.0", "b2:00.0"],
                "::0200": ["1b:00.0", "3e:00.0", "89:00.0", "b2:00.0"],
                "*:*:0300": ["02:00.0"], "1de5:*:0108": ["1c:00.0"]}.items():
            self.assertEqual(self.matched(pattern), [f"0000:{bdf}" for bdf in wanted], pattern)
        everything = self.matched()
        self.assertEqual(len(everything), 17)
        for pattern in ("*:*.*", ".0", "*:*", "0000:*:*", "00.0", "*:*:00.*"):
            self.assertEqual(self.matched(pattern), everything, pattern)

    def test_no_function_twice(self):
        self.assertEqual(self.matched("88:00.0", "10de:", "88:"),
                         [f"0000:{bus}:00.0" for bus in ("88", "1a", "3d", "b1")])

    def test_names_and_paths(self):
        wanted = self.ok("check", "-M", SERVER, "88:00.0", "8a:00.0")
        deep = "/sys/devices/pci0000:85/0000:85:00.0/0000:86:00.0/0000:87:00.0/0000:88:00.0"
        for provider in ("0000:88:00.0", "/sys/bus/pci/devices/0000:88:00.0", deep,
                         f"{deep}/drm/card0/card0-DP-1"):
            for client in ("nvme4n1", "/dev/nvme4n1", "/dev/nvme4n1p2",
                           "/sys/block/nvme4n1", "/sys/class/block/nvme4n1/"[:-1]):
                self.assertEqual(self.ok("check", "-M", SERVER, provider, client), wanted)

    def test_refused(self):
        for name, words in {
                "99:00.0": ["99:00.0", "tree"], "dead:beef": ["matches no function"],
                "7:": ["matches no function"], "eth9": ["eth9", "goes by that name"],
                "nvme4n1x": ["goes by that name"], "": ["empty name"],
                "zz:00.0": ["zz:00.0"], "8*:00.0": ["8*:00.0"], "0000:88:00.8": ["88:00.8"],
                "/dev/sda": ["/dev/sda"], "/sys/class/net/lo": ["lo"],
                "/sys/bus/pci/devices/0000:99:00.0": ["0000:99:00.0"]}.items():
            self.fails(3, words, "check", "-M", SERVER, "88:00.0", name)
        self.fails(3, ["10de:", "4 functions", "must be one"], "check", "-M", SERVER, "10de:",
                   "eth0")

    def test_ambiguous_name(self):
        capture = json.loads((cli.ROOT / "data/two-socket.json").read_text())
        for row in capture["functions"]:
            if row["bdf"] in ("0000:88:00.0", "0000:89:00.0"):
                row["names"] = ["twin"]
        self.fails(3, ["twin", "more than one", "address"], "check", "-M", "capture:-", "8a:00.0",
                   "twin", stdin=json.dumps(capture))


class Machines(Case):
    def test_unreadable(self):
        for name, words in {
                "/nonexistent/file": ["No such file"], "data": ["directory", "live:root="],
                "/dev/null": ["lspci -xxxx"], "meson.build": ["line 1", "lspci -xxxx"]}.items():
            self.fails(4, [name, *words], "matrix", "-M", f"capture:{name}")
        self.fails(4, ["/nonexistent", "capture:FILE"], "matrix", "-M", "live:root=/nonexistent")
        self.fails(4, ["standard input", "2:11"], "tree", "-M", "capture:-",
                   stdin='{"format":"p2pdma-capture",\n"version":}')
        self.fails(4, ["standard input"], "tree", "-M", "capture:-", stdin="")

    def test_too_many_for_a_grid(self):
        # storage without a BAR
        config = "4d1422a8" + "00" * 6 + "0801" + "00" * 52

        def machine(count):
            return json.dumps({"format": "p2pdma-capture", "version": 1, "functions": [
                {"bdf": f"0000:{i >> 8:02x}:{i >> 3 & 31:02x}.{i & 7}", "config": config}
                for i in range(count)]})

        few, many = machine(512), machine(513)
        self.assertIn("#511", self.ok("matrix", "--all", "-M", "capture:-", stdin=few))
        self.fails(3, ["513 functions", "--json"], "matrix", "--all", "-M", "capture:-", stdin=many)
        self.assertIn("#7", self.ok("matrix", "--all", "-M", "capture:-", "0:1f.", stdin=many))

    def test_standard_input(self):
        text = (cli.ROOT / "data/two-socket.json").read_text()
        self.assertEqual(self.ok("matrix", "--json", "-M", "capture:-", stdin=text),
                         self.ok("matrix", "--json", "-M", SERVER))

    def test_lspci_text_gives_the_same_routes(self):
        compared = 0
        for path in cli.captures():
            capture = json.loads((cli.ROOT / path).read_text())
            if (len({row.get("root_bus") for row in capture["functions"]}) > 1
                    or any("physfn" in row or row["config_len"] < 64
                           for row in capture["functions"])
                    or capture["machine"].get("hypervisor") not in (None, "none")):
                continue  # what only JSON records decides there; lspci prints 64 bytes or more
            ask = ("matrix", "--json", "--cpu", "other", "--profile", "linux-7.2", "-M")
            self.assertEqual(routes(self.ok(*ask, "capture:-", stdin=lspci(capture))),
                             routes(self.ok(*ask, f"capture:{path}")), path)
            compared += 1
        self.assertGreater(compared, 50)

    def test_profile_is_of_the_kernel_only(self):
        ask = ("matrix", "--json", "-M", "capture:tests/data/roots/newer-row.json")
        old, new = (json.loads(self.ok(*ask, "--profile", p)) for p in ("linux-6.0", "linux-7.2"))
        self.assertEqual((old["profile"], new["profile"]), ("linux-6.0", "linux-7.2"))
        kernels = [[pair["kernel"] for pair in answer["pairs"]] for answer in (old, new)]
        self.assertNotEqual(*kernels)
        for key in ("answer", "write", "read"):
            self.assertEqual([p[key] for p in old["pairs"]], [p[key] for p in new["pairs"]])

    def test_cpu_rule(self):
        ask = ("check", "-M", DESKTOP, "03:00.0", "04:00.0", "--cpu")
        self.assertIn("AMD Zen", self.ok(*ask, "amd-zen"))
        self.assertEqual(self.ok(*ask, "other", code=2), self.ok(*ask, "auto", code=2))

    def test_kernel_before_6_0(self):
        old = ("-M", "capture:tests/data/roots/kernel-too-old.json")
        text = self.ok("check", *old, "01:00.0", "02:00.0")
        self.assertIn("kernel UNKNOWN", text)
        self.assertIn("before Linux 6.0 are not known", text)
        self.assertIn("rules not known", self.ok("matrix", *old))
        text = self.ok("check", *old, "01:00.0", "02:00.0", "--profile", "linux-7.2")
        self.assertIn("kernel THRU_HOST_BRIDGE", text)
        self.assertNotIn("not known", text)

    def test_64_bytes(self):
        short = "capture:tests/data/roots/64-bytes.json"
        hint = "take it as root with `lspci -xxxx`"
        self.assertIn(hint, self.ok("check", "-M", short, "03:00.0", "04:00.0", code=2))
        self.assertIn(hint, self.ok("matrix", "-M", short))
        self.assertIn(hint, self.ok("tree", "-M", short))
        capture = json.loads((cli.ROOT / short[8:]).read_text())
        capture["machine"]["privileged"] = False  # as a live machine reads without root
        for verb in (("matrix",), ("check", "03:00.0", "04:00.0")):
            self.assertIn("run as root or load a capture",
                          run(*verb, "-M", "capture:-", stdin=json.dumps(capture)).stdout)

    def test_kernel_without_p2pdma(self):
        capture = json.loads((cli.ROOT / "data/two-socket.json").read_text())
        capture["machine"]["kernel_p2pdma"] = False
        for verb in (("matrix",), ("check", *PAIR)):
            text = self.ok(*verb, "-M", "capture:-", stdin=json.dumps(capture))
            lines = [line for line in text.split("\n") if "CONFIG_PCI_P2PDMA" in line]
            self.assertEqual(len(lines), 1, text)
            self.assertIn("6.12.41", lines[0])
            self.assertNotIn("CONFIG_PCI_P2PDMA", self.ok(*verb, "-M", SERVER))
        del capture["machine"]["kernel"]
        self.assertIn("kernel not recorded is built without",
                      self.ok("matrix", "-M", "capture:-", stdin=json.dumps(capture)))

    def test_input_does_not_command_the_terminal(self):
        broken = '{"format":"p2pdma-capture",\x1b[31m\u009b'
        self.fails(4, ["?"], "tree", "-M", "capture:-", stdin=broken)
        self.assertNotRegex(run("tree", "-M", "capture:-", stdin=broken).stderr,
                            "[\x00-\x09\x0b-\x1f\x7f\x80-\x9f]")
        hypervisor = json.loads((cli.ROOT / "data/two-socket.json").read_text())
        hypervisor["machine"]["hypervisor"] = "kvm\u009b31m"
        text = self.ok("matrix", "-M", "capture:-", stdin=json.dumps(hypervisor))
        self.assertIn("(kvm??31m)", text)


def lspci(capture):
    """What `lspci -D -n -xxxx` prints of the machine in a capture."""
    out = []
    for row in capture["functions"]:
        space = bytes.fromhex(row["config"]).ljust(row["config_len"], b"\0")
        out.append(f"{row['bdf']} {space[0x0b]:02x}{space[0x0a]:02x}: "
                   f"{space[1]:02x}{space[0]:02x}:{space[3]:02x}{space[2]:02x}")
        for at in range(0, len(space), 16):
            out.append(f"{at:02x}: " + " ".join(f"{byte:02x}" for byte in space[at:at + 16]))
        out.append("")
    return "\n".join(out)


def routes(text):
    """The pairs without hazards: resources and driver masks are not in lspci's rows."""
    return [(p["provider"], p["client"], p["kernel"], p["write"], p["read"])
            for p in json.loads(text)["pairs"]]


class Dump(Case):
    def test_read_again(self):
        for path in cli.captures():
            self.assertEqual(cli.differs_after_dump(path), None, path)

    def test_live(self):
        if run("tree").returncode == 4:
            self.skipTest("this machine has no PCI that can be read")
        text = run("dump").stdout
        self.assertEqual(self.ok("matrix", "--json", "-M", "capture:-", stdin=text),
                         self.ok("matrix", "--json"))

    def test_redact(self):
        text = self.ok("dump", "--redact", "-M", SERVER)
        plain = self.ok("dump", "-M", SERVER)
        for secret in ("eth0", "nvme1n1", "00dec000034b6b50"):
            self.assertIn(secret, plain)
            self.assertNotIn(secret, text)
        self.assertEqual(len(re.findall(r'"names":\["name\d+"\]', text)), 11)

    def test_output_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.json")
            self.ok("dump", "-M", SERVER, "-o", str(path))
            self.assertEqual(path.read_text(), self.ok("dump", "-M", SERVER))
            path.chmod(0o600)
            link = pathlib.Path(folder, "link.json")
            link.symlink_to("x.json")
            self.ok("dump", "-M", DESKTOP, "-o", str(link))
            self.assertTrue(link.is_symlink())
            self.assertEqual(path.read_text(), self.ok("dump", "-M", DESKTOP))
            self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
            self.assertEqual(sorted(os.listdir(folder)), ["link.json", "x.json"])

    def test_device_is_not_replaced(self):
        # By a link: were it replaced, root would lose the link and not the device.
        with tempfile.TemporaryDirectory() as folder:
            link = os.path.join(folder, "full")
            os.symlink("/dev/full", link)
            self.fails(4, [link, "No space left"], "dump", "-M", SERVER, "-o", link)
            self.assertTrue(os.path.islink(link))
            self.assertEqual(os.listdir(folder), ["full"])

    def test_output_failures(self):
        for path, word in {"/nonexistent/x.json": "No such file", "/proc/x.json": "x.json",
                           "data": "directory"}.items():
            self.fails(4, [path, word], "dump", "-M", SERVER, "-o", path)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "x.json")
            path.write_text("precious")
            self.fails(4, ["/nonexistent"], "dump", "-M", "capture:/nonexistent", "-o", str(path))
            # The disk is full after 4096 bytes.
            full = subprocess.run(
                ["sh", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "sh", cli.P2PDMA, "dump",
                 "-M", SERVER, "-o", str(path)], cwd=cli.ROOT, env=cli.ENV, text=True,
                stderr=subprocess.PIPE, timeout=60)
            self.assertEqual(full.returncode, 4, full.stderr)
            self.assertIn("File too large", full.stderr)
            self.assertEqual(path.read_text(), "precious")
            self.assertEqual(os.listdir(folder), ["x.json"])


def read_terminal(master):
    """All of it: a line at a time may come, and EIO at the end."""
    text = b""
    try:
        while part := os.read(master, 65536):
            text += part
    except OSError:
        pass
    return text.decode()


class Output(Case):
    EACH = [("check", *PAIR), ("check", "--json", *PAIR), ("matrix",), ("matrix", "--json"),
            ("find", "88:00.0"), ("find", "--json", "88:00.0"), ("tree",), ("tree", "--json"),
            ("dump",), ("--help",), ("--version",)]

    def test_full_disk(self):
        for verb in self.EACH:
            with open("/dev/full", "w") as full:
                result = run(*verb, "-M", SERVER, stdout=full)
            self.assertEqual(result.returncode, 4, verb)
            self.assertEqual(result.stderr,
                             "p2pdma: standard output: No space left on device\n", verb)

    def test_closed(self):
        for verb in self.EACH:
            result = subprocess.run(["sh", "-c", '"$@" >&-', "sh", cli.P2PDMA, *verb, "-M", SERVER],
                                    cwd=cli.ROOT, env=cli.ENV, text=True, stderr=subprocess.PIPE,
                                    timeout=60)
            self.assertEqual(result.returncode, 4, verb)
            self.assertIn("standard output", result.stderr, verb)

    def test_nobody_reads(self):
        for verb in self.EACH:
            read, write = os.pipe()
            os.close(read)
            result = run(*verb, "-M", SERVER, stdout=write)
            os.close(write)
            self.assertEqual((result.returncode, result.stderr), (4, ""), verb)

    def test_color(self):
        for verb in (("check", *PAIR), ("matrix",)):
            plain = self.ok(*verb, "-M", SERVER)
            self.assertNotIn("\x1b", plain)
            self.assertEqual(self.ok(*verb, "-M", SERVER, "--color", "never"), plain)
            colored = self.ok(*verb, "-M", SERVER, "--color", "always", env={"NO_COLOR": "1"})
            self.assertIn("\x1b[32m", colored)
            self.assertEqual("".join(re.sub("\x1b\\[[0-9;]*m", "", colored).split()),
                             "".join(plain.split()))
        self.assertNotIn("\x1b", self.ok("matrix", "--json", "-M", SERVER, "--color", "always"))

    def test_color_on_a_terminal(self):
        for env, colored in [({}, True), ({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)]:
            master, slave = os.openpty()
            run("check", "-M", SERVER, *PAIR, stdout=slave, env=env)
            os.close(slave)
            text = read_terminal(master)
            os.close(master)
            self.assertIn("answer", text)
            self.assertEqual("\x1b" in text, colored, env)


if __name__ == "__main__":
    unittest.main(verbosity=1)
