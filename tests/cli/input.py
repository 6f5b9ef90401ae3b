#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Files, options and configurations that are wrong: each gives its error, and nothing else happens."""
# timeout: 600
import gzip
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.environ["HULL_SOURCE"], "tests", "support"))
import vm  # noqa: E402

LIMIT_S = 60
NOBODY = 65534
CODES = set(range(14)) - {9, 10}


class Work:
    """A folder with one good kernel, and what the cases need beside it."""

    def __init__(self, folder, tap):
        self.folder, self.tap = folder, tap
        self.kernel = self.put("kernel", image())
        os.chmod(folder, 0o755)

    def path(self, name):
        return os.path.join(self.folder, name)

    def put(self, name, data):
        with open(self.path(name), "wb") as f:
            f.write(data.encode() if isinstance(data, str) else data)
        return self.path(name)

    def sparse(self, name, size):
        with open(self.path(name), "wb") as f:
            f.truncate(size)
        return self.path(name)

    def as_nobody(self):
        """Run as another user, who may not look into the folder that holds the build."""
        copy = self.path("hull")
        if not os.path.exists(copy):
            shutil.copy(vm.HULL, copy)
            os.chmod(copy, 0o755)
        return {"user": NOBODY, "env": {"PATH": "/usr/bin:/bin"}, "hull": copy}

    def fails(self, text, args, want, **how):
        """`want`: (E number or None, exit code, words of the message)."""
        number, code, *words = want
        m = vm.Vm(*args, stdin=subprocess.DEVNULL, **how)
        got = m.end(LIMIT_S)
        good = got == code and m.out == "" and not m.crashed() and len(m.err.splitlines()) <= 6
        good = good and (number is None or "E%04d" % number in m.err)
        good = good and m.err.startswith("error") and all(re.search(w, m.err) for w in words)
        return self.tap.check(good, text, "wanted E%04d, exit code %s, %s\n%s" % (number or 0, code, words, m.story()))

    def kernel_fails(self, text, kernel, *want):
        return self.fails(text, ["--kernel", kernel], want)

    def toml_fails(self, text, toml, *want):
        return self.fails("TOML: " + text, [self.put("bad.toml", toml)], want)


def image(text_offset=0x200000, size=0x10000, magic=b"RSC\x05", version=2):
    """A Linux Image for riscv64 that switches itself off: li a7, SRST; li a6..a1, 0; ecall."""
    code = struct.pack("<II", 0x0400006F, 0)  # jal x0, 64
    head = code + struct.pack("<QQQIIQ8s4sI", text_offset, size, 0, version, 0, 0, b"RISCV\0\0\0", magic, 0)
    words = [0x535258B7, 0x3548889B & 0 | 0x35488893, 0x00000813, 0x00000513, 0x00000593, 0x00000073, 0x0000006F]
    return head + struct.pack("<7I", *words)


def elf(**change):
    v = {"machine": 243, "cls": 2, "phoff": 64, "phnum": 1, "phentsize": 56, "entry": 0x80200000, "type": 1, "offset": 0x1000,
         "paddr": 0x80200000, "filesz": 16, "memsz": 4096, "tail": b"\x6f\0\0\0" * 4, **change}
    head = b"\x7fELF" + bytes([v["cls"], 1, 1, 0]) + bytes(8) + struct.pack(
        "<HHIQQQIHHHHHH", 2, v["machine"], 1, v["entry"], v["phoff"], 0, 0, 64, v["phentsize"], v["phnum"], 0, 0, 0)
    ph = struct.pack("<IIQQQQQQ", v["type"], 7, v["offset"], v["paddr"], v["paddr"], v["filesz"], v["memsz"], 4096)
    return (head + ph).ljust(0x1000, b"\0") + v["tail"]


