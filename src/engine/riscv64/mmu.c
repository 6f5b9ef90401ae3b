/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Address translation and the slow paths of memory access.
 *
 * Spec: privileged ISA 12.3 to 12.6 (Sv39, Sv48, Sv57), chapters 13 (Svnapot),
 * 14 (Svpbmt), 15 (Svinval) and 16 (Svadu).
 */
#include "base/atomic.h"
#include "base/mem.h"
#include "core/aspace.h"
#include "core/bus.h"
#include "engine/riscv64/hart.h"

enum { MODE_SUM = 1 << 2, MODE_MXR = 1 << 3 };

static const uint8_t page_fault[] = {
	[RV_READ] = RV_LOAD_PAGE,
	[RV_WRITE] = RV_STORE_PAGE,
	[RV_FETCH] = RV_INSN_PAGE,
};
static const uint8_t access_fault[] = {
	[RV_READ] = RV_LOAD_ACCESS,
	[RV_WRITE] = RV_STORE_ACCESS,
	[RV_FETCH] = RV_INSN_ACCESS,
};

static void wipe(struct rv_hart *h)
{
	rv_drop_sites(h);
	/* A new hart's TLB is zero, and memory that is not touched costs nothing. */
	if (h->next_context)
		memset(h->cpu.tlb, 0, sizeof(h->cpu.tlb));
	memset(h->fetch_tlb, 0, sizeof(h->fetch_tlb));
	memset(h->code_pages, 0, sizeof(h->code_pages));
	for (unsigned half = 0; half < 2; half++) {
		h->super_low[half] = UINT64_MAX;
		h->super_high[half] = 0;
	}
	h->next_context = 1;
	h->jump_epoch++;
	h->reserved = UINT64_MAX;
}

/* Nothing that the TLBs hold is found any more. */
static void forget_numbers(struct rv_hart *h)
{
	memset(h->contexts, 0, sizeof(h->contexts));
	memset(h->data_numbers, 0, sizeof(h->data_numbers));
	memset(h->fetch_numbers, 0, sizeof(h->fetch_numbers));
	h->local.kept_count = h->local.count = 0;
	h->local.fetch = false;
}

static uint16_t context_number(struct rv_hart *h, uint64_t satp, uint8_t mode)
{
	struct rv_context *c = h->contexts, *victim = c;

	if (mode == RV_PRIV_M)
		satp = 0;
	h->context_clock++;
	for (; c < h->contexts + RV_CONTEXTS; c++) {
		if (c->number && c->satp == satp && c->mode == mode) {
			c->used = h->context_clock;
			return c->number;
		}
		if (!c->number || (victim->number && c->used < victim->used))
			victim = c;
	}
	victim->satp = satp;
	victim->mode = mode;
	victim->used = h->context_clock;
	victim->number = (uint16_t)h->next_context++;
	return victim->number;
}

/* The mode byte that governs loads and stores: MPRV borrows MPP's privilege (3.1.6.3). */
static uint8_t data_mode(const struct rv_hart *h)
{
	uint64_t s = h->csr.mstatus;
	uint8_t priv = h->priv;

	if ((s & MSTATUS_MPRV) && priv == RV_PRIV_M)
		priv = (uint8_t)bits(s, 12, 11);
	if (priv == RV_PRIV_M)
		return priv;
	return (uint8_t)(priv | (priv == RV_PRIV_S && (s & MSTATUS_SUM) ? MODE_SUM : 0) |
	                 (s & MSTATUS_MXR ? MODE_MXR : 0));
}

/* Take the entries of user pages out that S-mode made: what was there before holds still. */
void rv_end_user_access(struct rv_hart *h)
{
	struct rv_local *l = &h->local;

	while (l->kept_count) { /* in this order: an entry may have been taken twice */
		l->kept_count--;
		h->cpu.tlb[l->kept_at[l->kept_count]] = l->kept[l->kept_count];
	}
}

/* User pages are S-mode's for as long as SUM is set: call before the entry is overwritten. */
static void keep_entry(struct rv_hart *h, const struct engine_tlb_entry *e)
{
	struct rv_local *l = &h->local;

	if (l->kept_count == RV_LOCAL)
		rv_end_user_access(h);
	l->kept[l->kept_count] = *e;
	l->kept_at[l->kept_count++] = (uint16_t)(e - h->cpu.tlb);
}

