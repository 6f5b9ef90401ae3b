#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""NBD with peers that are not ours: qemu-io and nbdinfo as clients, qemu-nbd as a server."""
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

SIZE = 8 << 20


class Server:
    """`hull disk serve`, until it is told to end."""

    def __init__(self, *args):
        self.process = subprocess.Popen([vm.HULL, "disk", "serve", *args], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.uri = self.process.stdout.readline().decode().strip()

    def end(self):
        self.process.terminate()
        _, err = self.process.communicate(timeout=30)
        return self.process.returncode, err.decode()


def run(*command, seconds=60):
    done = subprocess.run(command, capture_output=True, timeout=seconds, check=False)
    return done.returncode, done.stdout.decode() + done.stderr.decode()


def digest(path):
    with open(path, "rb") as f:
        return hashlib.sha256(f.read()).hexdigest()


def make(path):
    with open(path, "wb") as f:
        f.write(random.Random(1).randbytes(SIZE // 2))
        f.truncate(SIZE)


def clients(tap, folder, address, path):
    """Other people's clients at our server."""
    server = Server(path, "--nbd", address, "--name", "a disk")
    tap.check(server.uri.startswith("nbd"), "the server says where it is", server.uri)
    code, text = run("nbdinfo", "--json", server.uri)
    export = json.loads(text)["exports"][0] if code == 0 else {}
    tap.check(export.get("export-size") == SIZE and export.get("is_read_only") is False,
              "nbdinfo understands the export", text)
    code, text = run("nbdinfo", "--map", "--json", server.uri)
    kinds = [part["type"] for part in json.loads(text)] if code == 0 else []
    tap.check(kinds[:1] == [0] and kinds[-1:] == [3], "nbdinfo sees data and a hole", text)
    code, text = run("qemu-io", "-f", "raw", "-c", "write -P 7 4k 64k", "-c", "write -z 128k 4k", "-c", "discard 1M 1M",
                     "-c", "flush", "-c", "read -P 7 4k 64k", "-c", "read -P 0 128k 4k", server.uri)
    tap.check(code == 0 and "failed" not in text, "qemu-io writes, zeroes, discards and reads", text)
    copy = os.path.join(folder, "copy")
    code, text = run("nbdcopy", server.uri, copy)
    tap.check(code == 0 and digest(copy) == digest(path), "nbdcopy, with many requests at once, gets the same bytes", text)
    code, text = run("nbdinfo", server.uri.replace("a%20disk", "another"))
    tap.check(code != 0, "an export that is not there is refused", text)
    tap.check(server.end()[0] == 0, "the server ends when it is told to")


def through(tap, folder, path):
    """qemu-io, our server, our client, qemu-nbd, a qcow2 file: both of ours in one chain."""
    qcow2, far, near = (os.path.join(folder, name) for name in ("d.qcow2", "far", "near"))
    run("qemu-img", "convert", "-O", "qcow2", path, qcow2)
    peer = subprocess.Popen(["qemu-nbd", "-k", far, "-x", "q", "-f", "qcow2", "--persistent", qcow2])
    try:
        for _ in range(100):
            if os.path.exists(far):
                break
            peer.poll()
            subprocess.run(["sleep", "0.1"], check=True)
        server = Server("nbd+unix:///q?socket=" + far, "--nbd", "unix:" + near)
        code, text = run("qemu-img", "compare", "-f", "raw", "-F", "raw", path, server.uri)
        tap.check(code == 0, "a disk behind qemu-nbd reads the same through Hull", text)
        code, text = run("qemu-io", "-f", "raw", "-c", "write -P 9 0 3M", "-c", "write -z -u 1M 64k", "-c", "discard 6M 64k",
                         "-c", "flush", "-c", "read -P 9 2M 1M", "-c", "read -P 0 1M 64k", server.uri)
        tap.check(code == 0 and "failed" not in text, "and is written", text)
        code, text = server.end()
        tap.check(code == 0, "the server ends", text)
    finally:
        peer.terminate()
        peer.wait()
    code, text = run("qemu-io", "-f", "qcow2", "-c", "read -P 9 2M 1M", "-c", "read -P 0 1M 64k", qcow2)
    tap.check(code == 0 and "failed" not in text, "what was written is in qemu-nbd's file", text)
    tap.check(run("qemu-img", "check", qcow2)[0] == 0, "which is sound")


def errors(tap, folder, path):
    for args, number, exit_code in (
            ((path,), "E0002", 2),
            ((path, "--nbd", "nowhere"), "E0510", 2),
            ((path, "--nbd", "unix:" + folder), "E0512", 4),
            ((path, "--nbd", "unix:/x", "--formt", "raw"), "E0001", 2),
            (("nbd://127.0.0.1:1/x", "--nbd", "unix:" + folder + "/s"), "E0511", 10),
            (("nbd://nowhere", "--nbd", "unix:" + folder + "/s", "--read-only", "x"), "E0007", 2),
            (("nbd+unix:///x", "--nbd", "unix:" + folder + "/s"), "E0340", 2)):
        code, text = run(vm.HULL, "disk", "serve", *args)
        tap.check(code == exit_code and number in text, "%s: %s" % (number, " ".join(args).replace(folder, "")), text)
    server = Server(path, "--nbd", "tcp:127.0.0.1:0", "--read-only")
    code, text = run("qemu-io", "-f", "raw", "-c", "write 0 512", server.uri)
    tap.check(code != 0, "a read-only export cannot be written", text)
    server.end()
    once = Server(path, "--nbd", "tcp:127.0.0.1:0", "--once")
    run("qemu-io", "-r", "-f", "raw", "-c", "read 0 512", once.uri)
    tap.check(once.process.wait(timeout=30) == 0, "--once ends with its client")


def main():
    vm.need("qemu-io", "qemu-nbd", "nbdinfo", "nbdcopy")
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "disk")
        make(path)
        clients(tap, folder, "unix:" + os.path.join(folder, "socket"), path)
        clients(tap, folder, "tcp:127.0.0.1:0", path)
        through(tap, folder, path)
        errors(tap, folder, path)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