def kinds_of_files(w):
    """The same for each option that names a file that is read whole."""
    os.mkdir(w.path("folder"))
    os.mkfifo(w.path("pipe"))
    w.put("empty", b"")
    huge = w.sparse("huge", 1 << 40)
    secret = w.put("secret", image())
    os.chmod(secret, 0)
    for option, good in (("--kernel", []), ("--initrd", [w.kernel]), ("--dtb", [w.kernel]), ("--firmware", []),
                         ("--config", [])):
        w.fails(option + " that does not exist", [*good, option, w.path("kernle")], (220, 3, "kernle"))
        w.fails(option + " that is a folder", [*good, option, w.path("folder")], (221, 7, "director"))
        w.fails(option + " that is a pipe", [*good, option, w.path("pipe")], (221, 7))
        w.fails(option + " that is a device", [*good, option, "/dev/zero"], (221, 7))
        w.fails(option + " that is too large", [*good, option, huge], (None, 8))
        w.fails(option + " with a file for a folder", [*good, option, w.kernel + "/x"], (220, 3))
        if option != "--config":
            w.fails(option + " that is empty", [*good, option, w.path("empty")], (224, 7))
        if os.geteuid() == 0:
            w.fails(option + " that may not be read", [*good, option, secret], (222, 5, "permission"), **w.as_nobody())
        else:
            w.fails(option + " that may not be read", [*good, option, secret], (222, 5, "permission"))
    w.fails("a near miss names the file", ["--kernel", w.path("kernl")], (220, 3, "did you mean kernel"))


def kernels(w):
    chance = random.Random(7)
    w.kernel_fails("kernel larger than memory", w.put("k3", image(size=1 << 40)), 715, 7)
    w.kernel_fails("kernel with a size that wraps", w.put("k4", image(size=(1 << 64) - 1)), None, 7)
    w.kernel_fails("kernel at an offset that wraps", w.put("k5", image(text_offset=(1 << 64) - 4096)), 714, 12)
    w.kernel_fails("text instead of a kernel", w.put("k6", "#!/bin/sh\necho hello\n"), 712, 7)
    if os.uname().machine != "aarch64":
        w.kernel_fails("kernel that no accelerator runs", w.put("k7a", elf(machine=183)), 201, 6, "aarch64 itself")
    w.kernel_fails("32-bit ELF", w.put("k8", elf(cls=1)), 712, 7)
    w.kernel_fails("ELF with headers outside the file", w.put("k9", elf(phoff=1 << 60)), None, 12)
    w.kernel_fails("ELF with 65535 headers", w.put("k10", elf(phnum=65535)), None, 12)
    w.kernel_fails("ELF with a segment outside the file", w.put("k11", elf(offset=1 << 62)), 713, 12)
    w.kernel_fails("ELF with a segment outside memory", w.put("k12", elf(paddr=0x1000, entry=0x1000)), None, 7)
    w.kernel_fails("ELF with a segment that wraps", w.put("k13", elf(memsz=(1 << 64) - 1)), None, 7)
    w.kernel_fails("ELF with entry outside", w.put("k14", elf(entry=0x90000000)), 717, 12)
    w.kernel_fails("ELF without segments", w.put("k15", elf(type=0)), None, 12)
    w.kernel_fails("gzip cut off", w.put("k16", gzip.compress(image() + chance.randbytes(9999))[:5000]), 741, 12)
    w.kernel_fails("gzip bomb", w.put("k17", gzip.compress(bytes(1 << 28))), None, 8)
    w.kernel_fails("gzip of nothing", w.put("k18", gzip.compress(b"")), 224, 7)
    w.kernel_fails("gzip inside gzip", w.put("k19", gzip.compress(gzip.compress(image()))), None, 7)
    bad = 0
    for i in range(150):
        data = bytearray(elf() if i % 2 else image())
        for _ in range(chance.randrange(1, 9)):
            data[chance.randrange(8 if i % 2 else 0, min(len(data), 128))] = chance.choice([0, 255, chance.randrange(256)])
        m = vm.Vm("--kernel", w.put("fuzz", data), "--memory", "64M", stdin=subprocess.DEVNULL)
        if m.process.poll() is None:
            try:
                m.process.wait(1)
            except subprocess.TimeoutExpired:
                m.process.terminate()
        code = m.end(LIMIT_S)
        if m.crashed() or code not in CODES | {143}:
            bad += 1
            print("# damaged kernel %d: %s" % (i, m.story().replace("\n", "\n# ")))
    w.tap.check(not bad, "150 damaged kernels", bad)


