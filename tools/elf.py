# SPDX-License-Identifier: MIT OR Apache-2.0
"""Read what the tools need of a 64-bit little-endian ELF file: sections and symbols."""
import collections
import struct

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB = 1, 5

Section = collections.namedtuple("Section", "name type flags offset size link")

SHT_SYMTAB = 2
SHT_NOBITS = 8
SHF_WRITE = 1
SHF_ALLOC = 2


def text_at(data, offset):
    return data[offset : data.index(b"\0", offset)].decode("utf-8", "replace")


def sections(data):
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    table, = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    rows = [struct.unpack_from("<IIQQQQI", data, table + i * size) for i in range(count)]
    base = rows[names][4]
    return [Section(text_at(data, base + r[0]), r[1], r[2], r[4], r[5], r[6]) for r in rows]


def symbols(data):
    """Two sets of names: what the object needs, and the global names that it provides."""
    needs, gives = set(), set()
    all_sections = sections(data)
    for table in (s for s in all_sections if s.type == SHT_SYMTAB):
        strings = all_sections[table.link].offset
        for at in range(table.offset + 24, table.offset + table.size, 24):
            name, info, _, index = struct.unpack_from("<IBBH", data, at)
            if info >> 4 == 0:  # local
                continue
            (gives if index else needs).add(text_at(data, strings + name))
    return needs, gives


def modinfo(data):
    """The key=value pairs of a kernel module, in order."""
    for s in sections(data):
        if s.name == ".modinfo":
            parts = data[s.offset : s.offset + s.size].split(b"\0")
            return [tuple(p.decode("utf-8", "replace").split("=", 1)) for p in parts if b"=" in p]
    return []


def dynamic(data):
    """(interpreter or None, [names of the shared libraries that it needs])."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise ValueError("not a 64-bit little-endian ELF file")
    table, = struct.unpack_from("<Q", data, 0x20)
    size, count = struct.unpack_from("<HH", data, 0x36)
    # (type, flags, offset, address, physical, bytes in the file)
    rows = [struct.unpack_from("<IIQQQQ", data, table + i * size) for i in range(count)]
    interpreter, entries = None, []
    for kind, _, offset, _, _, length in rows:
        if kind == PT_INTERP:
            interpreter = text_at(data, offset)
        elif kind == PT_DYNAMIC:
            entries = list(struct.iter_unpack("<QQ", data[offset : offset + length // 16 * 16]))
    strings = dict(entries).get(DT_STRTAB, 0)
    for kind, _, offset, address, _, length in rows:
        if kind == PT_LOAD and address <= strings < address + length:
            strings += offset - address
            break
    return interpreter, [text_at(data, strings + value) for tag, value in entries if tag == DT_NEEDED]
