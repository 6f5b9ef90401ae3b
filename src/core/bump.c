/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Bump arena of HAL pages. */
#include "core/bump.h"

#include "base/assert.h"
#include "base/bits.h"
#include "base/checked.h"

enum { CHUNK = 64 * 1024 };

struct hull_bump_chunk {
	struct hull_bump_chunk *next;
	uint64_t size;
};

void hull_bump_init(struct hull_bump *a, const struct hull_hal *hal)
{
	*a = (struct hull_bump){ .hal = hal };
}

void hull_bump_fini(struct hull_bump *a)
{
	const struct hull_hal *hal = a->hal;
	struct hull_bump_chunk *chunk = a->chunk;

	while (chunk) {
		struct hull_bump_chunk *next = chunk->next;

		hal->pages_free(hal, chunk, chunk->size);
		chunk = next;
	}
}

static bool grow(struct hull_bump *a, uint64_t bytes)
{
	struct hull_bump_chunk *chunk;
	uint64_t size;

	/* Room for the header and the worst alignment. */
	if (!hull_add(bytes, 2 * HULL_PAGE_SIZE + HULL_PAGE_MASK, &size))
		return false;
	size = MAX(align_down(size, HULL_PAGE_SIZE), (uint64_t)CHUNK);
	chunk = a->hal->pages_alloc(a->hal, size, HULL_PAGE_SIZE, false);
	if (!chunk)
		return false;
	chunk->next = a->chunk;
	chunk->size = size;
	a->chunk = chunk;
	a->used = sizeof(*chunk);
	a->size = size;
	a->total += size;
	return true;
}

void *hull_bump_alloc(struct hull_bump *a, uint64_t bytes, uint64_t align)
{
	uint64_t at;

	HULL_ASSERT(!a->sealed);
	HULL_ASSERT(is_pow2(align) && align <= HULL_PAGE_SIZE);
	at = align_up(a->used, align);
	if (!a->chunk || !hull_range_within(at, bytes, 0, a->size)) {
		if (!grow(a, bytes))
			return NULL;
		at = align_up(a->used, align);
	}
	a->used = at + bytes;
	return (char *)a->chunk + at;
}

void hull_bump_seal(struct hull_bump *a)
{
	a->sealed = true;
}