/* S-mode's translations that are not global go. */
static void end_address_space(struct rv_hart *h)
{
	struct rv_local *l = &h->local;

	rv_drop_sites(h);
	rv_end_user_access(h);
	if (l->count > RV_LOCAL)
		memset(h->data_numbers[RV_PRIV_S], 0, sizeof(h->data_numbers[RV_PRIV_S]));
	for (unsigned i = 0; i < l->count && l->count <= RV_LOCAL; i++)
		h->cpu.tlb[l->at[i]].read = h->cpu.tlb[l->at[i]].write = 0;
	l->count = 0;
	if (l->fetch)
		h->fetch_numbers[RV_PRIV_S] = 0;
	l->fetch = false;
}

static void note_local(struct rv_hart *h, const struct engine_tlb_entry *e)
{
	struct rv_local *l = &h->local;

	if (l->count < RV_LOCAL)
		l->at[l->count] = (uint16_t)(e - h->cpu.tlb);
	if (l->count <= RV_LOCAL)
		l->count++;
}

static void give_numbers(struct rv_hart *h, uint8_t data)
{
	uint16_t *number = &h->data_numbers[data & 3][data >> 3];
	uint16_t *fetch = &h->fetch_numbers[h->priv];

	if (h->next_context > RV_CONTEXT_LIMIT - 2) {
		forget_numbers(h);
		wipe(h);
	}
	if (!*number)
		*number = (data & 3) == RV_PRIV_S
		                  ? (uint16_t)h->next_context++
		                  : context_number(h, h->csr.satp, data & (uint8_t)~MODE_SUM);
	if (!*fetch)
		*fetch = h->priv == RV_PRIV_S ? (uint16_t)h->next_context++
		                              : context_number(h, h->csr.satp, h->priv);
}

void rv_update_contexts(struct rv_hart *h)
{
	uint8_t data = data_mode(h);
	const uint16_t *number = &h->data_numbers[data & 3][data >> 3];

	if (UNLIKELY(!*number || !h->fetch_numbers[h->priv]))
		give_numbers(h, data);
	if (h->cpu.data_context != *number)
		h->reserved = UINT64_MAX;
	h->cpu.data_context = *number;
	/* What S-mode may see of user pages, it sees under a number of its own. */
	h->cpu.site_context = (*number | (data & MODE_SUM ? RV_CONTEXT_LIMIT : 0u))
	                      << ENGINE_SITE_SHIFT;
	h->fetch_context = h->fetch_numbers[h->priv];
	h->cpu.jump_key = h->jump_epoch << 12 | h->fetch_context;
	if (h->local.kept_count && !(h->csr.mstatus & MSTATUS_SUM))
		rv_end_user_access(h);
}

void rv_satp_changed(struct rv_hart *h, uint64_t old)
{
	h->reserved = UINT64_MAX;
	end_address_space(h);
	if (SATP_MODE(old) != SATP_MODE(h->csr.satp)) { /* not even global ones hold */
		memset(h->data_numbers[RV_PRIV_S], 0, sizeof(h->data_numbers[RV_PRIV_S]));
		h->fetch_numbers[RV_PRIV_S] = 0;
	}
	memset(h->data_numbers[RV_PRIV_U], 0, sizeof(h->data_numbers[RV_PRIV_U]));
	h->fetch_numbers[RV_PRIV_U] = 0;
	rv_update_contexts(h);
}

void rv_flush_tlb(struct rv_hart *h)
{
	h->stats.tlb_flushes++;
	h->reserved = UINT64_MAX;
	forget_numbers(h);
	if (!h->next_context || h->next_context > RV_CONTEXT_LIMIT - 4)
		wipe(h);
	memset(h->code_pages, 0, sizeof(h->code_pages));
	h->jump_epoch++;
	rv_update_contexts(h);
}

void rv_flush_host(struct rv_hart *h)
{
	memset(h->ranges, 0, sizeof(h->ranges));
	rv_flush_tlb(h);
}

static unsigned bloom_bit(uint64_t va)
{
	return (va >> 12) & 4095;
}

static void drop_sites_of(struct rv_hart *h, uint64_t va)
{
	rv_drop_held(h);
	if (!h->cpu.sites_used)
		return;
	for (struct engine_site *s = h->cpu.sites; s < h->cpu.sites + ENGINE_SITES; s++)
		if ((s->tag ^ va) >> 12 == 0)
			s->tag = 0;
}

