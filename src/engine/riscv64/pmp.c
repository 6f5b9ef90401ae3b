/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Physical memory protection: privileged ISA, 3.7. */
#include "base/checked.h"
#include "engine/riscv64/hart.h"

enum { CFG_R = 1, CFG_W = 2, CFG_X = 4, CFG_A = 3 << 3, CFG_L = 0x80 };
enum { A_OFF = 0, A_TOR = 1, A_NA4 = 2, A_NAPOT = 3 };

static unsigned mode_of(const struct rv_hart *h, unsigned i)
{
	return (h->csr.pmpcfg[i] & CFG_A) >> 3;
}

/* The range of entry i as [*lo, *hi], inclusive; false if it matches nothing. */
static bool entry_range(const struct rv_hart *h, unsigned i, uint64_t *lo, uint64_t *hi)
{
	uint64_t addr = h->csr.pmpaddr[i];
	uint64_t size;

	switch (mode_of(h, i)) {
	case A_TOR:
		*lo = i ? h->csr.pmpaddr[i - 1] << 2 : 0;
		if (addr << 2 <= *lo)
			return false;
		*hi = (addr << 2) - 1;
		return true;
	case A_NA4:
		*lo = addr << 2;
		*hi = *lo + 3;
		return true;
	case A_NAPOT:
		size = addr ^ (addr + 1); /* ones up to and including the lowest zero */
		*lo = (addr & ~size) << 2;
		*hi = *lo + (size << 2 | 3);
		return true;
	default: return false;
	}
}

bool rv_pmp_match(const struct rv_hart *h, uint64_t gpa, unsigned len, enum rv_access kind,
                  unsigned priv, bool *ret_page)
{
	static const uint8_t need[] = { [RV_READ] = CFG_R, [RV_WRITE] = CFG_W, [RV_FETCH] = CFG_X };
	uint64_t page = gpa & ~HULL_PAGE_MASK;

	for (unsigned i = 0; i < RV_PMP_COUNT; i++) {
		uint64_t lo, hi;

		if (!entry_range(h, i, &lo, &hi) || hi < page || lo > page + HULL_PAGE_MASK)
			continue;
		if (lo > page || hi < page + HULL_PAGE_MASK)
			*ret_page = false; /* splits the page */
		if (hi < gpa || lo > gpa + len - 1)
			continue;
		if (lo > gpa || hi < gpa + len - 1)
			return false; /* partial match fails whatever its rights */
		if (priv == RV_PRIV_M && !(h->csr.pmpcfg[i] & CFG_L))
			return true;
		return h->csr.pmpcfg[i] & need[kind];
	}
	return priv == RV_PRIV_M;
}

static void changed(struct rv_hart *h)
{
	h->pmp_active = false;
	for (unsigned i = 0; i < RV_PMP_COUNT; i++)
		h->pmp_active |= mode_of(h, i) != A_OFF;
	rv_flush_tlb(h);
}

void rv_pmp_write_cfg(struct rv_hart *h, unsigned reg, uint64_t value)
{
	for (unsigned i = reg * 4; i < reg * 4 + 8 && i < RV_PMP_COUNT; i++, value >>= 8) {
		uint8_t v = value & (CFG_L | CFG_A | CFG_X | CFG_W | CFG_R);

		if (h->csr.pmpcfg[i] & CFG_L)
			continue;
		if ((v & (CFG_R | CFG_W)) == CFG_W)
			v &= (uint8_t)~CFG_W; /* reserved combination */
		h->csr.pmpcfg[i] = v;
	}
	changed(h);
}

uint64_t rv_pmp_read_cfg(const struct rv_hart *h, unsigned reg)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < 8 && reg * 4 + i < RV_PMP_COUNT; i++)
		v |= (uint64_t)h->csr.pmpcfg[reg * 4 + i] << (8 * i);
	return v;
}

void rv_pmp_write_addr(struct rv_hart *h, unsigned i, uint64_t value)
{
	bool next_locks = i + 1 < RV_PMP_COUNT && (h->csr.pmpcfg[i + 1] & CFG_L) &&
	                  mode_of(h, i + 1) == A_TOR;

	if ((h->csr.pmpcfg[i] & CFG_L) || next_locks)
		return;
	h->csr.pmpaddr[i] = value & low_mask(54);
	changed(h);
}
