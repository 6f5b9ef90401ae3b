/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Configuration space of a function.
 *
 * Three arrays say it all: what it holds, what it holds after a reset, and which bits the guest may
 * change.  Sizing a BAR is nothing special then: the bits below its size cannot be written.
 */
#include "dev/pci/pci.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/checked.h"
#include "base/mem.h"

enum { STATUS_INTX = 0x08, STATUS_CAPABILITIES = 0x10, CAPS_AT = 0x40, EXTENDED = 4096 };
enum { CAP_EXPRESS = 0x10, EXPRESS_SIZE = 0x3c, DEVICE_CONTROL = 8, START_RESET = 0x8000 };
enum { BAR_IO = 1, BAR_64 = 4, BAR_PREFETCHABLE = 8 };

void hull_pci_fn_init(struct hull_pci_fn *fn, const struct hull_pci_id *id)
{
	uint8_t *c = fn->initial;

	hull_lock_init(&fn->lock, fn->dev->lane.hal, HULL_RANK_PCI);
	store_le16(c, id->vendor);
	store_le16(c + 0x02, id->device);
	c[0x08] = id->revision;
	c[0x09] = (uint8_t)id->class_code;
	store_le16(c + 0x0a, (uint16_t)(id->class_code >> 8));
	store_le16(c + 0x2c, id->sub_vendor);
	store_le16(c + 0x2e, id->sub_device);
	c[HULL_PCI_INT_PIN] = id->intx;
	store_le16(fn->writable + HULL_PCI_COMMAND,
	           HULL_PCI_COMMAND_MASTER | HULL_PCI_COMMAND_INTX_OFF);
	fn->writable[0x0c] = 0xff; /* cache line size: without meaning */
	fn->writable[HULL_PCI_INT_LINE] = 0xff;
	fn->cap_end = CAPS_AT;
	for (unsigned i = 0; i < HULL_PCI_BARS; i++)
		fn->bar[i].at = HULL_PCI_NOWHERE;
	memcpy(fn->config, fn->initial, HULL_PCI_CONFIG);
}

void hull_pci_add_bar(struct hull_pci_fn *fn, unsigned n, enum hull_pci_space space, uint64_t size)
{
	unsigned at = HULL_PCI_BAR0 + 4 * n;
	bool io = space == HULL_PCI_IO;

	HULL_ASSERT(n + (space == HULL_PCI_MEM64) < HULL_PCI_BARS && is_pow2(size));
	HULL_ASSERT(io ? size >= 4 && size <= 256 : size >= 16);
	HULL_ASSERT(space == HULL_PCI_MEM64 || size <= BIT(31));
	fn->bar[n].size = size;
	fn->bar[n].space = space;
	if (io)
		fn->initial[at] = BAR_IO;
	else if (space == HULL_PCI_MEM64)
		fn->initial[at] = BAR_64 | BAR_PREFETCHABLE;
	store_le32(fn->writable + at, (uint32_t)~(size - 1));
	if (space == HULL_PCI_MEM64)
		store_le32(fn->writable + at + 4, (uint32_t)(~(size - 1) >> 32));
	fn->writable[HULL_PCI_COMMAND] |= io ? HULL_PCI_COMMAND_IO : HULL_PCI_COMMAND_MEMORY;
	memcpy(fn->config, fn->initial, HULL_PCI_CONFIG);
}

unsigned hull_pci_add_cap(struct hull_pci_fn *fn, uint8_t id, const uint8_t *body,
                          const uint8_t *writable, unsigned len)
{
	unsigned at = fn->cap_end;

	HULL_ASSERT(at + 2 + len < HULL_PCI_CONFIG);
	fn->initial[fn->cap_last ? fn->cap_last + 1U : HULL_PCI_CAPABILITIES] = (uint8_t)at;
	fn->initial[HULL_PCI_STATUS] |= STATUS_CAPABILITIES;
	fn->initial[at] = id;
	memcpy(fn->initial + at + 2, body, len);
	if (writable)
		memcpy(fn->writable + at + 2, writable, len);
	fn->cap_last = (uint8_t)at;
	fn->cap_end = (uint8_t)align_up(at + 2 + len, 4);
	memcpy(fn->config, fn->initial, HULL_PCI_CONFIG);
	return at;
}

/* PCI Express 4.0, 7.5.3: version 2, root complex integrated endpoint. */
void hull_pci_add_express(struct hull_pci_fn *fn)
{
	uint8_t body[EXPRESS_SIZE - 2] = { 0x92 }, writable[EXPRESS_SIZE - 2] = { 0 };

	store_le32(body + 2, BIT(28) | BIT(15)); /* function level reset, role-based errors */
	store_le16(writable + DEVICE_CONTROL - 2, 0x781f);
	fn->express = (uint8_t)hull_pci_add_cap(fn, CAP_EXPRESS, body, writable, EXPRESS_SIZE - 2);
}

static uint16_t command_of(const struct hull_pci_fn *fn)
{
	return load_le16(fn->config + HULL_PCI_COMMAND);
}

/* Where BAR `n` answers by configuration space. */
static uint64_t bar_place(const struct hull_pci_fn *fn, unsigned n)
{
	const struct hull_pci_bar *b = &fn->bar[n];
	const uint8_t *reg = fn->config + HULL_PCI_BAR0 + 4 * n;
	bool io = b->space == HULL_PCI_IO;
	uint64_t at;

	if (!b->size || !(command_of(fn) & (io ? HULL_PCI_COMMAND_IO : HULL_PCI_COMMAND_MEMORY)))
		return HULL_PCI_NOWHERE;
	at = b->space == HULL_PCI_MEM64 ? load_le64(reg) : load_le32(reg);
	return at & ~(b->size - 1);
}

