/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The decoder: patterns become masks and field positions, rows are found through buckets. */
#include "isa/riscv64/insn.h"

#include "base/bits.h"
#include "base/mem.h"

const struct hull_rv_row hull_rv_rows[HULL_RV_COUNT] = {
#define INSN(name, pattern, syntax, meaning) { #name, pattern, syntax },
#include "isa/riscv64/insns.def"
#undef INSN
};

static const struct {
	char letter;
	bool is_signed;
	const char *order;
} imm_formats[] = {
#define IMM_FORMAT(letter, is_signed, order) { letter, is_signed, order },
#include "isa/riscv64/imm.def"
#undef IMM_FORMAT
};

static unsigned number(const char **s)
{
	unsigned n = 0;

	while (**s >= '0' && **s <= '9')
		n = n * 10 + (unsigned)(*(*s)++ - '0');
	return n;
}

/* Expand "12|10:5" into the value bit of each pattern bit, most significant first. */
static unsigned expand_order(const char *order, uint8_t to[32])
{
	unsigned n = 0;

	while (*order) {
		unsigned hi = number(&order), lo = hi;

		if (*order == ':') {
			order++;
			lo = number(&order);
		}
		for (unsigned b = hi + 1; b-- > lo && n < 32;)
			to[n++] = (uint8_t)b;
		if (*order == '|')
			order++;
	}
	return n;
}

/* `from[i]` is the instruction bit of the i-th immediate bit of the pattern. */
static bool make_runs(struct hull_rv_format *f, const uint8_t from[32], unsigned n)
{
	uint8_t to[32];
	unsigned i, width = 0;

	for (i = 0; i < ARRAY_LEN(imm_formats); i++)
		if (imm_formats[i].letter == f->imm)
			break;
	if (i == ARRAY_LEN(imm_formats) || expand_order(imm_formats[i].order, to) != n)
		return false;
	f->imm_signed = imm_formats[i].is_signed;
	for (i = 0; i < n; i++) {
		struct hull_rv_run *r = f->nruns ? &f->runs[f->nruns - 1] : NULL;

		width = MAX(width, (unsigned)to[i] + 1);
		if (r && r->from == from[i] + 1 && r->to == to[i] + 1) {
			r->from--; /* runs grow downwards */
			r->to--;
			r->len++;
		} else {
			if (f->nruns == ARRAY_LEN(f->runs))
				return false;
			f->runs[f->nruns++] = (struct hull_rv_run){ from[i], to[i], 1 };
		}
	}
	f->imm_width = (uint8_t)width;
	return true;
}

static bool parse_field(struct hull_rv_format *f, char c, unsigned bit, uint8_t *from, unsigned *n)
{
	int8_t low = (int8_t)bit; /* overwritten down to the lowest bit */

	switch (c) {
	case 'd': f->rd = low; return true;
	case 's': f->rs1 = low; return true;
	case 't': f->rs2 = low; return true;
	case 'r': f->rs3 = low; return true;
	case 'm': f->rm = low; return true;
	case 'e':
		f->rd = low;
		f->short_regs |= 1;
		return true;
	case 'f':
		f->rs1 = low;
		f->short_regs |= 2;
		return true;
	case 'g':
		f->rs2 = low;
		f->short_regs |= 4;
		return true;
	}
	if (f->imm && f->imm != c)
		return false;
	f->imm = c;
	from[(*n)++] = (uint8_t)bit;
	return true;
}

static bool parse_pattern(const char *pattern, struct hull_rv_format *f)
{
	uint8_t from[32];
	unsigned width = 0, n = 0;

	memset(f, 0, sizeof(*f));
	f->rd = f->rs1 = f->rs2 = f->rs3 = f->rm = -1;
	for (const char *p = pattern; *p; p++)
		width += *p != ' ';
	if (width != 16 && width != 32)
		return false;
	f->len = (uint8_t)(width / 8);
	for (const char *p = pattern; *p; p++) {
		if (*p == ' ')
			continue;
		width--;
		if (*p == '0' || *p == '1') {
			f->mask |= 1u << width;
			f->match |= (uint32_t)(*p - '0') << width;
			f->fixed++;
		} else if (*p != '.' && !parse_field(f, *p, width, from, &n)) {
			return false;
		}
	}
	return !f->imm || make_runs(f, from, n);
}

