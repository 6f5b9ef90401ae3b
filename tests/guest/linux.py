#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Linux under Hull: a disk read whole, two CPUs, file systems, reset, a kernel panic."""
# timeout: 800
import os
import sys

import _modes

HULL = os.environ["HULL"]


def command(kernel, initrd, append, disk):
    return [HULL, "run", "--kernel", kernel, "--initrd", initrd, "--append", append,
            "--cpus", "2", "--memory", "512M", "--disk", disk, "--exit-on", "poweroff"]


if __name__ == "__main__":
    if not os.access(HULL, os.X_OK):
        print("hull is not built")
        sys.exit(77)
    sys.exit(_modes.run_all(command))
