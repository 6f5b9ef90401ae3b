/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "isa/riscv64/access.h"

#include "base/bits.h"

bool hull_rv_access_decode(const struct hull_rv_decoder *d, uint32_t bits,
                           struct hull_rv_access *ret)
{
	static const struct {
		uint16_t id;
		uint8_t bytes;
		bool write, sign;
	} kinds[] = {
		{ HULL_RV_lb, 1, false, true },      { HULL_RV_lbu, 1, false, false },
		{ HULL_RV_lh, 2, false, true },      { HULL_RV_lhu, 2, false, false },
		{ HULL_RV_lw, 4, false, true },      { HULL_RV_lwu, 4, false, false },
		{ HULL_RV_ld, 8, false, false },     { HULL_RV_sb, 1, true, false },
		{ HULL_RV_sh, 2, true, false },      { HULL_RV_sw, 4, true, false },
		{ HULL_RV_sd, 8, true, false },      { HULL_RV_c_lw, 4, false, true },
		{ HULL_RV_c_ld, 8, false, false },   { HULL_RV_c_sw, 4, true, false },
		{ HULL_RV_c_sd, 8, true, false },    { HULL_RV_c_lwsp, 4, false, true },
		{ HULL_RV_c_ldsp, 8, false, false }, { HULL_RV_c_swsp, 4, true, false },
		{ HULL_RV_c_sdsp, 8, true, false },
	};
	struct hull_rv_insn insn;

	hull_rv_decode(d, bits, &insn);
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		if (kinds[i].id != insn.id)
			continue;
		*ret = (struct hull_rv_access){ .reg = kinds[i].write ? insn.rs2 : insn.rd,
			                        .insn_bytes = insn.len,
			                        .bytes = kinds[i].bytes,
			                        .write = kinds[i].write,
			                        .sign = kinds[i].sign };
		return true;
	}
	return false;
}

uint64_t hull_rv_access_value(const struct hull_rv_access *a, uint64_t data)
{
	unsigned spare = 64 - 8U * a->bytes;

	data <<= spare;
	return a->sign ? (uint64_t)((int64_t)data >> spare) : data >> spare;
}