static void flush_page(struct rv_hart *h, uint64_t va)
{
	struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
	struct rv_fetch_entry *f = &h->fetch_tlb[(va >> 12) & (RV_FETCH_TLB_SIZE - 1)];
	unsigned bit = bloom_bit(va);

	if ((e->read ^ va) >> 12 == 0 || (e->write ^ va) >> 12 == 0)
		e->read = e->write = 0;
	drop_sites_of(h, va);
	if ((f->tag ^ va) >> 12 == 0)
		f->tag = 0;
	h->stats.page_flushes++;
	if (h->code_pages[bit / 64] & BIT(bit % 64)) {
		h->stats.jump_flushes++;
		memset(h->code_pages, 0, sizeof(h->code_pages));
		rv_flush_jumps(h);
	}
}

void rv_sfence(struct rv_hart *h, bool all_addresses, uint64_t va, bool all_asids, uint64_t asid)
{
	unsigned half = va >> 63;

	h->reserved = UINT64_MAX;
	rv_end_user_access(h);
	if (!all_addresses && (va < h->super_low[half] || va > h->super_high[half])) {
		flush_page(h, va);
		return;
	}
	if (all_asids || !all_addresses) {
		rv_flush_tlb(h);
		return;
	}
	h->stats.asid_flushes++;
	for (struct rv_context *c = h->contexts; c < h->contexts + RV_CONTEXTS; c++)
		if (c->number && c->satp && SATP_ASID(c->satp) == (asid & 0xffff))
			c->number = 0;
	if (SATP_ASID(h->csr.satp) == (asid & 0xffff))
		rv_satp_changed(h, h->csr.satp);
}

/* hull_aspace_page() for guest code: the host may be about to take the memory away otherwise. */
static bool ram_page(struct rv_hart *h, uint64_t gpa, struct hull_ram_page *ret)
{
	struct hull_ram_range *r = h->ranges, new;

	while (r < h->ranges + RV_RANGES && gpa - r->gpa >= r->len)
		r++;
	if (r == h->ranges + RV_RANGES) {
		if (!hull_aspace_range(h->vm, gpa, &new))
			return false;
		r = &new;
		if (!new.log_write)
			h->ranges[h->next_range++ % RV_RANGES] = new;
	}
	*ret = (struct hull_ram_page){ r->hva + align_down(gpa - r->gpa, HULL_PAGE_SIZE), r->attr,
		                       r->log_write, r->shared };
	return true;
}

/* A page-table entry that may be walked through or used, as 12.3.2 asks. */
struct leaf {
	uint64_t gpa; /* of the byte */
	uint64_t pte;
	unsigned shift; /* log2 of the size of its page */
};

static bool pte_allows(const struct rv_hart *h, uint64_t pte, enum rv_access kind, uint8_t mode)
{
	unsigned priv = mode & 3;

	if (pte & PTE_U) {
		if (priv == RV_PRIV_S && (kind == RV_FETCH || !(mode & MODE_SUM)))
			return false;
	} else if (priv == RV_PRIV_U) {
		return false;
	}
	switch (kind) {
	case RV_READ: return (pte & PTE_R) || ((mode & MODE_MXR) && (pte & PTE_X));
	case RV_WRITE: return pte & PTE_W;
	default: return pte & PTE_X;
	}
}

/* Reserved bits and encodings: 12.4.1, 13, 14. */
static bool pte_reserved(const struct rv_hart *h, uint64_t pte, bool leaf)
{
	uint64_t pbmt = pte & PTE_PBMT;

	if (pte & PTE_RSVD)
		return true;
	if (!leaf)
		return pte & (PTE_A | PTE_D | PTE_U | PTE_N | PTE_PBMT);
	if (pbmt && (!(h->csr.menvcfg & ENVCFG_PBMTE) || pbmt == PTE_PBMT))
		return true;
	return false;
}

enum walk { WALK_OK, WALK_PAGE_FAULT, WALK_ACCESS_FAULT, WALK_AGAIN };

/* Set A and, for a write, D by compare-and-swap; 12.3.2 step 9 with Svadu. */
static enum walk set_accessed(struct rv_hart *h, void *slot, uint64_t *pte, enum rv_access kind,
                              bool writable)
{
	uint64_t want = *pte | PTE_A | (kind == RV_WRITE ? PTE_D : 0);

	if (want == *pte)
		return WALK_OK;
	if (!(h->csr.menvcfg & ENVCFG_ADUE))
		return WALK_PAGE_FAULT;
	if (!writable)
		return WALK_ACCESS_FAULT;
	if (!hull_cas_seqcst((uint64_t *)slot, pte, want))
		return WALK_AGAIN;
	*pte = want;
	return WALK_OK;
}

