#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Write the names of the target's system calls as C: syscalls.py OUT COMPILER...

One text with all names in the order of their numbers, each behind the one before; a number
without a name has an empty one.
"""
import re
import subprocess
import sys

HIGHEST = 1023  # far above any call; x32 and the private calls of other architectures lie higher


def main():
    out, compiler = sys.argv[1], sys.argv[2:]
    # Some architectures give names by way of other macros: the preprocessor has the last word.
    defined = subprocess.run([*compiler, "-E", "-dM", "-xc", "-"], input="#include <asm/unistd.h>\n",
                             capture_output=True, text=True, check=True).stdout
    names = sorted(set(re.findall(r"^#define __NR_(\w+) ", defined, re.M)))
    asked = "#include <asm/unistd.h>\n" + "".join("@%s @ __NR_%s\n" % (n, n) for n in names)
    answers = subprocess.run([*compiler, "-E", "-P", "-xc", "-"], input=asked,
                             capture_output=True, text=True, check=True).stdout
    table = {}
    for name, number in re.findall(r"^@\s*(\w+)\s+@\s+(\d+)\s*$", answers, re.M):
        if int(number) <= HIGHEST:
            table.setdefault(int(number), name)
    rows = ['\t"%s\\0"' % table.get(i, "") for i in range(max(table) + 1)]
    text = ["/* Written by tools/syscalls.py. */", '#include "host/sandbox/names.h"',
            "const char hull_syscall_names[] =", *rows]
    with open(out, "w", encoding="utf-8") as f:
        f.write("\n".join(text) + ";\nconst unsigned hull_syscall_count = %d;\n" % len(rows))


main()
