#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""hull disk: each verb, judged by qemu-img."""
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SIZE = 8 << 20


def run(*command, folder=None):
    done = subprocess.run(command, capture_output=True, timeout=120, check=False, cwd=folder)
    return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")


class Disks:
    def __init__(self, tap, folder):
        self.tap, self.folder, self.number = tap, folder, 0

    def path(self, suffix):
        self.number += 1
        return os.path.join(self.folder, "d%d.%s" % (self.number, suffix))

    def hull(self, *args, code=0, text="", why=""):
        got, out, err = run(vm.HULL, "disk", *args, folder=self.folder)
        words = " ".join(args).replace(self.folder + "/", "")
        good = got == code and text in out + err and not vm.CRASHES.search(err)
        self.tap.check(good, "hull disk %s: %s" % (words, why or (code and "refused, " + text) or "done"),
                       "exit code %d\n%s%s" % (got, out, err))
        return out

    def json(self, *args):
        try:
            return json.loads(self.hull(*args, "--json"))
        except ValueError:
            return {}

    def judge(self, *args, what):
        code, out, err = run("qemu-img", *args, folder=self.folder)
        self.tap.check(code == 0, what, out + err)
        return out

    def same(self, a, fa, b, fb, what):
        self.judge("compare", "-f", fa, "-F", fb, a, b, what=what)

    def sound(self, path, form):
        if form != "raw":
            self.judge("check", "-q", "-f", form, path, what="qemu-img finds %s sound" % os.path.basename(path))

    def filled(self, form, seed=1):
        """A disk with data, holes and zeroes, made by qemu."""
        raw, path = self.path("raw"), self.path(form)
        chance = random.Random(seed)
        with open(raw, "wb") as f:
            for _ in range(40):
                f.seek(chance.randrange(0, SIZE - 70000) & ~511)
                f.write(chance.randbytes(chance.randrange(1, 128) * 512) if chance.random() < 0.8 else bytes(65536))
            f.truncate(SIZE)
        run("qemu-img", "convert", "-f", "raw", "-O", form, raw, path)
        return path


def create(d, form):
    path = d.path(form)
    d.hull("create", path, "8M", "--format", form)
    told = json.loads(d.judge("info", "-f", form, "--output=json", path, what="qemu-img knows it"))
    d.tap.check(told["virtual-size"] == SIZE, "with the right size")
    info = d.json("info", path, "--format", form).get("images", [{}])[0]
    d.tap.check(info.get("size") == SIZE and info.get("format") == form, "and so does hull disk info", info)
    d.hull("create", path, "8M", "--format", form, code=4, text="E0310")
    d.hull("resize", path, "+4M", "--format", form)
    d.hull("resize", path, "8M", "--format", form, code=7, text="E0350")
    d.hull("resize", path, "-4M", "--format", form, "--shrink")
    told = json.loads(d.judge("info", "-f", form, "--output=json", path, what="resized"))
    d.tap.check(told["virtual-size"] == SIZE, "qemu-img sees 8 MiB again", told)
    run("qemu-io", "-f", form, "-c", "write -P 1 7M 4k", path)
    d.hull("resize", path, "4M", "--shrink", "--format", form, code=7, text="E0350")
    d.hull("resize", path, "4M", "--force", "--format", form)
    d.sound(path, form)


def convert(d, a, b, *more):
    source, target = d.filled(a), d.path(b)
    d.hull("convert", source, target, "--from", a, "--to", b, *more)
    d.same(source, a, target, b, "the same disk as %s and %s %s" % (a, b, " ".join(more)))
    d.sound(target, b)
    d.hull("compare", source, target, "--format", a, "--format2", b, text="hold the same")
    run("qemu-io", "-f", b, "-c", "write -P 7 5M 512", target)
    d.hull("compare", source, target, "--format", a, "--format2", b, code=1, text="E0355")
    d.tap.check(not os.path.exists(target + ".part"), "nothing is left beside it")


