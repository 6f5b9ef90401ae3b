#!/usr/bin/env python3
# SPDX-License-Identifier: MIT OR Apache-2.0
"""The package of VMs in an image with any field wrong, its checksums right: the hypervisor says why and refuses that VM,
or runs what can be run; the VMs beside it start as ever, and it never fails itself."""
# timeout: 400
import os
import re
import struct
import sys
import tempfile
import zlib

import _guest
import _machine

sys.stdout.reconfigure(line_buffering=True)
PAGE, HEADER, MAGIC = 4096, 32, b"HULLPKG1"
MOST = 16  # VMs in a package
TOML = """[vm]
name = "{name}"
[machine]
arch = "aarch64"
{memory}
[boot]
kernel = "{kernel}"
{more}
"""
RAM = '[memory]\nsize = "4M"\n'
REGION = '[[memory.region]]\ngpa = 0x40000000\nsize = "4M"\nperm = "rwx"\n'
# A page with eight of the machine's places for virtio devices.
PASS = '[[passthrough]]\nkind = "mmio"\nname = "slots"\ngpa = 0xb100000\nhpa = 0xa000000\nsize = "4K"\n'
COUNTS = ("config.nregions", "config.ndevices", "config.npassthrough", "ndisks", "nnets")


class Section:
    """Fields by name: lists of numbers."""

    def __init__(self, data, at):
        magic, name, body = struct.unpack_from("<IHI", data, at)
        assert magic == 0x31534648
        self.name = data[at + 10:at + 10 + name]
        at += 10 + name
        end, self.fields, self.sizes = at + body, {}, {}
        while at < end:
            length, size, count = struct.unpack_from("<BBH", data, at)
            field = data[at + 4:at + 4 + length].decode()
            at += 4 + length
            self.sizes[field] = size
            self.fields[field] = [int.from_bytes(data[at + i * size:at + (i + 1) * size], "little") for i in range(count)]
            at += size * count
        self.end = end + 4

    def bytes(self, changes=()):
        fields = dict(self.fields)
        for field, index, value in changes:
            fields[field] = fields[field][:index] + [value] + fields[field][index + 1:]
        body = b""
        for field, values in fields.items():
            size = self.sizes[field]
            body += struct.pack("<BBH", len(field), size, len(values)) + field.encode()
            body += b"".join((v & ((1 << 8 * size) - 1)).to_bytes(size, "little") for v in values)
        out = struct.pack("<IHI", 0x31534648, len(self.name), len(body)) + self.name + body
        return out + struct.pack("<I", zlib.crc32(out))


class Package:
    """An image with one VM, taken apart."""

    def __init__(self, path):
        with open(path, "rb") as f:
            data = f.read()
        start = data.rindex(MAGIC + struct.pack("<II", 1, 1))
        self.hypervisor, package, at = data[:start], data[start:], HEADER
        self.sections = []
        while package[at:at + 4] == b"HFS1":
            self.sections.append(Section(package, at))
            at = self.sections[-1].end
        self.files_at = (at + PAGE - 1) // PAGE * PAGE
        self.files = package[self.files_at:]

    def number(self, name, which=0):
        return [i for i, s in enumerate(self.sections) if s.name == name.encode()][which]

    def vm(self, name, room, changes=()):
        """The sections of a VM whose files begin at `room`; changes: section, field, element, value; or that section once
        more, None, changes."""
        out, shift = b"", room - self.files_at
        for number, s in enumerate(self.sections):
            own = [c[1:] for c in changes if c[0] == number and c[1]]
            for field in ("file[].offset", "offset"):
                for i, value in enumerate(s.fields.get(field, [])):
                    if value:
                        own.insert(0, (field, i, value + shift))
            if number == 0:
                named = name.encode() + bytes(64 - len(name))
                own = [("config.name", i, c) for i, c in enumerate(named)] + own
            out += s.bytes(own)
            for c in changes:
                if c[0] == number and not c[1]:
                    out += s.bytes(c[2])
        return out

    def write(self, path, vms, header=None):
        """An image of VMs: (name, changes); `header` edits the package's first bytes."""
        room = 0
        while True:
            body = b"".join(self.vm(name, room, changes) for name, changes in vms)
            need = (HEADER + len(body) + PAGE - 1) // PAGE * PAGE
            if need == room:
                break
            room = need
        total = room + len(self.files)
        head = bytearray(MAGIC + struct.pack("<IIQ", 1, len(vms), total) + bytes(HEADER - 24))
        if header:
            header(head)
        with open(path, "wb") as f:
            f.write(self.hypervisor + bytes(head) + body + bytes(room - HEADER - len(body)) + self.files)


