/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * MSI-X: a table of messages in a BAR, each with a mask and a pending bit.
 *
 * Spec: PCI 3.0, 6.8.2.
 *
 * A vector that cannot be sent (masked alone or with the function, or the function is no bus
 * master) becomes pending, and is sent as soon as it can be.
 */
#include "dev/pci/pci.h"

#include "base/assert.h"

enum { CAP_MSIX = 0x11, CONTROL = 2, ENABLE = 0x8000, FUNCTION_MASK = 0x4000, MASKED = 1 };
enum { ENTRY = 16, ENTRY_ADDR = 0, ENTRY_DATA = 8, ENTRY_CONTROL = 12 };

void hull_pci_add_msix(struct hull_pci_fn *fn, const struct hull_pci_msix *msix)
{
	uint8_t body[10] = { 0 }, writable[10] = { 0 };

	HULL_ASSERT(msix->n && msix->n <= HULL_PCI_VECTORS && msix->bar < HULL_PCI_BARS);
	HULL_ASSERT(is_aligned(msix->table_at, 8) && is_aligned(msix->pba_at, 8));
	HULL_ASSERT(msix->table_at + (uint64_t)msix->n * ENTRY <= fn->bar[msix->bar].size);
	HULL_ASSERT(msix->pba_at + (msix->n + 63) / 64 * 8ULL <= fn->bar[msix->bar].size);
	store_le16(body, msix->n - 1);
	store_le32(body + 2, msix->table_at | msix->bar);
	store_le32(body + 6, msix->pba_at | msix->bar);
	store_le16(writable, ENABLE | FUNCTION_MASK);
	fn->msix = *msix;
	fn->msix.cap = (uint8_t)hull_pci_add_cap(fn, CAP_MSIX, body, writable, sizeof(body));
	hull_pci_msix_reset(fn);
}

void hull_pci_msix_reset(struct hull_pci_fn *fn)
{
	struct hull_pci_msix *m = &fn->msix;

	for (unsigned i = 0; i < m->n; i++)
		m->table[i] = (struct hull_pci_vector){ .control = MASKED };
	for (unsigned i = 0; i < (m->n + 63U) / 64; i++)
		m->pending[i] = 0;
}

void hull_pci_msix_restored(struct hull_pci_fn *fn)
{
	struct hull_pci_msix *m = &fn->msix;

	for (unsigned i = 0; i < m->n; i++) {
		m->table[i].addr &= ~UINT64_C(3);
		m->table[i].control &= MASKED;
	}
	if (m->n % 64)
		m->pending[m->n / 64] &= low_mask(m->n % 64);
}

/* Follow message control; fn->lock is held. */
void hull_pci_msix_control(struct hull_pci_fn *fn)
{
	struct hull_pci_msix *m = &fn->msix;
	uint16_t control = m->n ? load_le16(fn->config + m->cap + CONTROL) : 0;

	m->on = control & ENABLE;
	m->masked = control & FUNCTION_MASK;
}

static void send(struct hull_pci_fn *fn, unsigned vector)
{
	struct hull_pci_msix *m = &fn->msix;
	uint64_t bit = BIT(vector % 64), *pending = &m->pending[vector / 64];
	const struct hull_msi msi = { .sink = hull_pci_host_msi(fn->host),
		                      .addr = m->table[vector].addr,
		                      .data = m->table[vector].data,
		                      .requester = fn->requester };

	if (m->masked || !fn->master || m->table[vector].control & MASKED) {
		*pending |= bit;
		return;
	}
	*pending &= ~bit;
	hull_msi_send(msi);
}

void hull_pci_msix_flush(struct hull_pci_fn *fn)
{
	struct hull_pci_msix *m = &fn->msix;

	if (!m->on || m->masked || !fn->master)
		return;
	for (unsigned i = 0; i < m->n; i++)
		if (m->pending[i / 64] & BIT(i % 64))
			send(fn, i);
}