def map_of(d, form):
    path = d.filled(form)
    ours, theirs = bytearray(SIZE // 512), bytearray(SIZE // 512)
    for e in d.json("map", path, "--format", form).get("extents", []):
        for i in range(e["offset"] // 512, (e["offset"] + e["length"]) // 512):
            ours[i] = 1 + (e["kind"] in ("data", "compressed"))
    for e in json.loads(d.judge("map", "-f", form, "--output=json", path, what="qemu-img maps it")):
        for i in range(e["start"] // 512, (e["start"] + e["length"]) // 512):
            theirs[i] = 1 + (not e["zero"])
    d.tap.check(ours == theirs, "hull disk map and qemu-img agree on %s" % form)


def chain(d):
    base, top, flat, other = d.filled("qcow2"), d.path("qcow2"), d.path("raw"), d.filled("qcow2", 2)
    d.hull("create", top, "--backing", base, "--backing-format", "qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 3 1M 100k", "-c", "write -z 3M 64k", top)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", top, flat)
    d.hull("rebase", top, "--format", "qcow2", "--backing", other, "--backing-format", "qcow2")
    d.same(top, "qcow2", flat, "raw", "on another backing image it shows the same")
    d.tap.check(os.path.basename(other) in d.judge("info", "-f", "qcow2", top, what="info"), "whose name the header has")
    d.hull("rebase", top, "--format", "qcow2", "--backing", "")
    d.same(top, "qcow2", flat, "raw", "and on none")
    d.hull("commit", top, "--format", "qcow2", code=13, text="E0351")
    d.sound(top, "qcow2")
    over = d.path("qcow2")
    d.hull("create", over, "--backing", base, "--backing-format", "qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 9 2M 300k", "-c", "write -z 0 128k", over)
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", over, flat)
    d.hull("commit", over, "--format", "qcow2")
    d.same(base, "qcow2", flat, "raw", "the backing image has it now")
    d.same(over, "qcow2", flat, "raw", "and the overlay still shows it")
    d.sound(base, "qcow2")
    d.sound(over, "qcow2")


def snapshots(d):
    path, before = d.filled("qcow2"), d.path("raw")
    run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", path, before)
    d.hull("snapshot", path, "create", "one", "--format", "qcow2")
    run("qemu-io", "-f", "qcow2", "-c", "write -P 5 0 1M", path)
    d.tap.check("one" in d.judge("snapshot", "-l", path, what="qemu-img lists it"), "by its name")
    d.hull("snapshot", path, "ls", "--format", "qcow2", text="one")
    d.hull("snapshot", path, "apply", "two", "--format", "qcow2", code=3)
    d.hull("snapshot", path, "apply", "one", "--format", "qcow2")
    d.same(path, "qcow2", before, "raw", "the disk is what it was")
    d.hull("snapshot", path, "rm", "one", "--format", "qcow2")
    run("qemu-img", "snapshot", "-c", "a\033[2Jb", path)
    for words in (("info", path), ("snapshot", path, "ls", "--format", "qcow2"), ("info", path, "--json")):
        d.tap.check("\033" not in d.hull(*words), "what a name would do to the terminal is not done")
    run("qemu-img", "snapshot", "-d", "a\033[2Jb", path)
    d.sound(path, "qcow2")


def damaged_map(d):
    """A table in the middle cannot be read: an error, and no half of a document."""
    path = d.filled("qcow2", 3)
    with open(path, "r+b") as f:
        f.seek(40)
        table = int.from_bytes(f.read(8), "big")
        f.seek(table)
        tables = int.from_bytes(f.read(8), "big") & ((1 << 56) - 512)
        f.seek(tables + 8 * 100)
        f.write((1 << 63 | 512).to_bytes(8, "big"))
    code, out, err = run(vm.HULL, "disk", "map", path, "-f", "qcow2", "--json")
    d.tap.check(code and not out.strip() and "E03" in err, "hull disk map --json of a damaged image says nothing but why", "%s\n%s" % (out, err))


def checks(d):
    path = d.filled("qcow2")
    d.hull("check", path, "--format", "qcow2", text="no damage")
    with open(path, "r+b") as f:
        f.seek(0, 2)
        f.write(bytes(65536))
    run("qemu-io", "-f", "qcow2", "-c", "write 6M 64k", path)
    with open(path, "r+b") as f:  # the refcount of the header's cluster
        f.seek(48)
        table = int.from_bytes(f.read(8), "big")
        f.seek(table)
        block = int.from_bytes(f.read(8), "big")
        f.seek(block)
        f.write(b"\0\0")
    d.hull("check", path, "--format", "qcow2", code=12, text="E0352")
    d.hull("check", path, "--format", "qcow2", "--repair", "all")
    d.sound(path, "qcow2")


def measures(d):
    for more, theirs in (((), ()), (("--cluster", "4K"), ("-o", "cluster_size=4k")),
                         (("--cluster", "2M", "--extended-l2"), ("-o", "cluster_size=2M,extended_l2=on"))):
        for size in ("1M", "10G", "3000G"):
            ours = d.json("measure", "--size", size, *more)
            want = json.loads(d.judge("measure", "--output=json", "-O", "qcow2", "--size", size, *theirs, what="measured"))
            same = (ours.get("required"), ours.get("fully_allocated")) == (want["required"], want["fully-allocated"])
            d.tap.check(same, "qemu-img measures the same for %s %s" % (size, " ".join(more)), "%s %s" % (ours, want))
    path = d.filled("raw")
    ours = d.json("measure", path)
    want = json.loads(d.judge("measure", "--output=json", "-O", "qcow2", "-f", "raw", path, what="measured"))
    d.tap.check(ours.get("required") == want["required"], "and for a disk with data", "%s %s" % (ours, want))
    d.hull("measure", code=2, text="E0007")


def errors(d):
    raw = d.filled("raw")
    for args, code, text in (
            ((), 2, "E0007"), (("crate",), 2, "did you mean"), (("create", "x"), 2, "E0007"),
            (("create", "x", "12Q"), 2, "E0003"), (("create", "x", "1M", "--format", "qcow3"), 13, "E0306"),
            (("create", "x", "1M", "--prealloc", "some"), 2, "E0006"), (("create", "no/x", "1M"), 3, "E0302"),
            (("info", "nothing"), 3, "E0302"), (("check", raw), 13, "E0351"), (("snapshot", raw, "create", "x"), 13, "E0351"),
            (("convert", raw, raw), 4, "E0310"), (("convert", raw, "y", "-j", "99"), 2, "E0005"),
            (("rebase", raw), 2, "E0002"), (("resize", raw, "-9M"), 2, "E0005")):
        d.hull(*args, code=code, text=text)
    d.tap.check(not [n for n in os.listdir(d.folder) if n in ("x", "y") or n.endswith(".part")], "nothing is left behind")


def interrupted(d):
    """Ended in the middle: no new image, no part of one."""
    source, target = d.path("raw"), d.path("raw")
    with open(source, "wb") as f:
        for _ in range(64):
            f.write(random.Random(1).randbytes(1 << 20))
    done = None
    for wait in (0.01, 0.02, 0.05, 0.1):
        process = subprocess.Popen([vm.HULL, "disk", "convert", source, target, "-j", "1"], stderr=subprocess.PIPE)
        time.sleep(wait)
        process.send_signal(signal.SIGINT)
        done = process.communicate()[1].decode()
        if process.returncode == 0:
            os.unlink(target)
        left = [n for n in os.listdir(d.folder) if n.startswith(os.path.basename(target))]
        d.tap.check(not left, "ended after %.2f s: nothing is left" % wait, "%s\n%s" % (left, done))


def parts(d):
    """A part whose maker was killed is taken over; one in use, somebody's file or a link is not."""
    source = d.path("raw")
    with open(source, "wb") as f:
        f.write(random.Random(2).randbytes(1 << 20))
    for form in FORMATS:
        target = d.path(form)
        with open(target + ".part", "wb") as f:
            f.write(b"left" * 1000)
        d.hull("convert", source, target, "--to", form, why="over a part that was left")
        d.same(source, "raw", target, form, "it is the copy")
        d.tap.check(not os.path.exists(target + ".part"), "the part is gone")
    target = d.path("raw")
    with open(target + ".part", "wb") as f:
        fcntl.flock(f, fcntl.LOCK_EX)
        d.hull("convert", source, target, code=4, text="E0310", why="refused while the part is in use")
        d.tap.check(os.path.exists(target + ".part"), "which stays")
    os.unlink(target + ".part")
    for make, what in ((os.symlink, "a link"), (os.link, "another name of a file")):
        make(source, target + ".part")
        d.hull("convert", source, target, code=4, text="E0310", why="refused, the part is " + what)
        d.tap.check(os.path.getsize(source) == 1 << 20 and os.path.lexists(target + ".part"), "and both stay")
        os.unlink(target + ".part")
    both = [subprocess.Popen([vm.HULL, "disk", "convert", source, target], stderr=subprocess.DEVNULL) for _ in range(4)]
    codes = sorted(p.wait() for p in both)
    d.tap.check(codes[0] == 0 and set(codes) <= {0, 4}, "of four into one file one wins", codes)
    d.same(source, "raw", target, "raw", "with the right bytes")


def main():
    vm.need("qemu-img", "qemu-io")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        d = Disks(tap, folder)
        for form in FORMATS:
            create(d, form)
            map_of(d, form)
        for a in FORMATS:
            for b in FORMATS:
                convert(d, a, b)
        convert(d, "raw", "qcow2", "--compress", "--verify")
        convert(d, "raw", "qcow2", "--compress", "--compression", "zstd", "--cluster", "4K")
        convert(d, "qcow2", "qcow2", "--cluster", "2M", "-j", "1")
        chain(d)
        snapshots(d)
        checks(d)
        damaged_map(d)
        measures(d)
        errors(d)
        interrupted(d)
        parts(d)
    return tap.end()


FORMATS = ("raw", "qcow2")

if __name__ == "__main__":
    sys.exit(main())