static unsigned levels_of(uint64_t satp)
{
	switch (SATP_MODE(satp)) {
	case SATP_SV39: return 3;
	case SATP_SV48: return 4;
	default: return 5;
	}
}

/* Build the leaf of a PTE found at `level`; false if it is malformed. */
static bool make_leaf(uint64_t pte, unsigned level, uint64_t va, struct leaf *ret)
{
	uint64_t ppn = (pte & PTE_PPN) >> 10;
	unsigned shift = 9 * level;

	if (pte & PTE_N) { /* Svnapot: 64 KiB only */
		if (level || (ppn & 15) != 8)
			return false;
		shift = 4;
	}
	if (!(pte & PTE_N) && (ppn & low_mask(shift)))
		return false; /* misaligned superpage */
	ppn = (ppn & ~low_mask(shift)) | (va >> 12 & low_mask(shift));
	ret->gpa = ppn << 12 | (va & HULL_PAGE_MASK);
	ret->pte = pte;
	ret->shift = 12 + shift;
	return true;
}

static enum walk walk(struct rv_hart *h, uint64_t va, enum rv_access kind, uint8_t mode,
                      bool side_effects, struct leaf *ret)
{
	unsigned levels = levels_of(h->csr.satp), retries = 0;
	uint64_t table;
	bool whole, writable;
	enum walk done;

	if ((uint64_t)sign_extend(va, 12 + 9 * levels) != va)
		return WALK_PAGE_FAULT;
again:
	table = SATP_PPN(h->csr.satp) << 12;
	for (unsigned level = levels; level-- > 0;) {
		uint64_t slot_gpa = table + (va >> (12 + 9 * level) & 511) * 8;
		struct hull_ram_page page;
		uint64_t *slot, pte;

		if (!rv_pmp_check(h, slot_gpa, 8, RV_READ, RV_PRIV_S, &whole) ||
		    !(side_effects ? ram_page(h, slot_gpa, &page)
		                   : hull_aspace_page(h->vm, slot_gpa, &page)))
			return WALK_ACCESS_FAULT;
		slot = (uint64_t *)((char *)page.hva + (slot_gpa & HULL_PAGE_MASK));
		pte = hull_load_relaxed(slot); /* pairs with guest stores and our CAS */
		if (!(pte & PTE_V) || (pte & (PTE_R | PTE_W)) == PTE_W)
			return WALK_PAGE_FAULT;
		if (!(pte & (PTE_R | PTE_X))) {
			if (pte_reserved(h, pte, false))
				return WALK_PAGE_FAULT;
			table = (pte & PTE_PPN) << 2;
			continue;
		}
		if (pte_reserved(h, pte, true) || !pte_allows(h, pte, kind, mode) ||
		    !make_leaf(pte, level, va, ret))
			return WALK_PAGE_FAULT;
		if (!side_effects)
			return WALK_OK;
		writable = (page.attr & HULL_MEM_W) &&
		           rv_pmp_check(h, slot_gpa, 8, RV_WRITE, RV_PRIV_S, &whole);
		done = set_accessed(h, slot, &pte, kind, writable);
		if (done == WALK_AGAIN && ++retries < 64)
			goto again; /* another hart changed the entry under us */
		if (done != WALK_OK)
			return done;
		if (page.log_write && pte != ret->pte)
			hull_aspace_dirty(h->vm, slot_gpa);
		if (pte != ret->pte)
			rv_watch_written(h, slot_gpa);
		ret->pte = pte;
		return WALK_OK;
	}
	return WALK_PAGE_FAULT; /* a pointer at the last level */
}

static bool translate(struct rv_hart *h, uint64_t va, enum rv_access kind, bool side_effects,
                      struct leaf *ret)
{
	uint8_t mode = kind == RV_FETCH ? h->priv : data_mode(h);

