#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Boot Linux with a disk under Hull.

  demo.py HULL [--run]     on a terminal: a shell in the guest; elsewhere, or with --run,
                           a run that checks itself: the guest hashes its whole disk and
                           the host compares.  Exit code 0 means that they agree.
"""
import hashlib
import os
import random
import re
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import guest  # noqa: E402

ARCH = "riscv64"
DISK_BYTES = 32 << 20
LIMIT_S = 180


def make_disk(path):
    """A disk of known content; returns its SHA-256."""
    data = random.Random(20).randbytes(DISK_BYTES)
    guest.write_whole(path, data)
    return hashlib.sha256(data).hexdigest()


def hull_command(hull, pieces, disk, append, *options):
    return [hull, "run", "--kernel", pieces["KERNEL"], "--initrd", pieces["INITRD"],
            "--cpus", "2", "--memory", "512M", "--disk", disk, "--append", append, *options]


def run_checked(command, expected):
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    console = b""
    for line in iter(process.stdout.readline, b""):
        console += line
        sys.stdout.write(line.decode("utf-8", "replace").replace("\r", ""))
        sys.stdout.flush()
    status = process.wait()
    timer.cancel()
    seconds = time.monotonic() - start
    seen = re.search(rb"hull: sha256 ([0-9a-f]{64})", console)
    problems = []
    if not seen:
        problems.append("the guest printed no hash of its disk")
    elif seen[1].decode() != expected:
        problems.append("the guest read other bytes than the host wrote:\n  guest %s\n  host  %s"
                        % (seen[1].decode(), expected))
    if seconds >= LIMIT_S:
        problems.append("stopped after %d s" % LIMIT_S)
    elif status:
        problems.append("hull ended with exit code %d" % status)
    for problem in problems:
        print("FAIL  " + problem)
    if not problems:
        print("OK    the guest and the host agree on all %d MiB of the disk; %.1f s in all"
              % (DISK_BYTES >> 20, seconds))
    return 1 if problems else 0


def main():
    if len(sys.argv) < 2 or sys.argv[2:] not in ([], ["--run"]):
        sys.exit(__doc__)
    hull = sys.argv[1]
    if not os.access(hull, os.X_OK):
        sys.exit("demo.py: %s is not built" % hull)
    try:
        pieces = guest.paths(ARCH, None)
    except (guest.apt.AptError, guest.initramfs.ModuleError, OSError) as e:
        sys.exit("demo.py: %s" % e)
    disk = os.path.join(os.path.dirname(os.path.abspath(hull)), "demo-disk.img")
    expected = make_disk(disk)
    if sys.stdin.isatty() and sys.stdout.isatty() and len(sys.argv) == 2:
        print("sha256 of the guest's disk /dev/vda: " + expected, flush=True)
        command = hull_command(hull, pieces, disk, "console=ttyS0 quiet")
        os.execv(hull, command)
    command = hull_command(hull, pieces, disk, "console=ttyS0 quiet hull.run=demo",
                           "--timing", "--exit-on", "poweroff")
    sys.exit(run_checked(command, expected))


if __name__ == "__main__":
    main()
