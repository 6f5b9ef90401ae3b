#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""--deterministic: a whole boot of Linux prints the same bytes each time, with one CPU and with two."""
# timeout: 1200
import os
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

# Times of messages, random numbers, interrupt counts and the disk all depend on the order of things.
SCRIPT = """
dmesg
facts
smp
cat /proc/interrupts /proc/uptime /proc/stat
echo "hull: random $(dd if=/dev/hwrng bs=64 count=1 2>/dev/null | sha256sum) $(cat /proc/sys/kernel/random/uuid)"
echo "hull: rtc $(cat /sys/class/rtc/rtc0/since_epoch)"
wait_disk && dd if=/dev/urandom of=/dev/vda bs=64k count=64 conv=fsync 2>/dev/null
sha256sum /dev/vda
"""


def boot(args, folder, cpus):
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as f:
        f.truncate(8 << 20)
    m = vm.Vm(*args, *vm.cmdline(), "--deterministic", "--cpus", str(cpus), "--memory", "512M",
              "--disk", disk, "--exit-on", "panic", stdin=subprocess.DEVNULL)
    code = m.end()
    with open(disk, "rb") as f:
        return code, m, m.bytes["out"], f.read()


def difference(one, other):
    pairs = zip(one.decode("utf-8", "replace").splitlines(), other.decode("utf-8", "replace").splitlines())
    return next(("%s\n%s" % pair for pair in pairs if pair[0] != pair[1]), "one is longer")


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        args = vm.linux(folder, SCRIPT)
        for cpus in (1, 2):
            first, second = boot(args, folder, cpus), boot(args, folder, cpus)
            tap.check(first[0] == second[0] == 0 and b"hull: done" in first[2],
                      "%d CPUs: both runs end" % cpus, first[1].story() + second[1].story())
            tap.check(first[2] == second[2], "%d CPUs: the same output" % cpus,
                      difference(first[2], second[2]))
            tap.check(first[3] == second[3] and any(first[3]), "%d CPUs: the same disk" % cpus)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
