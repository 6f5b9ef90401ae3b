#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor's console: two Linux guests are typed at, the shell lists, stops, starts and
restarts them, and everybody's lines say whose they are."""
# timeout: 600
import os
import sys
import tempfile

import _machine

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

sys.stdout.reconfigure(line_buffering=True)
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "160M"
[boot]
kernel = "{kernel}"
initrd = "{initrd}"
cmdline = "console=ttyAMA0 quiet"
"""
ESCAPE = "\x1d"
count = 0


def step(text):
    global count
    count += 1
    print("ok %d - %s" % (count, text))


def talk(m):
    for _ in range(2):
        m.expect("switches the machine off.")
    m.send("echo one $((40 + 2))\n")
    m.expect("[a] one 42")
    step("the first VM gets what is typed")
    m.send(ESCAPE)
    m.expect("hull> ")
    m.send("consol b\x7f\x7fe b\n")
    m.send("echo two $((40 + 3))\n")
    m.expect("[b] two 43")
    step("console leads to the other")
    m.send("sleep 1; echo typed ahead\n" + ESCAPE)
    m.expect("hull> ")
    m.send("vms\n")
    m.expect("  0  running  a")
    m.expect("  1  running  b")
    m.expect("[b] typed ahead")
    m.expect("hull> ")
    step("vms lists them, while a line of one behind comes with its name")
    m.send("stop a\n")
    m.expect("vm 'a' is off")
    m.send("stop a\n")
    m.expect("vm 'a' is off")
    m.send("vms\n")
    m.expect("  0  stopped  a")
    step("stop")
    m.send("start 0\n")
    m.expect("vm 'a' runs")
    m.expect("switches the machine off.")
    m.send("restart b\n")
    m.expect("vm 'b' has started anew")
    m.expect("[b] Leaving this shell (exit) switches the machine off.")
    step("start and restart")
    m.send("stats b\n")
    m.expect("MiB free")
    m.expect("  vcpu 0")
    m.expect("serial0")
    m.send("nothing\n")
    m.expect('there is no command "nothing"')
    m.send("stop 7\n")
    m.expect('there is no VM "7"')
    m.send("help\n")
    m.expect("off      ")
    m.send("x" * 300 + "\n")
    m.expect("there is no command")
    step("stats, help, and mistakes")
    m.send("console a\n")
    m.send("exit\n")
    m.expect("vm 'a' has switched itself off")
    m.send(ESCAPE)
    m.expect("hull> ")
    m.send("console a\n")
    m.expect("vm 'a' is off")
    m.send("off\n")
    if "done, 0 bytes are not back" not in m.end():
        raise SystemExit("not everything was given back:\n" + m.text)
    step("off gives everything back")


got = guest.paths("aarch64", None)
files = {"kernel": got["KERNEL"], "initrd": got["INITRD"]}
with tempfile.TemporaryDirectory() as folder:
    machine = _machine.Session(_machine.image(folder, [("a", files), ("b", files)], TOML), cpus=2)
    try:
        talk(machine)
    finally:
        machine.kill()
print("1..%d" % count)
