# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tiny guests (tests/guest/micro and tests/metal/guest) on the hypervisor."""
import os
import re
import subprocess
import sys

import _machine

SOURCE = os.environ["HULL_SOURCE"]
sys.path.insert(0, os.path.join(SOURCE, "tests/guest"))
import _micro  # noqa: E402

OWN = os.path.join(SOURCE, "tests/metal/guest")
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "{memory}"
[cpu]
count = {cpus}
{more}
[boot]
kernel = "{kernel}"
"""


def kernel(test, work, more=()):
    """The ELF file of a guest, built if it is not there."""
    out = os.path.join(work, test + ".aarch64")
    own = os.path.exists(os.path.join(OWN, test + ".c"))
    if not os.path.exists(out):
        _micro.build("aarch64", test, work, OWN if own else _micro.FOLDER, more)
    return out


def image(vms, work, hypervisor=None):
    """An image of VMs, each a dict of what TOML wants; and the path of it."""
    files = []
    for vm in vms:
        files.append(os.path.join(work, vm["name"] + ".toml"))
        with open(files[-1], "w", encoding="utf-8") as f:
            f.write(TOML.format(**{"memory": "64M", "cpus": 1, "more": "", **vm}))
    out = os.path.join(work, "hull.img")
    subprocess.run([os.environ["HULL_FAST"], "build", "--metal", *files, "--hypervisor",
                    hypervisor or os.environ["HULL_METAL"], "-w", out], check=True)
    return out


def run(vms, work, hypervisor=None, **machine):
    """What the machine prints."""
    return _machine.run(image(vms, work, hypervisor), **machine)


def said(text, name=None):
    """What a guest has printed: of several, that of VM `name`."""
    text = text.replace("hull> ", "")
    if name is None:
        return "".join(line + "\n" for line in text.splitlines() if not line.startswith("hull: "))
    return "".join(line + "\n" for line in re.findall(r"^\[%s\] (.*)$" % re.escape(name), text, re.M))


class Cases:
    """TAP."""

    def __init__(self):
        self.n = self.failed = 0

    def case(self, name, passed, detail=""):
        self.n += 1
        self.failed += not passed
        print("%s %d - %s" % ("ok" if passed else "not ok", self.n, name), flush=True)
        if not passed:
            print("".join("# %s\n" % line for line in detail.splitlines()[-60:]), end="")

    def end(self):
        print("1..%d" % self.n)
        return self.failed > 0
