#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""A host without room for a disk: the guest pauses, an event says why, and when there is room the
guest goes on by itself and has lost nothing.  Snapshot mode forgets what the guest wrote."""
# timeout: 600
import os
import resource
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

MIB = 1 << 20
LIMIT = 20 * MIB  # of every file that hull writes: a full disk that needs no mount

FILL = """
wait_disk
n=0
while [ $n -lt 32 ]; do
	yes "block $n" | head -c 1048576 | dd of=/dev/vda bs=1M seek=$n conv=fsync,notrunc 2>/dev/null || echo "hull: failed $n"
	echo "hull: wrote $n"
	n=$((n + 1))
done
"""

SCRIBBLE = """
wait_disk
yes scribble | head -c 1048576 | dd of=/dev/vda bs=1M conv=fsync 2>/dev/null && echo "hull: wrote"
echo 3 >/proc/sys/vm/drop_caches
head -c 8 /dev/vda
"""


def sparse(folder, size):
    path = os.path.join(folder, "disk.img")
    with open(path, "wb") as f:
        f.truncate(size)
    return path


def start(common, *args):
    return vm.Vm(*common, *vm.cmdline(), "--memory", "256M", "--exit-on", "panic", *args,
                 stdin=subprocess.DEVNULL)


def full(tap, common, folder, report):
    disk = sparse(folder, 32 * MIB)
    m = start(common, "--disk", disk + (",on_error=report" if report else ""))
    m.expect("hull: wrote 0$")
    resource.prlimit(m.process.pid, resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))
    if report:
        code = m.end()
        tap.check(code == 0 and "hull: failed 25" in m.out and "E0301" in m.story(),
                  "on_error=report: the guest sees errors", m.story())
        return
    paused = m.expect("E0301", name="err")
    tap.check(paused and "is paused" in m.story(), "a full host pauses the guest and says so", m.story())
    so_far = m.out.count("hull: wrote")
    time.sleep(2.5)
    tap.check(m.out.count("hull: wrote") == so_far, "nothing goes on meanwhile", m.story())
    resource.prlimit(m.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    code = m.end()
    tap.check(code == 0 and "hull: failed" not in m.out and "goes on" in m.story(),
              "with room it goes on by itself", m.story())
    with open(disk, "rb") as f:
        data = f.read()
    bad = [n for n in range(32) if data[n * MIB:(n + 1) * MIB] != (b"block %d\n" % n * MIB)[:MIB]]
    tap.check(not bad, "and nothing is lost", str(bad))


def forgotten(tap, common, folder):
    disk = sparse(folder, 4 * MIB)
    m = start(common, "--disk", disk, "--snapshot-mode")
    code = m.end()
    with open(disk, "rb") as f:
        untouched = not any(f.read())
    tap.check(code == 0 and "hull: wrote" in m.out and "scribble" in m.out and untouched and "E0309" not in m.story(),
              "--snapshot-mode: the guest writes, the disk stays", m.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        common = vm.linux(folder, FILL)
        full(tap, common, folder, False)
        full(tap, common, folder, True)
        forgotten(tap, vm.linux(folder, SCRIBBLE), folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
