#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Conditions on the OS or the host's architecture, and assembly, live in few places (CONVENTIONS 1.1)."""
import re
import sys

import tree

CONDITIONS_IN = ("src/host/os/", "src/accel/", "src/engine/jit/", "src/metal/")
ASSEMBLY_IN = ("src/engine/jit/", "src/metal/")
CONDITION = re.compile(
    r"^[ \t]*#[ \t]*(?:el)?if[^\n]*?\b(_*(?:linux|unix|APPLE|MACH|WIN32|WIN64|FreeBSD|OpenBSD|NetBSD|"
    r"ANDROID|x86_64|amd64|i386|aarch64|arm|ARM_ARCH|riscv|riscv_xlen|M_X64|M_ARM64)(?:__)?)\b", re.M)
ASSEMBLY = re.compile(r"\b(asm|__asm__|__asm)\b")


def main():
    report = tree.Report()
    for path in tree.files((".c", ".h", ".def"), "src", "include"):
        text = tree.bare(tree.read(path))
        if not path.startswith(CONDITIONS_IN):
            for m in CONDITION.finditer(text.replace("\\\n", "  ")):
                report.add(path, tree.line_of(text, m.start(1)), "1.1",
                           "#if on %s belongs in %s" % (m[1], " ".join(CONDITIONS_IN)))
        if not path.startswith(ASSEMBLY_IN):
            for m in ASSEMBLY.finditer(text):
                report.add(path, tree.line_of(text, m.start()), "1.1",
                           "assembly belongs in " + " ".join(ASSEMBLY_IN))
    for path in tree.files((".S", ".s"), "src"):
        if not path.startswith(ASSEMBLY_IN):
            report.add(path, 1, "1.1", "assembly belongs in " + " ".join(ASSEMBLY_IN))
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
