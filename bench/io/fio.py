# SPDX-License-Identifier: MIT OR Apache-2.0
"""Debian's fio in a Linux guest: one disk, read and written from its first byte to its last, 1 MiB at a time, some times over.

Hull and qemu-system-riscv64 boot the same kernel, initramfs and images; the host's cache is used (both
VMMs' default), the guest's is not.  Both emulate the processor, so the ratio also has that of the engines
in it.  Times are the guest's.
"""
import os
import re
import statistics
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import guest  # noqa: E402

NAME = "fio"
SIZE = 256 << 20
DEPTH = 8
LOOPS = 6
LIMIT_S = 900
APPEND = "console=ttyS0 quiet panic=-1 hull.run=script"
# Written once before, so that neither finds room while it is measured.
SCRIPT = """
for n in 1 2 3 4 5 6 7 8 9 10; do [ -b /dev/vdb ] && break; usleep 100000; done
mkdir /tools && mount -t ext4 -o ro /dev/vdb /tools
for d in dev proc sys tmp; do mount -o bind /$d /tools/$d; done
for way in write write read; do
	chroot /tools /usr/bin/fio --name=x --filename=/dev/vda --direct=1 --ioengine=libaio --iodepth=%d --rw=$way --bs=1M \\
		--size=%d --loops=%d --minimal >/tmp/fio 2>&1
	echo "fio $way $(tail -n 1 /tmp/fio)"
done
""" % (DEPTH, SIZE, LOOPS)


def speeds(command):
    """Bytes per second: written (the second time), read.  fio's terse format, version 3: fields 7 and 48 are KiB/s."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    console = done.stdout.decode("utf-8", "replace").replace("\r", "")
    rows = [line.split(";") for line in re.findall(r"^fio \w+ (3;.*)$", console, re.M)]
    if len(rows) != 3:
        raise RuntimeError("%s did not end: %s" % (command[0], console[-600:] + done.stderr.decode()[-300:]))
    return int(rows[1][47]) * 1024, int(rows[2][6]) * 1024


def run(bench):
    pieces, tools = guest.paths("riscv64", None), guest.tools("riscv64")
    initrd, script = os.path.join(bench.work, "initramfs.gz"), os.path.join(bench.work, "script")
    guest.write_whole(script, SCRIPT.encode())
    guest.write_whole(initrd, guest.make_initramfs("riscv64", modules=["ext4"], files=[script + ":/script"]))
    boot = ["-kernel", pieces["KERNEL"], "-initrd", initrd, "-append", APPEND]
    for form in ("raw", "qcow2"):
        disk = os.path.join(bench.work, "disk." + form)
        subprocess.run(["qemu-img", "create", "-q", "-f", form, disk, str(SIZE)], check=True)
        hull = [bench.program("hull"), "run", "--kernel", pieces["KERNEL"], "--initrd", initrd, "--append", APPEND, "--memory", "512M",
                "--disk", "%s,format=%s" % (disk, form), "--disk", tools + ",ro,format=raw"]
        qemu = ["qemu-system-riscv64", "-machine", "virt", "-m", "512M", "-nographic", "-no-reboot", *boot,
                "-drive", "if=none,id=d,format=%s,file=%s" % (form, disk), "-device", "virtio-blk-device,drive=d",
                "-drive", "if=none,id=t,readonly=on,format=raw,file=" + tools, "-device", "virtio-blk-device,drive=t"]
        rounds = [(speeds(hull), speeds(qemu)) for _ in range(bench.rounds)]
        for i, name in enumerate(("write", "read")):
            ours, theirs = (statistics.median(r[who][i] for r in rounds) for who in range(2))
            yield {"name": "fio in a guest, %s, %s" % (form, name), "unit": "B/s", "goal": 1.5, "hull": ours, "peer": theirs}
