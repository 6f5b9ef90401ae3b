#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Run hull on a whole KVM host inside an emulator: KVM as hardware gives it, without the hardware.

  nested.py ARCH [OPTION]... -- COMMAND...

COMMAND is given to a shell (busybox) of a Debian kernel with KVM that runs in QEMU without any
acceleration.  `hull` is in its PATH; a guest for it is there as /guest/Image and
/guest/initramfs.gz (tools/guestlib/init obeys hull.run=).  Output lines are stamped with
seconds; the exit code is the command's, 124 when time ran out, 125 when the host broke.

  --hull PROGRAM    default: $HULL_ARCH, or that of build/ or build-ARCH/
  --cpu MODEL       another model than the default of MODELS
  --machine WORDS   another -M than the default of MODELS
  --smp N           processors of the host (1)
  --memory MIB      of the host (1536)
  --append WORDS    more for the host kernel's command line
  --module NAME     one more kernel module for the host, with what it needs
  --file SRC:DEST   one more file
  --until REGEX     success ends with a line that matches
  --timeout S       (120)
  --raw             no stamps

A script imports it: nested.Host("x86_64").run("hull version") gives a Result.
"""
import argparse
import collections
import os
import re
import select
import shlex
import subprocess
import sys
import time

import cross
import elf
import guest

initramfs = guest.initramfs
LAYOUT = 1  # of the kept archive; a change makes it anew
TIMED_OUT, BROKEN = 124, 125

Model = collections.namedtuple("Model", "emulator package machine cpu append modules")
MODELS = {
    # SVM without next-RIP save and decode assists, as the plainest hardware; qemu64 has no XSAVE, which
    # hull needs.  On a busy machine the emulated timers are too late for the kernel's checks of them.
    "x86_64": Model("qemu-system-x86_64", "qemu-system-x86", "q35", "max",
                    "console=ttyS0 no_timer_check tsc=reliable", ["kvm_amd"]),
    "aarch64": Model("qemu-system-aarch64", "qemu-system-arm",
                     "virt,virtualization=on,gic-version=3", "cortex-a72", "console=ttyAMA0", []),
    # QEMU before 10 hangs with AIA and with two processors.
    "riscv64": Model("qemu-system-riscv64", "qemu-system-misc", "virt", "rv64,h=true",
                     "console=ttyS0", ["kvm"]),
}
# Of this machine, and of Debian's cross compilers.
LIBRARIES = {arch: [form.format(arch) for form in ("/usr/{}-linux-gnu/lib", "/lib/{}-linux-gnu",
                                                   "/usr/lib/{}-linux-gnu")] for arch in MODELS}

# status: of the command.  lines: (seconds, text) of all output.  stopped: by `until`.
Result = collections.namedtuple("Result", "status lines stopped seconds")


class NestedError(Exception):
    """A failure with a text for the user."""


def text_of(result):
    """What the command printed."""
    return "\n".join(text for _, text in result.lines)


def find_hull(arch):
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    named = os.environ.get("HULL_" + arch.upper())
    native = [os.path.join(root, "build", "hull")] if arch == os.uname().machine else []
    for path in [named] if named else native + [os.path.join(root, "build-" + arch, "hull")]:
        if os.access(path, os.X_OK):
            return path
    raise NestedError("hull is not built for %s: ./do test nested builds it" % arch)


def shared(path, folders):
    """{path in the host: data} of the interpreter and the libraries that a program needs."""
    found, queue = {}, [path]
    while queue:
        interpreter, needed = elf.dynamic(guest.read(queue.pop()))
        for name in needed + ([interpreter] if interpreter else []):
            where = name if "/" in name else "/usr/lib/" + name
            if where in found:
                continue
            for folder in folders:
                file = os.path.join(folder, os.path.basename(name))
                if os.path.exists(file):
                    found[where] = guest.read(file)
                    queue.append(file)
                    break
            else:
                raise NestedError("%s needs %s, which is in none of %s" % (path, name, " ".join(folders)))
    return found


def needs(program, arch):
    """What a program that is not hull needs in the host, as shared() gives it."""
    folders = list(LIBRARIES[arch])
    if arch != os.uname().machine:
        folders.append(os.path.join(cross.ensure(arch), "usr/lib/%s-linux-gnu" % arch))
    return shared(program, folders)


def kept_archive(arch, modules):
    """The part of the initramfs that is the same for every run; the path of an archive."""
    pieces = guest.ensure(arch)
    inner = guest.default_initramfs(arch)
    init = os.path.join(guest.HERE, "guestlib", "nested-init")
    sources = [__file__, init, inner] + [os.path.join(guest.HERE, "guestlib", "initramfs.py")]
    path = os.path.join(pieces, "-".join(["nested", str(LAYOUT), *modules]) + ".cpio")
    if not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources)):
        order = initramfs.Modules(os.path.join(pieces, "modules")).order(modules)
        files = [("guest", None, 0), ("nested", None, 0),
                 ("guest/Image", guest.read(os.path.join(pieces, "Image")), 0o644),
                 ("guest/initramfs.gz", guest.read(inner), 0o644)]
        guest.write_whole(path, initramfs.build(guest.read(os.path.join(pieces, "busybox")),
                                                guest.read(init), order, files, packed=False))
    return path


class Host:
    """An emulated machine whose kernel has KVM."""

    def __init__(self, arch, hull=None, cpu=None, machine=None, smp=1, memory=1536, append="",
                 modules=(), files=()):
        """`files` are "SOURCE:DESTINATION", or (destination, bytes, mode)."""
        self.model = MODELS[arch]
        self.arch, self.hull = arch, hull or find_hull(arch)
        self.cpu, self.machine = cpu or self.model.cpu, machine or self.model.machine
        self.smp, self.memory, self.append = smp, memory, append
        self.modules = self.model.modules + list(modules)
        self.files = [f if isinstance(f, tuple) else self.file(f) for f in files]

    @staticmethod
    def file(item):
        source, _, dest = item.partition(":")
        return dest or "/" + os.path.basename(source), guest.read(source), 0o755

    def archive(self, script):
        """The path of this run's initramfs; the caller removes it."""
        files = [("/usr/bin/hull", guest.read(self.hull), 0o755), ("/nested/run", script.encode(), 0o644)]
        files += [(path, data, 0o755)
                  for path, data in sorted(shared(self.hull, LIBRARIES[self.arch]).items())]
        folders, cpio = set(), initramfs.Cpio()
        for path, data, mode in files + self.files:
            parts = path.strip("/").split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    cpio.folder(folder)
            cpio.file("/".join(parts), data, mode)
        path = os.path.join(os.environ.get("TMPDIR", "/tmp"), "nested-%d-%x.cpio" % (os.getpid(), id(cpio)))
        kept = guest.read(kept_archive(self.arch, self.modules))
        guest.write_whole(path, kept + b"\0" * (-len(kept) % 512) + cpio.finish(packed=False))
        return path

    def command(self, initrd):
        pieces = guest.ensure(self.arch)
        append = "%s quiet mitigations=off panic=-1 %s" % (self.model.append, self.append)
        return [self.model.emulator, "-accel", "tcg", "-M", self.machine, "-cpu", self.cpu,
                "-smp", str(self.smp), "-m", str(self.memory), "-nic", "none", "-nographic", "-no-reboot",
                "-kernel", os.path.join(pieces, "Image"), "-initrd", initrd, "-append", append]

    def run(self, script, until=None, timeout=120, show=None):
        """Run a shell script; `show` is called with each (seconds, line) as it comes."""
        initrd = self.archive(script)
        start = time.monotonic()
        try:
            process = subprocess.Popen(self.command(initrd), stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        except FileNotFoundError as e:
            os.unlink(initrd)
            raise NestedError("%s is not installed: package %s"
                              % (self.model.emulator, self.model.package)) from e
        try:
            return self.follow(process, until, start, timeout, show)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            os.unlink(initrd)

    @staticmethod
    def follow(process, until, start, timeout, show):
        lines, rest = [], b""
        os.set_blocking(process.stdout.fileno(), False)
        while time.monotonic() - start < timeout:
            if not select.select([process.stdout], [], [], 0.2)[0]:
                continue
            data = process.stdout.read()
            *whole, rest = (rest + (data or b"")).split(b"\n")
            for line in whole + ([rest] if not data and rest else []):
                seconds = time.monotonic() - start
                text = line.decode("utf-8", "replace").replace("\r", "")
                ended = re.match(r"nested: exit (\d+)$", text)
                if ended:
                    return Result(int(ended[1]), lines, False, seconds)
                lines.append((seconds, text))
                if show:
                    show(seconds, text)
                if until and re.search(until, text):
                    return Result(0, lines, True, seconds)
            if not data:
                return Result(BROKEN, lines, False, time.monotonic() - start)
        if rest:
            lines.append((time.monotonic() - start, rest.decode("utf-8", "replace")))
        return Result(TIMED_OUT, lines, False, time.monotonic() - start)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("arch", choices=sorted(MODELS))
    for name in ("hull", "cpu", "machine", "until"):
        parser.add_argument("--" + name)
    parser.add_argument("--append", default="")
    parser.add_argument("--smp", type=int, default=1)
    parser.add_argument("--memory", type=int, default=1536)
    parser.add_argument("--timeout", type=float, default=120)
    parser.add_argument("--raw", action="store_true")
    parser.add_argument("--module", action="append", default=[])
    parser.add_argument("--file", action="append", default=[])
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, words = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1:]
    if not words:
        parser.error("a command is missing")

    def show(seconds, text):
        print(text if args.raw else "%7.2f %s" % (seconds, text), flush=True)

    try:
        host = Host(args.arch, args.hull, args.cpu, args.machine, args.smp, args.memory, args.append,
                    args.module, args.file)
        script = words[0] if len(words) == 1 else shlex.join(words)
        result = host.run(script, args.until, args.timeout, show)
    except (NestedError, guest.apt.AptError, initramfs.ModuleError, OSError, ValueError) as e:
        sys.exit("nested.py: %s" % e)
    except KeyboardInterrupt:
        sys.exit("nested.py: interrupted")
    if result.status == TIMED_OUT:
        print("nested.py: time ran out after %g s" % args.timeout, file=sys.stderr)
    elif result.status == BROKEN:
        print("nested.py: the host ended before the command did", file=sys.stderr)
    return result.status


if __name__ == "__main__":
    sys.exit(main())
