#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The guest itself is sound: each mode of its init works under a reference emulator.

When a guest test fails under Hull, this one says whether the guest or Hull is to blame.
"""
# timeout: 240
import hashlib
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

EMULATOR = "qemu-system-riscv64"
MODES = ("demo", "smp", "mkfs", "ext4", "reboot", "panic")


def boot(pieces, initrd, mode, disk):
    command = [EMULATOR, "-M", "virt", "-m", "512", "-smp", "2", "-nographic", "-no-reboot",
               "-kernel", pieces["KERNEL"], "-initrd", initrd,
               "-append", "console=ttyS0 quiet panic=-1 hull.run=" + mode,
               "-drive", "file=%s,if=none,format=raw,id=d" % disk, "-device", "virtio-blk-device,drive=d"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=100, check=False)
    return done.stdout.decode("utf-8", "replace").replace("\r", "")


def is_clean(disk):
    return subprocess.run(["e2fsck", "-fn", disk], capture_output=True, check=False).returncode == 0


def prepare(work, mode):
    """A disk for the mode, and what the guest must say about it."""
    disk = os.path.join(work, "disk.img")
    data = random.Random(mode).randbytes(8 << 20)
    with open(disk, "wb") as f:
        f.write(data)
    if mode != "ext4":
        return disk, hashlib.sha256(data).hexdigest()
    folder = os.path.join(work, "files")
    os.mkdir(folder)
    with open(os.path.join(folder, "from-host"), "wb") as f:
        f.write(data[:100000])
    os.truncate(disk, 0)
    os.truncate(disk, 16 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, disk], check=True)
    return disk, hashlib.sha256(data[:100000]).hexdigest()


def judge(mode, disk, digest, console):
    if mode == "demo":
        return "hull: sha256 " + digest in console and "hull: cpus 2" in console
    if mode == "smp":
        return len(re.findall(r"^hull: cpu [01] counted 20000$", console, re.M)) == 2
    if mode in ("mkfs", "ext4"):
        told = mode == "mkfs" or "hull: from-host " + digest in console
        return told and "hull: files same\nhull: unmounted\n" in console and is_clean(disk)
    return ("reboot: Restarting system" if mode == "reboot" else "Kernel panic") in console


def main():
    for tool in (EMULATOR, "mke2fs", "e2fsck"):
        if not shutil.which(tool):
            print(tool + " is not installed")
            return 77
    pieces = guest.paths("riscv64", None)
    failed = 0
    print("1..%d" % len(MODES))
    with tempfile.TemporaryDirectory() as top:
        initrd = os.path.join(top, "initramfs.gz")
        guest.write_whole(initrd, guest.make_initramfs("riscv64", modules=["ext4"]))
        for number, mode in enumerate(MODES, 1):
            work = os.path.join(top, mode)
            os.mkdir(work)
            disk, digest = prepare(work, mode)
            console = boot(pieces, initrd, mode, disk)
            good = judge(mode, disk, digest, console)
            failed += not good
            print("%s %d - %s" % ("ok" if good else "not ok", number, mode))
            if not good:
                print("\n".join("# " + line for line in console.splitlines()[-30:]), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
