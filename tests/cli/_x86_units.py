# SPDX-License-Identifier: MIT OR Apache-2.0
"""What x86-64 code of the JIT may do: an abstract interpreter over llvm-mc's disassembly.

A unit is one piece of code that is entered at its first byte.  For each place in it this follows
what the general registers hold, as far as that matters, along all ways that lead there:

  ("sum", B, k)             B + k, B a register that has not changed since
  ("low", B, k)             the low 32 bits of that
  ("shifted", B, k)         those >> 7
  ("tlb", B, k)             the offset of the TLB's entry for B + k
  ("tlbok", B, lo, hi, w)   the same, and the entry is that of the page of [B + lo, B + hi]
  ("page", B, k, keep)      B + k, of which only the page and the bits `keep` are left
  ("tag", B, k, keep, c)    that | data_context (c: "tlb") or site_context (c: "site")
  ("addend", B, lo, hi, w)  [this + B + lo .. hi] is guest memory; w: may be written
  ("host", B, lo, hi, w)    this + B, the same
  ("jumplow", B) ("jump", B) ("jumppc",) ("jumpok",)   offset of the jump cache's entry for B
  ("key",)                  jump_key
  ("start",)                the address of the unit's first byte
  ("aligned",)              a multiple of 4096
  ("end", B, hi)            the first B' >= B for which B' + hi is in another page than B + hi
  ("const", k)

What is held (cpu.h: engine_held) is for one register B and one kind of access in the whole unit: held[n]
is `kept` where it is empty, or was filled for B and B only grew since, in small steps.  "below" and "asked"
are no registers: B is not in the last pages, and B is less than held[n].end.

Besides, `secret` are the registers that may hold addresses of the host: they must not
get into anything that the guest can see.  Where two ways meet, what holds on both is kept.
"""
import re
import subprocess
import tempfile

BIAS = 128  # of rbp in the guest CPU
TLB_SHIFT, PAGE = 5, 4096

GPRS = {}
for _i, _names in enumerate("rax eax ax al,rcx ecx cx cl,rdx edx dx dl,rbx ebx bx bl,rsp esp sp spl,"
                            "rbp ebp bp bpl,rsi esi si sil,rdi edi di dil".split(",")):
    for _name, _bits in zip(_names.split(), (64, 32, 16, 8)):
        GPRS[_name] = (_names.split()[0], _bits)
for _i in range(8, 16):
    for _name, _bits in (("r%d", 64), ("r%dd", 32), ("r%dw", 16), ("r%db", 8)):
        GPRS[_name % _i] = ("r%d" % _i, _bits)
SCRATCH = ("rax", "rcx", "rdx")
SIZES = {"byte": 1, "word": 2, "dword": 4, "qword": 8, "xmmword": 16}

CONDITIONS = "o no b ae e ne be a s ns p np l ge le g".split()
JCC = {"j" + c for c in CONDITIONS}
SETCC = {"set" + c for c in CONDITIONS}
CMOVCC = {"cmov" + c for c in CONDITIONS}
# What writes its first operand after reading it, what only writes it, what only reads.
ALTERS = {"add", "or", "and", "sub", "xor", "neg", "not", "imul", "shl", "shr", "sar", "ror", "shld",
          "bswap"} | CMOVCC
WRITES = {"mov", "movabs", "movsx", "movsxd", "movzx", "lea", "bsf", "bsr", "tzcnt", "lzcnt", "popcnt",
          "shlx", "sarx", "shrx", "rorx"} | SETCC
READS = {"cmp", "test"}
WIDE = {"mul", "div", "idiv", "imul"}  # with one operand: rdx:rax
FLOAT = re.compile(r"v?(mov(ss|sd|d|q|aps|hlps)|(add|sub|mul|div|sqrt|min|max|u?comi)s[sd]|cmp(eq)?s[sd]"
                   r"|cvt\w+|andps|xorps|pcmpeq[bd]|ps[rl]l[dq]|fn?m(add|sub)213s[sd])$|pclmul\w*$")


class Bad(Exception):
    pass


