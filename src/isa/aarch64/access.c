/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Names of classes are those of Arm ARM, C4.1.95. */
#include "isa/aarch64/access.h"

#include "base/bits.h"

static unsigned field(uint32_t insn, unsigned hi, unsigned lo)
{
	return (unsigned)bits(insn, hi, lo);
}

static int64_t imm(uint32_t insn, unsigned hi, unsigned lo)
{
	return sign_extend(bits(insn, hi, lo), hi - lo + 1);
}

/* Size and direction of "Load/store register" from size, V and opc; false: unallocated. */
static bool register_kind(uint32_t insn, struct hull_a64_access *a)
{
	unsigned size = field(insn, 31, 30), opc = field(insn, 23, 22);

	a->simd = insn & BIT(26);
	a->write = !(opc & 1);
	if (a->simd) {
		if (opc & 2 && size)
			return false;
		a->size = opc & 2 ? 16 : (uint8_t)(1U << size);
		return true;
	}
	a->size = (uint8_t)(1U << size);
	if (opc < 2) {
		a->wide = true;
		return true;
	}
	/* Sign-extended, to 64 bits or to 32; the rest are prefetches and unallocated. */
	a->write = false;
	a->sign = true;
	a->wide = opc == 2;
	return opc == 2 ? size < 3 : size < 2;
}

/* What changes its base register must not load or store it as well: CONSTRAINED UNPREDICTABLE. */
static bool sensible(const struct hull_a64_access *a)
{
	for (unsigned i = 0; i < a->nregs && !a->simd; i++)
		if (a->update && a->rt[i] == a->rn && a->rn != 31)
			return false;
	return a->write || a->nregs != 2 || a->rt[0] != a->rt[1];
}

/* "Load/store exclusive", "ordered", "compare and swap". */
static bool ordered(uint32_t insn, struct hull_a64_access *a)
{
	a->write = !(insn & BIT(22));
	a->exclusive = !(insn & BIT(23)) || insn & BIT(21);
	a->size = (uint8_t)(1U << field(insn, 31, 30));
	a->wide = true;
	return true;
}

/* LDAPUR and its like. */
static bool unscaled_ordered(uint32_t insn, struct hull_a64_access *a)
{
	if (insn & BIT(21) || field(insn, 11, 10) || insn & BIT(26))
		return false;
	a->offset = imm(insn, 20, 12);
	return register_kind(insn, a);
}

static bool literal(uint32_t insn, struct hull_a64_access *a)
{
	unsigned opc = field(insn, 31, 30);

	a->simd = insn & BIT(26);
	a->literal = true;
	a->offset = imm(insn, 23, 5) * 4;
	a->size = (uint8_t)(4U << opc);
	a->wide = true;
	if (opc == 2 && !a->simd) {
		a->size = 4;
		a->sign = true;
	}
	return opc < 3;
}

static bool pair(uint32_t insn, struct hull_a64_access *a)
{
	unsigned opc = field(insn, 31, 30), mode = field(insn, 24, 23);

	a->simd = insn & BIT(26);
	a->write = !(insn & BIT(22));
	a->nregs = 2;
	a->rt[1] = (uint8_t)field(insn, 14, 10);
	a->post = mode == 1;
	a->update = mode & 1;
	a->wide = true;
	a->size = (uint8_t)(a->simd ? 4U << opc : opc ? 8 : 4);
	if (!a->simd && opc == 1) { /* LDPSW; the store is of tags */
		if (a->write || !mode)
			return false;
		a->size = 4;
		a->sign = true;
	}
	a->offset = imm(insn, 21, 15) * a->size;
	return opc < 3;
}

static bool register_offset(uint32_t insn, struct hull_a64_access *a)
{
	if (!register_kind(insn, a) || !(insn & BIT(14)))
		return false;
	a->rm = (uint8_t)field(insn, 20, 16);
	a->option = (uint8_t)field(insn, 15, 13);
	if (insn & BIT(12))
		while (1U << a->shift < a->size)
			a->shift++;
	return true;
}