	if ((mode & 3) == RV_PRIV_M || SATP_MODE(h->csr.satp) == SATP_BARE) {
		/* Bare: all rights, and the page counts as written already. */
		*ret = (struct leaf){ va, PTE_R | PTE_W | PTE_X | PTE_A | PTE_D, 12 };
		return true;
	}
	switch (walk(h, va, kind, mode, side_effects, ret)) {
	case WALK_OK: return true;
	case WALK_ACCESS_FAULT: return rv_raise(h, access_fault[kind], va);
	default: return rv_raise(h, page_fault[kind], va);
	}
}

bool rv_translate(struct rv_hart *h, uint64_t va, enum rv_access kind, uint64_t *ret_gpa)
{
	struct leaf leaf;

	if (!translate(h, va, kind, false, &leaf))
		return false;
	*ret_gpa = leaf.gpa;
	return true;
}

static void note_super(struct rv_hart *h, uint64_t va, const struct leaf *leaf)
{
	unsigned half = va >> 63;

	if (leaf->shift == 12)
		return;
	h->super_low[half] = MIN(h->super_low[half], va & ~low_mask(leaf->shift));
	h->super_high[half] = MAX(h->super_high[half], va | low_mask(leaf->shift));
}

/* Enter a RAM page into the data TLB with the rights that were proved. */
static void fill(struct rv_hart *h, uint64_t va, const struct leaf *leaf,
                 const struct hull_ram_page *page, uint8_t mode, bool write)
{
	struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
	uint64_t tag = (va & ~HULL_PAGE_MASK) | h->cpu.data_context;
	bool whole, r, w;

	r = pte_allows(h, leaf->pte, RV_READ, mode) || (mode & 3) == RV_PRIV_M ||
	    SATP_MODE(h->csr.satp) == SATP_BARE;
	w = (leaf->pte & PTE_D) && (page->attr & HULL_MEM_W) && !page->log_write &&
	    (pte_allows(h, leaf->pte, RV_WRITE, mode) || (mode & 3) == RV_PRIV_M ||
	     SATP_MODE(h->csr.satp) == SATP_BARE);
	r = r && (page->attr & HULL_MEM_R) &&
	    rv_pmp_check(h, leaf->gpa, 1, RV_READ, mode & 3, &whole) && whole;
	w = w && rv_pmp_check(h, leaf->gpa, 1, RV_WRITE, mode & 3, &whole) && whole;
	if ((mode & 3) == RV_PRIV_S && (leaf->pte & PTE_U))
		keep_entry(h, e);
	else if ((mode & 3) == RV_PRIV_S && !(leaf->pte & PTE_G))
		note_local(h, e);
	if (w && rv_is_watched(h, leaf->gpa)) {
		w = write;
		if (write)
			rv_watch_granted(h, e);
	}
	e->read = r ? tag : 0;
	e->write = w ? tag : 0;
	e->gpa = leaf->gpa & ~HULL_PAGE_MASK;
	e->addend = (uintptr_t)page->hva - (uintptr_t)(va & ~HULL_PAGE_MASK);
	note_super(h, va, leaf);
}

/* With SUM S-mode may do to a user page what U-mode may: NULL if U-mode has no entry for it. */
static const struct engine_tlb_entry *borrow(struct rv_hart *h, uint64_t va, enum rv_access kind,
                                             uint8_t mode)
{
	struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)], mine = *e;
	uint64_t page = va & ~HULL_PAGE_MASK, user = h->data_numbers[RV_PRIV_U][mode >> 3];

	if (!user || (kind == RV_READ ? e->read : e->write) != (page | user))
		return NULL;
	keep_entry(h, e);
	*e = mine;
	e->read = mine.read == (page | user) ? page | h->cpu.data_context : 0;
	e->write = mine.write == (page | user) ? page | h->cpu.data_context : 0;
	return e;
}

/*
 * Resolve an access that stays in one page: *ret_hva is the RAM behind it, or
 * NULL with *ret_gpa for a device.
 */
