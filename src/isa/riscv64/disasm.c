/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The disassembler: a walk over the row's syntax. */
#include "isa/riscv64/disasm.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"

const char *const hull_rv_x_names[32] = {
	"zero", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
	"a1",   "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
	"s6",   "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6",
};

const char *const hull_rv_f_names[32] = {
	"ft0", "ft1", "ft2", "ft3", "ft4",  "ft5",  "ft6", "ft7", "fs0",  "fs1",  "fa0",
	"fa1", "fa2", "fa3", "fa4", "fa5",  "fa6",  "fa7", "fs2", "fs3",  "fs4",  "fs5",
	"fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "ft8", "ft9", "ft10", "ft11",
};

/* Unprivileged ISA, table 29. */
static const char *const rounding[8] = { "rne", "rtz", "rdn", "rup", "rmm", "rm5", "rm6", "dyn" };

struct out {
	char *dst;
	size_t size, len;
};

static void put(struct out *o, const char *text)
{
	size_t room = o->len < o->size ? o->size - o->len : 0;

	/* Past the end only the length is counted. */
	o->len += room ? hull_format(o->dst + o->len, room, "%s", text)
	               : hull_format((char[1]){ 0 }, 1, "%s", text);
}

static void put_char(struct out *o, char c)
{
	put(o, (char[2]){ c, 0 });
}

static void put_hex(struct out *o, uint64_t v)
{
	char text[24];

	hull_format(text, sizeof(text), "0x%llx", (unsigned long long)v);
	put(o, text);
}

static void put_dec(struct out *o, int32_t v)
{
	char text[16];

	hull_format(text, sizeof(text), "%d", v);
	put(o, text);
}

static const struct {
	uint16_t first, count;
	const char *name;
} csrs[] = {
#define CSR_FIELD(nr, name, mask, spec)         { nr, 1, #name },
#define CSR_HOOK(nr, name, spec)                { nr, 1, #name },
#define CSR_CONST(nr, name, value, spec)        { nr, 1, #name },
#define CSR_RANGE(nr, count, name, value, spec) { nr, count, #name },
#include "isa/riscv64/csr.def"
#undef CSR_FIELD
#undef CSR_HOOK
#undef CSR_CONST
#undef CSR_RANGE
};

/* A range's name ends with the number of its first register. */
static size_t numbered(const char *name, unsigned add, char *dst, size_t size)
{
	size_t stem = 0;
	unsigned n = 0;
	char text[32] = { 0 };

	while (name[stem] && (name[stem] < '0' || name[stem] > '9') && stem < sizeof(text) - 1) {
		text[stem] = name[stem];
		stem++;
	}
	for (const char *p = name + stem; *p; p++)
		n = n * 10 + (unsigned)(*p - '0');
	return hull_format(dst, size, "%s%u", text, n + add);
}

size_t hull_rv_csr_name(unsigned csr, char *dst, size_t size)
{
	for (unsigned i = 0; i < ARRAY_LEN(csrs); i++) {
		if (csr < csrs[i].first || csr - csrs[i].first >= csrs[i].count)
			continue;
		if (csrs[i].count == 1)
			return hull_format(dst, size, "%s", csrs[i].name);
		return numbered(csrs[i].name, csr - csrs[i].first, dst, size);
	}
	return hull_format(dst, size, "0x%x", csr);
}

size_t hull_rv_mnemonic(enum hull_rv_id id, char *dst, size_t size)
{
	size_t len = hull_format(dst, size, "%s", hull_rv_rows[id].name);

	for (char *p = dst; *p; p++)
		if (*p == '_')
			*p = '.';
	return len;
}

static void put_fence_set(struct out *o, unsigned set)
{
	for (unsigned i = 0; i < 4; i++)
		if (set >> (3 - i) & 1)
			put_char(o, "iorw"[i]);
	if (!set)
		put(o, "0");
}

