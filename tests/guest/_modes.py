# SPDX-License-Identifier: MIT OR Apache-2.0
"""The modes of the guest's init (tools/guestlib/init): what each is given and must answer."""
import hashlib
import os
import random
import re
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

ARCH = "riscv64"
LIMIT_S = 120
# A guest that reboots starts again: the second time proves that the reset worked.
ENDS = {"reboot": r"hull: rebooting(?s:.)*hull: rebooting", "panic": "Kernel panic"}


def boot(command, mode):
    """Run a machine until it ends or the mode's text appears; (console, exit code or None)."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    timer = threading.Timer(LIMIT_S, process.kill)
    timer.start()
    console, stopped = "", False
    for line in iter(process.stdout.readline, b""):
        console += line.decode("utf-8", "replace").replace("\r", "")
        if mode in ENDS and re.search(ENDS[mode], console):
            stopped = True
            process.kill()
            break
    process.stdout.close()
    status = process.wait()
    timer.cancel()
    return console, None if stopped else status


def prepare(work, mode):
    """A disk for the mode, and the digest that the guest must print."""
    disk = os.path.join(work, "disk.img")
    data = random.Random(mode).randbytes(8 << 20)
    guest.write_whole(disk, data)
    if mode != "ext4":
        return disk, hashlib.sha256(data).hexdigest()
    folder = os.path.join(work, "files")
    guest.write_whole(os.path.join(folder, "from-host"), data[:100000])
    os.truncate(disk, 0)
    os.truncate(disk, 16 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, disk], check=True)
    return disk, hashlib.sha256(data[:100000]).hexdigest()


def is_clean(disk):
    return subprocess.run(["e2fsck", "-fn", disk], capture_output=True, check=False).returncode == 0


def judge(mode, disk, digest, console, status):
    if mode in ENDS:
        return re.search(ENDS[mode], console) is not None
    if status != 0 or "\nhull: done\n" not in console:
        return False
    if mode == "demo":
        return "hull: sha256 " + digest in console and "hull: cpus 2" in console
    if mode == "smp":
        return len(re.findall(r"^hull: cpu [01] counted 20000$", console, re.M)) == 2
    told = mode == "mkfs" or "hull: from-host " + digest in console
    return told and "hull: files same\nhull: unmounted\n" in console and is_clean(disk)


def run_all(command, modes=("demo", "smp", "mkfs", "ext4", "reboot", "panic")):
    """Boot each mode with command(kernel, initrd, append, disk); TAP; the exit code."""
    pieces, failed = guest.paths(ARCH, None), 0
    print("1..%d" % len(modes), flush=True)
    with tempfile.TemporaryDirectory() as top:
        initrd = os.path.join(top, "initramfs.gz")
        guest.write_whole(initrd, guest.make_initramfs(ARCH, modules=["ext4"]))
        for number, mode in enumerate(modes, 1):
            disk, digest = prepare(os.path.join(top, mode), mode)
            append = "console=ttyS0 quiet panic=-1 hull.run=" + mode
            console, status = boot(command(pieces["KERNEL"], initrd, append, disk), mode)
            good = judge(mode, disk, digest, console, status)
            failed += not good
            print("%s %d - %s" % ("ok" if good else "not ok", number, mode), flush=True)
            if not good:
                print("# exit code %s\n" % status
                      + "\n".join("# " + line for line in console.splitlines()[-30:]), flush=True)
    return 1 if failed else 0
