/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Registers of x86_64 by number; see regs.h. */
#include "isa/x86_64/regs.h"

#include "base/text.h"

struct row {
	uint16_t number;
	uint8_t bits;
	uint8_t class;
	char name[12];
};

static const struct row rows[] = {
#define X86_REG(number, name, bits, class) \
	{ HULL_X86_REG_##number, bits, X86_CLASS_##class, #name },
#include "isa/x86_64/regs.def"
#undef X86_REG
};

static const char segments[8][5] = { "es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr" };
static const char fields[4][6] = { "", "base", "limit", "attr" };
static const uint8_t field_bits[4] = { 16, 64, 32, 17 };

/* What follows rules: `count` groups of registers of `each`, from `first` on. */
static const struct rule {
	uint32_t first;
	uint16_t count, each;
	uint16_t offset; /* FPU */
	uint8_t class;
} rules[] = {
	{ HULL_X86_REG_SEG, 8, 4, 0, X86_CLASS_SEGMENT },
	{ HULL_X86_REG_ST, 8, 2, 32, X86_CLASS_FPU },
	{ HULL_X86_REG_XMM, 16, 2, 160, X86_CLASS_FPU },
	{ HULL_X86_REG_YMMH, 16, 2, X86_XSAVE_YMMH, X86_CLASS_FPU },
};

static const struct row *find(uint32_t number)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

static const struct rule *rule_of(uint32_t number)
{
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++)
		if (number - rules[i].first < (uint32_t)rules[i].count * rules[i].each)
			return &rules[i];
	return NULL;
}

/* Where FXSAVE has the control words (vol. 1, table 10-2). */
static uint16_t fpu_offset(uint32_t number)
{
	switch (number) {
	case HULL_X86_REG_FCW: return 0;
	case HULL_X86_REG_FSW: return 2;
	case HULL_X86_REG_FTW: return 4;
	default: return 24; /* MXCSR */
	}
}

static bool msr_of(uint32_t number, uint32_t *ret)
{
	if (number - HULL_X86_REG_MSR < 0x2000)
		*ret = number - HULL_X86_REG_MSR;
	else if (number - HULL_X86_REG_MSR_4 < 0x2000)
		*ret = number - HULL_X86_REG_MSR_4 + 0x40000000;
	else if (number - HULL_X86_REG_MSR_C < 0x20000)
		*ret = number - HULL_X86_REG_MSR_C + 0xc0000000;
	else
		return false;
	return true;
}

struct x86_reg hull_x86_reg(uint32_t number)
{
	const struct row *row = find(number);
	const struct rule *rule = rule_of(number);
	struct x86_reg r = { X86_CLASS_NONE, 0, 0, 0 };
	uint32_t n;

	if (row) {
		r.class = row->class;
		r.bits = row->bits;
		r.offset = row->class == X86_CLASS_FPU ? fpu_offset(number) : 0;
	} else if (rule) {
		n = number - rule->first;
		r.class = rule->class;
		if (rule->class == X86_CLASS_SEGMENT) {
			r.bits = field_bits[n % 4];
			return r;
		}
		r.offset = (uint16_t)(rule->offset + 8 * n);
		r.bits = number >= HULL_X86_REG_ST && n % 2 && rule->count == 8 ? 16 : 64;
	} else if (msr_of(number, &r.msr)) {
		r.class = X86_CLASS_MSR;
		r.bits = 64;
	}
	return r;
}

uint32_t hull_x86_msr_reg(uint32_t msr)
{
	if (msr < 0x2000)
		return HULL_X86_REG_MSR + msr;
	if (msr - 0x40000000 < 0x2000)
		return HULL_X86_REG_MSR_4 + (msr - 0x40000000);
	if (msr - 0xc0000000 < 0x20000)
		return HULL_X86_REG_MSR_C + (msr - 0xc0000000);
	return UINT32_MAX;
}

void hull_x86_reg_name(uint32_t number, char dst[X86_REG_NAME_MAX])
{
	const struct row *row = find(number);
	const struct rule *rule = rule_of(number);
	uint32_t n, msr;

	if (row) {
		hull_format(dst, X86_REG_NAME_MAX, "%s", row->name);
	} else if (rule) {
		n = number - rule->first;
		if (rule->class == X86_CLASS_SEGMENT)
			hull_format(dst, X86_REG_NAME_MAX, "%s%s%s", segments[n / 4],
			            n % 4 ? "_" : "", fields[n % 4]);
		else
			hull_format(dst, X86_REG_NAME_MAX, "%s%u%s",
			            rule->count == 8                 ? "st"
			            : rule->offset == X86_XSAVE_YMMH ? "ymmh"
			                                             : "xmm",
			            n / 2, n % 2 ? "_high" : "");
	} else if (msr_of(number, &msr)) {
		hull_format(dst, X86_REG_NAME_MAX, "msr_%x", msr);
	} else {
		hull_format(dst, X86_REG_NAME_MAX, "?");
	}
}

uint32_t hull_x86_reg_at(unsigned n)
{
	if (n < ARRAY_LEN(rows))
		return rows[n].number;
	n -= (unsigned)ARRAY_LEN(rows);
	for (unsigned i = 0; i < ARRAY_LEN(rules); i++) {
		unsigned count = (unsigned)rules[i].count * rules[i].each;

		if (n < count)
			return rules[i].first + n;
		n -= count;
	}
	return UINT32_MAX;
}
