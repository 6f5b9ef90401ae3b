# SPDX-License-Identifier: MIT OR Apache-2.0
"""Tiny guests: compiled from tests/guest/micro, and what they print judged."""
import glob
import os
import re
import subprocess

FOLDER = os.path.join(os.environ["HULL_SOURCE"], "tests/guest/micro")

COMMON = ["-std=gnu17", "-O1", "-Wall", "-Wextra", "-Werror", "-ffreestanding", "-fno-pic", "-fno-pie", "-no-pie",
          "-static", "-nostdlib", "-fno-stack-protector", "-fno-asynchronous-unwind-tables", "-fno-tree-vectorize",
          "-fno-builtin", "-Wl,--build-id=none", "-Wl,-z,noexecstack", "-Wl,--no-warn-rwx-segments", "-Wl,-z,max-page-size=4096"]
# Compiler and its options; those without and with floating point.
ARCHES = {
    "x86_64": (["gcc", "-m64", "-mno-red-zone", "-fcf-protection=none", "-Wl,-Ttext-segment=0x200000"],
               ["-mgeneral-regs-only"], ["-mno-avx"]),
    "riscv64": (["riscv64-linux-gnu-gcc", "-mcmodel=medany", "-mabi=lp64d", "-Wl,-Ttext=0x80200000"],
                ["-march=rv64imafdc_zicsr"], ["-march=rv64imafdc_zicsr"]),
    "aarch64": (["aarch64-linux-gnu-gcc", "-mstrict-align", "-mno-outline-atomics", "-Wl,-Ttext=0x40200000"],
                ["-mgeneral-regs-only"], []),
}


def names(special=False):
    """All that run everywhere; or also those that want options of `hull run`."""
    found = [os.path.basename(f)[:-2] for f in sorted(glob.glob(FOLDER + "/*.c"))]
    return [t for t in found if t != "micro" and not t.startswith("arch_") and (special or not options(t))]


def options(test):
    with open(os.path.join(FOLDER, test + ".c"), encoding="utf-8") as f:
        m = re.search(r"options: ([^.]+)", f.read())
    return m[1].split() if m else []


def build(arch, test, work, folder=FOLDER, more=()):
    """The guest `test` of a folder as an ELF file in `work`."""
    source = os.path.join(folder, test + ".c")
    with open(source, encoding="utf-8") as f:
        floating = "fpu: yes" in f.read()
    tool, plain, fpu = ARCHES[arch]
    out = os.path.join(work, "%s.%s" % (test, arch))
    files = [os.path.join(FOLDER, f) for f in ("start_%s.S" % arch, "arch_%s.c" % arch, "micro.c")]
    subprocess.run([*tool, *COMMON, *(fpu + ["-DMICRO_FPU"] if floating else plain), *more, "-I", FOLDER, "-o", out,
                    *files, source], check=True)
    return out


def cpus(test, folder=FOLDER):
    with open(os.path.join(folder, test + ".c"), encoding="utf-8") as f:
        m = re.search(r"cpus: (\d+)", f.read())
    return m[1] if m else "1"


def complete(text):
    """All of the TAP is there, and all of it passed."""
    plan = re.search(r"^1\.\.(\d+)", text, re.M)
    return plan and len(re.findall(r"^ok ", text, re.M)) == int(plan[1]) and "not ok" not in text and \
        text.rstrip().endswith("# end")