class Insn:
    """One instruction: at, end, op, lock, operands, each a register name, a number or a Mem."""
    __slots__ = ("at", "end", "op", "lock", "args", "text")

    def __init__(self, at, end, text, lock, start):
        self.at, self.end, self.lock = at, end, lock
        self.text = " ".join(text.split())
        self.op, _, rest = self.text.partition(" ")
        self.args = [operand(a) for a in rest.split(", ")] if rest else []
        if self.args and isinstance(self.args[0], int) and (self.op in JCC or self.op in ("jmp", "call")):
            self.args = [self.args[0] - start]  # of the unit


class Mem:
    """size (0: lea), base, index (registers or None), scale, disp"""
    __slots__ = ("size", "base", "index", "scale", "disp")

    def __init__(self, size, text):
        self.size, self.base, self.index, self.scale, self.disp = size, None, None, 1, 0
        for sign, term in re.findall(r"(^|[-+]) ?([^-+ ]+)", text.replace("+ -", "- ")):
            m = re.match(r"(?:(\d)\*)?([a-z]\w*)$", term)
            if not m:
                self.disp += int(term, 0) * (-1 if sign == "-" else 1)
            elif m[1] or self.base:
                if self.index:
                    raise Bad("operand [%s]" % text)
                self.index, self.scale = m[2], int(m[1] or 1)
            else:
                self.base = m[2]

    def regs(self):
        return [r for r in (self.base, self.index) if r]


def operand(text):
    m = re.match(r"(?:(\w+) ptr )?\[([^\]]*)\]$", text)
    if m:
        return Mem(SIZES[m[1]] if m[1] else 0, m[2])
    if re.match(r"-?(0x)?[0-9a-f]+$", text) and text not in GPRS:
        return int(text, 0)
    if text not in GPRS and not text.startswith("xmm"):
        raise Bad("operand " + text)
    return text


def assemble(text, to):
    """Write an object file with .text of that assembly."""
    subprocess.run(["llvm-mc-19", "-triple=x86_64", "-filetype=obj", "-o", to], input=text, text=True, check=True)


