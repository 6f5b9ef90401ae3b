#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The hypervisor starts on machines of several shapes, runs its self-test VM, and gives all memory
back; a machine that it cannot use is refused with the reason.  It is as small as it has to be."""
import glob
import os
import subprocess
import sys
import tempfile

import _machine

sys.stdout.reconfigure(line_buffering=True)


def tree(folder):
    """The machine's own device tree, with 64 MiB for somebody else."""
    blob = os.path.join(folder, "virt.dtb")
    subprocess.run([_machine.QEMU, "-M", "virt,virtualization=on,gic-version=3,dumpdtb=" + blob, "-cpu", "cortex-a72", "-m",
                    "512", "-display", "none"], check=True, capture_output=True)
    text = subprocess.run(["dtc", "-q", "-I", "dtb", "-O", "dts", blob], check=True, capture_output=True, text=True).stdout
    text = text.replace("/ {", "/memreserve/ 0x50000000 0x1000000;\n\n/ {", 1)
    text = text.rstrip().removesuffix("};") + """
	reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges;
		a { reg = <0 0x40000000 0 0x100000>, <0 0x52000000 0 0x2f00000>; };
	};
};
"""
    subprocess.run(["dtc", "-q", "-I", "dts", "-O", "dtb", "-o", blob], check=True, input=text, text=True)
    return blob


work = tempfile.TemporaryDirectory()
cases = [
    ("all memory but the image", dict(), " 510 MiB free"),
    ("reserved memory is left alone", dict(more=["-dtb", tree(work.name)]), " 447 MiB free"),
    ("cortex-a72", dict(cpu="cortex-a72"), "el2 works"),
    ("max", dict(cpu="max,pauth-impdef=on"), "el2 works"),
    ("four CPUs, 3 GiB", dict(cpus=4, mib=3072), "el2 works"),
    ("64 MiB", dict(mib=64), "el2 works"),
    ("GICv2", dict(more=["-M", "gic-version=2"]), "names no GICv3"),
]
print("1..%d" % (len(cases) + 2))
failed = 0
for n, (name, options, want) in enumerate(cases, 1):
    text = _machine.run(**options)
    good = want in text and ("works" not in want or "hull: done, 0 bytes are not back" in text)
    failed += not good
    print("%s %d - %s" % ("ok" if good else "not ok", n, name))
    if not good:
        print("# " + text.replace("\n", "\n# "))
# Without guests; assembly and headers count, and those of another architecture do not.
image = os.path.getsize(os.environ["HULL_METAL"])
lines = 0
for path in glob.glob(os.path.join(os.environ["HULL_SOURCE"], "src/metal/**/*.[chS]"), recursive=True):
    if "/riscv64/" in path:
        continue
    with open(path, encoding="utf-8") as f:
        lines += len(f.readlines())
for n, (what, value, most) in enumerate((("bytes of the image", image, 256 << 10), ("lines", lines, 8000)), n + 1):
    failed += value > most
    print("%s %d - %d %s, %d at most" % ("not ok" if value > most else "ok", n, value, what, most))
sys.exit(failed > 0)
