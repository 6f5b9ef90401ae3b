#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Linux with 1, 2 and 4 CPUs, under Hull's own SBI and OpenSBI, does everything once.

Each boot writes to an ext4 disk that the host made and that the host checks and reads
afterwards, and uses the clock, the random numbers and each CPU.
"""
# timeout: 1500
import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SCRIPT = """
facts
echo "hull: rtc $(cat /sys/class/rtc/rtc0/since_epoch)"
echo "hull: rng $(cat /sys/class/misc/hw_random/rng_current)"
echo "hull: random $(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | sha256sum)"
smp
files ext4
dmesg | grep -E 'OpenSBI|SBI implementation|SBI specification' | sed 's/^/hull: /'
dmesg | grep -E 'BUG|WARNING|Oops|stall' | sed 's/^/hull: complaint /'
"""


def make_disk(path, folder):
    with open(path, "wb") as f:
        f.truncate(32 << 20)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder, path], check=True)


def read_back(disk, name):
    return subprocess.run(["debugfs", "-R", "cat " + name, disk], capture_output=True, check=True).stdout


def same_files(disk):
    """Are the files as long as the guest meant them, with the sums that it wrote beside them?"""
    sums = dict(reversed(line.split()) for line in read_back(disk, "/sums").decode().splitlines())
    data = {name: read_back(disk, "/made/" + name) for name in sums}
    return len(sums) == 8 and all(hashlib.sha256(data[n]).hexdigest() == sums[n] and
                                  len(data[n]) == 65536 * int(n[5:]) for n in sums)


def boot(tap, common, folder, cpus, firmware):
    name = "%d CPUs, %s: " % (cpus, os.path.basename(firmware) if firmware else "Hull's SBI")
    disk = os.path.join(folder, "disk.img")
    make_disk(disk, os.path.join(folder, "files"))
    args = [*common, *vm.cmdline(), "--cpus", str(cpus), "--memory", "512M", "--disk", disk,
            "--exit-on", "panic"]
    m = vm.Vm(*args, *(["--firmware", firmware] if firmware else []), stdin=subprocess.DEVNULL)
    code = m.end()
    out = m.out
    with open(os.path.join(folder, "files", "from-host"), "rb") as f:
        digest = hashlib.sha256(f.read()).hexdigest()
    tap.check(code == 0 and "hull: done" in out, name + "switches off, exit code 0", m.story())
    tap.check("hull: cpus %d\n" % cpus in out and len(re.findall("counted 20000", out)) == cpus,
              name + "each CPU works", out)
    rtc = re.search(r"hull: rtc (\d+)", out)
    tap.check(rtc and abs(int(rtc[1]) - time.time()) < 600, name + "clock", out)
    tap.check("hull: rng virtio_rng" in out and re.search(r"hull: random (?!e3b0c442)[0-9a-f]{64}", out),
              name + "random numbers", out)
    tap.check("hull: from-host " + digest in out and "hull: unmounted" in out, name + "disk", out)
    fsck = subprocess.run(["e2fsck", "-fn", disk], capture_output=True, text=True, check=False)
    tap.check(fsck.returncode == 0, name + "e2fsck finds nothing", fsck.stdout)
    tap.check(fsck.returncode == 0 and same_files(disk), name + "files on the host are right")
    tap.check("hull: complaint" not in out and ("OpenSBI" in out) == bool(firmware),
              name + "kernel finds nothing to complain about", out)


def main():
    vm.need("mke2fs", "e2fsck", "debugfs")
    tap = vm.Tap()
    firmware = os.path.dirname(vm.guest.paths(vm.ARCH, None)["FIRMWARE"])
    with tempfile.TemporaryDirectory() as folder:
        vm.guest.write_whole(os.path.join(folder, "files", "from-host"), os.urandom(300000))
        common = vm.linux(folder, SCRIPT, ["ext4"])
        for kind in (None, "fw_dynamic.bin", "fw_jump.elf"):
            for cpus in (1, 2, 4):
                boot(tap, common, folder, cpus, kind and os.path.join(firmware, kind))
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
