#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""qcow2 images against qemu-img and qemu-io, in both directions: what one writes the other must
read, and qemu-img check must find nothing.  HULL_LONG=1: many more random operations."""
# timeout: 600
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

TOOL = os.path.join(os.path.dirname(os.environ["HULL"]), "tests", "disktool")
LONG = bool(os.environ.get("HULL_LONG"))
problems = 0
MB = 1 << 20


def complain(what):
    global problems
    problems += 1
    print("FAILED:", what)


def run(*args, ok=True, text=None):
    r = subprocess.run([str(a) for a in args], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                       input=text, text=True, timeout=300)
    if ok and r.returncode:
        raise RuntimeError("%s: exit code %d\n%s" % (" ".join(map(str, args)), r.returncode, r.stdout[-2000:]))
    return r.stdout


def tool(*lines):
    return run(TOOL, text="\n".join(lines) + "\n")


def qemu_check(path):
    r = subprocess.run(["qemu-img", "check", "--output=json", path], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=300)
    return r.returncode, r.stdout


def clean(path, what):
    code, text = qemu_check(path)
    if code:
        complain("%s: qemu-img check says %d\n%s" % (what, code, text[-1500:]))


def same(a, b, what, fa="qcow2", fb="raw"):
    r = subprocess.run(["qemu-img", "compare", "-f", fa, "-F", fb, a, b], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, text=True, timeout=300)
    if r.returncode:
        complain("%s: %s" % (what, r.stdout[-600:]))


def equal_files(a, b, what):
    with open(a, "rb") as f, open(b, "rb") as g:
        x, y = f.read(), g.read()
    if x != y:
        at = next((i for i in range(min(len(x), len(y))) if x[i] != y[i]), min(len(x), len(y)))
        complain("%s: differs at %d (%d and %d bytes)" % (what, at, len(x), len(y)))


def qemu_io(path, *commands, fmt="qcow2"):
    args = ["qemu-io", "-f", fmt]
    for c in commands:
        args += ["-c", c]
    return run(*args, path)


# Options of qemu-img create; those of disktool; size.
KINDS = [
    ("", "", 6 * MB),
    ("compat=0.10", "version=2", 6 * MB),
    ("cluster_size=512", "cluster=512", 2 * MB + 512),
    ("cluster_size=2M", "cluster=2M", 9 * MB),
    ("cluster_size=4k,refcount_bits=1", "cluster=4K refcount_bits=1", 5 * MB),
    ("refcount_bits=2", "refcount_bits=2", 5 * MB),
    ("refcount_bits=64,cluster_size=1k", "refcount_bits=64 cluster=1K", 3 * MB),
    ("extended_l2=on", "extended=1", 6 * MB),
    ("extended_l2=on,cluster_size=16k", "extended=1 cluster=16K", 6 * MB),
    ("lazy_refcounts=on", "lazy=1", 6 * MB),
    ("compression_type=zstd", "compression=zstd", 6 * MB),
    ("preallocation=metadata", "prealloc=1", 6 * MB),
    ("preallocation=falloc", "prealloc=2", 3 * MB),
    ("preallocation=full", "prealloc=3", 3 * MB),
]


def random_io(rng, size, n):
    """Commands of qemu-io that leave data, zeroes and holes."""
    out = []
    for i in range(n):
        at = rng.randrange(size // 512) * 512
        length = min(size - at, rng.choice([512, 4096, 65536, 200 * 1024, 512 * 1024]))
        kind = rng.randrange(6)
        if kind == 0:
            out.append("write -z %d %d" % (at, length))
        elif kind == 1:
            out.append("write -z -u %d %d" % (at, length))
        elif kind == 2:
            out.append("discard %d %d" % (at, length))
        else:
            out.append("write -P %d %d %d" % (1 + i % 250, at, length))
    return out


def reading(d):
    """Images by QEMU, read by us, then changed by us and judged by QEMU."""
    rng = random.Random(1)
    for options, _, size in KINDS:
        name = options or "default"
        img, raw, ours = (os.path.join(d, n) for n in ("q.qcow2", "q.raw", "ours.raw"))
        args = ["-o", options] if options else []
        run("qemu-img", "create", "-q", "-f", "qcow2", *args, img, size)
        qemu_io(img, *random_io(rng, size, 30))
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", img, raw)
        tool("open %s qcow2 ro" % img, "check", "map", "dump %s" % ours)
        equal_files(raw, ours, "reading " + name)
        out = tool("open %s qcow2" % img, "random 5 %d %d %s" % (150, size, ours), "check", "close")
        if "corruptions=0 leaks=0" not in out:
            complain("our check of %s: %s" % (name, out))
        clean(img, "changed " + name)
        same(img, ours, "changed " + name)


def writing(d):
    """Images by us, read and changed by QEMU, read by us again."""
    rng = random.Random(2)
    for options, kind, size in KINDS:
        name = kind or "default"
        img, raw, ours = (os.path.join(d, n) for n in ("h.qcow2", "h.raw", "h2.raw"))
        tool("create %s qcow2 %d %s" % (img, size, kind))
        clean(img, "new " + name)
        tool("open %s qcow2" % img, "random %d %d %d %s" % (len(options), 300, size + MB, raw),
             "close")
        clean(img, "written " + name)
        same(img, raw, "written " + name)
        size = os.path.getsize(raw)
        qemu_io(img, *random_io(rng, size, 20))
        run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", img, raw)
        tool("open %s qcow2 ro" % img, "dump %s" % ours)
        equal_files(raw, ours, "changed by qemu-io: " + name)


def compressed(d):
    src = os.path.join(d, "src.raw")
    with open(src, "wb") as f:
        for i in range(6 * 16):
            f.write(bytes([i]) * 40000 + os.urandom(65536 - 40000))
        f.write(os.urandom(65536 * 2) + b"tail" * 128)
    for options in ("compression_type=zlib", "compression_type=zstd", "compat=0.10",
                    "compression_type=zlib,cluster_size=4k", "compression_type=zstd,extended_l2=on",
                    "compression_type=zstd,cluster_size=2M"):
        img, out = os.path.join(d, "c.qcow2"), os.path.join(d, "c.raw")
        run("qemu-img", "convert", "-c", "-O", "qcow2", "-o", options, src, img)
        tool("open %s qcow2" % img, "dump %s" % out, "check")
        equal_files(src, out, "compressed " + options)
        # Writing over compressed clusters, whole and in part.
        tool("open %s qcow2" % img, "random 9 100 %d %s" % (os.path.getsize(src), out), "close")
        clean(img, "changed compressed " + options)
        same(img, out, "changed compressed " + options)
    for kind in ("", "compression=zstd", "version=2", "cluster=4K", "cluster=2M refcount_bits=1",
                 "extended=1 compression=zstd"):
        img = os.path.join(d, "c2.qcow2")
        raw = os.path.join(d, "c2.raw")
        tool("create %s qcow2 %d %s" % (img, 8 * MB, kind), "open %s qcow2" % img,
             *["pack %d %d %d" % (i * 2 * MB, 2 * MB if "2M" in kind else 4096 if "4K" in kind else 65536 if "ext" not in kind else 131072, i)
               for i in range(4)], "check", "dump %s" % raw, "close")
        clean(img, "packed " + kind)
        same(img, raw, "packed " + kind)


def chains(d):
    base, mid, top = (os.path.join(d, n) for n in ("base.raw", "mid.qcow2", "top.qcow2"))
    rng = random.Random(3)
    for options, size in (("", 7 * MB), ("compat=0.10", 7 * MB), ("extended_l2=on", 9 * MB), ("cluster_size=2M", 5 * MB)):
        with open(base, "wb") as f:
            f.write(os.urandom(5 * MB + 512))
        args = ["-o", options] if options else []
        run("qemu-img", "create", "-q", "-f", "qcow2", "-b", "base.raw", "-F", "raw", mid, 6 * MB)
        qemu_io(mid, *random_io(rng, 6 * MB, 10))
        run("qemu-img", "create", "-q", "-f", "qcow2", *args, "-b", "mid.qcow2", "-F", "qcow2", top, size)
        raw, ours = os.path.join(d, "t.raw"), os.path.join(d, "t2.raw")
        qemu_io(top, *random_io(rng, size, 10))
        run("qemu-img", "convert", "-O", "raw", top, raw)
        tool("open %s qcow2 ro" % top, "dump %s" % ours)
        equal_files(raw, ours, "chain " + options)
        before = open(mid, "rb").read()
        tool("open %s qcow2" % top, "random 4 200 %d %s" % (size + MB, ours), "check", "close")
        clean(top, "chain " + options)
        same(top, ours, "chain " + options)
        if open(mid, "rb").read() != before:
            complain("the backing image was changed")
    tool("create %s qcow2 0 backing=mid.qcow2 backing_format=qcow2" % top, "open %s qcow2" % top,
         "write 70000 5000 1", "dump %s" % ours, "close")
    same(top, ours, "overlay of ours")
    # Another backing file, then none.
    tool("open %s qcow2" % top, "backing base.raw raw", "close")
    info = json.loads(run("qemu-img", "info", "--output=json", top))
    if info.get("backing-filename") != "base.raw" or info.get("backing-filename-format") != "raw":
        complain("set_backing: %s" % info)
    tool("open %s qcow2" % top, "backing", "empty", "check", "close")
    if "backing-filename" in run("qemu-img", "info", "--output=json", top):
        complain("the backing file is still named")
    clean(top, "emptied")


def snapshots(d):
    img, raw, a, b = (os.path.join(d, n) for n in ("s.qcow2", "s.raw", "a.raw", "b.raw"))
    for options in ("", "compat=0.10", "extended_l2=on", "cluster_size=512", "lazy_refcounts=on"):
        args = ["-o", options] if options else []
        run("qemu-img", "create", "-q", "-f", "qcow2", *args, img, 3 * MB)
        qemu_io(img, "write -P 1 0 1M", "write -P 2 2M 200k")
        run("qemu-img", "snapshot", "-c", "one", img)
        qemu_io(img, "write -P 3 512k 1M", "write -z 2M 64k")
        tool("open %s qcow2" % img, "dump %s" % b, "snapshot two", "write 0 300000 9", "apply one",
             "dump %s" % a, "check", "write 1M 4096 3", "apply two", "close")
        clean(img, "snapshots " + options)
        same(img, b, "our snapshot, " + options)
        run("qemu-img", "snapshot", "-a", "one", img)
        same(img, a, "their snapshot, " + options)
        run("qemu-img", "snapshot", "-a", "two", img)
        same(img, b, "ours applied by them, " + options)
        names = run("qemu-img", "snapshot", "-l", img)
        if "one" not in names or "two" not in names:
            complain("list: " + names)
        out = tool("open %s qcow2" % img, "expect-fail snapshot one", "expect-fail apply three",
                   "delete one", "check", "info", "close")
        if "snapshot 2 two" not in out:
            complain("info: " + out)
        clean(img, "deleted one, " + options)
        run("qemu-img", "snapshot", "-d", "two", img)
        clean(img, "deleted both, " + options)


def overflow(d):
    img, raw = os.path.join(d, "v.qcow2"), os.path.join(d, "v.raw")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "refcount_bits=2", img, 4 * MB)
    tool("open %s qcow2" % img, "write 0 1M 1", "snapshot a", "snapshot b", "write 64K 1M 2",
         "expect-fail snapshot c", "check", "dump %s" % raw, "write 3M 4096 1", "delete a", "snapshot d",
         "expect-fail apply b", "check", "dump %s" % raw, "close")
    clean(img, "refcounts overflow")
    same(img, raw, "refcounts overflow")


def bitmaps(d):
    img = os.path.join(d, "bm.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", img, 4 * MB)
    run("qemu-img", "bitmap", "--add", img, "live")
    run("qemu-img", "bitmap", "--add", "--disable", img, "still")
    tool("open %s qcow2" % img, "write 0 100000 1", "snapshot x", "check", "expect-fail resize 8M", "close")
    clean(img, "bitmaps")
    info = json.loads(run("qemu-img", "info", "--output=json", img))
    found = {b["name"]: b["flags"] for b in info["format-specific"]["data"]["bitmaps"]}
    if set(found) != {"live", "still"} or "in-use" not in found["live"] or "in-use" in found["still"]:
        complain("bitmaps: %s" % found)


def refusals(d):
    img = os.path.join(d, "r.qcow2")
    run("qemu-img", "create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=x",
        "-o", "encrypt.format=luks,encrypt.key-secret=s", img, MB)
    if "encryption" not in tool("expect-fail open %s qcow2" % img):
        complain("encryption is not named")
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "data_file=%s" % os.path.join(d, "data"), img, MB)
    if "external data file" not in tool("expect-fail open %s qcow2" % img):
        complain("data file is not named")
    run("qemu-img", "create", "-q", "-f", "qcow2", img, MB)
    good = open(img, "rb").read()

    def damaged(at, data):
        with open(img, "wb") as f:
            f.write(good[:at] + data + good[at + len(data):])

    damaged(72, (1 << 60).to_bytes(8, "big"))
    if "bit 60" not in tool("expect-fail open %s qcow2 ro" % img):
        complain("unknown feature is not named")
    for at, data in ((20, b"\0\0\0\x08"), (20, b"\0\0\0\x16"), (24, b"\x7f" + b"\xff" * 7), (36, b"\xff" * 4),
                     (40, b"\0" * 7 + b"\x10"), (48, b"\xff" * 8), (56, b"\xff" * 4), (60, b"\0\0\0\x09"),
                     (100, b"\0\0\0\x67"), (96, b"\0\0\0\x07"), (8, b"\xff" * 8), (4, b"\0\0\0\x09")):
        damaged(at, data)
        out = tool("expect-fail open %s qcow2" % img)
        if "r.qcow2" not in out:
            complain("damage at %d: %s" % (at, out))
    # Marked corrupt: read only; dirty: repaired.
    damaged(72, (2).to_bytes(8, "big"))
    if "corrupt" not in tool("expect-fail open %s qcow2" % img):
        complain("corrupt image is not refused")
    tool("open %s qcow2 ro" % img, "dump %s" % os.path.join(d, "x.raw"))
    tool("open %s qcow2 check" % img, "check all", "close", "open %s qcow2" % img, "write 0 512 1", "close")
    clean(img, "repaired")
    # Refcounts of zero, as lazy refcounts leave them: repaired when it is opened.
    run("qemu-img", "create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", img, 4 * MB)
    tool("open %s qcow2 unsafe" % img, "write 0 3M 1", "flush", "dump %s" % os.path.join(d, "x.raw"))
    p = subprocess.run([TOOL], input="open %s qcow2\nwrite 1M 2M 7\nflush\ndump %s\ndie\n" % (
        img, os.path.join(d, "x.raw")), text=True)
    if p.returncode != -9:
        complain("die: %d" % p.returncode)
    tool("open %s qcow2" % img, "write 0 512 3", "dump %s" % os.path.join(d, "x.raw"), "close")
    clean(img, "dirty image repaired by us")
    same(img, os.path.join(d, "x.raw"), "dirty image repaired by us")


def repair(d):
    """Damage in the refcounts and tables, repaired by us, judged by QEMU."""
    img, raw = os.path.join(d, "f.qcow2"), os.path.join(d, "f.raw")
    for seed in range(12):
        rng = random.Random(seed)
        run("qemu-img", "create", "-q", "-f", "qcow2", img, 8 * MB)
        qemu_io(img, *random_io(rng, 8 * MB, 20))
        run("qemu-img", "convert", "-O", "raw", img, raw)
        with open(img, "r+b") as f:
            f.seek(48)
            table = int.from_bytes(f.read(8), "big")
            if seed < 4:  # the first block of refcounts is not there
                f.seek(table)
                f.write(bytes(8) if seed % 2 else (0x10001).to_bytes(8, "big"))
            else:
                f.seek(table)
                block = int.from_bytes(f.read(8), "big")
                for _ in range(6):
                    f.seek(block + 2 * rng.randrange(60))
                    f.write(rng.choice([b"\0\0", b"\0\1", b"\0\3"]))
        tool("open %s qcow2 check" % img, "check all", "close")
        clean(img, "repaired %d" % seed)
        same(img, raw, "repaired %d" % seed)


def killed(d):
    """kill -9 in the middle: nothing worse than leaks, and what was flushed is there."""
    img, flushed = os.path.join(d, "k.qcow2"), os.path.join(d, "k.raw")
    for i in range(60 if LONG else 10):
        tool("create %s qcow2 4M %s" % (img, ["", "lazy=1", "cluster=512", "extended=1"][i % 4]))
        p = subprocess.Popen([TOOL], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        p.stdin.write("open %s qcow2\nrandom %d 40 4M %s\nflush\n" % (img, i, flushed))
        p.stdin.write("snapshot k%d\nflush\ndie\n" % i)
        p.stdin.close()
        if p.wait() != -9:
            complain("it was not killed: " + p.stdout.read())
        p.stdout.close()
        code, text = qemu_check(img)
        if code not in (0, 3) and i % 4 != 1:
            complain("kill -9: %d %s" % (code, text[-800:]))
        tool("open %s qcow2" % img, "check", "close")
        same(img, flushed, "after kill -9, %d" % i)


def soak(d):
    img, raw = os.path.join(d, "o.qcow2"), os.path.join(d, "o.raw")
    for seed in range(10 if LONG else 2):
        tool("create %s qcow2 16M" % img, "open %s qcow2" % img, "random %d 1000 24M %s" % (seed, raw),
             "check", "close")
        clean(img, "soak")
        same(img, raw, "soak")


def main():
    for program in ("qemu-img", "qemu-io"):
        if not shutil.which(program):
            sys.exit("qcow2.py needs %s (package qemu-utils)" % program)
    only = sys.argv[1:]
    for part in (reading, writing, compressed, chains, snapshots, overflow, bitmaps, refusals, repair, killed, soak):
        if only and part.__name__ not in only:
            continue
        with tempfile.TemporaryDirectory() as d:
            try:
                part(d)
            except (RuntimeError, subprocess.TimeoutExpired) as e:
                complain("%s: %s" % (part.__name__, e))
        print(part.__name__, "done", flush=True)
    sys.exit(1 if problems else 0)


main()