/* 32-bit: opcode bits 6:2 and funct3; 16-bit: quadrant and funct3. */
static unsigned bucket_of(uint32_t insn)
{
	if ((insn & 3) == 3)
		return (insn >> 2 & 31) << 3 | (insn >> 12 & 7);
	return 256 + ((insn & 3) << 3 | (insn >> 13 & 7));
}

static uint32_t bucket_bits(unsigned bucket)
{
	if (bucket < 256)
		return 3 | (bucket >> 3) << 2 | (bucket & 7) << 12;
	return (bucket - 256) >> 3 | (bucket & 7) << 13;
}

bool hull_rv_decoder_init(struct hull_rv_decoder *d)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HULL_RV_COUNT; i++)
		if (!parse_pattern(hull_rv_rows[i].pattern, &d->formats[i]))
			return false;
	for (unsigned b = 0; b < HULL_RV_BUCKETS; b++) {
		uint32_t key_mask = b < 256 ? 0x707f : 0xe003;
		unsigned start = n;

		d->first[b] = (uint16_t)n;
		for (unsigned i = 0; i < HULL_RV_COUNT; i++) {
			const struct hull_rv_format *f = &d->formats[i];
			unsigned at;

			if ((f->len == 4) != (b < 256) ||
			    ((f->match ^ bucket_bits(b)) & f->mask & key_mask))
				continue;
			if (n == ARRAY_LEN(d->order))
				return false;
			for (at = n++; at > start && d->formats[d->order[at - 1]].fixed < f->fixed;
			     at--)
				d->order[at] = d->order[at - 1];
			d->order[at] = (uint16_t)i;
		}
	}
	d->first[HULL_RV_BUCKETS] = (uint16_t)n;
	return true;
}

static uint8_t reg_field(uint32_t insn, int8_t low, bool is_short)
{
	if (low < 0)
		return 0;
	return is_short ? (uint8_t)(8 + (insn >> low & 7)) : (uint8_t)(insn >> low & 31);
}

void hull_rv_decode(const struct hull_rv_decoder *d, uint32_t insn, struct hull_rv_insn *ret)
{
	unsigned b = bucket_of(insn);

	memset(ret, 0, sizeof(*ret));
	ret->id = HULL_RV_INVALID;
	ret->len = (uint8_t)hull_rv_length((uint16_t)insn);
	if (ret->len == 2)
		insn &= 0xffff;
	for (unsigned i = d->first[b]; i < d->first[b + 1]; i++) {
		const struct hull_rv_format *f = &d->formats[d->order[i]];
		uint32_t imm = 0;

		if ((insn & f->mask) != f->match)
			continue;
		ret->id = d->order[i];
		ret->rd = reg_field(insn, f->rd, f->short_regs & 1);
		ret->rs1 = reg_field(insn, f->rs1, f->short_regs & 2);
		ret->rs2 = reg_field(insn, f->rs2, f->short_regs & 4);
		ret->rs3 = reg_field(insn, f->rs3, false);
		ret->rm = f->rm < 0 ? 0 : insn >> f->rm & 7;
		ret->has_rd = f->rd >= 0;
		for (unsigned r = 0; r < f->nruns; r++)
			imm |= (insn >> f->runs[r].from & (uint32_t)low_mask(f->runs[r].len))
			       << f->runs[r].to;
		ret->imm = (int32_t)imm;
		if (f->imm_signed)
			ret->imm = (int32_t)sign_extend(imm, f->imm_width);
		return;
	}
}

static uint32_t put_reg(int8_t low, bool is_short, uint8_t reg)
{
	if (low < 0)
		return 0;
	return (uint32_t)(reg & (is_short ? 7 : 31)) << low;
}

uint32_t hull_rv_encode(const struct hull_rv_decoder *d, const struct hull_rv_insn *insn)
{
	const struct hull_rv_format *f = &d->formats[insn->id];
	uint32_t out = f->match;

	out |= put_reg(f->rd, f->short_regs & 1, insn->rd);
	out |= put_reg(f->rs1, f->short_regs & 2, insn->rs1);
	out |= put_reg(f->rs2, f->short_regs & 4, insn->rs2);
	out |= put_reg(f->rs3, false, insn->rs3);
	if (f->rm >= 0)
		out |= (uint32_t)(insn->rm & 7) << f->rm;
	for (unsigned r = 0; r < f->nruns; r++)
		out |= ((uint32_t)insn->imm >> f->runs[r].to & (uint32_t)low_mask(f->runs[r].len))
		       << f->runs[r].from;
	return out;
}
