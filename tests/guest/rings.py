#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Linux's driver with each format of rings: a disk is read whole, written by two CPUs, read again."""
# timeout: 400
import hashlib
import os
import random
import sys
import tempfile

import _modes
from _modes import guest

HULL = os.environ["HULL"]
SIZE = 8 << 20
SCRIPT = """wait_disk
echo "hull: features $(cat /sys/block/vda/device/features)"
echo "hull: before $(sha256sum <$disk)"
for half in 0 1; do
	dd if=$disk of=/tmp/half-$half bs=1M skip=$((4 * half)) count=4 2>/dev/null &
done
wait
for half in 0 1; do
	dd if=/tmp/half-$half of=$disk bs=4k seek=$((1024 * (1 - half))) conv=notrunc,fsync 2>/dev/null &
done
wait
sync
echo 3 >/proc/sys/vm/drop_caches
echo "hull: after $(sha256sum <$disk)"
"""
EVENT_IDX, PACKED = 29, 34
# What is withheld, and the bits that must be there and must not.
FORMATS = {
    "packed": ((), (PACKED, EVENT_IDX), ()),
    "packed without event indexes": (("event_idx",), (PACKED,), (EVENT_IDX,)),
    "split": (("packed",), (EVENT_IDX,), (PACKED,)),
    "split without event indexes": (("packed", "event_idx"), (), (PACKED, EVENT_IDX)),
}


def command(pieces, initrd, disk, withheld):
    result = [HULL, "run", "--kernel", pieces["KERNEL"], "--initrd", initrd, "--cpus", "2", "--memory", "256M",
              "--append", "console=ttyS0 quiet panic=-1 hull.run=script", "--disk", disk, "--exit-on", "poweroff"]
    for name in withheld:
        result += ["--virtio-%s=false" % name.replace("_", "-")]
    return result


def told(console, what):
    """The word after "hull: WHAT"."""
    for line in console.splitlines():
        if line.startswith("hull: %s " % what):
            return line.split()[2]
    return ""


def good(console, status, data, disk, has, lacks):
    half = SIZE // 2
    features = told(console, "features").ljust(64, "0")
    swapped = guest.read(disk)
    return (status == 0 and all(features[bit] == "1" for bit in has) and all(features[bit] == "0" for bit in lacks)
            and told(console, "before") == hashlib.sha256(data).hexdigest()
            and told(console, "after") == hashlib.sha256(swapped).hexdigest()
            and swapped == data[half:] + data[:half])


def main():
    pieces, failed = guest.paths(_modes.ARCH, None), 0
    data = random.Random(7).randbytes(SIZE)
    print("1..%d" % len(FORMATS), flush=True)
    with tempfile.TemporaryDirectory() as top:
        script, initrd, disk = (os.path.join(top, name) for name in ("script", "initramfs.gz", "disk.img"))
        guest.write_whole(script, SCRIPT.encode())
        guest.write_whole(initrd, guest.make_initramfs(_modes.ARCH, files=[script + ":/script"]))
        for number, (name, (withheld, has, lacks)) in enumerate(FORMATS.items(), 1):
            guest.write_whole(disk, data)
            console, status = _modes.boot(command(pieces, initrd, disk, withheld), "script")
            ok = good(console, status, data, disk, has, lacks)
            failed += not ok
            print("%s %d - %s" % ("ok" if ok else "not ok", number, name), flush=True)
            if not ok:
                print("# exit code %s\n" % status + "\n".join("# " + x for x in console.splitlines()[-20:]))
    return 1 if failed else 0


if __name__ == "__main__":
    if not os.access(HULL, os.X_OK):
        print("hull is not built")
        sys.exit(77)
    sys.exit(main())
