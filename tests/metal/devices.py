#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Devices of VMs on bare metal, used by Linux: disks from images in memory, a network between two
VMs, a virtio console, random numbers; and what cannot be built is refused with the key."""
# timeout: 600
import hashlib
import os
import subprocess
import sys
import tempfile
import time

import _machine

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

sys.stdout.reconfigure(line_buffering=True)
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
[memory]
size = "192M"
[boot]
kernel = "{kernel}"
initrd = "{initrd}"
cmdline = "console={console} quiet hull.run=script hull.part={name}"
{more}
"""
SCRIPT = r"""
[ -c /dev/hvc0 ] && exec >/dev/hvc0
part=$(sed 's/.*hull.part=\([a-z]*\).*/\1/' /proc/cmdline)
sum() { sha256sum <"$1" | cut -d' ' -f1; }
ip link set eth0 up
if [ "$part" = a ]; then
	echo "hull: epoch $(cat /sys/class/rtc/rtc0/since_epoch)"
	ip addr add 10.9.0.1/24 dev eth0
	echo "hull: read $(sum /dev/vda)"
	dd if=/dev/zero of=/dev/vda bs=4096 count=1 2>/dev/null && echo "hull: wrote to what may be read only"
	echo "hull: copy $(sum /dev/vdb)"
	dd if=/dev/urandom of=/tmp/new bs=1M count=3 2>/dev/null
	dd if=/tmp/new of=/dev/vdb bs=64k conv=notrunc 2>/dev/null
	sync
	echo 3 >/proc/sys/vm/drop_caches
	[ "$(sum /tmp/new)" = "$(head -c 3145728 /dev/vdb | sha256sum | cut -d' ' -f1)" ] && echo "hull: written"
	nc -l -p 77 >/tmp/got
	echo "hull: got $(sum /tmp/got)"
	echo bye | nc -l -p 78
else
	ip addr add 10.9.0.2/24 dev eth0
	until ping -c 1 -W 1 10.9.0.1 >/dev/null; do sleep 1; done
	ping -c 3 -i 0.2 10.9.0.1 | grep received
	dd if=/dev/hwrng of=/tmp/sent bs=4096 count=512 2>/dev/null
	echo "hull: sent $(sum /tmp/sent) $(wc -c </tmp/sent)"
	until nc 10.9.0.1 77 </tmp/sent; do sleep 1; done
	until [ "$(nc 10.9.0.1 78 </dev/null)" = bye ]; do sleep 1; done
fi
"""
failed = count = 0


def check(good, text, detail=""):
    global failed, count
    count += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, text))
    if not good:
        print("# " + str(detail).replace("\n", "\n# "))


def refused(folder, files, more, want):
    path = os.path.join(folder, "bad.toml")
    with open(path, "w", encoding="utf-8") as f:
        f.write(TOML.format(name="bad", console="ttyAMA0", more=more, **files))
    done = subprocess.run([os.environ["HULL_FAST"], "build", "--metal", path, "--hypervisor",
                           os.environ["HULL_METAL"], "-w", os.path.join(folder, "bad.img")],
                          stderr=subprocess.PIPE, text=True, check=False)
    check(done.returncode and want in done.stderr, "refused: " + want, done.stderr)


got = guest.paths("aarch64", None)
with tempfile.TemporaryDirectory() as folder:
    def put(name, data):
        path = os.path.join(folder, name)
        with open(path, "wb") as f:
            f.write(data)
        return path

    script = put("script", SCRIPT.encode())
    files = {"kernel": got["KERNEL"],
             "initrd": put("initrd", guest.make_initramfs("aarch64", files=[script + ":/script"]))}
    first, second = os.urandom(1 << 20), os.urandom(4 << 20)
    disks = '[[disk]]\npath = "%s"\nreadonly = true\n[[disk]]\npath = "%s"\n' % (
        put("first.raw", first), put("second.raw", second))
    net = '[[net]]\nmode = "switch:lan"\n'
    image = _machine.image(folder, [
        ("a", dict(files, console="ttyAMA0", more=disks + net)),
        ("b", dict(files, console="hvc0", more='[[console]]\nto = "stdio"\n' + net))], TOML)
    text = _machine.run(image, cpus=2, mib=1024, seconds=250)

    def has(want):
        return want in text

    check(has("[a] hull: read " + hashlib.sha256(first).hexdigest()), "a disk is read", text)
    check(not has("wrote to what may be read only"), "a disk that may only be read is not written")
    check(has("[a] hull: copy " + hashlib.sha256(second).hexdigest()), "another one as well")
    check(has("[a] hull: written"), "what is written is read again")
    check(has("[b] 3 packets transmitted, 3 packets received"), "the VMs reach each other")
    sent = text.partition("[b] hull: sent ")[2].split()
    check(sent[1:2] == ["2097152"], "random numbers, said on a virtio console")
    check(sent and has("[a] hull: got " + sent[0]), "two megabytes by TCP arrive as they were sent")
    epoch = text.partition("[a] hull: epoch ")[2].split()
    check(epoch and abs(time.time() - int(epoch[0])) < 600, "the clock shows the machine's time", epoch)
    check(has("hull: done, 0 bytes are not back"), "everything is given back")
    refused(folder, files, '[[net]]\nmode = "user"\n', "a network on bare metal cannot be")
    refused(folder, files, '[[console]]\nto = "pty"\n', "a console on bare metal leads to")
    refused(folder, files, '[[disk]]\npath = "%s"\nformat = "qcow2"\n' % script, "images are raw")
    refused(folder, files, '[[disk]]\npath = "%s"\n' % put("empty", b""), "is empty")
    refused(folder, files, '[[share]]\nhost = "."\n', "has no shared directories")
print("1..%d" % count)
sys.exit(failed > 0)
