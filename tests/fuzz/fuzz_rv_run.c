/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Arbitrary riscv64 code on the engine, interpreted and as evaluated IR: both
 * stop at the same place with the same registers and memory, whatever it does.
 *
 * Input: 8 bytes that set the hart up, then code at the start of RAM.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/lift.h"
#include "support/rvrig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define BASE UINT64_C(0x80000000)
enum { RAM_SIZE = 64 << 10, BUDGET = 2000, TABLE = 0x8000 };

static struct rvrig rigs[2];
static struct rv_eval eval;

/* A Sv39 table that maps RAM where it is and at 0, so that S and U code gets somewhere. */
static void make_tables(uint8_t *ram)
{
	store_le64(ram + TABLE + 16, (BASE >> 2) | PTE_V | PTE_R | PTE_W | PTE_X);
	store_le64(ram + TABLE, (BASE >> 2) | PTE_V | PTE_R | PTE_W | PTE_X | PTE_U);
}

static void prepare(struct rvrig *r, const uint8_t *data, size_t size)
{
	struct rv_hart *h = r->hart;

	memset(r->ram, 0, r->size);
	make_tables(r->ram);
	memcpy(r->ram, data + 8, MIN(size - 8, (size_t)TABLE));
	r->hart->retired = 0;
	rv_hart_reset(h);
	rv_set_mstatus(h, load_le32(data) | MSTATUS_FS);
	h->csr.mie = h->csr.soft_mip = 0;
	h->csr.pmpaddr[0] = low_mask(54);
	h->csr.pmpcfg[0] = 0x1f;
	h->pmp_active = true;
	h->csr.menvcfg = ENVCFG_ADUE | ENVCFG_STCE | ENVCFG_PBMTE;
	h->csr.medeleg = data[4] & 1 ? 0xb3ff : 0;
	h->csr.mideleg = data[4] & 2 ? 0x222 : 0;
	h->csr.mtvec = h->csr.stvec = BASE + 0x40;
	if (data[4] & 4)
		h->csr.satp = (uint64_t)SATP_SV39 << 60 | (BASE + TABLE) >> 12;
	h->priv = data[4] & 8 ? RV_PRIV_S : data[4] & 16 ? RV_PRIV_U : RV_PRIV_M;
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = BASE + data[5] * 16u * i + data[6];
	h->pc = (data[4] & 16) && (data[4] & 4) ? 0 : BASE;
	rv_update_mip(h);
	rv_flush_tlb(h);
	rv_suspect_code(h);
}

static void compare(const struct rv_hart *a, const struct rv_hart *b)
{
	if (a->pc != b->pc || a->retired != b->retired || a->priv != b->priv ||
	    memcmp(a->x + 1, b->x + 1, 31 * sizeof(a->x[0])) || memcmp(a->f, b->f, sizeof(a->f)) ||
	    a->fp.flags != b->fp.flags || memcmp(&a->csr, &b->csr, sizeof(a->csr)) ||
	    memcmp(rigs[0].ram, rigs[1].ram, RAM_SIZE))
		abort();
}

/* Exits that the caller would answer: go on as if it had. */
static void run(struct rvrig *r, bool interpret)
{
	struct rv_hart *h = r->hart;

	h->retire_limit = BUDGET;
	for (unsigned exits = 0; exits < BUDGET && h->retired < BUDGET; exits++) {
		struct hull_exit exit = { .kind = HULL_EXIT_NONE };

		if (interpret)
			rv_interpret(h, &exit);
		else
			rv_evaluate(h, &eval, &exit);
		if (exit.kind == HULL_EXIT_BUDGET) /* or stuck in its trap handler */
			return;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 10)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		if (!rigs[i].vm && !rvrig_init(&rigs[i], BASE, RAM_SIZE))
			abort();
		prepare(&rigs[i], data, size);
	}
	run(&rigs[0], true);
	run(&rigs[1], false);
	compare(rigs[0].hart, rigs[1].hart);
	return 0;
}
