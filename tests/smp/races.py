#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Everything that runs in threads, under ThreadSanitizer: harts, timers, disks, console, signals.

Not part of ./do test: run by ./do test --tsan.
"""
# timeout: 900
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SCRIPT = """
facts
smp
wait_disk
for n in 0 1 2 3; do
	taskset $((1 << n)) dd if=/dev/urandom of=/dev/vda bs=64k count=16 seek=$((n * 16)) conv=fsync,notrunc 2>/dev/null &
	taskset $((1 << n)) dd if=/dev/hwrng of=/dev/null bs=256 count=16 2>/dev/null &
done
wait
echo 3 >/proc/sys/vm/drop_caches
cat /dev/vda /dev/vda | sha256sum
cat /proc/interrupts
echo 0 >/sys/devices/system/cpu/cpu1/online && echo 1 >/sys/devices/system/cpu/cpu1/online && echo "hull: cpu 1 is back"
"""


def judged(tap, m, code, want, name):
    return tap.check(code == want and "ThreadSanitizer" not in m.err, name, m.err[:6000] + m.story()[-2000:])


def linux(tap, folder, common, *args):
    disk = os.path.join(folder, "disk.img")
    with open(disk, "wb") as f:
        f.truncate(4 << 20)
    m = vm.Vm(*common, *vm.cmdline(), "--cpus", "4", "--memory", "512M", "--disk", disk, "--exit-on",
              "panic", "--timing", *args, stdin=subprocess.DEVNULL)
    code = m.end(400)
    judged(tap, m, code, 0, "Linux with 4 CPUs " + " ".join(map(os.path.basename, args)))
    tap.check("hull: cpus 4" in m.out and "cpu 1 is back" in m.out, "and it did everything", m.story())


def reboots(tap):
    pieces = vm.guest.paths(vm.ARCH, None)
    m = vm.Vm("--kernel", pieces["KERNEL"], "--initrd", pieces["INITRD"], "--cpus", "4", "--memory", "512M",
              "--append", "console=ttyS0 quiet hull.run=reboot", stdin=subprocess.PIPE)
    again = m.expect(r"hull: rebooting(?s:.)*hull: rebooting")
    m.send("typed\n" * 100)
    m.signal(signal.SIGTERM)
    code = m.end()
    judged(tap, m, code if again else None, 143, "reset, input, then a signal")


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        common = vm.linux(folder, SCRIPT)
        linux(tap, folder, common)
        linux(tap, folder, common, "--firmware", vm.guest.paths(vm.ARCH, None)["FIRMWARE"])
        reboots(tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
