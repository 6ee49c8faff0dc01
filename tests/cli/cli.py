# SPDX-License-Identifier: MIT
"""Running the command, for the tests beside this file."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
P2PDMA = os.environ["P2PDMA"]
ENV = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "P2PDMA_PCI_IDS": "/nonexistent"}
ENV.update({k: v for k, v in os.environ.items() if k.startswith(("ASAN_", "UBSAN_", "LD_"))})
SERVER = "capture:data/two-socket.json"
DESKTOP = "capture:data/desktop-rocket-lake.json"


def run(*args, stdin=None, env=None, **kw):
    """Runs `p2pdma ARGS` in the root of the repository; never more than a minute."""
    kw = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "cwd": ROOT, "timeout": 60, **kw}
    if stdin is None:
        kw.setdefault("stdin", subprocess.DEVNULL)
    else:
        kw["input"] = stdin
    return subprocess.run([P2PDMA, *args], env={**ENV, **(env or {})}, text=True, **kw)


def captures():
    """The bundled machines, as paths from the root."""
    found = sorted(ROOT.glob("data/*.json")) + sorted(ROOT.glob("tests/data/*/*.json"))
    assert found, "no bundled captures"
    return [str(path.relative_to(ROOT)) for path in found]


def differs_after_dump(path):
    """capture -> dump -> read gives the same answers; if not, what differs."""
    text = run("dump", "-M", f"capture:{path}").stdout
    redacted = run("dump", "--redact", "-M", f"capture:{path}").stdout
    wanted = run("matrix", "--json", "-M", f"capture:{path}")
    if wanted.returncode != 0:
        return wanted.stderr
    if run("dump", "-M", "capture:-", stdin=text).stdout != text:
        return "a second dump"
    if run("matrix", "--json", "-M", "capture:-", stdin=text).stdout != wanted.stdout:
        return "the matrix of the dump"
    if run("matrix", "--json", "-M", "capture:-", stdin=redacted).stdout != wanted.stdout:
        return "the matrix of the redacted dump"
    return None


def skip(reason):
    print(f"SKIP: {reason}")
    sys.exit(77)