static bool resolve(struct rv_hart *h, uint64_t va, unsigned len, enum rv_access kind,
                    uint8_t **ret_hva, uint64_t *ret_gpa)
{
	uint8_t mode = data_mode(h);
	const struct engine_tlb_entry *e;
	struct hull_ram_page page;
	struct leaf leaf;
	bool whole;

	if (mode & MODE_SUM && (e = borrow(h, va, kind, mode))) {
		*ret_gpa = e->gpa | (va & HULL_PAGE_MASK);
		*ret_hva = (uint8_t *)(va + e->addend);
		return true;
	}
	if (!translate(h, va, kind, true, &leaf))
		return false;
	if (!rv_pmp_check(h, leaf.gpa, len, kind, mode & 3, &whole))
		return rv_raise(h, access_fault[kind], va);
	*ret_gpa = leaf.gpa;
	*ret_hva = NULL;
	if (!ram_page(h, leaf.gpa, &page))
		return true;
	if (kind == RV_WRITE) {
		if (!(page.attr & HULL_MEM_W))
			return rv_raise(h, access_fault[kind], va);
		if (page.log_write) {
			hull_aspace_dirty(h->vm, leaf.gpa);
			page.log_write =
				false; /* logged: the fast path may have it until the next fetch */
		}
	}
	if (kind == RV_READ && !(page.attr & HULL_MEM_R))
		return rv_raise(h, access_fault[kind], va);
	if (kind == RV_WRITE)
		rv_watch_written(h, leaf.gpa);
	fill(h, va, &leaf, &page, mode, kind == RV_WRITE);
	*ret_hva = (uint8_t *)page.hva + (leaf.gpa & HULL_PAGE_MASK);
	return true;
}

HULL_GUEST_RACES static uint64_t host_load(const uint8_t *p, unsigned len)
{
	uint16_t v16;
	uint32_t v32;
	uint64_t v64;

	switch (len) {
	case 1: return hull_load_relaxed(p);
	case 2: memcpy(&v16, p, 2); return v16;
	case 4: memcpy(&v32, p, 4); return v32;
	default: memcpy(&v64, p, 8); return v64;
	}
}

HULL_GUEST_RACES static void host_store(uint8_t *p, unsigned len, uint64_t v)
{
	uint16_t v16 = (uint16_t)v;
	uint32_t v32 = (uint32_t)v;

	switch (len) {
	case 1: hull_store_relaxed(p, (uint8_t)v); return;
	case 2: memcpy(p, &v16, 2); return;
	case 4: memcpy(p, &v32, 4); return;
	default: memcpy(p, &v, 8); return;
	}
}

/*
 * An access to two pages: both must be RAM that allows it.  Devices take no misaligned
 * accesses; that is an access fault, so that nobody emulates it byte by byte (3.6.3.3).
 */
static bool both_pages(struct rv_hart *h, uint64_t va, unsigned len, enum rv_access kind)
{
	uint64_t at[2] = { va, (va + len - 1) & ~HULL_PAGE_MASK }, gpa;
	uint8_t *hva;

	for (unsigned i = 0; i < 2; i++) {
		if (!resolve(h, at[i], 1, kind, &hva, &gpa))
			return false;
		if (!hva)
			return rv_raise(h, access_fault[kind], at[i]);
	}
	return true;
}

/* Devices are other code on this thread: they know the time and leave no exceptions behind. */
static void begin_device(struct rv_hart *h, uint64_t gpa)
{
	h->last_mmio = gpa;
	h->stats.device_accesses++;
	rv_tell_budget(h);
	rv_fp_collect(h);
}

bool rv_load_slow(struct rv_hart *h, uint64_t va, unsigned width, uint64_t *ret)
{
	unsigned len = width / 8;
	uint8_t *hva;
	uint64_t gpa;
	bool ok;

	if ((va & HULL_PAGE_MASK) + len > HULL_PAGE_SIZE) { /* two pages: byte by byte */
		uint64_t v = 0, byte;

		if (!both_pages(h, va, len, RV_READ))
			return false;
		for (unsigned i = 0; i < len; i++) {
			if (!rv_load_slow(h, va + i, 8, &byte))
				return false;
			v |= byte << (8 * i);
		}
		*ret = v;
		return true;
	}
	h->stats.slow_loads++;
	if (!resolve(h, va, len, RV_READ, &hva, &gpa))
		return false;
	if (hva) {
		*ret = host_load(hva, len);
		return true;
	}
	begin_device(h, gpa);
	ok = hull_bus_read(h->vm, HULL_SPACE_MMIO, gpa, len, ret);
	rv_fp_discard(h);
	if (!ok)
		return rv_raise(h, RV_LOAD_ACCESS, va);
	rv_heed_budget(h);
	return true;
}

