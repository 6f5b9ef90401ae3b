# SPDX-License-Identifier: MIT OR Apache-2.0
"""An initramfs from busybox, an init script and kernel modules in loading order."""
import gzip
import lzma
import os
import stat
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import elf  # noqa: E402


class ModuleError(Exception):
    """A failure with a text for the user."""


def canonical(name):
    return name.replace("-", "_")


class Modules:
    """The kernel modules below a folder; no modules.dep is needed."""

    def __init__(self, folder):
        self.files, self.builtin = {}, set()
        for where, folders, files in os.walk(folder):
            folders.sort()
            for name in files:
                path = os.path.join(where, name)
                if name == "modules.builtin":
                    with open(path, encoding="utf-8") as f:
                        self.builtin = {canonical(os.path.basename(line.strip())[:-3]) for line in f}
                elif ".ko" in name:
                    self.files[canonical(name.split(".ko")[0])] = path

    def read(self, name):
        with open(self.files[name], "rb") as f:
            data = f.read()
        if self.files[name].endswith(".xz"):
            return lzma.decompress(data)
        if self.files[name].endswith(".gz"):
            return gzip.decompress(data)
        return data

    def provider(self, alias):
        """The module that a soft dependency names by an alias of the crypto layer, or None."""
        for name, path in sorted(self.files.items()):
            if "/crypto/" in path and ("alias", alias) in elf.modinfo(self.read(name)):
                return name
        return None

    def order(self, wanted):
        """(name, bytes) of the wanted modules and what they need, what is needed first."""
        loaded, begun = {}, set()

        def visit(name, required):
            alias, name = name, canonical(name)
            if name not in self.files and name not in self.builtin and not required:
                name = self.provider(alias)
            if name is None or name in begun or name in self.builtin:
                return
            begun.add(name)
            if name not in self.files:
                raise ModuleError("the kernel has no module %s" % name)
            data = self.read(name)
            info = elf.modinfo(data)
            for key, value in info:
                if key == "depends":
                    for other in filter(None, value.split(",")):
                        visit(other, True)
                elif key == "softdep" and value.startswith("pre:"):
                    for other in value[4:].split("post:")[0].split():
                        visit(other, False)
            loaded[name] = data

        for name in wanted:
            visit(name, True)
        return list(loaded.items())


class Cpio:
    """A newc archive in memory; the same input gives the same bytes."""

    def __init__(self):
        self.parts, self.number = [], 0

    def add(self, path, mode, data=b"", device=(0, 0)):
        self.number += 1
        name = path.encode() + b"\0"
        head = (self.number, mode, 0, 0, 1, 0, len(data), 0, 0, device[0], device[1], len(name), 0)
        entry = b"070701" + b"".join(b"%08x" % field for field in head) + name
        entry += b"\0" * (-len(entry) % 4)
        self.parts.append(entry + data + b"\0" * (-len(data) % 4))

    def folder(self, path):
        self.add(path, stat.S_IFDIR | 0o755)

    def file(self, path, data, mode=0o644):
        self.add(path, stat.S_IFREG | mode, data)

    def finish(self, packed=True):
        self.add("TRAILER!!!", 0)
        data = b"".join(self.parts)
        return gzip.compress(data, 6, mtime=0) if packed else data


def build(busybox, init, modules, files=(), packed=True):
    """The archive's bytes; `modules` as Modules.order() gives, `files` as (path, data, mode).

    A folder is a file whose data are None."""
    cpio = Cpio()
    for path in ("bin", "dev", "etc", "lib", "mnt", "proc", "root", "run", "sys", "tmp"):
        cpio.folder(path)
    # The kernel opens these for init before anything is mounted.
    cpio.add("dev/console", stat.S_IFCHR | 0o600, device=(5, 1))
    cpio.add("dev/null", stat.S_IFCHR | 0o666, device=(1, 3))
    cpio.file("bin/busybox", busybox, 0o755)
    cpio.add("bin/sh", stat.S_IFLNK | 0o777, b"busybox")
    cpio.file("init", init, 0o755)
    cpio.folder("lib/modules")
    for name, data in modules:
        cpio.file("lib/modules/%s.ko" % name, data)
    order = "".join("/lib/modules/%s.ko\n" % name for name, _ in modules)
    cpio.file("lib/modules/order", order.encode())
    for path, data, mode in files:
        if data is None:
            cpio.folder(path)
        else:
            cpio.file(path, data, mode)
    return cpio.finish(packed)
