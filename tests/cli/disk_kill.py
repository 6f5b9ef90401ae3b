#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""kill -9 of hull at random points of what writes images; qemu-img judges what is left.

A life is an overlay on a base.  Each of its steps is begun, killed after a random time, and judged:
both images are sound, and the disk shows what every acknowledged flush and every command that ended
well have promised, or what the killed command was to make of it.  What is found is the next step's
truth.  HULL_KILL_RUNS: how many steps; HULL_KILL_SEED: which ones.
"""
# timeout: 3000
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

HULL = os.environ.get("HULL_FAST") or vm.HULL
SIZE = 16 << 20
BLOCK = 4096
GROUP = 8
LIFE = 8  # steps of a life
RUNS = int(os.environ.get("HULL_KILL_RUNS") or 48)
SEED = int(os.environ.get("HULL_KILL_SEED") or time.time_ns() // 1000000)
TOOK_S = {}  # what a command takes when it is not killed
KILLED = []


def run(*command):
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")


class Wrong(Exception):
    pass


class Nbd:
    """As much of an NBD client as writes and flushes need."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(path)
        self.get(18)
        self.socket.sendall(struct.pack(">IQII", 3, 0x49484156454F5054, 1, 0))  # no zeroes; EXPORT_NAME
        self.size, _ = struct.unpack(">QH", self.get(10))

    def get(self, n):
        data = b""
        while len(data) < n:
            more = self.socket.recv(n - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data

    def put(self, kind, handle, at=0, data=b""):
        length = len(data) if kind == 1 else 0
        self.socket.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, handle, at, length) + data)

    def answered(self, count):
        for _ in range(count):
            magic, error, _ = struct.unpack(">IIQ", self.get(16))
            if magic != 0x67446698 or error:
                raise Wrong("the server answers %x, error %d" % (magic, error))