static void place_bars(struct hull_pci_fn *fn)
{
	for (unsigned i = 0; i < HULL_PCI_BARS; i++) {
		uint64_t at = bar_place(fn, i);

		if (at == fn->bar[i].at)
			continue;
		hull_store_relaxed(&fn->bar[i].at, at);
		if (fn->ops->moved)
			fn->ops->moved(fn, i, at);
	}
}

/* `config` has changed: let everything follow. */
static void follow(struct hull_pci_fn *fn)
{
	uint16_t command = command_of(fn);

	place_bars(fn);
	hull_lock_acquire(&fn->lock);
	fn->intx_off = command & HULL_PCI_COMMAND_INTX_OFF;
	fn->master = command & HULL_PCI_COMMAND_MASTER;
	hull_pci_msix_control(fn);
	hull_pci_update_intx(fn);
	hull_pci_msix_flush(fn);
	hull_lock_release(&fn->lock);
	if (fn->ops->command)
		fn->ops->command(fn, command);
}

void hull_pci_update_intx(struct hull_pci_fn *fn)
{
	bool show = fn->intx && !fn->intx_off && !fn->msix.on;

	if (show == fn->intx_shown || !fn->host || !fn->initial[HULL_PCI_INT_PIN])
		return;
	fn->intx_shown = show;
	hull_pci_host_intx(fn->host, fn, show);
}

void hull_pci_intx(struct hull_pci_fn *fn, bool level)
{
	hull_lock_acquire(&fn->lock);
	fn->intx = level;
	hull_pci_update_intx(fn);
	hull_lock_release(&fn->lock);
}

static uint8_t status_low(struct hull_pci_fn *fn)
{
	bool intx;

	hull_lock_acquire(&fn->lock);
	intx = fn->intx && !fn->msix.on;
	hull_lock_release(&fn->lock);
	return fn->config[HULL_PCI_STATUS] | (intx ? STATUS_INTX : 0);
}

static bool config_access(unsigned off, unsigned size)
{
	return (size == 1 || size == 2 || size == 4) && is_aligned(off, size) && off < EXTENDED;
}

uint32_t hull_pci_config_read(struct hull_pci_fn *fn, unsigned off, unsigned size)
{
	uint32_t val = 0;

	if (!config_access(off, size))
		return UINT32_MAX;
	if (fn->ops->config_read && fn->ops->config_read(fn, off, size, &val))
		return val & (uint32_t)low_mask(8 * size);
	for (unsigned i = 0; i < size && off + i < HULL_PCI_CONFIG; i++) {
		uint8_t byte = off + i == HULL_PCI_STATUS ? status_low(fn) : fn->config[off + i];

		val |= (uint32_t)byte << 8 * i;
	}
	return val;
}

/* 6.6.2: everything but what the platform fixes; done before the next access. */
static void reset_function(struct hull_pci_fn *fn)
{
	hull_pci_reset(fn);
	if (fn->ops->reset)
		fn->ops->reset(fn);
}

void hull_pci_config_write(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t val)
{
	unsigned control = fn->express + DEVICE_CONTROL + 1U; /* its high byte */
	bool reset = false;

	if (!config_access(off, size))
		return;
	if (fn->ops->config_write && fn->ops->config_write(fn, off, size, val))
		return;
	for (unsigned i = 0; i < size && off + i < HULL_PCI_CONFIG; i++) {
		uint8_t *c = &fn->config[off + i], w = fn->writable[off + i];
		uint8_t byte = (uint8_t)(val >> 8 * i);

		*c = (uint8_t)((*c & ~w) | (byte & w));
		if (fn->express && off + i == control && byte & START_RESET >> 8)
			reset = true;
	}
	if (reset)
		reset_function(fn);
	else
		follow(fn);
}

uint64_t hull_pci_bar_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size)
{
	uint64_t val;

	if (bar >= HULL_PCI_BARS || !hull_range_within(off, size, 0, fn->bar[bar].size))
		return UINT64_MAX;
	if (hull_pci_msix_read(fn, bar, off, size, &val))
		return val;
	return fn->ops->read ? fn->ops->read(fn, bar, off, size) : 0;
}

void hull_pci_bar_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                        unsigned size)
{
	if (bar >= HULL_PCI_BARS || !hull_range_within(off, size, 0, fn->bar[bar].size) ||
	    hull_pci_msix_write(fn, bar, off, val, size))
		return;
	if (fn->ops->write)
		fn->ops->write(fn, bar, off, val, size);
}

void hull_pci_reset(struct hull_pci_fn *fn)
{
	memcpy(fn->config, fn->initial, HULL_PCI_CONFIG);
	hull_lock_acquire(&fn->lock);
	hull_pci_msix_reset(fn);
	hull_lock_release(&fn->lock);
	follow(fn);
}

void hull_pci_restored(struct hull_pci_fn *fn)
{
	for (unsigned i = 0; i < HULL_PCI_CONFIG; i++)
		fn->config[i] = (uint8_t)((fn->initial[i] & ~fn->writable[i]) |
		                          (fn->config[i] & fn->writable[i]));
	hull_lock_acquire(&fn->lock);
	hull_pci_msix_restored(fn);
	hull_lock_release(&fn->lock);
	follow(fn);
}
