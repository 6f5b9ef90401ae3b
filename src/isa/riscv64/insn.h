/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * riscv64 instructions: numbers, decoding, and the rows as data.
 *
 * The decoder is built once from the patterns (about 20 microseconds) and is
 * read-only afterwards, so any number of threads may use it.
 */
#ifndef HULL_ISA_RISCV64_INSN_H
#define HULL_ISA_RISCV64_INSN_H

#include <stdbool.h>
#include <stdint.h>

enum hull_rv_id {
#define INSN(name, pattern, syntax, meaning) HULL_RV_##name,
#include "isa/riscv64/insns.def"
#undef INSN
	HULL_RV_COUNT,
	HULL_RV_INVALID = HULL_RV_COUNT,
};

/* One row as text. */
struct hull_rv_row {
	const char *name, *pattern, *syntax;
};
extern const struct hull_rv_row hull_rv_rows[HULL_RV_COUNT];

/* A decoded instruction.  Fields that the row does not have are 0. */
struct hull_rv_insn {
	uint16_t id; /* enum hull_rv_id */
	uint8_t len; /* bytes: 2 or 4 */
	uint8_t rd, rs1, rs2, rs3, rm;
	int32_t imm;
	bool has_rd; /* rd is an integer register that the row writes or reads */
};

/* Where a run of pattern bits goes: insn bits [from, from + len) -> value bits [to, to + len). */
struct hull_rv_run {
	uint8_t from, to, len;
};

struct hull_rv_format {
	uint32_t mask, match;
	uint8_t fixed;                /* number of fixed bits */
	uint8_t len;                  /* bytes */
	int8_t rd, rs1, rs2, rs3, rm; /* lowest bit of the field, -1: none */
	uint8_t short_regs;           /* bit 0 rd, 1 rs1, 2 rs2: three bits, x8..x15 */
	char imm;                     /* format letter, 0: none */
	uint8_t imm_width;            /* bits of the immediate, its zero low bits included */
	bool imm_signed;
	uint8_t nruns;
	struct hull_rv_run runs[10];
};

enum { HULL_RV_BUCKETS = 256 + 32 };

struct hull_rv_decoder {
	struct hull_rv_format formats[HULL_RV_COUNT];
	uint16_t first[HULL_RV_BUCKETS + 1]; /* index into order */
	uint16_t order[HULL_RV_COUNT * 12];  /* rows by bucket, most fixed bits first */
};

/* Build the decoder from the tables.  False: a row is malformed (a test catches that). */
bool hull_rv_decoder_init(struct hull_rv_decoder *d);

/* Length in bytes of the instruction that begins with this halfword: 2 or 4. */
static inline unsigned hull_rv_length(uint16_t first)
{
	return (first & 3) == 3 ? 4 : 2;
}

/*
 * Decode; bits above the length are ignored.  An unknown encoding gives id
 * HULL_RV_INVALID with its length.
 */
void hull_rv_decode(const struct hull_rv_decoder *d, uint32_t bits, struct hull_rv_insn *ret);

/* Put the fields of `insn` into the row's pattern; the reverse of decoding.  Ignored bits are 0. */
uint32_t hull_rv_encode(const struct hull_rv_decoder *d, const struct hull_rv_insn *insn);

#endif
