#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""How a run of Linux ends, and the exit code that says so."""
# timeout: 900
import os
import subprocess
import sys

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
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