bool rv_store_slow(struct rv_hart *h, uint64_t va, unsigned width, uint64_t value)
{
	unsigned len = width / 8;
	uint8_t *hva;
	uint64_t gpa;
	bool ok;

	if ((va & HULL_PAGE_MASK) + len > HULL_PAGE_SIZE) {
		/* Both pages are proved writable before the first byte changes. */
		if (!both_pages(h, va, len, RV_WRITE))
			return false;
		for (unsigned i = 0; i < len; i++)
			if (!rv_store_slow(h, va + i, 8, value >> (8 * i) & 0xff))
				return false;
		return true;
	}
	h->stats.slow_stores++;
	if (!resolve(h, va, len, RV_WRITE, &hva, &gpa))
		return false;
	if (hva) {
		host_store(hva, len, value);
		return true;
	}
	begin_device(h, gpa);
	ok = hull_bus_write(h->vm, HULL_SPACE_MMIO, gpa, len, value & low_mask(width));
	rv_fp_discard(h);
	if (!ok)
		return rv_raise(h, RV_STORE_ACCESS, va);
	rv_heed_budget(h);
	return true;
}

const struct rv_fetch_entry *rv_fetch_page(struct rv_hart *h, uint64_t pc)
{
	struct rv_fetch_entry *e = &h->fetch_tlb[(pc >> 12) & (RV_FETCH_TLB_SIZE - 1)];
	uint64_t tag = (pc & ~HULL_PAGE_MASK) | h->fetch_context;
	struct hull_ram_page page;
	struct leaf leaf;
	bool whole;

	if (e->tag == tag)
		return e;
	h->stats.slow_fetches++;
	if (!translate(h, pc, RV_FETCH, true, &leaf))
		return NULL;
	if (!rv_pmp_check(h, leaf.gpa, 2, RV_FETCH, h->priv, &whole) ||
	    !ram_page(h, leaf.gpa, &page) || !(page.attr & HULL_MEM_X)) {
		rv_raise(h, RV_INSN_ACCESS, pc);
		return NULL;
	}
	note_super(h, pc, &leaf);
	if (h->priv == RV_PRIV_S && !(leaf.pte & PTE_G))
		h->local.fetch = true;
	rv_watch_code(h, leaf.gpa, page.shared);
	e->tag = whole ? tag : 0; /* a page that PMP splits is looked at each time */
	e->gpa = leaf.gpa & ~HULL_PAGE_MASK;
	e->hva = page.hva;
	return e;
}

bool rv_fetch(struct rv_hart *h, uint64_t pc, uint32_t *ret)
{
	const struct rv_fetch_entry *e = rv_fetch_page(h, pc);
	uint32_t insn;

	if (!e)
		return false;
	insn = (uint32_t)host_load(e->hva + (pc & HULL_PAGE_MASK), 2);
	if (hull_rv_length((uint16_t)insn) == 4) {
		e = rv_fetch_page(h, pc + 2);
		if (!e)
			return false; /* tval is the second half's address, epc the first's */
		insn |= (uint32_t)host_load(e->hva + ((pc + 2) & HULL_PAGE_MASK), 2) << 16;
	}
	*ret = insn;
	return true;
}

void *rv_atomic_address(struct rv_hart *h, uint64_t va, unsigned width, enum rv_access kind,
                        uint64_t *ret_gpa)
{
	struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
	uint64_t tag = (va & ~HULL_PAGE_MASK) | h->cpu.data_context;
	uint8_t *hva;

	if (va & (width / 8 - 1)) {
		rv_raise(h, kind == RV_READ ? RV_LOAD_MISALIGNED : RV_STORE_MISALIGNED, va);
		return NULL;
	}
	if ((kind == RV_READ ? e->read : e->write) == tag) {
		*ret_gpa = e->gpa | (va & HULL_PAGE_MASK);
		return (void *)(va + e->addend);
	}
	if (!resolve(h, va, width / 8, kind, &hva, ret_gpa))
		return NULL;
	if (!hva) /* devices do not take atomics */
		rv_raise(h, access_fault[kind], va);
	return hva;
}

