#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guest building without the network: apt sources, module order, the archive's format."""
import gzip
import lzma
import os
import subprocess
import sys
import tempfile
import unittest

import guest
from guest import apt, initramfs

SOURCES = """# a comment
Types: deb deb-src
URIs: http://one.example/debian
Suites: bookworm bookworm-updates
# another comment
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""
LIST = """# deb http://no.example/debian bookworm main
deb [arch=amd64 signed-by=/k] http://two.example/debian bookworm main contrib # text
deb-src http://source.example/debian bookworm main
"""


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)


class Sources(unittest.TestCase):
    def test_both_formats(self):
        with tempfile.TemporaryDirectory() as top:
            write(top + "/sources.list", LIST)
            write(top + "/sources.list.d/debian.sources", SOURCES)
            self.assertEqual(list(apt.source_entries(top)), [
                ("http://two.example/debian", "bookworm", ["main", "contrib"]),
                ("http://one.example/debian", "bookworm", ["main", "contrib"]),
                ("http://one.example/debian", "bookworm-updates", ["main", "contrib"])])


class Order(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.TemporaryDirectory()
        self.addCleanup(self.top.cleanup)

    def module(self, path, *pairs):
        """A module with this .modinfo, compressed as Debian's are."""
        text = "".join('"%s\\0"' % pair for pair in pairs)
        write(self.top.name + "/m.c",
              'const char i[] __attribute__((section(".modinfo"))) = %s;\n' % (text or '""'))
        out = self.top.name + "/m.o"
        subprocess.run(["gcc", "-c", "-o", out, self.top.name + "/m.c"], check=True)
        full = "%s/modules/%s.ko.xz" % (self.top.name, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(out, "rb") as f, lzma.open(full, "wb") as g:
            g.write(f.read())

    def order(self, *wanted):
        modules = initramfs.Modules(self.top.name + "/modules")
        return [name for name, _ in modules.order(wanted)]

    def test_dependencies_come_first(self):
        self.module("fs/ext", "depends=b-uf,sums", "softdep=pre: crypto-sum absent post: after")
        self.module("fs/b-uf", "depends=")
        self.module("lib/sums", "depends=b-uf")
        self.module("crypto/sum_generic", "alias=crypto-sum")
        self.assertEqual(self.order("ext"), ["b_uf", "sums", "sum_generic", "ext"])

    def test_built_in_and_unknown(self):
        self.module("one", "depends=inside")
        write(self.top.name + "/modules/modules.builtin", "kernel/x/in-side.ko\nkernel/inside.ko\n")
        self.assertEqual(self.order("one", "in_side"), ["one"])
        with self.assertRaises(initramfs.ModuleError):
            self.order("two")

    def test_a_circle_ends(self):
        self.module("one", "softdep=pre: two")
        self.module("two", "softdep=pre: one")
        self.assertEqual(sorted(self.order("one")), ["one", "two"])


class Archive(unittest.TestCase):
    def entries(self, data):
        at = 0
        while True:
            head = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
            self.assertEqual((data[at : at + 6], at % 4), (b"070701", 0))
            name = data[at + 110 : at + 110 + head[11] - 1].decode()
            body = at + (110 + head[11] + 3) // 4 * 4
            if name == "TRAILER!!!":
                return
            yield name, head[1], data[body : body + head[6]], (head[9], head[10])
            at = (body + head[6] + 3) // 4 * 4

    def test_content(self):
        def make():
            return initramfs.build(b"box", b"#!", [("a", b"12345"), ("b", b"")], [("etc/x", b"y", 0o600)])

        found = {e[0]: e[1:] for e in self.entries(gzip.decompress(make()))}
        self.assertEqual(make(), make())
        self.assertEqual(found["dev/console"], (0o020600, b"", (5, 1)))
        self.assertEqual(found["init"], (0o100755, b"#!", (0, 0)))
        self.assertEqual(found["bin/sh"], (0o120777, b"busybox", (0, 0)))
        self.assertEqual(found["lib/modules/order"][1], b"/lib/modules/a.ko\n/lib/modules/b.ko\n")
        self.assertEqual(found["lib/modules/a.ko"][1], b"12345")
        self.assertEqual(found["etc/x"], (0o100600, b"y", (0, 0)))

    def test_files_appear_whole(self):
        with tempfile.TemporaryDirectory() as top:
            guest.write_whole(top + "/new/x", b"1")
            guest.write_whole(top + "/new/x", b"2")
            self.assertEqual((guest.read(top + "/new/x"), os.listdir(top + "/new")), (b"2", ["x"]))


if __name__ == "__main__":
    sys.exit(not unittest.main(exit=False).result.wasSuccessful())