/* "Atomic memory operations": all but LDAPR. */
static bool atomic(uint32_t insn, struct hull_a64_access *a)
{
	if (insn & BIT(26))
		return false;
	a->size = (uint8_t)(1U << field(insn, 31, 30));
	a->wide = true;
	if ((insn & 0x00fffc00) == 0x00bfc000)
		return true;
	a->exclusive = a->write = true;
	return true;
}

/* The classes with bits 29 to 27 of 7. */
static bool single(uint32_t insn, struct hull_a64_access *a)
{
	unsigned mode = field(insn, 11, 10);

	if (insn & BIT(24)) {
		if (insn & BIT(25) || !register_kind(insn, a))
			return false;
		a->offset = (int64_t)bits(insn, 21, 10) * a->size;
		return true;
	}
	if (insn & BIT(25))
		return false;
	if (insn & BIT(21))
		return mode == 2 ? register_offset(insn, a) : mode == 0 && atomic(insn, a);
	if (mode == 2 && insn & BIT(26))
		return false;
	a->offset = imm(insn, 20, 12);
	a->post = mode == 1;
	a->update = mode & 1;
	return register_kind(insn, a);
}

/* LD1 and ST1 of whole registers. */
static bool structures(uint32_t insn, struct hull_a64_access *a)
{
	static const uint8_t count[16] = { [7] = 1, [10] = 2, [6] = 3, [2] = 4 };
	bool update = insn & BIT(23);

	if (insn & (BIT(31) | BIT(24) | BIT(21)) || (!update && field(insn, 20, 16)))
		return false;
	a->simd = true;
	a->write = !(insn & BIT(22));
	a->nregs = count[field(insn, 15, 12)];
	a->size = insn & BIT(30) ? 16 : 8;
	for (unsigned i = 1; i < a->nregs; i++)
		a->rt[i] = (a->rt[0] + i) % 32;
	a->post = a->update = update;
	if (update && field(insn, 20, 16) != 31) {
		a->rm = (uint8_t)field(insn, 20, 16);
		a->option = 3;
	} else if (update) {
		a->offset = a->nregs * a->size;
	}
	return a->nregs;
}

bool hull_a64_access_decode(uint32_t insn, struct hull_a64_access *ret)
{
	struct hull_a64_access a = { .nregs = 1,
		                     .rt = { (uint8_t)(insn & 31) },
		                     .rn = (uint8_t)field(insn, 9, 5),
		                     .rm = HULL_A64_NO_REG };
	bool good = false;

	switch (field(insn, 29, 27)) {
	case 1:
		if (!(insn & BIT(25)))
			good = insn & BIT(26)   ? structures(insn, &a)
			       : insn & BIT(24) ? false
			                        : ordered(insn, &a);
		break;
	case 3:
		if (!(insn & BIT(25)))
			good = insn & BIT(24) ? unscaled_ordered(insn, &a) : literal(insn, &a);
		break;
	case 5: good = !(insn & BIT(25)) && pair(insn, &a); break;
	case 7: good = single(insn, &a); break;
	default: break;
	}
	if (!good || (!a.exclusive && !sensible(&a)))
		return false;
	*ret = a;
	return true;
}

/* ExtendReg(): the low 32 or all bits, with a sign or without. */
static uint64_t extended(const struct hull_a64_access *a, uint64_t rm)
{
	if (!(a->option & 1))
		rm = a->option & 4 ? (uint64_t)sign_extend(rm & UINT32_MAX, 32) : rm & UINT32_MAX;
	return rm << a->shift;
}

uint64_t hull_a64_access_address(const struct hull_a64_access *a, uint64_t base, uint64_t rm,
                                 uint64_t *ret_base)
{
	uint64_t sum = base + (a->rm == HULL_A64_NO_REG ? (uint64_t)a->offset : extended(a, rm));

	*ret_base = a->update ? sum : base;
	return a->post ? base : sum;
}

uint64_t hull_a64_access_extend(const struct hull_a64_access *a, uint64_t value)
{
	unsigned width = 8U * MIN(a->size, (uint8_t)8);

	value &= low_mask(width);
	if (a->sign)
		value = (uint64_t)sign_extend(value, width);
	return a->wide ? value : value & UINT32_MAX;
}
