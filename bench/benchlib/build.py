# SPDX-License-Identifier: MIT OR Apache-2.0
"""What is measured: the programs of bench/guest, native and for the guest, and its initramfs."""
import fcntl
import glob
import hashlib
import os
import shutil
import struct
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
SOURCE = os.path.join(ROOT, "bench", "guest")
sys.path.insert(0, os.path.join(ROOT, "tools"))
import guest  # noqa: E402

ARCH = "riscv64"
FLAGS = ["-std=gnu17", "-O2", "-D_GNU_SOURCE", "-fno-math-errno", "-fno-strict-aliasing",
         "-Wall", "-Wextra", "-Werror"]
COMPILERS = {"native": "gcc", ARCH: "riscv64-linux-gnu-gcc"}
KEPT = 8  # folders of the cache, a few megabytes each


class BuildError(Exception):
    """A failure with a text for the user."""


def older(path, sources):
    return not os.path.exists(path) or os.path.getmtime(path) < max(map(os.path.getmtime, sources))


def run(commands):
    """Run commands at the same time; an error is the first failure's output."""
    started = []
    for command in commands:
        try:
            started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                            text=True))
        except FileNotFoundError:
            raise BuildError("%s is not installed" % command[0]) from None
    outputs = [process.communicate()[0] for process in started]
    for process, output in zip(started, outputs):
        if process.returncode:
            raise BuildError("%s failed:\n%s" % (" ".join(process.args[:1]), output))


def digest(paths, *more):
    total = hashlib.sha256(repr(more).encode())
    for path in paths:
        data = guest.read(path)
        total.update(b"%s %d\n" % (os.path.basename(path).encode(), len(data)) + data)
    return total.hexdigest()[:16]


def key():
    """Of all that the programs are made of."""
    sources = sorted(os.path.join(SOURCE, name) for name in os.listdir(SOURCE)
                     if not name.startswith("."))
    return digest(sources, FLAGS, [compiler_version(kind) for kind in COMPILERS])


def cache():
    """The folder for what is built of these sources, and a lock on it: outside the clone, by content."""
    top = os.path.join(guest.cache_folder(), "bench")
    os.makedirs(top, exist_ok=True)
    return os.path.join(top, key()), os.path.join(top, "lock")


def forget_old(top):
    """Other folders of the cache but the newest, which clones with other sources may use."""
    folders = [f.path for f in os.scandir(top) if f.is_dir()]
    for folder in sorted(folders, key=os.path.getmtime)[:-KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def compile_all(folder):
    compiles, links = [], []
    for kind, compiler in COMPILERS.items():
        objects = []
        for source in sorted(glob.glob(os.path.join(SOURCE, "*.c"))):
            out = os.path.join(folder, "%s-%s.o" % (kind, os.path.basename(source)[:-2]))
            objects.append(out)
            compiles.append([compiler, *FLAGS, "-c", source, "-o", out])
        links.append([compiler, "-static", *objects, "-lm", "-o", os.path.join(folder, "bench-" + kind)])
    for at in range(0, len(compiles), 2):
        run(compiles[at:at + 2])
    run(links)


def programs():
    """{"native": PATH, "riscv64": PATH}, statically linked; compiled once for the same sources."""
    folder, lock_path = cache()
    with open(lock_path, "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(folder):
            with tempfile.TemporaryDirectory(prefix=".new-", dir=os.path.dirname(folder)) as work:
                compile_all(work)
                os.mkdir(os.path.join(work, "done"))
                for kind in COMPILERS:
                    shutil.move(os.path.join(work, "bench-" + kind), os.path.join(work, "done"))
                os.rename(os.path.join(work, "done"), folder)
        os.utime(folder)
        forget_old(os.path.dirname(folder))
    return {kind: os.path.join(folder, "bench-" + kind) for kind in COMPILERS}


def compiler_version(kind):
    try:
        line = subprocess.run([COMPILERS[kind], "--version"], capture_output=True, text=True,
                              check=False).stdout
    except FileNotFoundError:
        raise BuildError("%s is not installed" % COMPILERS[kind]) from None
    return line.split("\n")[0]


def initramfs(program, pieces):
    """The path of an initramfs whose init measures; beside the program, one for a kernel."""
    makers = [os.path.join(ROOT, "tools", name) for name in ("guest.py", "guestlib/initramfs.py")]
    name = "initramfs-%s.gz" % digest([*makers, pieces["BUSYBOX"]], pieces["VERSION"])
    path = os.path.join(os.path.dirname(program), name)
    if not os.path.exists(path):
        init = os.path.join(SOURCE, "init")
        guest.write_whole(path, guest.make_initramfs(ARCH, init=init, files=[program + ":bench"]))
    return path


def tiny(folder, name, words):
    """A kernel of a few instructions, with the header that the RISC-V boot protocol asks for.

    The first word jumps over the header; so it also runs when it is loaded as firmware.
    """
    code = b"".join(struct.pack("<I", word) for word in words)
    head = struct.pack("<II3Q2I2Q2I", 0x0400006F, 0, 0x200000, 4096, 0, 2, 0, 0,
                       0x5643534952, 0x05435352, 0)  # "RISCV", "RSC\5"; Documentation/arch/riscv
    path = os.path.join(folder, name)
    guest.write_whole(path, (head + code).ljust(4096, b"\0"))
    return path


def tiny_off(folder):
    """Switches the machine off by the first store it executes (the test device of `virt`)."""
    return tiny(folder, "off.bin", [0x001002B7,   # lui t0, 0x100
                                    0x00005337,   # lui t1, 0x5
                                    0x55530313,   # addi t1, t1, 0x555
                                    0x0062A023,   # sw t1, (t0)
                                    0x10500073,   # wfi
                                    0xFFDFF06F])  # j to the wfi


def tiny_halt(folder):
    """Waits for an interrupt that never comes."""
    return tiny(folder, "halt.bin", [0x10500073, 0xFFDFF06F])