#define AMO_BODY(T, S)                                                                            \
	switch (op) {                                                                             \
	case RV_AMO_swap: return (S)__atomic_exchange_n((T *)p, (T)v, __ATOMIC_SEQ_CST);          \
	case RV_AMO_add: return (S)__atomic_fetch_add((T *)p, (T)v, __ATOMIC_SEQ_CST);            \
	case RV_AMO_xor: return (S)__atomic_fetch_xor((T *)p, (T)v, __ATOMIC_SEQ_CST);            \
	case RV_AMO_and: return (S)__atomic_fetch_and((T *)p, (T)v, __ATOMIC_SEQ_CST);            \
	case RV_AMO_or: return (S)__atomic_fetch_or((T *)p, (T)v, __ATOMIC_SEQ_CST);              \
	default: break;                                                                           \
	}                                                                                         \
	T old = __atomic_load_n((T *)p, __ATOMIC_RELAXED), new;                                   \
	do {                                                                                      \
		bool less = op == RV_AMO_min || op == RV_AMO_max ? (S)old < (S)(T)v : old < (T)v; \
		bool want_less = op == RV_AMO_min || op == RV_AMO_minu;                           \
		new = less == want_less ? old : (T)v;                                             \
	} while (!hull_cas_seqcst((T *)p, &old, new));                                            \
	return (S)old

static int64_t amo32(enum rv_amo op, void *p, uint64_t v)
{
	AMO_BODY(uint32_t, int32_t);
}

static int64_t amo64(enum rv_amo op, void *p, uint64_t v)
{
	AMO_BODY(uint64_t, int64_t);
}

bool rv_amo(struct rv_hart *h, enum rv_amo op, unsigned width, uint64_t va, uint64_t operand,
            uint64_t *ret_old)
{
	uint64_t gpa;
	void *p = rv_atomic_address(h, va, width, RV_WRITE, &gpa);

	if (!p)
		return false;
	*ret_old = (uint64_t)(width == 32 ? amo32(op, p, operand) : amo64(op, p, operand));
	return true;
}

bool rv_lr(struct rv_hart *h, unsigned width, uint64_t va, uint64_t *ret)
{
	uint64_t gpa;
	void *p = rv_atomic_address(h, va, width, RV_READ, &gpa);

	if (!p)
		return false;
	h->reserved = va;
	h->reserved_value = width == 32 ? (uint64_t)(int32_t)hull_load_seqcst((uint32_t *)p)
	                                : hull_load_seqcst((uint64_t *)p);
	*ret = h->reserved_value;
	return true;
}

/* A store conditional succeeds if the value is still the one that LR saw (A-B-A is invisible to
 * it). */
bool rv_sc(struct rv_hart *h, unsigned width, uint64_t va, uint64_t value, uint64_t *ret_failed)
{
	uint64_t gpa, expected64 = h->reserved_value;
	uint32_t expected32 = (uint32_t)expected64;
	void *p = rv_atomic_address(h, va, width, RV_WRITE, &gpa);
	bool ok;

	if (!p)
		return false;
	ok = va == h->reserved &&
	     (width == 32 ? hull_cas_seqcst((uint32_t *)p, &expected32, (uint32_t)value)
	                  : hull_cas_seqcst((uint64_t *)p, &expected64, value));
	h->reserved = UINT64_MAX;
	*ret_failed = !ok;
	return true;
}

/* Unprivileged ISA, chapter 20; enables in 3.1.18 and 12.1.10. */
bool rv_cbo(struct rv_hart *h, enum rv_cbo op, uint64_t va)
{
	uint64_t block = va & ~UINT64_C(63), gpa;
	uint64_t need = op == RV_CBO_zero    ? ENVCFG_CBZE
	                : op == RV_CBO_inval ? ENVCFG_CBIE
	                                     : ENVCFG_CBCFE;
	enum rv_access kind = op == RV_CBO_zero ? RV_WRITE : RV_READ;
	const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(block)];
	uint64_t tag = (block & ~HULL_PAGE_MASK) | h->cpu.data_context;
	uint8_t *hva = (uint8_t *)(block + e->addend);

	if ((h->priv != RV_PRIV_M && !(h->csr.menvcfg & need)) ||
	    (h->priv == RV_PRIV_U && !(h->csr.senvcfg & need)))
		return rv_raise(h, RV_ILLEGAL, 0);
	/* All fault as stores, at the address in rs1.  Devices take no accesses of 64 bytes. */
	if ((kind == RV_WRITE ? e->write : e->read) != tag &&
	    !resolve(h, block, 64, kind, &hva, &gpa)) {
		bool is_page = h->cause == RV_LOAD_PAGE || h->cause == RV_STORE_PAGE;

		return rv_raise(h, is_page ? RV_STORE_PAGE : RV_STORE_ACCESS, va);
	}
	if (!hva)
		return rv_raise(h, RV_STORE_ACCESS, va);
	if (op == RV_CBO_zero)
		memset(hva, 0, 64);
	return true;
}
