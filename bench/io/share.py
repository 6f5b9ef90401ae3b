# SPDX-License-Identifier: MIT OR Apache-2.0
"""A tree in a shared directory, walked and read by Linux under Hull and under QEMU (-virtfs local).

The guest's kernel, initramfs and mount are the same; both emulate the processor, so the ratio also
has that of the engines in it.  Times are the guest's.
"""
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
import guest  # noqa: E402

NAME = "share"
FOLDERS, FILES, BYTES = 40, 1600, 3000
LIMIT_S = 600
APPEND = "console=ttyS0 quiet panic=-1 hull.run=script"
SCRIPT = """
mkdir /a
mount -t 9p -o trans=virtio,version=9p2000.L,msize=262144 tree /a
for round in 1 2; do
	a=$(cut -d' ' -f1 /proc/uptime)
	find /a -type f -size +100000k
	b=$(cut -d' ' -f1 /proc/uptime)
	find /a -type f -exec cat {} + | wc -c
	echo "times $a $b $(cut -d' ' -f1 /proc/uptime)"
done
"""


def make_tree(top):
    for n in range(FILES):
        folder = os.path.join(top, "d%d" % (n % FOLDERS))
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "f%d" % n), "wb") as f:
            f.write(b"x" * BYTES)


def times(command):
    """Files per second: walked with their attributes, and walked and read; of the second round."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=LIMIT_S, check=False)
    console = done.stdout.decode("utf-8", "replace").replace("\r", "")
    found = re.findall(r"^times (\S+) (\S+) (\S+)$", console, re.M)
    if len(found) != 2 or "\n%d\n" % (FILES * BYTES) not in console:
        raise RuntimeError("%s did not end: %s" % (command[0], console[-300:]))
    a, b, c = map(float, found[1])
    return FILES / max(b - a, 0.01), FILES / max(c - b, 0.01)


def run(bench):
    pieces = guest.paths("riscv64", None)
    tree, initrd = os.path.join(bench.work, "tree"), os.path.join(bench.work, "initramfs.gz")
    script = os.path.join(bench.work, "script")
    make_tree(tree)
    guest.write_whole(script, SCRIPT.encode())
    guest.write_whole(initrd, guest.make_initramfs("riscv64", modules=["9p", "9pnet_virtio"],
                                                   files=[script + ":/script"]))
    hull = [bench.program("hull"), "run", "--kernel", pieces["KERNEL"], "--initrd", initrd, "--append", APPEND,
            "--memory", "512M", "--share", tree + ":tree"]
    qemu = ["qemu-system-riscv64", "-machine", "virt", "-m", "512M", "-nographic", "-kernel", pieces["KERNEL"],
            "-initrd", initrd, "-append", APPEND,
            "-virtfs", "local,path=%s,mount_tag=tree,security_model=none" % tree]
    rounds = [(times(hull), times(qemu)) for _ in range(min(bench.rounds, 3))]
    middle = len(rounds) // 2
    for i, name in enumerate(("9p: find and stat in a guest", "9p: find and read in a guest")):
        yield {"name": name, "unit": "files/s", "goal": 2.0,
               "hull": sorted(r[0][i] for r in rounds)[middle],
               "peer": sorted(r[1][i] for r in rounds)[middle]}