bool hull_pci_message(struct hull_pci_fn *fn, unsigned vector)
{
	bool on;

	hull_lock_acquire(&fn->lock);
	on = fn->msix.on && fn->host;
	if (on && vector < fn->msix.n)
		send(fn, vector);
	hull_lock_release(&fn->lock);
	return on;
}

static uint32_t entry_read(const struct hull_pci_vector *e, unsigned off)
{
	switch (off) {
	case ENTRY_ADDR: return (uint32_t)e->addr;
	case ENTRY_ADDR + 4: return (uint32_t)(e->addr >> 32);
	case ENTRY_DATA: return e->data;
	default: return e->control;
	}
}

static void entry_write(struct hull_pci_fn *fn, unsigned i, unsigned off, uint32_t val)
{
	struct hull_pci_vector *e = &fn->msix.table[i];

	switch (off) {
	case ENTRY_ADDR: e->addr = (e->addr & ~low_mask(32)) | (val & ~UINT32_C(3)); break;
	case ENTRY_ADDR + 4: e->addr = (uint32_t)e->addr | (uint64_t)val << 32; break;
	case ENTRY_DATA: e->data = val; break;
	default: e->control = val & MASKED; break;
	}
	if (off == ENTRY_CONTROL && fn->msix.on && fn->msix.pending[i / 64] & BIT(i % 64))
		send(fn, i);
}

enum part { ELSEWHERE, TABLE, PBA };

/* What is at `off`; *off becomes the offset within that. */
static enum part part_at(const struct hull_pci_msix *m, unsigned bar, uint64_t *off)
{
	uint64_t table = *off - m->table_at, pba = *off - m->pba_at;

	if (!m->n || bar != m->bar)
		return ELSEWHERE;
	if (*off >= m->table_at && table < (uint64_t)m->n * ENTRY) {
		*off = table;
		return TABLE;
	}
	if (*off >= m->pba_at && pba < (m->n + 63U) / 64 * 8) {
		*off = pba;
		return PBA;
	}
	return ELSEWHERE;
}

/* 6.8.2: software uses aligned 32- or 64-bit accesses; the result of others is undefined. */
static bool well_formed(struct hull_pci_fn *fn, uint64_t off, unsigned size)
{
	if ((size == 4 || size == 8) && is_aligned(off, size))
		return true;
	hull_guest_error(fn->dev, "access to an MSI-X table that is not 32 or 64 bits wide", off);
	return false;
}

static uint32_t word_read(const struct hull_pci_msix *m, enum part part, uint64_t off)
{
	if (part == PBA)
		return (uint32_t)(m->pending[off / 8] >> off % 8 * 8);
	return entry_read(&m->table[off / ENTRY], off % ENTRY);
}

bool hull_pci_msix_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size,
                        uint64_t *ret)
{
	enum part part = part_at(&fn->msix, bar, &off);

	if (part == ELSEWHERE)
		return false;
	*ret = 0;
	if (!well_formed(fn, off, size))
		return true;
	hull_lock_acquire(&fn->lock);
	*ret = word_read(&fn->msix, part, off);
	if (size == 8)
		*ret |= (uint64_t)word_read(&fn->msix, part, off + 4) << 32;
	hull_lock_release(&fn->lock);
	return true;
}

bool hull_pci_msix_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                         unsigned size)
{
	enum part part = part_at(&fn->msix, bar, &off);

	if (part == ELSEWHERE)
		return false;
	if (part == PBA || !well_formed(fn, off, size))
		return true; /* the PBA is read-only */
	hull_lock_acquire(&fn->lock);
	entry_write(fn, (unsigned)(off / ENTRY), off % ENTRY, (uint32_t)val);
	if (size == 8)
		entry_write(fn, (unsigned)(off / ENTRY), off % ENTRY + 4, (uint32_t)(val >> 32));
	hull_lock_release(&fn->lock);
	return true;
}
