#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The guest itself is sound: each mode of its init works under a reference emulator.

When a guest test fails under Hull, this one says whether the guest or Hull is to blame.
"""
# timeout: 400
import shutil
import sys

import _modes

EMULATOR = "qemu-system-riscv64"


def command(kernel, initrd, append, disk):
    return [EMULATOR, "-M", "virt", "-m", "512", "-smp", "2", "-nographic",
            "-kernel", kernel, "-initrd", initrd, "-append", append,
            "-drive", "file=%s,if=none,format=raw,id=d" % disk, "-device", "virtio-blk-device,drive=d"]


if __name__ == "__main__":
    for tool in (EMULATOR, "mke2fs", "e2fsck"):
        if not shutil.which(tool):
            print(tool + " is not installed")
            sys.exit(77)
    sys.exit(_modes.run_all(command))
