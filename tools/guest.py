#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Guests made from Debian packages: a kernel, busybox, firmware, and an initramfs of them.

  guest.py ARCH [--out DIR]         fetch what is missing; print KEY=VALUE lines with paths
  guest.py ARCH initramfs --out FILE [--init FILE] [--module NAME]... [--file SRC:DEST]...
                                    build an initramfs; --module adds to the virtio drivers
                                    a module and what it needs
  guest.py ARCH tools               fetch the programs of TOOLS; print the path of an ext4 image
                                    of them, to be mounted read-only and entered by chroot

ARCH is riscv64, aarch64 or x86_64.  Fetched pieces are kept below $XDG_CACHE_HOME/hull (~/.cache/hull), so only
the first call needs the network; removing that folder fetches them anew.
"""
import argparse
import fcntl
import glob
import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "guestlib"))
import apt  # noqa: E402
import initramfs  # noqa: E402

LAYOUT = 1  # of the cache folder; a change fetches anew
TOOLS = ("curl", "dpkg", "e2fsprogs", "fio", "iperf3", "pciutils")  # a change raises TOOLS_LAYOUT
TOOLS_LAYOUT = 2

GUESTS = {
    "riscv64": {
        "debian": "riscv64", "suite": "trixie",
        "meta": "linux-image-riscv64", "kernel": r"linux-image-[0-9]\S*-riscv64",
        "packages": {"busybox": "busybox-static", "firmware": "opensbi"},
        "firmware": "./usr/lib/riscv64-linux-gnu/opensbi/generic/",
    },
    "aarch64": {
        "debian": "arm64", "suite": "bookworm",
        "meta": "linux-image-cloud-arm64", "kernel": r"linux-image-[0-9]\S*-cloud-arm64",
        "packages": {"busybox": "busybox-static"},
    },
    "x86_64": {
        "debian": "amd64", "suite": "bookworm",
        "meta": "linux-image-cloud-amd64", "kernel": r"linux-image-[0-9]\S*-cloud-amd64",
        "packages": {"busybox": "busybox-static"},
    },
}

# What a guest on virtio needs; those that the kernel has built in cost nothing.  A file system
# is not among them: its megabytes would be unpacked at each start.
DEFAULT_MODULES = ["virtio_mmio", "virtio_blk", "virtio_net", "virtio_console", "virtio_rng"]


MERGED = ("bin", "sbin", "lib", "lib64")  # directories of / that are links into /usr


def cache_folder():
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.path.join(base, "hull")


def unpack(deb, want):
    """Store the members of a package for which `want(name)` gives a path."""
    line = apt.Line("unpacking " + os.path.basename(deb).split("_")[0])
    tool = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=tool.stdout, mode="r|") as tar:
        for member in tar:
            path = want(member.name) if member.isfile() else None
            if path:
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as out:
                    shutil.copyfileobj(tar.extractfile(member), out)
                os.chmod(path, member.mode & 0o755)
    tool.stdout.close()
    if tool.wait():
        raise apt.AptError("%s cannot be unpacked" % os.path.basename(deb))
    line.done()


def kernel_member(out):
    def want(name):
        if name.startswith(("./boot/vmlinux-", "./boot/vmlinuz-")):
            return os.path.join(out, "Image")
        if name.startswith("./boot/config-"):
            return os.path.join(out, "config")
        if "/lib/modules/" in name:
            return os.path.join(out, "modules", name.split("/lib/modules/")[1].split("/", 1)[1])
        return None
    return want


def plain_image(path):
    """Some kernels are stored compressed; guests are given the plain image."""
    with open(path, "rb") as f:
        data = f.read()
    if data[:2] == b"\x1f\x8b":
        with open(path, "wb") as f:
            f.write(gzip.decompress(data))


def fetch(arch, out):
    guest = GUESTS[arch]
    parent = os.path.dirname(out)
    for left in glob.glob(os.path.join(parent, ".fetch-%s-*" % arch)):
        shutil.rmtree(left, ignore_errors=True)  # of a call that was killed; we hold the lock
    with tempfile.TemporaryDirectory(prefix=".fetch-%s-" % arch, dir=parent) as work:
        new = os.path.join(work, "new")
        os.mkdir(new)
        packages = apt.Apt(os.path.join(work, "apt"), guest["suite"], guest["debian"])
        packages.update()
        kernel = packages.resolve(guest["meta"], guest["kernel"])
        unpack(packages.download(kernel), kernel_member(new))
        plain_image(os.path.join(new, "Image"))
        unpack(packages.download(guest["packages"]["busybox"]),
               lambda n: os.path.join(new, "busybox") if n.endswith("/bin/busybox") else None)
        at = guest.get("firmware")
        if at:
            unpack(packages.download(guest["packages"]["firmware"]),
                   lambda n: os.path.join(new, "firmware", n[len(at):]) if n.startswith(at) else None)
        with open(os.path.join(new, "version"), "w", encoding="utf-8") as f:
            f.write(kernel + "\n")
        for needed in ("Image", "config", "busybox", "modules") + (("firmware",) if at else ()):
            if not os.path.exists(os.path.join(new, needed)):
                raise apt.AptError("package %s: no %s in it" % (kernel, needed))
        os.rename(new, out)


def once(out, make):
    """`out`, made by make() if it is not there; other processes wait meanwhile."""
    if not os.path.exists(out):
        os.makedirs(os.path.dirname(out), exist_ok=True)
        with open(out + ".lock", "w", encoding="utf-8") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not os.path.exists(out):
                make()
    return out


def ensure(arch):
    """The folder with the guest's pieces, fetched if it is not there."""
    out = os.path.join(cache_folder(), "%s-%d" % (arch, LAYOUT))
    return once(out, lambda: fetch(arch, out))


