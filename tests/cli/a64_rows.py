#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Each row of aarch64.def: the assembler makes the row's word of the row's text."""
# timeout: 60
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile

TABLE = os.path.join(os.environ["HULL_SOURCE"], "src/engine/jit/aarch64.def")
TOOL = "aarch64-linux-gnu-"


def assemble(texts):
    """The words of the instructions; several may be one that processors refuse, for its zeros."""
    with tempfile.TemporaryDirectory() as work:
        source, built, plain = (os.path.join(work, n) for n in ("a.s", "a.o", "a.bin"))
        with open(source, "w", encoding="utf-8") as f:
            f.write(".arch armv8-a+crypto\n" + "".join(
                "%s\n" % re.sub(r"^(b|b\.eq|cbn?z .*|adr .*)( ?)#0$", r"\1 .", t) for t in texts))
        subprocess.run([TOOL + "as", "--no-warn", "-o", built, source], check=True)
        subprocess.run([TOOL + "objcopy", "-O", "binary", built, plain], check=True)
        with open(plain, "rb") as f:
            return [word for word, in struct.iter_unpack("<I", f.read())]


def main():
    if not shutil.which(TOOL + "as"):
        print("%sas is missing" % TOOL)
        return 77
    with open(TABLE, encoding="utf-8") as f:
        text = f.read()
    rows = re.findall(r'^A64\((\w+), (0x[0-9a-f]{8}), "([^"]*)"\)$', text, re.M)
    words = assemble([row[2] for row in rows])
    bad = ["%s: 0x%08x" % (row, word) for row, word in zip(rows, words) if int(row[1], 16) != word]
    print("\n".join(bad))
    return int(bool(bad) or len(words) != len(rows) or len(rows) != len(re.findall(r"^A64\(", text, re.M)))


if __name__ == "__main__":
    sys.exit(main())