def other_files(w):
    k = w.kernel
    w.fails("initrd larger than memory", [k, "--memory", "64M", "--initrd", w.sparse("big", 100 << 20)], (720, 7, "--memory"))
    w.fails("device tree that is none", [k, "--dtb", w.put("t1", b"\0" * 4096)], (730, 7))
    w.fails("device tree cut off", [k, "--dtb", w.put("t2", b"\xd0\x0d\xfe\xed" + struct.pack(">9I", 4096, 56, 400, 40, 17, 16, 0, 300, 300))], (731, 12))
    w.fails("device tree with offsets outside", [k, "--dtb", w.put("t3", struct.pack(
        ">10I", 0xD00DFEED, 64, 0xFFFFFFF0, 0xFFFFFFF0, 40, 17, 16, 0, 0xFFFFFFFF, 0xFFFFFFFF).ljust(64, b"\0"))], (731, 12))
    w.fails("kernel as device tree", [k, "--dtb", k], (730, 7))
    w.fails("nothing to start", [], (750, 7, "hull run KERNEL"))
    for key, value in (("irq-mode", "passthrough"), ("spi", "33"), ("affinity", "[[0]]"), ("kernel-source", "embedded")):
        w.fails("--%s, which this build does not do" % key, [k, "--" + key, value], (1301, 13, "leave"))
    w.fails("firmware that is only a word", [k, "--firmware", "uefi"], (1301, 13, "--firmware FILE"))
    for name, option in (("kernel", "--kernel-addr"), ("initrd", "--initrd-addr"), ("device tree", "--dtb-addr")):
        files = [k, "--initrd", w.put("ramdisk", b"x" * 5000)]
        w.fails(name + " outside memory", [*files, option, "0x1000"], (None, 7))
        w.fails(name + " at the last address", [*files, option, "0xffffffffffffffff"], (None, 7))
    w.fails("initrd on the kernel", [k, "--initrd", w.path("ramdisk"), "--initrd-addr", "0x80200000"], (723, 7))
    w.fails("entry outside", [k, "--entry", "0x10"], (None, 12))


def disks(w):
    k = w.kernel
    good = w.sparse("disk", 1 << 20)
    w.fails("disk that does not exist", [k, "--disk", w.path("dsik")], (302, 3, "truncate"))
    w.fails("disk that is a folder", [k, "--disk", w.folder], (303, 7))
    w.fails("disk that is a pipe", [k, "--disk", w.path("pipe")], (303, 7))
    w.fails("disk that is a character device", [k, "--disk", "/dev/null"], (303, 7))
    w.fails("disk that is empty", [k, "--disk", w.path("empty")], (304, 7))
    w.fails("disk of 513 bytes", [k, "--disk", w.sparse("odd", 513)], (304, 7))
    w.fails("disk that looks like qcow2", [k, "--disk", w.put("q", b"QFI\xfb\0\0\0\3".ljust(4096, b"\0"))], (305, 12, "format=qcow2"))
    w.fails("disk that is not of its format", [k, "--disk", good + ",format=qcow2"], (321, 12))
    w.fails("disk in a format that is not there", [k, "--disk", good + ",format=vmdk"], (6, 2, "qcow2"))
    w.fails("disk attached twice", [k, "--disk", good, "--disk", good], (412, 4))
    w.fails("disk with an unknown setting", [k, "--disk", good + ",redonly=true"], (101, 7, "readonly"))
    w.fails("two disks with one name", [k, "--disk", good + ",id=a", "--disk", w.sparse("d2", 512) + ",id=a"], (108, 7))
    w.fails("17 disks", [k] + ["--disk=" + w.sparse("n%d" % i, 512) for i in range(17)], (109, 7))
    if os.geteuid() == 0:
        os.chmod(good, 0o444)
        w.fails("disk that may not be written", [k, "--disk", good], (302, 5, ",ro"), **w.as_nobody())
    os.chmod(good, 0o644)
    spin = vm.Vm("--kernel", w.put("spin", image()[:64] + b"\x6f\0\0\0"), "--disk", good, stdin=subprocess.DEVNULL)
    for _ in range(LIMIT_S * 10):
        with open("/proc/locks", encoding="utf-8") as f:
            if re.search(r"FLOCK.* %d " % spin.process.pid, f.read()) or spin.process.poll() is not None:
                break
        time.sleep(0.1)
    w.fails("disk in use by another hull", [k, "--disk", good], (412, 4, "process %d" % spin.process.pid))
    w.fails("disk in use for writing", [k, "--disk", good + ",ro"], (412, 4, "in use"))
    spin.stop()


