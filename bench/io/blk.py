# SPDX-License-Identifier: MIT OR Apache-2.0
"""virtio-blk: 4 KiB random reads over a null, a raw and a qcow2 disk, beside qemu-storage-daemon.

One driver (blk.c) works Hull's device in its own process and the daemon's over vhost-user-blk.
"""
import contextlib
import json
import os
import random
import re
import shutil
import subprocess
import time

NAME = "blk"
SIZE = 64 << 20
DEPTHS = (1, 32)
LEAST = 2e6  # requests a second of one CPU, over the null disk, depth 32
COUNTED = 20000


def measure(bench, *args):
    command = [bench.program("bench-blk"), "--seconds", str(bench.seconds), "--size", str(SIZE), *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60 + 20 * bench.seconds, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or "bench-blk ended with %d" % done.returncode)
    return json.loads(done.stdout)


def images(work):
    """A raw and a qcow2 disk with the same bytes, all allocated."""
    raw, qcow2 = os.path.join(work, "raw.img"), os.path.join(work, "disk.qcow2")
    with open(raw, "wb") as f:
        f.write(random.Random(1).randbytes(SIZE))
    subprocess.run(["qemu-img", "convert", "-q", "-f", "raw", "-O", "qcow2", raw, qcow2], check=True)
    return {"null": None, "raw": raw, "qcow2": qcow2}


def nodes(kind, path, aio):
    if kind == "null":
        return ["--blockdev", "driver=null-co,node-name=disk,size=%d,read-zeroes=off" % SIZE]
    # Nobody writes, and several have it open at a time.
    file = "driver=file,filename=%s,aio=%s,locking=off" % (path, aio)
    if kind == "raw":
        return ["--blockdev", file + ",node-name=disk"]
    return ["--blockdev", file + ",node-name=file", "--blockdev", "driver=qcow2,file=file,node-name=disk"]


@contextlib.contextmanager
def daemon(bench, kind, path, aio):
    """qemu-storage-daemon with the disk; yields its socket."""
    socket = os.path.join(bench.work, "%s-%s.sock" % (kind, aio))
    process = subprocess.Popen(["qemu-storage-daemon", *nodes(kind, path, aio), "--export",
                                "vhost-user-blk,id=e,node-name=disk,writable=on,addr.type=unix,addr.path=" + socket])
    try:
        for _ in range(100):
            if os.path.exists(socket) or process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            raise RuntimeError("qemu-storage-daemon does not listen")
        if process.poll() is not None:
            raise RuntimeError("qemu-storage-daemon ended with %d" % process.returncode)
        yield socket
    finally:
        process.terminate()
        process.wait()


def instructions(bench):
    """For each request of the null disk at depth 32, driver and device; None: nothing here counts them."""
    if not shutil.which("valgrind"):
        return None
    counts = []
    for requests in (COUNTED, 2 * COUNTED):
        done = subprocess.run(["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
                               bench.program("bench-blk"), "--disk", "null", "--seconds", "300",
                               "--requests", str(requests)], capture_output=True, text=True, check=False)
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode or not found:
            return None
        counts.append(int(found.group(1)))
    return (counts[1] - counts[0]) / COUNTED


def per_cpu_second(result):
    return result["requests"] / result["cpu_seconds"]


def rate(bench, *args):
    return lambda: measure(bench, *args)["per_second"]


def compare(bench, kind, path, depth):
    """Against the faster of the daemon's two ways to wait for the host."""
    more = ["--depth", str(depth)]
    hull = ["--disk", path or "null", "--format", kind if path else "raw"]
    with contextlib.ExitStack() as stack:
        ways = ("threads", "io_uring") if path else ("none",)
        sockets = [stack.enter_context(daemon(bench, kind, path, aio)) for aio in ways]
        ours, *theirs = bench.alternate(rate(bench, *hull, *more),
                                        *[rate(bench, "--vhost", s, *more) for s in sockets])
    return {"name": "%s, depth %d" % (kind, depth), "unit": "req/s", "hull": ours, "peer": max(theirs),
            "peers": dict(zip(ways, theirs)), "goal": 1.0}


def run(bench):
    count = instructions(bench)
    if count:
        yield {"name": "instructions per request", "unit": "", "hull": count, "peer": None}
    each, = bench.alternate(lambda: per_cpu_second(measure(bench, "--disk", "null")))
    yield {"name": "null, depth 32, of one CPU", "unit": "req/s", "hull": each, "peer": None, "least": LEAST}
    for kind, path in images(bench.work).items():
        for depth in DEPTHS:
            yield compare(bench, kind, path, depth)
