/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The registers of aarch64; see regs.h. */
#include "isa/aarch64/regs.h"

#include "base/bits.h"
#include "base/text.h"

enum { GENERAL = 31, VECTOR = 64, SYS_NUMBERS = 1 << 16 };

struct row {
	uint32_t number;
	uint8_t bits;
	const char *name;
};

#define A64_REG(number, name, bits)            { HULL_A64_REG_##number, bits, #name },
#define A64_SYS(op0, op1, crn, crm, op2, name) { A64_SYS_REG(op0, op1, crn, crm, op2), 64, #name },
static const struct row rows[] = {
#include "isa/aarch64/regs.def"
};
#undef A64_REG
#undef A64_SYS

static const struct row *find(uint32_t number)
{
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].number == number)
			return &rows[i];
	return NULL;
}

static bool is_vector(uint32_t number)
{
	return number >= HULL_A64_REG_V0 && number < HULL_A64_REG_V0 + VECTOR;
}

/* op0 of a system register is 2 or 3. */
static bool is_system(uint32_t number)
{
	return number >= HULL_A64_REG_SYS && number - HULL_A64_REG_SYS < SYS_NUMBERS &&
	       number - HULL_A64_REG_SYS >= 2u << 14;
}

unsigned hull_a64_reg_bits(uint32_t number)
{
	const struct row *r = find(number);

	if (r)
		return r->bits;
	return number < HULL_A64_REG_X0 + GENERAL || is_vector(number) || is_system(number) ? 64
	                                                                                    : 0;
}

void hull_a64_reg_name(uint32_t number, char dst[A64_REG_NAME_MAX])
{
	const struct row *r = find(number);
	uint32_t n = number - HULL_A64_REG_V0, s = number - HULL_A64_REG_SYS;

	if (r)
		hull_format(dst, A64_REG_NAME_MAX, "%s", r->name);
	else if (number < HULL_A64_REG_X0 + GENERAL)
		hull_format(dst, A64_REG_NAME_MAX, "x%u", number - HULL_A64_REG_X0);
	else if (is_vector(number))
		hull_format(dst, A64_REG_NAME_MAX, "v%u_%s", n / 2, n & 1 ? "hi" : "lo");
	else if (is_system(number))
		hull_format(dst, A64_REG_NAME_MAX, "s%u_%u_c%u_c%u_%u", s >> 14, s >> 11 & 7,
		            s >> 7 & 15, s >> 3 & 15, s & 7);
	else
		hull_format(dst, A64_REG_NAME_MAX, "?");
}

uint32_t hull_a64_reg_at(unsigned n)
{
	if (n < GENERAL)
		return HULL_A64_REG_X0 + n;
	n -= GENERAL;
	if (n < ARRAY_LEN(rows))
		return rows[n].number;
	n -= ARRAY_LEN(rows);
	return n < VECTOR ? HULL_A64_REG_V0 + n : UINT32_MAX;
}
