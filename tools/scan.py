#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""Read the tree: which files a layer has, and which things register themselves.

  scan.py sources ROOT DIR    C files below DIR, one per line
  scan.py headers ROOT DIR    header files below DIR, one per line
  scan.py assembly ROOT DIR   assembly files below DIR, one per line
  scan.py registry ROOT OUT [--without REGEX] DIR...
                              write the registry tables of these folders as C, but for files
                              whose path matches

A file registers a thing with a line that begins HULL_DEVICE(name), HULL_ACCEL(name),
HULL_BOARD(name), and so on; the tables are plain C arrays that end with NULL.
"""
import os
import re
import sys

# macro -> (type, table, symbol prefix, header)
KINDS = {
    "HULL_DEVICE": ("struct hull_dev_type", "hull_dev_types", "hull_dev_type_", "core/dev_impl.h"),
    "HULL_ACCEL": ("struct hull_accel", "hull_accels", "hull_accel_", "hull/accel.h"),
    "HULL_BOARD": ("struct hull_board", "hull_boards", "hull_board_", "board/board.h"),
    "HULL_IMAGE_FORMAT": ("struct hull_image_format", "hull_image_formats", "hull_image_format_", "host/block/image.h"),
}


def walk(root, below, suffix):
    found = []
    for folder, folders, files in os.walk(os.path.join(root, below)):
        folders.sort()
        found += [os.path.join(folder, f) for f in sorted(files) if f.endswith(suffix)]
    return found


def registry(root, out, folders, without=None):
    names = {macro: [] for macro in KINDS}
    line = re.compile(r"^(%s)\((\w+)\)" % "|".join(KINDS), re.M)
    for folder in folders:
        for path in walk(root, folder, ".c"):
            if without and re.search(without, path):
                continue
            with open(path, encoding="utf-8") as f:
                for macro, name in line.findall(f.read()):
                    names[macro].append(name)
    text = ["/* Written by tools/scan.py. */"]
    for macro, (ctype, table, prefix, header) in KINDS.items():
        if not os.path.exists(os.path.join(root, "src", header)) and not os.path.exists(
            os.path.join(root, "include", header)
        ):
            continue
        # What only a hosted program has: its header wants a libc.
        if header.startswith("host/") and "src/host" not in folders:
            continue
        text.append('#include <%s>' % header if header.startswith("hull/") else '#include "%s"' % header)
        text += ["extern const %s %s%s;" % (ctype, prefix, n) for n in names[macro]]
        rows = "".join("\t&%s%s,\n" % (prefix, n) for n in names[macro])
        text.append("const %s *const %s[] = {\n%s\tNULL,\n};" % (ctype, table, rows))
    text = "\n".join(text) + "\n"
    # Touch the file only when it changes, so that nothing is rebuilt for nothing.
    if not os.path.exists(out) or open(out, encoding="utf-8").read() != text:
        with open(out, "w", encoding="utf-8") as f:
            f.write(text)


def main():
    what, root, arg = sys.argv[1:4]
    if what == "sources":
        print("\n".join(walk(root, arg, ".c")))
    elif what == "assembly":
        print("\n".join(walk(root, arg, ".S")))
    elif what == "headers":
        print("\n".join(walk(root, arg, ".h")))
    else:
        folders, without = sys.argv[4:], None
        if folders[:1] == ["--without"]:
            without, folders = folders[1], folders[2:]
        registry(root, arg, folders, without)


main()
