#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Disks when things go wrong: what the guest flushed survives the sudden death of hull; a disk
that shrinks, or that may not be written, gives the guest errors and no more than that."""
# timeout: 1200
import os
import random
import re
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

BLOCK = 4096
KILLS = 4

WRITER = """
wait_disk
n=0
while [ $n -lt 4000 ]; do
	yes "block $n" | head -c 4096 | dd of=/dev/vda bs=4096 seek=$n conv=fsync,notrunc 2>/dev/null || echo "hull: failed $n"
	echo "hull: stable $n"
	n=$((n + 1))
done
"""

SHRINK = """
wait_disk
dd if=/dev/vda of=/dev/null bs=64k 2>/dev/null && echo "hull: read all"
echo "hull: waiting"
read -r line
echo 3 >/proc/sys/vm/drop_caches
dd if=/dev/vda of=/dev/null bs=4k skip=512 count=1 2>/dev/null || echo "hull: read failed"
dd if=/dev/zero of=/dev/vda bs=4k seek=512 count=1 conv=fsync 2>/dev/null || echo "hull: write failed"
dd if=/dev/vda of=/dev/null bs=4k count=1 2>/dev/null && echo "hull: start readable"
"""

REPLACED = """
wait_disk
dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null
echo "hull: waiting"
read -r line
yes kept | head -c 4096 | dd of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null && echo "hull: wrote on"
read -r line
"""

READONLY = """
wait_disk
echo "hull: ro $(cat /sys/block/vda/ro)"
dd if=/dev/zero of=/dev/vda bs=4k count=1 conv=fsync 2>/dev/null || echo "hull: write failed"
sha256sum /dev/vda
"""


def new_disk(folder, size=32 << 20, data=b""):
    path = os.path.join(folder, "disk.img")
    if os.path.exists(path):
        os.unlink(path)
    with open(path, "wb") as f:
        f.write(data)
        f.truncate(size)
    return path


def start(common, disk, **how):
    return vm.Vm(*common, *vm.cmdline(), "--memory", "256M", "--disk", disk, "--exit-on", "panic", **how)


def kill_at(tap, common, folder, chance, number):
    disk = new_disk(folder)
    m = start(common, disk, stdin=subprocess.DEVNULL)
    begun = m.expect("hull: stable 0$")
    time.sleep(chance.uniform(0.05, 4))
    m.stop()
    told = [int(n) for n in re.findall(r"^hull: stable (\d+)\n", m.out, re.M)]
    with open(disk, "rb") as f:
        data = f.read()
    lost = [n for n in told if data[n * BLOCK:(n + 1) * BLOCK] != (b"block %d\n" % n * BLOCK)[:BLOCK]]
    tap.check(begun and told and not lost and "hull: failed" not in m.out,
              "killed %d: all of %d blocks are there" % (number, len(told)), "lost %s\n%s" % (lost, m.story()))


def shrink(tap, common, folder):
    disk = new_disk(folder, 16 << 20)
    m = start(common, disk)
    ready = m.expect("hull: waiting")
    os.truncate(disk, 1 << 20)
    m.send("\n")
    code = m.end()
    wanted = ("read all", "read failed", "write failed", "start readable", "done")
    tap.check(ready and code == 0 and all("hull: " + w in m.out for w in wanted),
              "a disk that shrinks gives I/O errors", m.story())
    tap.check(os.path.getsize(disk) == 1 << 20, "and is not grown again by writes")


def replaced(tap, common, folder):
    disk = new_disk(folder, 1 << 20)
    other = disk + ".other"
    with open(other, "wb") as f:
        f.truncate(1 << 20)
    m = start(common, disk)
    ready = m.expect("hull: waiting")
    os.rename(other, disk)
    told = m.expect("E0309", name="err")
    m.send("\n")
    went_on = m.expect("hull: wrote on")
    copy = re.search(r"cp --sparse=always (\S+) (\S+)", m.story())
    tap.check(ready and told and went_on and copy, "a disk that another file replaced: Hull says so, the guest goes on", m.story())
    if copy:
        subprocess.run(copy[0].split(), check=True)
        with open(disk + ".saved", "rb") as f:
            data = f.read()
        tap.check(data[:4096] == (b"kept\n" * 820)[:4096] and len(data) == 1 << 20, "what the guest wrote can be copied as it says")
    m.send("\n")
    code = m.end()
    tap.check(code == 0 and m.story().count("error E0309") == 1, "it is said once", m.story())


def readonly(tap, common, folder):
    data = random.Random(5).randbytes(1 << 20)
    disk = new_disk(folder, 1 << 20, data)
    os.chmod(disk, 0o444)
    m = start(common, disk + ",ro", stdin=subprocess.DEVNULL)
    code = m.end()
    tap.check(code == 0 and "hull: ro 1" in m.out and "hull: write failed" in m.out,
              "a read-only disk says so and refuses writes", m.story())
    with open(disk, "rb") as f:
        tap.check(f.read() == data, "and is as it was")


def main():
    vm.need()
    tap = vm.Tap()
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    print("# seed %d" % seed)
    with tempfile.TemporaryDirectory() as folder:
        common = vm.linux(folder, WRITER)
        for number in range(KILLS):
            kill_at(tap, common, folder, chance, number)
        shrink(tap, vm.linux(folder, SHRINK), folder)
        replaced(tap, vm.linux(folder, REPLACED), folder)
        readonly(tap, vm.linux(folder, READONLY), folder)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
