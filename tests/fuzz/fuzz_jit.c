/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Arbitrary riscv64 code, interpreted and as generated code: both stop at the same place with the
 * same registers and memory, whatever it does.
 *
 * Input: 16 bytes that set the hart up, then code at the start of RAM.  Code cannot be written and
 * data not be run, so that no code changes behind the engine's back.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "support/rvrig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE UINT64_C(0x80000000)
enum { HEAD = 16, RAM_SIZE = 64 << 10, CODE_SIZE = 32 << 10, BUDGET = 3000, TABLE = 0x8000 };

static struct rvrig rigs[2]; /* interpreted, translated */

/* A Sv39 table that maps RAM where it is and at 0, so that S and U code gets somewhere. */
static void make_tables(uint8_t *ram)
{
	store_le64(ram + TABLE + 16, (BASE >> 2) | PTE_V | PTE_R | PTE_W | PTE_X);
	store_le64(ram + TABLE, (BASE >> 2) | PTE_V | PTE_R | PTE_W | PTE_X | PTE_U);
}

/* Locked: code is read-only, the rest of RAM is not executable. */
static void protect_code(struct rv_hart *h)
{
	h->csr.pmpaddr[0] = (BASE >> 2) | (CODE_SIZE / 8 - 1);
	h->csr.pmpcfg[0] = 0x9d;
	h->csr.pmpaddr[1] = (BASE >> 2) | (RAM_SIZE / 8 - 1);
	h->csr.pmpcfg[1] = 0x9b;
	h->csr.pmpaddr[2] = low_mask(54);
	h->csr.pmpcfg[2] = 0x1f;
	h->pmp_active = true;
}

static void prepare(struct rvrig *r, const uint8_t *data, size_t size)
{
	struct rv_hart *h = r->hart;

	memset(r->ram, 0, r->size);
	memcpy(r->ram, data + HEAD, MIN(size - HEAD, (size_t)CODE_SIZE));
	make_tables(r->ram);
	h->retired = 0;
	rv_hart_reset(h);
	rv_set_mstatus(h, load_le32(data) | (data[7] & 1 ? MSTATUS_FS : 0));
	h->frm = data[7] >> 1 & 7;
	h->fp.flags = data[7] >> 4 & 15;
	protect_code(h);
	h->csr.menvcfg = ENVCFG_ADUE | ENVCFG_STCE | ENVCFG_PBMTE | ENVCFG_CBZE;
	h->csr.medeleg = data[4] & 1 ? 0xb3ff : 0;
	h->csr.mideleg = data[4] & 2 ? 0x222 : 0;
	h->csr.mtvec = h->csr.stvec = BASE + 0x40;
	if (data[4] & 4)
		h->csr.satp = (uint64_t)SATP_SV39 << 60 | (BASE + TABLE) >> 12;
	h->priv = data[4] & 8 ? RV_PRIV_S : data[4] & 16 ? RV_PRIV_U : RV_PRIV_M;
	for (unsigned i = 1; i < 32; i++) {
		h->x[i] = BASE + CODE_SIZE + data[5] * 8u * i + data[6];
		h->f[i] = load_le64(data + i % 9) * (uint64_t)(i * 3 + 1) |
		          (data[4] & 32 ? UINT64_C(0xffffffff00000000) : 0);
	}
	h->pc = (data[4] & 16) && (data[4] & 4) ? 0 : BASE;
	rv_fp_changed(h);
	rv_update_mip(h);
	rv_flush_tlb(h);
	rv_suspect_code(h);
}

/* Exits that the caller would answer: go on as if it had. */
static unsigned run(struct rvrig *r, bool interpret, uint64_t budget)
{
	struct rv_hart *h = r->hart;
	unsigned kinds = 0;

	h->retire_limit = budget;
	for (unsigned exits = 0; exits < BUDGET && h->retired < budget; exits++) {
		struct hull_exit exit = { .kind = HULL_EXIT_NONE };

		if (interpret)
			rv_interpret(h, &exit);
		else
			rv_jit_run(h, &exit);
		kinds = kinds * 31 + exit.kind;
		if (exit.kind == HULL_EXIT_BUDGET) /* or stuck in its trap handler */
			break;
	}
	return kinds;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t budget;
	unsigned a, b;

	if (size < HEAD + 2)
		return 0;
	if (!rigs[0].vm && !rvrig_init(&rigs[0], BASE, RAM_SIZE))
		abort();
	if (!rigs[1].vm && !rvrig_init_jit(&rigs[1], BASE, RAM_SIZE, 0, 1 << 20))
		return 0; /* no translator here */
	for (unsigned i = 0; i < 2; i++) {
		prepare(&rigs[i], data, size);
		rigs[1].hart->cache->hot_limit = data[8] % 3;
	}
	budget = BUDGET - data[9];
	a = run(&rigs[0], true, budget);
	b = run(&rigs[1], false, budget);
	if (a != b || rvrig_differ(&rigs[0], &rigs[1]))
		abort();
	return 0;
}