def unpack_merged(deb, root):
    """A package below `root`, where /bin, /sbin and /lib are those of /usr."""
    tool = subprocess.Popen(["dpkg-deb", "--fsys-tarfile", deb], stdout=subprocess.PIPE)
    with tarfile.open(fileobj=tool.stdout, mode="r|") as tar:
        for member in tar:
            name = os.path.normpath(member.name)
            if name.split("/")[0] in MERGED:
                name = "usr/" + name
            if name == "." or not (member.isfile() or member.isdir() or member.issym()):
                continue
            path = os.path.join(root, name)
            os.makedirs(path if member.isdir() else os.path.dirname(path), exist_ok=True)
            if member.issym() and not os.path.lexists(path):
                os.symlink(member.linkname, path)
            elif member.isfile():
                with open(path, "wb") as out:
                    shutil.copyfileobj(tar.extractfile(member), out)
                os.chmod(path, member.mode & 0o755)
    tool.stdout.close()
    if tool.wait():
        raise apt.AptError("%s cannot be unpacked" % os.path.basename(deb))


def make_tools(arch, out):
    guest = GUESTS[arch]
    with tempfile.TemporaryDirectory(prefix=".tools-", dir=os.path.dirname(out)) as work:
        root, image = os.path.join(work, "root"), os.path.join(work, "image")
        packages = apt.Apt(os.path.join(work, "apt"), guest["suite"], guest["debian"])
        packages.update()
        for name in MERGED:
            os.makedirs(os.path.join(root, "usr", name))
            os.symlink("usr/" + name, os.path.join(root, name))
        for name in ("dev", "mnt", "proc", "sys", "tmp"):
            os.mkdir(os.path.join(root, name))
        for deb in packages.download_all(TOOLS):
            unpack_merged(deb, root)
        with open(image, "wb") as f:
            f.truncate(768 << 20)
        subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-d", root, image], check=True)
        os.rename(image, out)


def tools(arch):
    """An ext4 image with the programs of TOOLS."""
    out = os.path.join(cache_folder(), "%s-tools-%d.img" % (arch, TOOLS_LAYOUT))
    return once(out, lambda: make_tools(arch, out))


def read(path):
    with open(path, "rb") as f:
        return f.read()


def write_whole(path, data):
    """Nobody ever sees half a file."""
    parent = os.path.dirname(os.path.abspath(path))
    os.makedirs(parent, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=parent, prefix=".new-", delete=False) as f:
        f.write(data)
    os.chmod(f.name, 0o644)
    os.rename(f.name, path)


def make_initramfs(arch, init=None, modules=(), files=()):
    """The bytes of an initramfs for the guest's kernel."""
    pieces = ensure(arch)
    order = initramfs.Modules(os.path.join(pieces, "modules")).order(
        DEFAULT_MODULES + list(modules))
    extra = []
    for item in files:
        source, _, dest = item.partition(":")
        mode = 0o755 if os.access(source, os.X_OK) else 0o644
        extra.append((dest.lstrip("/") or os.path.basename(source), read(source), mode))
    script = read(init or os.path.join(HERE, "guestlib", "init"))
    return initramfs.build(read(os.path.join(pieces, "busybox")), script, order, extra)


def default_initramfs(arch):
    """The path of the initramfs with the standard init, rebuilt when a part of it changed."""
    pieces = ensure(arch)
    path = os.path.join(pieces, "initramfs.gz")
    sources = [os.path.join(HERE, n) for n in ("guest.py", "guestlib/init", "guestlib/initramfs.py")]
    if not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources)):
        write_whole(path, make_initramfs(arch))
    return path


def paths(arch, out):
    pieces = ensure(arch)
    rows = {
        "KERNEL": os.path.join(pieces, "Image"),
        "INITRD": default_initramfs(arch),
        "CONFIG": os.path.join(pieces, "config"),
        "BUSYBOX": os.path.join(pieces, "busybox"),
        "MODULES": os.path.join(pieces, "modules"),
    }
    if "firmware" in GUESTS[arch]:
        rows["FIRMWARE"] = os.path.join(pieces, "firmware", "fw_dynamic.bin")
    if out:
        os.makedirs(out, exist_ok=True)
        for key, name in (("KERNEL", "Image"), ("INITRD", "initramfs.gz")):
            write_whole(os.path.join(out, name), read(rows[key]))
            rows[key] = os.path.join(out, name)
    rows["VERSION"] = read(os.path.join(pieces, "version")).decode().strip()
    return rows


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("arch", choices=sorted(GUESTS))
    parser.add_argument("what", nargs="?", choices=["initramfs", "tools"])
    parser.add_argument("--out")
    parser.add_argument("--init")
    parser.add_argument("--module", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    args = parser.parse_args()
    try:
        if args.what == "initramfs":
            if not args.out:
                parser.error("initramfs needs --out FILE")
            write_whole(args.out, make_initramfs(args.arch, args.init, args.module, args.file))
            print("INITRD=" + args.out)
        elif args.what == "tools":
            print("TOOLS=" + tools(args.arch))
        else:
            for key, value in paths(args.arch, args.out).items():
                print("%s=%s" % (key, value))
    except (apt.AptError, initramfs.ModuleError, OSError) as e:
        sys.exit("guest.py: %s" % e)
    except KeyboardInterrupt:
        sys.exit("guest.py: interrupted; nothing half-done is left")


if __name__ == "__main__":
    main()
