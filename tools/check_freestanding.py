#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The freestanding layers need nothing and keep nothing (CONVENTIONS 1.1).

Each file is compiled by gcc and clang for x86_64, aarch64 and riscv64.  What the objects of one
target need together, beyond what they provide, must be in tools/freestanding-symbols.txt, and
their writable sections must be empty.
"""
import os
import sys

import elf
import tree

FLAGS = ("-std=gnu17 -O1 -ffreestanding -nostdlib -fno-stack-protector -fno-pic -fno-strict-aliasing"
         " -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers"
         " -I%s/include -I%s/src" % (tree.ROOT, tree.ROOT))
TARGETS = {
    "gcc-x86_64": "gcc",
    "gcc-aarch64": "aarch64-linux-gnu-gcc -mgeneral-regs-only -mno-outline-atomics",
    "gcc-riscv64": "riscv64-linux-gnu-gcc -march=rv64imac -mabi=lp64",
    "clang-x86_64": "clang-19 --target=x86_64-none-elf",
    "clang-aarch64": "clang-19 --target=aarch64-none-elf -mgeneral-regs-only",
    "clang-riscv64": "clang-19 --target=riscv64-none-elf -march=rv64imac -mabi=lp64",
}


def allowed_symbols():
    lines = tree.read("tools/freestanding-symbols.txt").splitlines()
    return {line.split("#")[0].strip() for line in lines} - {""}


def check_objects(report, target, objects, allowed):
    needs, gives = {}, set()
    for path, source in objects:
        if not os.path.exists(path):
            continue  # it did not compile, which has been reported
        with open(path, "rb") as f:
            data = f.read()
        needed, given = elf.symbols(data)
        gives |= given
        for name in needed:
            needs.setdefault(name, source)
        for s in elf.sections(data):
            # Constants that hold addresses are writable only until a loader has relocated them.
            if s.flags & elf.SHF_WRITE and s.flags & elf.SHF_ALLOC and s.size \
                    and not s.name.startswith(".data.rel.ro"):
                report.add(source, 1, "1.1", "%d bytes of mutable globals (%s, %s)"
                           % (s.size, s.name, target))
    for name in sorted(set(needs) - gives - allowed):
        report.add(needs[name], 1, "1.1", "needs %s (%s), which freestanding code does not have"
                   % (name, target))


def main():
    report = tree.Report()
    layers = ["src/" + layer for layer in tree.FREESTANDING]
    sources = tree.files((".c",), *layers)
    steps = [("%s/%s.o" % (target, source), target, source) for target in TARGETS for source in sources]
    rules = {target: "%s %s" % (command, FLAGS) for target, command in TARGETS.items()}
    folder = tree.compile_all("freestanding", rules, steps, report, "1.1")
    allowed = allowed_symbols()
    for target in TARGETS:
        objects = [(os.path.join(folder, out), source) for out, rule, source in steps if rule == target]
        check_objects(report, target, objects, allowed)
    return report.status()


if __name__ == "__main__":
    sys.exit(main())
