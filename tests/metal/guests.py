#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tiny guests of the hypervisor (tests/metal/guests), one for each thing that could go wrong: each
says itself whether it is well."""
import os
import subprocess
import sys
import tempfile
import time

import _machine

sys.stdout.reconfigure(line_buffering=True)
FOLDER = os.path.join(os.environ["HULL_SOURCE"], "tests/metal/guests")
CC = "aarch64-linux-gnu-gcc"
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "16M"
[cpu]
count = {vcpus}
[boot]
kernel = "{kernel}"
"""

# The guest, its vCPUs, the machine's CPUs and their kind.
CASES = [
    ("level", 1, 1, "cortex-a72"),
    ("ipi", 2, 2, "cortex-a72"),
    ("again", 2, 2, "cortex-a72"),
    ("again", 2, 1, "cortex-a72"),
    ("never", 2, 1, "cortex-a72"),
    ("features", 1, 1, "max,pauth-impdef=on"),
    ("abort", 1, 1, "max,pauth-impdef=on"),
]


def image(folder, name, vcpus):
    kernel, toml, out = (os.path.join(folder, f) for f in ("guest.elf", "vm.toml", "hull.img"))
    subprocess.run([CC, "-nostdlib", "-static", "-Wl,--build-id=none,-Ttext=0x40200000,-z,norelro",
                    "-I", FOLDER, "-o", kernel, os.path.join(FOLDER, name + ".S")], check=True)
    with open(toml, "w", encoding="utf-8") as f:
        f.write(TOML.format(name=name, vcpus=vcpus, kernel=kernel))
    subprocess.run([os.environ["HULL_FAST"], "build", "--metal", toml, "--hypervisor",
                    os.environ["HULL_METAL"], "-w", out], check=True)
    return out


def pause(folder):
    """One that stands still for a moment."""
    m = _machine.Session(image(folder, "pause", 1))
    m.expect(">\n")
    time.sleep(1)
    m.send("\x1d")
    m.expect("hull> ")
    m.send("pause 0\n")
    m.expect("stands still")
    time.sleep(0.5)
    m.send("start 0\n")
    m.expect("runs")
    m.expect("has switched itself off")
    m.send("off\n")
    m.end()
    return m.text


print("1..%d" % (len(CASES) + 1))
failed = 0


def report(n, name, text):
    good = "ok\n" in text and "not ok" not in text and "hull: done, 0 bytes are not back" in text
    print("%s %d - %s" % ("ok" if good else "not ok", n, name))
    if not good:
        print("# " + text.replace("\n", "\n# "))
    return not good


for n, (name, vcpus, cpus, cpu) in enumerate(CASES, 1):
    with tempfile.TemporaryDirectory() as folder:
        text = _machine.run(image(folder, name, vcpus), cpu=cpu, cpus=cpus, seconds=100)
    failed += report(n, "%s, %d vCPUs on %d" % (name, vcpus, cpus), text)
with tempfile.TemporaryDirectory() as folder:
    failed += report(len(CASES) + 1, "pause", pause(folder))
sys.exit(failed > 0)
