#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Devices of the machine in the hands of a guest: a disk and a clock of the emulated machine, with
their interrupts, used by Linux, again after it was restarted; and what nobody may have."""
# timeout: 400
import hashlib
import os
import re
import sys
import tempfile

import _machine

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tools"))
import guest  # noqa: E402

sys.stdout.reconfigure(line_buffering=True)
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
{machine}
[boot]
kernel = "{kernel}"
initrd = "{initrd}"
cmdline = "console=ttyAMA0 quiet hull.run=script"
{more}
"""
# The disk moves data by itself: guest-physical addresses are the machine's.
OWN_MEMORY = '[[memory.region]]\ngpa = 0x60000000\nsize = "192M"\nperm = "rwx"\nmap = "identical"\n'
# Eight places for virtio devices in one page, the last of them with the disk; the clock.
DEVICES = """[[passthrough]]
kind = "mmio"
name = "slots"
gpa = 0xb100000
hpa = 0xa003000
size = "4K"
[[passthrough]]
kind = "mmio"
name = "clock"
gpa = 0xb200000
hpa = 0x9010000
size = "4K"
irq = 34
"""
SCRIPT = """
for n in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vda ] && break; usleep 100000; done
echo "hull: disk $(sha256sum </dev/vda | cut -d' ' -f1)"
dd if=/dev/vda of=/dev/vda bs=64k count=16 conv=notrunc 2>/dev/null
sync
for rtc in /sys/class/rtc/rtc*; do
	case $(readlink -f $rtc/device) in
	*b200000*)
		echo "hull: clock $(cat $rtc/since_epoch)"
		echo +2 >$rtc/wakealarm
		sleep 4
		echo "hull: alarm '$(cat $rtc/wakealarm)'"
		;;
	esac
done
grep -E "virtio|rtc" /proc/interrupts | sed 's/^/hull: irq /'
[ -e /sys/firmware/devicetree/base/soc/virtio_mmio@b100e00 ] && echo "hull: node"
busybox devmem 0xb2000fc 32 >/dev/null 2>&1
"""
count = failed = 0


def check(good, text, detail=""):
    global count, failed
    count += 1
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", count, text))
    if not good:
        print("# " + str(detail).replace("\n", "\n# "))


def judge(text, digest, what):
    check("hull: disk " + digest in text, what + ": the disk is read by its own DMA", text)
    check(re.search(r"hull: clock 1[0-9]{9}", text), what + ": the clock shows the time", text)
    check("hull: alarm ''" in text, what + ": its alarm was an interrupt", text)
    served = re.findall(r"irq +\d+: +(\d+) +GICv3 +(?:34|79) ", text)
    check(len(served) == 2 and all(int(n) for n in served), what + ": their interrupts were counted", text)


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
    data = os.urandom(8 << 20)
    disk = put("disk.raw", data)
    more = ("-drive", "file=%s,format=raw,if=none,id=d" % disk, "-device", "virtio-blk-device,drive=d")
    spis = "spi = [72, 73, 74, 75, 76, 77, 78, 79]"
    vm = dict(files, machine=spis, more=OWN_MEMORY + DEVICES)
    digest = hashlib.sha256(data).hexdigest()
    machine = _machine.Session(_machine.image(folder, [("a", vm)], TOML), cpus=2, more=more)
    try:
        machine.expect("works")
        machine.send("\x1d")
        machine.expect("hull> ")
        first = machine.expect("has switched itself off")
        machine.send("start a\n")
        machine.expect("vm 'a' runs")
        second = machine.expect("has switched itself off")
        machine.send("off\n")
        rest = machine.end()
    finally:
        machine.kill()
    judge(first, digest, "at first")
    judge(second, digest, "started anew")
    check("0 bytes are not back" in rest, "everything is given back", rest)
    other = dict(files, machine="", more=DEVICES)
    for name, more_of, want in [
            ("two", DEVICES, "another VM has what is at 0xa003000"),
            ("uart", DEVICES.replace("0xa003000", "0x9000000"), "is memory or the hypervisor's"),
            ("ram", DEVICES.replace("0xa003000", "0x50000000"), "is memory or the hypervisor's"),
            ("irq", DEVICES.replace("irq = 34", "irq = 33").replace("0xa003000", "0xa002000"),
             "interrupt 33 is none to be passed on")]:
        image = _machine.image(folder, [("a", vm), ("b", dict(other, more='[memory]\nsize = "64M"\n' + more_of))], TOML)
        text = _machine.run(image, cpus=2, mib=1024, seconds=120, more=more)
        check("vm 'b': " in text and want in text and "hull: disk " + digest in text, "refused, and the neighbour goes on: " + name, text)
print("1..%d" % count)
sys.exit(failed > 0)
