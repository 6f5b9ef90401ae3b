#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor for RISC-V: in HS-mode under OpenSBI it starts, tests itself, and runs tiny guests in VS-mode, which print
what they print on the engine; a machine without the extension is refused."""
# timeout: 120
import subprocess
import sys
import tempfile

import _guest
from _guest import _micro

IMAGE = _guest.os.environ["HULL_METAL"].replace("/build-metal/", "/build-metal-riscv64/")
OWN = "walk_riscv64"
TOML = """[vm]
name = "{name}"
[machine]
arch = "riscv64"
[memory]
size = "64M"
[cpu]
count = {cpus}
[boot]
kernel = "{kernel}"
"""
cases = _guest.Cases()


def run(image, cpu="rv64,h=true"):
    """What the machine prints from the hypervisor's first line until it switches itself off."""
    done = subprocess.run(["qemu-system-riscv64", "-M", "virt", "-cpu", cpu, "-m", "256", "-display", "none", "-serial",
                           "stdio", "-monitor", "none", "-no-reboot", "-kernel", image], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60, check=False)
    text = done.stdout.decode(errors="replace").replace("\r", "")
    return text[max(text.find("hull: "), 0):]


def cpus(name):
    return "1" if name == OWN else _micro.cpus(name)


def build(name, work):
    return _micro.build("riscv64", name, work, _guest.OWN if name == OWN else _micro.FOLDER)


def guests(names, work):
    """An image of them; each is a VM."""
    files = []
    for name in names:
        files.append(_guest.os.path.join(work, name + ".toml"))
        with open(files[-1], "w", encoding="utf-8") as f:
            f.write(TOML.format(name=name, cpus=cpus(name), kernel=build(name, work)))
    out = _guest.os.path.join(work, "hull.img")
    subprocess.run([_guest.os.environ["HULL_FAST"], "build", "--metal", *files, "--hypervisor", IMAGE, "-w", out], check=True)
    return out


with tempfile.TemporaryDirectory() as work:
    text = run(IMAGE)
    cases.case("a VM of the self-test", "hs works" in text and "done, 0 bytes are not back" in text, text)
    text = run(IMAGE, "rv64,h=false")
    cases.case("no hypervisor extension", "cannot start: the machine's device tree names no hypervisor extension" in text, text)
    for test in (*_micro.names(), OWN):
        engine = subprocess.run([_guest.os.environ["HULL_FAST"], "run", build(test, work), "--memory", "64M",
                                 "--cpus", cpus(test), "--no-input", "--accel", "none"], stdin=subprocess.DEVNULL,
                                capture_output=True, text=True, check=False, timeout=60).stdout.replace("\r", "")
        text = run(guests([test], work))
        cases.case(test, _micro.complete(_guest.said(text)) and "done, 0 bytes" in text, text)
        cases.case("%s: the same on the engine" % test, _guest.said(text) == engine, engine)
    for name, image, more, want in (
            ("a kernel for another architecture", _guest.os.environ["HULL_METAL"], [], "names no kernel for aarch64"),
            ("another board", IMAGE, ["--board", "virt-aarch64"], 'is for virt-riscv64, not for board "virt-aarch64"')):
        done = subprocess.run([_guest.os.environ["HULL_FAST"], "build", "--metal", work + "/timer.toml", "--hypervisor", image,
                               *more, "-w", work + "/no.img"], capture_output=True, text=True, check=False)
        cases.case(name, done.returncode and want in done.stderr and not _guest.os.path.exists(work + "/no.img"), done.stderr)
    text = run(guests(["timer", "fpu"], work))
    cases.case("two VMs on one CPU", all(_micro.complete(_guest.said(text, name)) for name in ("timer", "fpu")) and
               "done, 0 bytes" in text, text)
sys.exit(cases.end())
