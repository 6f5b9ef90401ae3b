#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a run of Linux ends, and the exit code that says so."""
# timeout: 900
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

CASES = (
    ("a panic that is waited for", "panic=-1 hull.run=panic", ["--exit-on", "panic"], 11, "panicked"),
    ("a panic that stays", "hull.run=panic", [], 11, "E0761"),
    ("a text that is waited for", "hull.run=reboot", ["--exit-on", "hull: rebooting"], 0, ""),
    ("a text that never comes", "hull.run=demo", ["--exit-on", "no such text"], 11, "--exit-on"),
)


def main():
    vm.need()
    tap = vm.Tap()
    pieces = vm.guest.paths(vm.ARCH, None)
    for name, append, args, want, says in CASES:
        m = vm.Vm("--kernel", pieces["KERNEL"], "--initrd", pieces["INITRD"], "--memory", "256M",
                  "--append", "console=ttyS0 quiet " + append, *args, stdin=subprocess.DEVNULL)
        code = m.end()
        tap.check(code == want and says in m.err and not m.crashed(), "%s: exit code %d" % (name, want), m.story())
    console(tap, pieces)
    return tap.end()


def console(tap, pieces):
    """A kernel whose console is virtio's, on the terminal; and one beside the serial port, in a file."""
    common = ["--kernel", pieces["KERNEL"], "--initrd", pieces["INITRD"], "--memory", "256M"]
    m = vm.Vm(*common, "--console", "stdio", "--append", "console=hvc0 hull.run=demo", stdin=subprocess.DEVNULL)
    code = m.end()
    tap.check(code == 0 and "Power down" in m.out and not m.crashed(), "console=hvc0 on the terminal", m.story())
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "hvc0")
        m = vm.Vm(*common, "--console", "file:" + path, "--append", "console=ttyS0 console=hvc0 hull.run=demo",
                  stdin=subprocess.DEVNULL)
        code = m.end()
        with open(path, encoding="utf-8") as f:
            tap.check(code == 0 and "Power down" in f.read() and "Linux version" in m.out, "hvc0 in a file", m.story())


if __name__ == "__main__":
    sys.exit(main())