class Life:
    def __init__(self, folder, chance):
        self.folder, self.chance = folder, chance
        self.base, self.top = folder + "/base.qcow2", folder + "/top.qcow2"
        content = bytearray(SIZE)
        for _ in range(24):
            at = chance.randrange(0, SIZE - 300000) & ~511
            n = chance.randrange(1, 512) * 512
            content[at:at + n] = chance.randbytes(n)
        raw = self.file("raw", content)
        self.must("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, self.base)
        cluster = chance.choice(("4k", "64k"))
        self.must("qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=" + cluster, "-b", self.base, "-F", "qcow2", self.top)
        self.now = bytes(content)
        self.snapshots = {}  # name: content
        self.named = 0

    def must(self, *command, codes=(0,)):
        code, text = run(*command)
        if code not in codes:
            raise Wrong("%s: exit code %d\n%s" % (" ".join(command), code, text))

    def file(self, name, content):
        path = self.folder + "/" + name
        with open(path, "wb") as f:
            f.write(content)
        return path

    def read(self, path=None, form="qcow2", snapshot=None):
        target = self.folder + "/read.raw"
        what = ["-l", "snapshot.name=" + snapshot] if snapshot else []
        self.must("qemu-img", "convert", "-f", form, "-O", "raw", *what, path or self.top, target)
        with open(target, "rb") as f:
            return f.read()

    def sound(self):
        """Leaked clusters (3) are no damage; anything else is, unless the dirty bit tells who opens the image."""
        for path in (self.base, self.top):
            with open(path, "rb") as f:
                dirty = f.read(80)[79] & 1
            if dirty and self.chance.random() < 0.5:
                self.must("qemu-io", "-f", "qcow2", "-c", "flush", path)
            elif dirty:
                self.must(HULL, "disk", "check", path, "-f", "qcow2", "--repair", "all")
            self.must("qemu-img", "check", "-q", "-f", "qcow2", path, codes=(0, 3))
        if self.read() != self.now:
            raise Wrong("the repair changed the disk")

    def names(self):
        code, text = run("qemu-img", "snapshot", "-l", self.top)
        if code:
            raise Wrong(text)
        return [line.split()[1] for line in text.splitlines()[2:]]

    def hull(self, *args, spared=False):
        """Run and kill; whether it had ended well before that."""
        kind = " ".join(args[:3:2]) if args[0] == "snapshot" else args[0]
        process = subprocess.Popen([HULL, "disk", *args], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        begun = time.monotonic()
        try:
            process.wait(60 if spared or kind not in TOOK_S else TOOK_S[kind] * self.chance.uniform(0, 1.2))
        except subprocess.TimeoutExpired:
            process.kill()
            KILLED.append(kind)
        err = process.communicate()[1].decode("utf-8", "replace")
        if process.returncode not in (0, -9):
            raise Wrong("hull disk %s: exit code %d\n%s" % (" ".join(args), process.returncode, err))
        if process.returncode == 0:
            TOOK_S[kind] = (time.monotonic() - begun + TOOK_S.get(kind, time.monotonic() - begun)) / 2
        return process.returncode == 0

    def same(self, *allowed, what):
        have = self.read()
        if have not in allowed:
            wrong = [next((i for i in range(min(len(have), len(a))) if have[i] != a[i]), -1) for a in allowed]
            raise Wrong("%s: the disk shows something else from byte %s on, sizes %d, %s"
                        % (what, wrong, len(have), [len(a) for a in allowed]))
        self.now = have

    def kept(self):
        for name, content in self.snapshots.items():
            if self.read(snapshot=name) != content:
                raise Wrong("the snapshot %s shows something else" % name)

    # The steps.

    def create(self):
        if len(self.snapshots) == 3:
            return self.remove()
        self.named += 1
        name = "s%d" % self.named
        # The other steps need some to be there.
        done = self.hull("snapshot", self.top, "create", name, "-f", "qcow2", spared=self.chance.random() < 0.6)
        if name in self.names():
            self.snapshots[name] = self.now
        elif done:
            raise Wrong("a snapshot was made and is not there")
        return self.same(self.now, what="snapshot create")

    def remove(self):
        if not self.snapshots:
            return self.create()
        name = self.chance.choice(sorted(self.snapshots))
        done = self.hull("snapshot", self.top, "rm", name, "-f", "qcow2")
        if name not in self.names():
            del self.snapshots[name]
        elif done:
            raise Wrong("a removed snapshot is there")
        return self.same(self.now, what="snapshot rm")

    def apply(self):
        if not self.snapshots:
            return self.create()
        name = self.chance.choice(sorted(self.snapshots))
        done = self.hull("snapshot", self.top, "apply", name, "-f", "qcow2")
        return self.same(self.snapshots[name], *([] if done else [self.now]), what="snapshot apply")

    def commit(self):
        if self.snapshots or len(self.now) != SIZE:
            return self.write()  # what a snapshot shows through the backing image would change with that
        done = self.hull("commit", self.top, "-f", "qcow2")
        self.same(self.now, what="commit")
        if done and self.read(self.base) != self.now:
            raise Wrong("the base lacks what was committed")
        return None

    def rebase(self):
        """Onto an empty image, so that everything moves up."""
        if self.snapshots:
            return self.write()
        self.named += 1
        below = "%s/below%d.qcow2" % (self.folder, self.named)
        self.must("qemu-img", "create", "-q", "-f", "qcow2", below, str(SIZE))
        if self.hull("rebase", self.top, "-f", "qcow2", "--backing", below, "--backing-format", "qcow2"):
            self.base = below
        else:
            code, text = run("qemu-img", "info", "-f", "qcow2", self.top)
            if code == 0 and below in text:
                self.base = below
        return self.same(self.now, what="rebase")

    def resize(self):
        if self.snapshots:
            return self.write()
        old = self.now
        size = SIZE if len(old) != SIZE else SIZE + (self.chance.choice((1, 8)) << 20)
        new = (old + bytes(max(0, size - len(old))))[:size]
        force = ["--force"] if size < len(old) else []
        done = self.hull("resize", self.top, str(size), "-f", "qcow2", *force)
        return self.same(new, *([] if done else [old]), what="resize")

    def convert(self):
        form = self.chance.choice(("raw", "qcow2"))
        target = self.folder + "/copy"
        args = ("convert", self.top, target, "-f", "qcow2", "-t", form)
        done = self.hull(*args)
        if os.path.exists(target):
            if self.read(target, form) != self.now:
                raise Wrong("a copy got its name and is not whole")
            os.unlink(target)
        elif done:
            raise Wrong("a copy was made and is not there")
        code, text = run(HULL, "disk", *args)
        left = [n for n in os.listdir(self.folder) if n.startswith("copy")]
        if code or left != ["copy"]:
            raise Wrong("convert after a killed one: %s left, exit code %d\n%s" % (left, code, text))
        if self.read(target, form) != self.now:
            raise Wrong("the copy after a killed one differs")
        os.unlink(target)
        return self.same(self.now, what="convert")

    def write(self):
        """Through `hull disk serve`: groups of writes at a time, a flush after some of them."""
        path = self.folder + "/socket"
        server = subprocess.Popen([HULL, "disk", "serve", self.top, "--nbd", "unix:" + path, "-f", "qcow2"],
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        try:
            server.stdout.readline()
            client = Nbd(path)
            timer = threading.Timer(self.chance.uniform(0.001, 0.06), server.kill)
            timer.start()
            stable, later = self.write_until_killed(client)
            timer.join()
        finally:
            server.kill()
            err = server.communicate()[1].decode("utf-8", "replace")
        KILLED.append("write")
        if server.returncode != -9:
            raise Wrong("hull disk serve: exit code %s\n%s" % (server.returncode, err))
        have = self.read()
        for at in range(0, len(have), BLOCK):
            block = have[at:at + BLOCK]
            if block != stable[at:at + BLOCK] and block not in later.get(at, ()):
                raise Wrong("byte %d: what a flush had made stable is lost" % at)
        self.now = have

    def write_until_killed(self, client):
        stable, new, later = bytearray(self.now), bytearray(self.now), {}
        try:
            while True:
                spots = self.chance.sample(range(0, len(new) // BLOCK), GROUP)
                for i, spot in enumerate(spots):
                    data, at = self.chance.randbytes(BLOCK), spot * BLOCK
                    new[at:at + BLOCK] = data
                    later.setdefault(at, []).append(data)
                    client.put(1, i, at, data)
                client.answered(GROUP)
                if self.chance.random() < 0.4:
                    client.put(3, 99)
                    client.answered(1)
                    for at in later:
                        stable[at:at + BLOCK] = new[at:at + BLOCK]
                    later = {}
        except OSError:
            return bytes(stable), later


STEPS = (Life.write, Life.write, Life.create, Life.apply, Life.remove, Life.commit, Life.rebase, Life.resize, Life.convert)


def main():
    vm.need("qemu-img", "qemu-io")
    tap = vm.Tap()
    chance = random.Random(SEED)
    print("# HULL_KILL_SEED=%d HULL_KILL_RUNS=%d" % (SEED, RUNS), flush=True)
    done = {}
    for number in range(0, RUNS, LIFE):
        story = []
        with tempfile.TemporaryDirectory() as folder:
            life = Life(folder, chance)
            try:
                for _ in range(min(LIFE, RUNS - number)):
                    step = chance.choice(STEPS)
                    story.append(step.__name__)
                    done[step.__name__] = done.get(step.__name__, 0) + 1
                    step(life)
                    life.sound()
                    life.kept()
                good, why = True, ""
            except Wrong as e:
                good, why = False, str(e)
                if os.environ.get("HULL_KEEP"):
                    shutil.copytree(folder, os.environ["HULL_KEEP"], dirs_exist_ok=True)
            tap.check(good, "life %d: %s" % (number // LIFE + 1, ", ".join(story)), why)
    for name, count in sorted(done.items()):
        print("# %s: %d times" % (name, count))
    print("# killed before the end: %s" % ", ".join("%s %d" % (k, KILLED.count(k)) for k in sorted(set(KILLED))))
    tap.check(len(KILLED) > RUNS // 8, "many of them were killed in the middle", KILLED)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
