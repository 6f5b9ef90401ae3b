# SPDX-License-Identifier: MIT OR Apache-2.0
"""qcow2: 4 KiB requests to a fixed stride of offsets, beside `qemu-img bench`, cached and not.

Both work the same image from the same first offset on, without a device, and ask for the next block
where one is done.  The second row of each kind counts the processor's time only, which a busy machine
changes less; the third has a virtio-blk and a driver on Hull's side, which wakes another thread for
each answer: QEMU's side has neither.
"""
import json
import os
import random
import re
import resource
import statistics
import subprocess

NAME = "qcow2"
SIZE = 64 << 20
STEP = (1 << 20) + 4096  # visits every block before it comes back
COUNTS = {"writeback": {1: 20000, 32: 20000}, "none": {1: 4000, 32: 20000}}
AIO = ("threads", "io_uring")


def output(command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError("%s: %s" % (command[0], done.stderr.strip()))
    return done.stdout


def hull(bench, image, cache, depth, write, plain=True):
    """Requests per second, and per second of the processor."""
    more = ["--write"] * write + ["--direct"] * (cache == "none") + ["--plain"] * plain
    r = json.loads(output([bench.program("bench-blk"), "--disk", image, "--format", "qcow2", "--depth", str(depth),
                           "--size", str(SIZE), "--step", str(STEP), "--seconds", "300", "--requests",
                           str(COUNTS[cache][depth]), *more]))
    return r["per_second"], r["requests"] / r["cpu_seconds"]


def cpu_of_children():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def qemu(image, aio, cache, depth, write):
    count, before = COUNTS[cache][depth], cpu_of_children()
    said = output(["qemu-img", "bench", "-f", "qcow2", "-c", str(count), "-d", str(depth), "-s", "4096", "-S",
                   str(STEP), "-t", cache, "-i", aio, *["-w"] * write, image])
    seconds = float(re.search(r"completed in ([0-9.]+) seconds", said).group(1))
    return count / max(seconds, 0.001), count / (cpu_of_children() - before)


def compare(bench, image, *what):
    """Against the faster of the ways in which qemu-img waits for the host."""
    rounds = [[hull(bench, image, *what), *[qemu(image, aio, *what) for aio in AIO], hull(bench, image, *what, plain=False)]
              for _ in range(bench.rounds)]
    name = "%s, depth %d, %s" % (what[0], what[1], "write" if what[2] else "read")
    for i, more in enumerate(("", ", per CPU s")):
        ours, *theirs, device = [statistics.median(r[who][i] for r in rounds) for who in range(2 + len(AIO))]
        yield {"name": name + more, "unit": "req/s", "hull": ours, "peer": max(theirs),
               "peers": dict(zip(AIO, theirs)), **({} if i else {"goal": 1.0})}
        if not i:
            yield {"name": name + ", with device", "unit": "req/s", "hull": device, "peer": max(theirs)}


def run(bench):
    raw, image = os.path.join(bench.work, "raw.img"), os.path.join(bench.work, "disk.qcow2")
    with open(raw, "wb") as f:
        f.write(random.Random(1).randbytes(SIZE))
    output(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, image])
    for cache in COUNTS:
        for depth in (1, 32):
            for write in (False, True):
                yield from compare(bench, image, cache, depth, write)