def options(w):
    k = w.kernel
    for text, args, want in (
            ("memory of 0", ["--memory", "0"], (5, 2)), ("memory of a page", ["--memory", "4K"], (None, 7)),
            ("memory that is not whole pages", ["--memory", "64M1"], (3, 2)),
            ("memory of 4097 bytes", ["--memory", "4097"], (5, 2)), ("absurd memory", ["--memory", "9999999T"], (5, 2)),
            ("negative memory", ["--memory", "-1G"], (3, 2)),
            ("memory 12Q", ["--memory", "12Q"], (3, 2, "512M")), ("memory that overflows", ["-m", "99999999999999999999"], (None, 2)),
            ("0 CPUs", ["--cpus", "0"], (5, 2)), ("65 CPUs", ["--cpus", "65"], (5, 2)), ("CPUs in words", ["--cpus", "two"], (4, 2)),
            ("unknown option", ["--memroy", "1G"], (1, 2, "--memory")), ("unknown letter", ["-Z"], (1, 2)),
            ("option without its value", ["--memory"], (2, 2)), ("switch with a value", ["--timing=maybe"], (None, 2)),
            ("second kernel", [k], (7, 2)), ("unknown key", ["--set", "memory.siez=1G"], (101, 7, "memory.size")),
            ("setting without =", ["--set", "memory.size"], (10, 2)), ("element that is not there", ["--set", "disk[0].readonly=1"], (None, 7)),
            ("serial port to nowhere", ["--serial", "tehran"], (6, 2)), ("serial port without folder", ["--serial", "file:/no/where"], (902, 3)),
            ("five serial ports", ["--serial=none"] * 5, (109, 7)), ("wrong architecture", ["--arch", "x86_64"], (104, 7)),
            ("unknown architecture", ["--arch", "mips"], (6, 2)), ("unknown machine", ["--machine", "pdp11"], (202, 13, "--machine virt")),
            ("accelerator that is not there", ["--accel", "hvf"], (201, 6)), ("unknown device", ["--device", "virtio-blok"], (903, 7)),
            ("empty text to wait for", ["--exit-on", ""], (None, 2)),
            ("text that is too long", ["--exit-on", "x" * 256], (None, 2)), ("too long a command line", ["--append", "x" * 4096], (None, 2)),
            ("device on top of another", ["--device", "uart16550,gpa=0x10000000", "--device", "uart16550,gpa=0x10000080"], (131, 7)),
            ("device on memory", ["--device", "uart16550,gpa=0x80000000"], (131, 7)),
            ("device at the last address", ["--device", "uart16550,gpa=0xffffffffffffffff"], (None, 7)),
            ("interrupt that is not there", ["--device", "uart16550,irq=8000"], (None, 7)),
            ("two devices of one name", ["--device", "uart16550,name=a", "--device", "uart16550,name=a"], (132, 7)),
            ("pass-through of nothing", ["--passthrough", "pci,match=nonsense"], (None, 13)),
            ("not UTF-8", ["--name", b"\xff\xfe"], (None, 2)), ("name with control characters", ["--name", "a\nb"], (None, 2))):
        w.fails(text, [k, *args], want)


