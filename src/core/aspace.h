/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The guest-physical address space as CPU engines and device DMA see it.
 *
 * Everything else in Hull copies through hull_vm_read/hull_vm_write.  Raw
 * pointers leave this module in two ways only: to a CPU engine, which drops
 * them when the accelerator's unmap is called; and as a DMA window or, hidden, a view.
 */
#ifndef HULL_CORE_ASPACE_H
#define HULL_CORE_ASPACE_H

#include <hull/accel.h>
#include <hull/error.h>
#include <hull/types.h>
#include "base/atomic.h"
#include "base/bits.h"

struct hull_ram_page {
	void *hva;      /* host address of the 4 KiB page */
	unsigned attr;  /* HULL_MEM_* */
	bool log_write; /* a dirty log runs: report the next write with hull_aspace_dirty() */
	bool shared;    /* others than the vCPUs and this module may write it */
};

/* Find the RAM or ROM page that contains `gpa`.  False: it is none.  Any thread. */
bool hull_aspace_page(struct hull_vm *vm, hull_gpa gpa, struct hull_ram_page *ret);

/* A whole mapping of RAM or ROM. */
struct hull_ram_range {
	hull_gpa gpa;
	uint64_t len;
	uint8_t *hva;
	unsigned attr;          /* HULL_MEM_* */
	bool log_write, shared; /* as above */
};

/*
 * Find the mapping that contains `gpa`.  A CPU engine may keep the answer as long as translations
 * that it made of it: until the accelerator's unmap, protect or dirty_log.  False: it is no
 * memory.  Any thread.
 */
bool hull_aspace_range(struct hull_vm *vm, hull_gpa gpa, struct hull_ram_range *ret);

/*
 * A CPU engine keeps code of the page: from now on hull_aspace_watched_writes() changes with each
 * write of the core to it (devices, the host), before anybody is told of the write.  More pages
 * than those that are watched may count.  Any thread.
 */
void hull_aspace_watch(struct hull_vm *vm, hull_gpa gpa);
uint64_t hull_aspace_watched_writes(struct hull_vm *vm);

/* For accelerators on bare metal: what hull_vm_stage2_root() answers.  In vm_init. */
void hull_aspace_set_root(struct hull_vm *vm, hull_hpa root);

/* Note that the page of `gpa` was written.  Any thread; cheap when no log runs. */
void hull_aspace_dirty(struct hull_vm *vm, hull_gpa gpa);

/*
 * The same for each bit that is set in `bitmap` (bit 0: the page of `gpa`, which is aligned).  By
 * dirty_sync() of an accelerator, or any thread without map_lock.
 */
void hull_aspace_dirty_many(struct hull_vm *vm, hull_gpa gpa, const uint64_t *bitmap,
                            uint64_t npages);

/*
 * A DMA window (windows may nest): host memory behind [gpa, gpa + len) for bulk data, whose
 * contents must never be branched on.  Holds the map in place (unmap waits)
 * until released, so it must be short-lived.  Covers as much as is contiguous:
 * ret->len <= len.  Write windows mark the pages dirty at release.
 * HULL_EFAULT if gpa is not RAM (or, to write, is ROM).
 */
struct hull_dma {
	void *hva;
	uint64_t len;
	hull_gpa gpa;
	bool write;
};
int hull_dma_begin(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool write,
                   struct hull_dma *ret);
void hull_dma_end(struct hull_vm *vm, struct hull_dma *dma);

/*
 * Does a change of the map wait for windows to close?  Whoever keeps some open most of the time, as
 * disks do, begins no more until this is false: else the change might wait for ever.  Any thread.
 */
bool hull_mem_wanted(struct hull_vm *vm);

/*
 * Copies by devices.  False if any byte is not RAM (or, to write, is ROM):
 * nothing was changed then.
 */
