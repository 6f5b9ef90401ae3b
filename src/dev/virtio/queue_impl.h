/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The inside of virtqueues: what queue.c and the two ring formats share.
 *
 * A format's functions run between begin and end, on a queue that is ready.
 */
#ifndef HULL_DEV_VIRTIO_QUEUE_IMPL_H
#define HULL_DEV_VIRTIO_QUEUE_IMPL_H

#include "base/atomic.h"
#include "base/bits.h"
#include "dev/virtio/queue.h"

/* VIRTIO 1.3, 2.7.5, 2.8.1: both formats. */
enum { DESC_SIZE = 16, DESC_NEXT = 1, DESC_WRITE = 2, DESC_INDIRECT = 4 };

struct desc {
	hull_gpa addr;
	uint32_t len;
	uint16_t flags;
	uint16_t next; /* split: the next one; packed: the buffer's id */
};

/* Ring accesses; false: not memory. */
static inline bool ring_load16(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                               uint16_t *ret)
{
	if (!v->hva)
		return hull_mem_load16(q->vm, v->gpa + off, ret);
	*ret = hull_view_load16(v, off);
	return true;
}

static inline bool ring_load32(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                               uint32_t *ret)
{
	if (!v->hva)
		return hull_mem_load32(q->vm, v->gpa + off, ret);
	*ret = hull_view_load32(v, off);
	return true;
}

static inline bool ring_load64(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                               uint64_t *ret)
{
	if (!v->hva)
		return hull_mem_load64(q->vm, v->gpa + off, ret);
	*ret = hull_view_load64(v, off);
	return true;
}

static inline bool ring_store16(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                                uint16_t val)
{
	if (!v->hva)
		return hull_mem_store16(q->vm, v->gpa + off, val);
	hull_view_store16(v, off, val);
	return true;
}

static inline bool ring_store32(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                                uint32_t val)
{
	if (!v->hva)
		return hull_mem_store32(q->vm, v->gpa + off, val);
	hull_view_store32(v, off, val);
	return true;
}

static inline bool ring_store64(struct hull_virtq *q, const struct hull_view *v, uint64_t off,
                                uint64_t val)
{
	if (!v->hva)
		return hull_mem_store64(q->vm, v->gpa + off, val);
	hull_view_store64(v, off, val);
	return true;
}

/* Stores through a view were made: the driver may be told. */
static inline void ring_wrote(struct hull_virtq *q, const struct hull_view *v)
{
	if (v->hva)
		hull_view_wrote(q->vm, v);
}

/* queue.c: check one descriptor of a buffer and add it to the chain.  0 or HULL_EFAULT. */
int hull_virtq_add(struct hull_virtq *q, struct hull_virtq_chain *c, const struct desc *d);

/* queue.c: check a descriptor that points at a table, `inside` one or not.  0 or HULL_EFAULT. */
int hull_virtq_check_table(struct hull_virtq *q, const struct desc *d, bool inside);

/* An indirect table, fetched in pieces. */
enum { TABLE_PIECE = 8 };
struct table {
	hull_gpa gpa;
	uint32_t size;     /* descriptors */
	uint32_t first, n; /* those in `raw` */
	uint8_t raw[TABLE_PIECE * DESC_SIZE];
};

/* queue.c: descriptor `i` of it, below its size. */
bool hull_virtq_load_indirect(struct hull_virtq *q, struct table *t, uint32_t i, struct desc *ret);

/* One format.  Both know nothing of the order. */
struct hull_virtq_format {
	bool (*valid)(const struct hull_virtq *q);
	/* Indexes at the beginning. */
	void (*start)(struct hull_virtq *q);
	/* Set the views of the rings, from what was set up. */
	void (*place)(struct hull_virtq *q);
	/* As hull_virtq_peek(); sets peek_n, and ret->head to a number below num. */
	int (*peek)(struct hull_virtq *q, struct hull_virtq_chain *ret);
	/* Go past a chain of n descriptors. */
	void (*advance)(struct hull_virtq *q, unsigned n);
	/* Fill in one used entry, for a chain of `n` descriptors. */
	int (*push)(struct hull_virtq *q, uint16_t id, uint32_t len, unsigned n);
	/* Show the staged entries. */
	int (*publish)(struct hull_virtq *q);
	/* Was the driver's event passed between `old` and `used`? */
	bool (*wanted)(struct hull_virtq *q, uint16_t old);
};

extern const struct hull_virtq_format hull_virtq_split, hull_virtq_packed;

#endif