/* Unprivileged ISA, 2.7; fm 1000 is FENCE.TSO, "fence w,0" is PAUSE (Zihintpause). */
static void put_fence(struct out *o, uint32_t bits)
{
	if (bits == 0x8330000f) {
		put(o, ".tso");
	} else if (bits == 0x0100000f) {
		o->len = 0;
		put(o, "pause");
	} else {
		put_char(o, ' ');
		put_fence_set(o, bits >> 24 & 15);
		put_char(o, ',');
		put_fence_set(o, bits >> 20 & 15);
	}
}

static void put_immediate(struct out *o, char letter, int32_t imm, uint64_t pc)
{
	char name[32];

	switch (letter) {
	case 'b':
	case 'j':
	case 'B':
	case 'J': put_hex(o, pc + (uint64_t)(int64_t)imm); return;
	case 'u':
	case 'v': put_hex(o, (uint32_t)imm >> 12); return;
	case 'c':
		hull_rv_csr_name((unsigned)imm & 0xfff, name, sizeof(name));
		put(o, name);
		return;
	default: put_dec(o, imm);
	}
}

/* One letter of the syntax. */
static void put_operand(struct out *o, char letter, const struct hull_rv_insn *i, uint64_t pc)
{
	switch (letter) {
	case 'd':
	case 'e': put(o, hull_rv_x_names[i->rd]); return;
	case 's':
	case 'f': put(o, hull_rv_x_names[i->rs1]); return;
	case 't':
	case 'g': put(o, hull_rv_x_names[i->rs2]); return;
	case 'D':
	case 'E': put(o, hull_rv_f_names[i->rd]); return;
	case 'S':
	case 'F': put(o, hull_rv_f_names[i->rs1]); return;
	case 'T':
	case 'G': put(o, hull_rv_f_names[i->rs2]); return;
	case 'R': put(o, hull_rv_f_names[i->rs3]); return;
	case 'm': put(o, rounding[i->rm]); return;
	default: put_immediate(o, letter, i->imm, pc);
	}
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void put_operands(struct out *o, const char *s, const struct hull_rv_insn *i, uint64_t pc)
{
	for (; *s; s++) {
		if (hull_text_eq(s, ",m") && i->rm == 7)
			return; /* dynamic rounding is what no suffix means */
		if (s[0] == '#' && s[1]) {
			s++;
			put_dec(o, i->rs1);
		} else if (!is_letter(*s)) {
			put_char(o, *s);
		} else if (!is_letter(s[1])) {
			put_operand(o, *s, i, pc);
		} else { /* a word stands for itself */
			for (; is_letter(s[1]); s++)
				put_char(o, *s);
			put_char(o, *s);
		}
	}
}

/* aq and rl are ignored bits of the rows of the atomics' opcode. */
static void put_ordering(struct out *o, uint32_t bits)
{
	static const char *const text[4] = { "", ".rl", ".aq", ".aqrl" };

	if ((bits & 0x7f) == 0x2f)
		put(o, text[bits >> 25 & 3]);
}

static bool is_reserved(enum hull_rv_id id)
{
	static const char prefix[] = "reserved_";
	const char *name = hull_rv_rows[id].name;

	return hull_text_len(name) > sizeof(prefix) && !memcmp(name, prefix, sizeof(prefix) - 1);
}

size_t hull_rv_disasm(const struct hull_rv_decoder *d, uint32_t bits, uint64_t pc, char *dst,
                      size_t size)
{
	struct out o = { dst, size, 0 };
	struct hull_rv_insn i;
	const char *syntax;

	hull_rv_decode(d, bits, &i);
	if (i.len == 2)
		bits &= 0xffff;
	if (i.id == HULL_RV_INVALID || is_reserved(i.id))
		return hull_format(dst, size, i.len == 2 ? ".half 0x%04x" : ".word 0x%08x", bits);
	o.len = hull_rv_mnemonic(i.id, dst, size);
	if (i.id == HULL_RV_fence) {
		put_fence(&o, bits);
		return o.len;
	}
	put_ordering(&o, bits);
	syntax = hull_rv_rows[i.id].syntax;
	if (*syntax)
		put_char(&o, ' ');
	put_operands(&o, syntax, &i, pc);
	return o.len;
}