def disassemble(codes):
    """The instructions of each unit.  Bad: there is something else in it."""
    with tempfile.NamedTemporaryFile(suffix=".o") as built:
        assemble("\n".join(".byte " + ",".join(map(str, c)) for c in codes), built.name)
        out = subprocess.run(["llvm-objdump-19", "-d", "--no-show-raw-insn", "--x86-asm-syntax=intel", built.name],
                             capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^ +([0-9a-f]+):\s+([^#<\n]*)", out, re.M)
    places = [int(at, 16) for at, _ in found] + [sum(map(len, codes))]
    units, start, n = [], 0, 0
    for code in codes:
        unit, end, lock = [], start + len(code), None
        while places[n] < end:
            text = found[n][1].strip()
            if not text or places[n + 1] > end:
                raise Bad("no instruction at %d of unit %d" % (places[n] - start, len(units)))
            if text == "lock":
                lock = places[n]
            else:
                first = places[n] if lock is None else lock
                unit.append(Insn(first - start, places[n + 1] - start, text, lock is not None, start))
                lock = None
            n += 1
        units.append(unit)
        start = end
    return units


class State:
    __slots__ = ("v", "secret", "flags", "site", "kept")

    def __init__(self, v=None, secret=frozenset(), flags=None, site=None, kept=frozenset()):
        self.v, self.secret, self.flags, self.site, self.kept = v or {}, secret, flags, site, kept

    def copy(self):
        return State(dict(self.v), self.secret, self.flags, self.site, self.kept)

    def key(self):
        return (self.v, self.secret, self.flags, self.site, self.kept)


def both(x, y):
    """What holds of a register of which x or y does."""
    if x[0] == y[0] in ("addend", "host") and x[1] == y[1]:
        return x[:2] + (max(x[2], y[2]), min(x[3], y[3]), x[4] and y[4])
    return x if x == y else None


def meet(a, b):
    v = {r: both(x, b.v[r]) for r, x in a.v.items() if r in b.v and both(x, b.v[r])}
    return State(v, a.secret | b.secret, a.flags if a.flags == b.flags else None,
                 a.site if a.site == b.site else None, a.kept & b.kept)


class Checker:
    def __init__(self, layout):
        self.layout = layout
        field = layout.get
        self.readable = [field(n) for n in ("x", "f", "reserved", "reserved_value", "page", "arg",
                                            "data_context", "site_context", "jump_key", "fp_fast",
                                            "spill")]
        self.writable = [field(n) for n in ("x", "f", "reserved", "reserved_value", "cause", "tval",
                                            "rm", "target", "arg", "spill", "sites_used")]

    # --- a unit ---

    def unit(self, insns, size, exits):
        """What is wrong with it: a list of texts."""
        self.held, self.fills = {}, {}
        wrong = self.follow(insns, size, exits)
        if not self.fills:
            return wrong
        self.held = {n: min(kinds) for n, kinds in self.fills.items()}  # what each is for is known now
        return self.follow(insns, size, exits)

    def follow(self, insns, size, exits):
        self.size, self.exits = size, exits
        self.by_at = {i.at: n for n, i in enumerate(insns)}
        self.wrong = {}
        states = {0: State(secret=frozenset(SCRATCH))}
        self.edges = {}
        work = [0] if insns else []
        while work:
            n = work.pop()
            for to, state in self.flow(insns, n, states[n].copy()):
                old = states.get(to)
                new = meet(old, state) if old else state
                if not old or new.key() != old.key():
                    states[to] = new
                    work.append(to)
        for at in exits:
            n = self.by_at.get(at - 1)
            if at % 4 or n is None or insns[n].op != "jmp" or insns[n].end != at + 4:
                self.wrong[at] = "no jump to be patched at %d" % at
        if not self.wrong and self.endless(insns):
            self.wrong[0] = "a loop that takes no fuel"
        return [self.wrong[k] for k in sorted(self.wrong)]

    def flow(self, insns, n, state):
        """The states behind instruction n, by number of the next instruction."""
        i = insns[n]
        try:
            to = list(self.step(i, state))
            targets = []
            for at, s in to:
                if at not in self.by_at:
                    raise Bad("goes to %d" % at)
                targets.append((self.by_at[at], s))
        except Bad as bad:
            self.wrong[i.at] = "%d: %s: %s" % (i.at, i.text, bad)
            return []
        self.edges[n] = [t for t, _ in targets]
        return targets

    def endless(self, insns):
        """Is there a cycle without a look at the fuel, but for that of compare and exchange?"""
        colour = {}
        for first in self.edges:  # what is behind a look is reached by it alone
            stack = [] if first in colour else [(first, iter(self.next_of(insns, first)))]
            colour.setdefault(first, 1)
            while stack:
                n, rest = stack[-1]
                for to in rest:
                    if colour.get(to) == 1:
                        return True
                    if to not in colour:
                        colour[to] = 1
                        stack.append((to, iter(self.next_of(insns, to))))
                        break
                else:
                    colour[n] = 2
                    stack.pop()
        return False

    def next_of(self, insns, n):
        """Where n goes; not what its test of the fuel allows, nor what another CPU causes."""
        to = self.edges.get(n, [])
        before = insns[n - 1] if n else None
        if insns[n].op == "js" and before.op == "sub" and before.args[0] == "r15":
            return [t for t in to if t != n + 1]
        if insns[n].op == "jns" and before.op == "sub" and before.args[0] == "r15":
            return [n + 1]
        if insns[n].op == "jne" and before.op == "cmpxchg":
            return [n + 1]
        return to

    # --- an instruction ---

    def step(self, i, s):
        flags, s.flags = s.flags, None
        site, s.site = s.site, None
        if i.op in JCC or i.op == "jmp" or i.op == "call":
            return self.go(i, s, flags)
        if i.op == "nop":
            return [(i.end, s)]
        if i.lock and i.op not in ("or", "add", "and", "xor", "xadd", "cmpxchg", "xchg"):
            raise Bad("lock")
        if i.op == "or" and isinstance(i.args[0], Mem) and i.args[0].base == "rsp":
            m = i.args[0]
            if not (i.lock and m.size == 4 and not m.index and not m.disp and i.args[1] == 0):
                raise Bad("the stack")
            return [(i.end, s)]
        if FLOAT.match(i.op):
            self.float(i, s)
        elif i.op in ("xchg", "xadd", "cmpxchg"):
            self.exchange(i, s)
        elif i.op in WIDE and len(i.args) == 1:
            self.sources(i.args, s)
            self.set(s, "rax"), self.set(s, "rdx")
        elif i.op in ("cdq", "cqo"):
            self.set(s, "rdx")
        elif i.op == "mulx":
            self.sources(i.args[2:], s)
            self.set(s, self.reg(i.args[0])), self.set(s, self.reg(i.args[1]))
        elif i.op in READS:
            self.compare(i, s)
        elif i.op in WRITES or i.op in ALTERS:
            self.assign(i, s, site)
        else:
            raise Bad("unknown instruction")
        return [(i.end, s)]

    @staticmethod
    def reg(a):
        if a not in GPRS:
            raise Bad("operand %s" % a)
        return GPRS[a][0]

    def set(self, s, reg, value=None, secret=False, grows=False):
        """reg has a new value; what was known relative to the old one no longer is."""
        if reg in ("rsp", "rbp"):
            raise Bad("changes " + reg)
        if not grows:
            s.kept = frozenset(n for n in s.kept if self.held.get(n, (None,))[0] != reg)
        for q in [q for q, x in s.v.items() if q == reg or x[1:2] == (reg,)]:
            del s.v[q]
        if value and value[1:2] != (reg,):
            s.v[reg] = value
        s.secret = s.secret | {reg} if secret else s.secret - {reg}

    def sources(self, args, s):
        """Operands that are read: memory that may be, registers that are not secret."""
        for a in args:
            if isinstance(a, Mem):
                self.access(a, s, False)
            elif a in GPRS and GPRS[a][0] in s.secret:
                raise Bad("%s may be an address of the host" % a)
            elif a in GPRS and GPRS[a][0] in ("rsp", "rbp", "r15"):
                raise Bad("uses " + a)

    def float(self, i, s):
        if isinstance(i.args[0], Mem):
            self.access(i.args[0], s, True)
        elif i.args[0] in GPRS:
            self.set(s, self.reg(i.args[0]))
        self.sources(i.args[1:], s)

    def exchange(self, i, s):
        m, r = (i.args[0], i.args[1]) if isinstance(i.args[0], Mem) else (i.args[1], i.args[0])
        self.sources([r] + (["rax"] if i.op == "cmpxchg" else []), s)
        if not isinstance(m, Mem) or m.base == "rbp":
            raise Bad("operands")
        self.access(m, s, True)
        self.set(s, "rax" if i.op == "cmpxchg" else self.reg(r))

    # --- memory ---

    def access(self, m, s, write):
        """A plain access that is neither of the lookups."""
        if not m.size:
            raise Bad("size")
        if m.base == "rbp" and not m.index:
            at = m.disp + BIAS
            if not any(f <= at and at + m.size <= f + n for f, n in (self.writable if write else self.readable)):
                raise Bad("%s of the guest CPU's byte %d" % ("write" if write else "read", at))
            return
        regs = m.regs()
        if not regs or "rbp" in regs or "rsp" in regs or "rip" in regs or m.scale != 1:
            raise Bad("operand")
        for a, b in (regs, regs[::-1]) if len(regs) == 2 else ((regs[0], None),):
            v = s.v.get(a)
            if v and (v[0] == "addend" and v[1] == b or v[0] == "host" and not b):
                if v[2] <= m.disp and m.disp + m.size - 1 <= v[3] and (v[4] or not write):
                    return
                raise Bad("only bytes %d to %d have been looked up%s"
                          % (v[2], v[3], "" if v[4] else ", for reading"))
        raise Bad("address that was not looked up")

    def site_of(self, m):
        """(number, byte in the site) or None"""
        first, size = self.layout["sites"]
        at = m.disp + BIAS - first
        if m.base != "rbp" or m.index or not 0 <= at < size or m.size != 8 or at % 8:
            return None
        return at // 16, at % 16

    def held_of(self, m):
        """The same of what is held."""
        first, size = self.layout["held"]
        at = m.disp + BIAS - first
        if m.base != "rbp" or m.index or not 0 <= at < size or m.size != 8 or at % 8:
            return None
        return at // 16, at % 16

    def indexed(self, m):
        """The field of the TLB or jump cache at [rbp + index + disp], and index."""
        if m.base != "rbp" or not m.index or m.scale != 1 or m.size != 8:
            return None, None
        for name, place in self.layout.items():
            if "." in name and place == [m.disp + BIAS, 8]:
                return name, m.index
        raise Bad("entry of no table")

    # --- integers ---

    def compare(self, i, s):
        a, b = i.args
        if i.op == "cmp" and a in GPRS and isinstance(b, Mem):
            v = s.v.get(a)
            name, index = self.indexed(b)
            x = s.v.get(index)
            if name in ("tlb.read", "tlb.write"):
                if not (x and v and x[0] == "tlb" and v[0] == "tag" and v[4] == "tlb" and not v[3] and
                        x[1] == v[1] and 0 <= v[2] - x[2] < PAGE):
                    raise Bad("TLB: index %s, tag %s" % (x, v))
                s.flags = ("tlb", index, v[1], x[2], v[2], name == "tlb.write")
                return
            if name == "jumps.pc":
                if not x or x != ("jump", a):
                    raise Bad("jump cache: index %s" % (x,))
                s.flags = ("jumppc", index)
                return
            if name == "jumps.key":
                if not x or x[0] != "jumppc" or v != ("key",):
                    raise Bad("jump cache: key %s" % (v,))
                s.flags = ("jumpok", index)
                return
            if name:
                raise Bad("compares with " + name)
            site = self.site_of(b)
            if site:
                # Aligned: the kept bits, all 0 in a tag.
                if site[1] or not v or v[0] != "tag" or v[4] != "site" or v[3] & (v[3] + 1) or v[3] > 7:
                    raise Bad("site: tag %s" % (v,))
                s.flags = ("site", site[0], v[1], v[2], v[2] + v[3])
                return
            held = self.held_of(b)
            if held:
                if held[1] or held[0] not in s.kept or GPRS[a] != (a, 64) or \
                        self.held.get(held[0], (a,))[0] != a:
                    raise Bad("held[%u] is not kept" % held[0])
                s.flags = ("asked", a, held[0])
                return
        if a in GPRS and GPRS[a][1] == 64 and b == -self.layout["held_last"]:
            s.flags = ("below", a)
        self.sources(i.args, s)

    def assign(self, i, s, site):
        d, rest = i.args[0], i.args[1:]
        if isinstance(d, Mem):
            self.store(i, d, rest, s, site)
            return
        reg = self.reg(d)
        if reg == "r15":
            if i.op not in ("add", "sub") or not isinstance(rest[0], int) or rest[0] < 0 and i.op == "sub":
                raise Bad("changes the fuel")
            return
        value, secret, known = self.value(i, s, reg)
        if not known:
            if i.op in ALTERS and not (i.op in ("xor", "sub") and rest == [d]):
                self.sources([d], s)
            self.sources([a for a in rest if not (i.op == "xor" and rest == [d])], s)
        grows = GPRS[d][1] == 64 and (i.op == "add" and self.is_step(rest[0]) or
                                      i.op == "lea" and rest[0].base == d and not rest[0].index and
                                      self.is_step(rest[0].disp))
        self.set(s, reg, value, secret, grows)

    def is_step(self, k):
        return isinstance(k, int) and 0 < k < self.layout["held_step"]

    def hold(self, i, n, part, value, s, site):
        """held[n] becomes empty, or what was looked up: first the addend, then the end."""
        v = s.v.get(value)
        if i.op == "mov" and not part and value == 0:
            s.kept |= {n}
        elif i.op == "mov" and part and v and v[0] == "addend":
            kind = v[1:]
            if n in self.held and self.held[n] != kind:
                raise Bad("held[%u] is for %s, too" % (n, self.held[n]))
            self.fills.setdefault(n, set()).add(kind)
            s.kept -= {n}
            s.site = ("held", n) + kind
        elif i.op == "mov" and not part and site and site[:2] == ("held", n) and \
                v == ("end", site[2], site[4]) and s.v.get("below") == ("below", site[2]):
            s.kept |= {n}
        else:
            raise Bad("held[%u]: %s" % (n, v))

    def store(self, i, m, rest, s, site):
        to = self.held_of(m)
        if to:
            self.hold(i, *to, rest[0], s, site)
            return
        to = self.site_of(m)
        if to and i.op == "mov" and rest[0] in GPRS:
            v = s.v.get(rest[0])
            if to[1] == 8:
                if not v or v[0] != "addend" or v[4] != bool(to[0] & 1):
                    raise Bad("site: addend %s" % (v,))
                s.site = (to[0],) + v[1:4]
            elif not site or site[0] != to[0] or not v or v[0] != "tag" or v[4] != "site" or \
                    v[1] != site[1] or v[3] or not site[2] <= v[2] <= site[3]:
                raise Bad("site: tag %s" % (v,))
            return
        if m.base == "rbp" and not m.index and m.disp + BIAS == self.layout["page"][0]:
            if i.op != "mov" or m.size != 8 or s.v.get(rest[0]) != ("aligned",):
                raise Bad("not the address of a page")
            return
        self.sources(rest, s)
        self.access(m, s, True)

    def value(self, i, s, reg):
        """(value, is it secret, known: its operands have been looked at) of what i writes."""
        op, d, a = i.op, i.args[0], i.args[1] if len(i.args) > 1 else None
        bits = GPRS[d][1]
        old = s.v.get(reg)
        if op in ("mov", "movabs") and isinstance(a, int):
            return ("const", a), False, True
        if op in ("xor", "sub") and a == d:
            return ("const", 0), False, True
        if op == "mov" and isinstance(a, Mem):
            return self.load(a, s, bits)
        if op == "mov" and a in GPRS and GPRS[a][0] not in s.secret and GPRS[a][0] not in ("rbp", "rsp", "r15"):
            if bits == 64:
                return ("sum", a, 0), False, True
            return (("low", GPRS[a][0], 0) if bits == 32 else None), False, True
        if op == "lea":
            return self.lea(i, a, s, bits)
        if op == "and" and isinstance(a, int):
            return self.masked(old or ("",), a, bits, reg, s)
        if not old or not isinstance(a, (int, Mem)):
            return None, False, False
        if op == "add" and bits == 64 and old[0] == "page" and not old[3] and a == PAGE - old[2]:
            return ("end", old[1], old[2]), False, True
        if op == "shr" and bits == 32 and old[0] == "low" and a == 12 - TLB_SHIFT:
            return ("shifted",) + old[1:], False, True
        if op == "shl" and bits == 32 and old[0] == "jumplow" and a == TLB_SHIFT - 1:
            return ("jump", old[1]), False, True
        if op == "or" and bits == 64 and isinstance(a, Mem) and a.base == "rbp" and not a.index and old[0] == "page":
            for name, kind in (("data_context", "tlb"), ("site_context", "site")):
                if [a.disp + BIAS, a.size] == self.layout[name]:
                    return ("tag",) + old[1:] + (kind,), False, True
        return None, False, False

    def masked(self, old, mask, bits, reg, s):
        if bits == 32 and old[0] == "shifted" and mask == (self.layout["tlb_size"] - 1) << TLB_SHIFT:
            return ("tlb",) + old[1:], False, True
        if bits == 32 and old[0] == "low" and not old[2] and mask == (self.layout["jump_size"] - 1) << 1:
            return ("jumplow", old[1]), False, True
        if bits == 64 and old[0] == "sum" and -PAGE <= mask < 0 and not (mask + PAGE) & (mask + PAGE + 1):
            return ("page", old[1], old[2], mask + PAGE), False, True
        if bits == 64 and mask == -PAGE and reg not in s.secret:
            return ("aligned",), False, True
        return None, False, False

    def load(self, m, s, bits):
        name, index = self.indexed(m)
        x = s.v.get(index)
        if name:
            if name != "tlb.addend" or bits != 64 or not x or x[0] != "tlbok":
                raise Bad("takes %s: %s" % (name, x))
            return ("addend",) + x[1:], True, True
        site = self.site_of(m)
        if site:
            x = s.v.get("site")
            if site[1] != 8 or not x or x[0] != "siteok" or x[5] != site[0]:
                raise Bad("site was not asked: %s" % (x,))
            return ("addend",) + x[1:4] + (bool(site[0] & 1),), True, True
        held = self.held_of(m)
        if held:
            x = s.v.get("asked")
            if held[1] != 8 or not x or x[2] != held[0]:
                raise Bad("held[%u] was not asked: %s" % (held[0], x))
            # The first time through the unit, what it is for is not known.
            return ("addend",) + self.held.get(held[0], (x[1], -1 << 31, 1 << 31, True)), True, True
        if m.base == "rbp" and not m.index and [m.disp + BIAS, m.size] == self.layout["jump_key"]:
            return ("key",), False, True
        return None, False, False

    def lea(self, i, m, s, bits):
        if m.base == "rip":
            if m.index or i.end + m.disp or bits != 64:
                raise Bad("lea of something else than the unit's start")
            return ("start",), True, True
        secret = [r for r in m.regs() if r in s.secret]
        if secret:
            for a, b in (m.regs(), m.regs()[::-1]):
                v = s.v.get(a)
                if v and v[0] == "addend" and v[1] == b and not m.disp and m.scale == 1 and bits == 64:
                    return ("host",) + v[1:], True, True
            raise Bad("%s may be an address of the host" % secret[0])
        if any(r in ("rbp", "rsp", "r15") for r in m.regs()):
            raise Bad("uses " + m.regs()[0])
        if m.base and not m.index:
            return ("sum" if bits == 64 else "low", m.base, m.disp), False, True
        return None, False, True

    # --- control ---

    def go(self, i, s, flags):
        a = i.args[0]
        if isinstance(a, Mem):
            return self.go_out(i, a, s)
        if not isinstance(a, int) or i.op == "call":
            raise Bad("goes where a register says")
        to = (a, s)
        if i.op == "jmp":
            return [to]
        hit = s.copy()
        if flags and i.op == ("jae" if flags[0] in ("asked", "below") else "jne"):
            self.learn(hit, flags)
        elif flags and flags[0].startswith("jump"):
            raise Bad("condition of the jump cache")
        return [to, (i.end, hit)]

    def learn(self, s, flags):
        """The comparison says equal, or below."""
        if flags[0] == "tlb":
            s.v[flags[1]] = ("tlbok",) + flags[2:]
        elif flags[0] == "site":
            s.v["site"] = ("siteok",) + flags[2:5] + (None, flags[1])
        elif flags[0] in ("asked", "below"):
            s.v[flags[0]] = flags
        else:
            s.v[flags[1]] = (flags[0],)

    def go_out(self, i, m, s):
        name, index = self.indexed(m)
        if name:
            if name != "jumps.code" or i.op != "jmp" or s.v.get(index) != ("jumpok",):
                raise Bad("jump through %s: %s" % (name, s.v.get(index)))
            return []
        first, size = self.layout["stub"]
        number, rest = divmod(m.disp + BIAS - first, 8)
        if m.base != "rbp" or m.index or m.size != 8 or rest or not 0 <= number < self.layout["stubs"]:
            raise Bad("jump through what is no stub")
        if i.op == "jmp":
            if number < self.layout["exits"] and s.v.get("rdx") != ("start",):
                raise Bad("leaves without saying from where")
            if self.layout["exits"] <= number < self.layout["lookup"]:
                raise Bad("jumps to a thunk")
            return []
        if not self.layout["exits"] <= number < self.layout["lookup"]:
            raise Bad("calls what is no thunk")
        # C keeps the generator's registers; the TLB, sites and the rest may be others.
        for q in [q for q, x in s.v.items() if x[0] != "sum"]:
            del s.v[q]
        for r in SCRATCH:
            self.set(s, r, None, r != "rax")
        return [(i.end, s)]