def configurations(w):
    k = 'vm.name = "t"\nboot.kernel = "%s"\n' % w.kernel
    region = '[[memory.region]]\ngpa = %s\nsize = "%s"\n'
    w.toml_fails("not closed", 'boot.kernel = "x', 102, 7, "line 1")
    w.toml_fails("binary", bytes(range(256)), 102, 7)
    w.toml_fails("unknown key", k + '[memory]\nsiez = "1G"\n', 101, 7, "line 4", "memory.size")
    w.toml_fails("unknown table", k + "[memroy]\nsize = 1\n", 101, 7)
    w.toml_fails("defined twice", k + k, 103, 7, "line 3")
    w.toml_fails("number for a text", "vm.name = 1\n", 106, 7)
    w.toml_fails("text for a number", k + '[cpu]\ncount = "two"\n', 4, 2, "line 4")
    w.toml_fails("0 CPUs", k + "[cpu]\ncount = 0\n", 5, 2, "line 4")
    w.toml_fails("memory of 0", k + '[memory]\nsize = "0"\n', 5, 2, "line 4")
    w.toml_fails("disk without a path", k + "[[disk]]\nreadonly = true\n", 107, 7)
    w.toml_fails("schema of the future", "schema = 99\n" + k, 110, 7)
    w.toml_fails("regions that overlap", k + region % ("0x80000000", "64M") + region % ("0x81000000", "64M"), 131, 7)
    w.toml_fails("the same region twice", k + 2 * (region % ("0x80000000", "64M")), 131, 7)
    w.toml_fails("region that wraps", k + region % ("0xfffffffffffff000", "64M"), None, 7)
    w.toml_fails("region at half a page", k + region % ("0x80000800", "64M"), None, 7)
    w.toml_fails("region of size 0", k + region % ("0x80000000", "0"), 5, 2)
    w.toml_fails("region on the interrupt controller", k + region % ("0x0c000000", "64M"), 131, 7)
    w.toml_fails("17 regions", k + "".join(region % (hex(0x80000000 + (i << 24)), "1M") for i in range(17)), 109, 7)
    w.toml_fails("no memory for the kernel", k + region % ("0x200000000", "64M") + 'perm = "r"\n', None, 7)
    w.toml_fails("10000 tables deep", k + "x = " + "[" * 10000, None, 7)
    w.toml_fails("49 devices", k + "[[device]]\ntype = \"uart16550\"\n" * 49, 109, 7)
    w.toml_fails("a million keys", k + "".join("k%d = 1\n" % i for i in range(1000000)), 223, 8)


def verbs(w):
    for text, args, want in (
            ("unknown verb", ["rnu"], (8, 2, "run")), ("unknown topic", ["explain", "E4711"], (11, 3)),
            ("unknown global option", ["--jsno", "run"], (1, 2, "--json")), ("unknown help", ["help", "rnu"], (8, 2, "run")),
            ("doctor with an option", ["doctor", "--jsno"], (1, 2)), ("config with a wrong verb", ["config", "shwo"], (None, 2, "show"))):
        w.fails(text, args, want, run=False)
    m = vm.Vm("--json", "run", "--kernel", w.path("nothing"), run=False)
    code = m.end()
    w.tap.check(code == 3 and m.err.count("\n") == 1 and '"E0220"' in m.err, "errors as JSON", m.story())


def main():
    vm.need()
    tap = vm.Tap()
    with tempfile.TemporaryDirectory() as folder:
        w = Work(folder, tap)
        m = vm.Vm("--kernel", w.kernel, "--memory", "64M", stdin=subprocess.DEVNULL)
        tap.check(m.end(LIMIT_S) == 0 and not m.err, "the good kernel", m.story())
        for part in (kinds_of_files, kernels, other_files, disks, options, configurations, verbs):
            part(w)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