def good(p, name):
    """A VM that is well; of the machine's devices each has its own."""
    slots = [i for i, s in enumerate(p.sections) if s.name == b"passthrough"]
    return name, [(i, "hpa", 0, 0xa000000 + (PAGE if name == "last" else 2 * PAGE)) for i in slots]


def wrong_values(size, old):
    top = 1 << 8 * size
    return [v for v in (0, 1, top - 1, top // 2, old + 1, top - PAGE, 0x08000000, 0x40080000) if v != old and v < top]


def mutants(p, names):
    """Each field of the last section of each name; of long lists the first elements and the last."""
    last = {s.name: (number, s) for number, s in enumerate(p.sections) if s.name in names}
    for number, s in last.values():
        for field, values in s.fields.items():
            for i in sorted({0, 1, len(values) - 1} & set(range(len(values)))):
                for v in wrong_values(s.sizes[field], values[i]):
                    yield "%s.%s[%d] = 0x%x" % (s.name.decode(), field, i, v), [(number, field, i, v)]


cases = _guest.Cases()
seen, reasons = set(), []  # of all that was refused; of the last


def run(path, names, what):
    """The good VMs end as they should, whatever the others do; then all is stopped."""
    m = _machine.Session(path, cpus=2, mib=512)
    try:
        left = set(names)
        while left:
            left.discard(m.expect("has switched itself off", 20).rpartition("vm '")[2].rstrip("' "))
        m.send("\x1d")
        m.expect("hull> ", 20)
        m.send("off\n")
        m.end(20)
    except (SystemExit, BrokenPipeError):
        pass  # all have ended, or what is missing is
    finally:
        m.kill()
    text = m.text
    reasons[:] = re.findall(r"^hull: vm .*: .*$", text, re.M)
    seen.update(re.sub(r"0x[0-9a-f]+|\d+|'[^']*'", "N", line) for line in reasons)
    well = all(_guest._micro.complete(_guest.said(text, name)) for name in names)
    if well and "EL2 on CPU" not in text and "does not hold" not in text and "0 bytes are not back" in text:
        return ""
    return "%s\n%s" % (what, text)


def flip(p, path, name, names, per_image):
    """Fields of sections of an image's VM, many VMs at once between two good ones; counts of tables behind a good one."""
    todo = list(mutants(p, names))
    tables = [t for t in todo if t[1][0][1] in COUNTS]
    rest = [t for t in todo if t[1][0][1] not in COUNTS]
    bad = []
    for at in range(0, len(rest), per_image):
        batch = rest[at:at + per_image]
        p.write(path, [good(p, "first")] + [("m%d" % i, c) for i, (_, c) in enumerate(batch)] + [good(p, "last")])
        bad.append(run(path, ("first", "last"), "; ".join(t for t, _ in batch)))
    for what, changes in tables:
        p.write(path, [good(p, "first"), ("m", changes)])
        bad.append(run(path, ("first",), what))
    bad = [b for b in bad if b]
    cases.case("%s: %d fields wrong, one at a time" % (name, len(todo)), not bad, "\n".join(bad[:3]))


def contradictions(made):
    """What no single field says: what, of which image, the changes, and why it is refused."""
    m, d, p = made["memory"], made["devices"], made["passthrough"]
    region, disk = m.number("region"), d.number("disk")
    slots, types = p.number("passthrough"), [s.fields["type"] for s in d.sections if s.name == b"device"]

    def second(gpa, size, kind, hpa=0):
        return [(0, "config.nregions", 0, 2), (region, None, [("gpa", 0, gpa), ("size", 0, size), ("map", 0, kind),
                                                              ("hpa", 0, hpa)])]

    def passed(gpa, hpa, size=PAGE):
        return [(slots, "gpa", 0, gpa), (slots, "hpa", 0, hpa), (slots, "size", 0, size)]

    yield "memory twice", m, second(0x40000000, 4 << 20, 0)
    yield "memory that overlaps by a page", m, second(0x403ff000, 4 << 20, 0)
    yield "memory at the hypervisor's own", m, second(0x50000000, 4 << 20, 2, 0x40000000)
    yield "memory of the hypervisor as it lies", m, [(region, "map", 0, 1), (region, "gpa", 0, 0x40000000)]
    yield "more memory than there is", m, [(region, "size", 0, 1 << 34)]
    yield "memory beyond what addresses have", m, second(1 << 46, 4 << 20, 0)
    yield "memory where there is none", m, second(0x50000000, 4 << 20, 2, 1 << 39)
    yield "memory over the guest's GIC", m, second(0x08000000, 1 << 20, 0)
    yield "the machine's GIC", p, passed(0xb100000, 0x08000000)
    yield "the machine's redistributors", p, passed(0xb100000, 0x080a0000)
    yield "the machine's serial port", p, passed(0xb100000, 0x09000000)
    yield "the machine's memory", p, passed(0xb100000, 0x40000000)
    yield "the machine's memory at its end", p, passed(0xb100000, 0x5ffff000)
    yield "what the machine does not have", p, passed(0xb100000, 0x7f0000000000)
    yield "a device over the guest's memory", p, passed(0x40000000, 0xa000000)
    yield "a device over the guest's GIC", p, passed(0x08000000, 0xa000000)
    yield "the interrupt of the serial port", p, [(slots, "irq", 0, 33)]
    yield "an interrupt that is no SPI", p, [(slots, "irq", 0, 27)]
    yield "the timer's interrupt among others", p, [(0, "config.nspis", 0, 1), (0, "config.spis", 0, 27)]
    yield "two devices at one place", d, [(d.number("device", n), "gpa", 0, 0xb000000) for n in (-1, -2)]
    yield "a device of no type", d, [(d.number("device", -1), "type", i, 0) for i in range(64)]
    yield "a disk behind a serial port", d, [(disk, "device", 0, [bytes(t)[:5] for t in types].index(b"pl011"))]
    yield "a kernel that is cut off", d, [(0, "file[].bytes", 0, 64)]
    yield "more vCPUs than the machine runs", d, [(0, "config.cpu_num", 0, 9)]
    yield "vCPUs on CPUs that are not there", d, [(0, "config.naffinity", 0, 1), (0, "config.affinity", 0, 1 << 40)]
    yield "an architecture that is not this one", d, [(0, "config.isa", 0, 0)]


def refuse(made, path):
    for what, p, changes in contradictions(made):
        p.write(path, [good(p, "first"), ("wrong", changes), good(p, "last")])
        text = run(path, ("first", "last"), what)
        cases.case("refused: " + what, not text and reasons, text or "it ran")


def heads(p, path):
    """The package's own header: magic, version, VMs, bytes."""
    for what, at, form, value, want in (
            ("magic", 0, "<Q", 0, "no package"), ("version 0", 8, "<I", 0, "version 0"),
            ("version", 8, "<I", 0xffffffff, "version 4294967295"), ("no VMs", 12, "<I", 0, "done"),
            ("too many VMs", 12, "<I", MOST + 1, "too many VMs"), ("more VMs than there are", 12, "<I", 2, "vm 1:"),
            ("no bytes", 16, "<Q", 0, "cut off"), ("few bytes", 16, "<Q", HEADER + 1, "cut off"),
            ("half of a page", 16, "<Q", PAGE // 2, "cut off"), ("many bytes", 16, "<Q", (1 << 64) - 1, "cut off"),
            ("a GiB", 16, "<Q", 1 << 30, "larger than the memory")):
        p.write(path, [("only", [])], lambda head, at=at, form=form, value=value: struct.pack_into(form, head, at, value))
        text = _machine.run(path, seconds=20)
        well = want in text and "hull: " in text and "EL2 on CPU" not in text and "does not hold" not in text
        cases.case("header: " + what, well, text)


with tempfile.TemporaryDirectory() as work:
    kernel = _guest.kernel("exits", work)  # which knows no time
    disk, path = os.path.join(work, "disk.raw"), os.path.join(work, "wrong.img")
    with open(disk, "wb") as f:
        f.write(os.urandom(PAGE))
    devices = '[[disk]]\npath = "%s"\n[[net]]\nmode = "switch:lan"\n' % disk
    made = {}
    for name, memory, more in (("devices", RAM, devices), ("memory", REGION, ""), ("passthrough", RAM, PASS)):
        made[name] = Package(_machine.image(work, [(name, {"memory": memory, "kernel": kernel, "more": more})], TOML))
    only = sys.argv[1:]
    for name, sections, per_image in (("devices", (b"vm", b"device", b"disk", b"net"), MOST - 2), ("memory", (b"region",), MOST - 2),
                                      ("passthrough", (b"passthrough",), 1)):
        if not only or name in only:
            flip(made[name], path, name, sections, per_image)
    if not only or "refuse" in only:
        refuse(made, path)
    if not only or "heads" in only:
        heads(made["devices"], path)
    print("".join("# %s\n" % s for s in sorted(seen)).encode("ascii", "replace").decode(), end="")
sys.exit(cases.end())