bool hull_mem_read(struct hull_vm *vm, hull_gpa gpa, void *buf, uint64_t len);
bool hull_mem_write(struct hull_vm *vm, hull_gpa gpa, const void *buf, uint64_t len);

/*
 * The guest does not need [gpa, gpa + len) any more: give the host's memory back.  Whole pages of
 * RAM from the HAL become zero; ROM, memory that an embedding program mapped or that VMs share, and
 * what is no memory are left alone.  Counts as a write of zeroes for dirty logs and watched code.
 * Returns how many bytes were given back.  Any thread.
 */
uint64_t hull_aspace_discard(struct hull_vm *vm, hull_gpa gpa, uint64_t len);

/*
 * Little-endian values for rings shared with the guest: a naturally aligned
 * one is a single access with acquire (load) or release (store) order.
 */
bool hull_mem_load16(struct hull_vm *vm, hull_gpa gpa, uint16_t *ret);
bool hull_mem_load32(struct hull_vm *vm, hull_gpa gpa, uint32_t *ret);
bool hull_mem_load64(struct hull_vm *vm, hull_gpa gpa, uint64_t *ret);
bool hull_mem_store16(struct hull_vm *vm, hull_gpa gpa, uint16_t v);
bool hull_mem_store32(struct hull_vm *vm, hull_gpa gpa, uint32_t v);
bool hull_mem_store64(struct hull_vm *vm, hull_gpa gpa, uint64_t v);

/*
 * A view: a range that is used again and again, such as a ring.  It is looked up once and then only
 * when the map has changed.  Use it between hull_mem_enter() and hull_mem_leave(), which hold the
 * map in place as windows do (they nest), so be quick.
 */
struct hull_view {
	hull_gpa gpa; /* set these three, the rest to 0; gpa + len does not wrap */
	uint64_t len;
	bool write;
	uint8_t *hva; /* NULL: not in one mapping, or not memory; for the functions below */
	struct hull_map *map;
	uint32_t seen; /* changes of the map when it was looked up */
};
void hull_mem_enter(struct hull_vm *vm);
void hull_mem_leave(struct hull_vm *vm);

/* Look it up if need be, after each hull_mem_enter().  False: use copies (hull_mem_read...). */
bool hull_view_open(struct hull_vm *vm, struct hull_view *v);

/* After writes through it, before anybody is told of them. */
void hull_view_wrote(struct hull_vm *vm, const struct hull_view *v);

/*
 * Naturally aligned little-endian values at `off`, within the view: single accesses with acquire
 * and release order.  Only if hull_view_open() was true.
 */
static inline uint16_t hull_view_load16(const struct hull_view *v, uint64_t off)
{
	uint16_t val = hull_load_acquire((const uint16_t *)(const void *)(v->hva + off));

	return load_le16(&val);
}

static inline uint32_t hull_view_load32(const struct hull_view *v, uint64_t off)
{
	uint32_t val = hull_load_acquire((const uint32_t *)(const void *)(v->hva + off));

	return load_le32(&val);
}

static inline uint64_t hull_view_load64(const struct hull_view *v, uint64_t off)
{
	uint64_t val = hull_load_acquire((const uint64_t *)(const void *)(v->hva + off));

	return load_le64(&val);
}

static inline void hull_view_store16(const struct hull_view *v, uint64_t off, uint16_t val)
{
	uint16_t le;

	store_le16(&le, val);
	hull_store_release((uint16_t *)(void *)(v->hva + off), le);
}

static inline void hull_view_store32(const struct hull_view *v, uint64_t off, uint32_t val)
{
	uint32_t le;

	store_le32(&le, val);
	hull_store_release((uint32_t *)(void *)(v->hva + off), le);
}

static inline void hull_view_store64(const struct hull_view *v, uint64_t off, uint64_t val)
{
	uint64_t le;

	store_le64(&le, val);
	hull_store_release((uint64_t *)(void *)(v->hva + off), le);
}

#endif
