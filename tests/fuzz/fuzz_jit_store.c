/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A file of kept code: the bytes as they are, and with the sums set right, so that what lies behind
 * them is reached.  Whatever it gives must be a unit that makes sense, within the file.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/jit/store_impl.h"

#include <hull/types.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct store_id id = { .guest = "fuzz", .features = 1 };

static void check(const struct store_image *image, const struct jit_unit *u)
{
	const uint8_t *end = image->data + image->size;
	unsigned guest = 0;

	if (!u->code_bytes || u->code_bytes > JIT_CODE_BYTES || !u->range_count ||
	    u->range_count > JIT_RANGES || u->offset >= HULL_PAGE_SIZE || u->ranges[0].page ||
	    u->enter >= u->code_bytes)
		abort();
	for (unsigned i = 0; i < u->range_count; i++) {
		const struct jit_range *r = &u->ranges[i];

		guest += r->bytes;
		if (r->offset % 2 || r->bytes % 2 || r->offset + r->bytes > HULL_PAGE_SIZE ||
		    r->page < -128 || r->page > 127)
			abort();
		if (r->page && u->tier == 2 && !u->enter)
			abort();
	}
	if (guest > JIT_GUEST_BYTES || u->guest < image->data || u->guest + guest > end ||
	    u->code < image->data || u->code + u->code_bytes > end)
		abort();
	for (unsigned i = 0; i < u->exit_count; i++)
		if (u->exits[i].site >= u->code_bytes)
			abort();
}

/* Look for everything that is there, and save it. */
static void use(struct jit_store *s)
{
	const struct store_image none = { 0 };
	struct jit_store_search f;
	struct jit_unit u, found;
	size_t size = 0;
	uint8_t *built;

	for (uint32_t i = 0; i < s->image.header->units && i < 64; i++) {
		if (!store_unit(&s->image, i, &u))
			continue;
		check(&s->image, &u);
		jit_store_find(&f, u.offset, u.guest + (u.offset - u.ranges[0].offset),
		               MIN(u.ranges[0].bytes - (u.offset - u.ranges[0].offset), 8));
		for (unsigned n = 0; jit_store_next(s, &f, &found); n++) {
			if (n > 4 * STORE_BUCKET_MAX)
				abort();
			check(&s->image, &found);
			(void)jit_store_take(s, &f);
		}
		if (jit_store_add(s, &u))
			abort();
	}
	built = store_build(s, &none, 1 << 16, &size);
	if (!built || size > 1 << 16 || store_load(&s->image, &s->id, built, size))
		abort();
}

static void load(const uint8_t *data, size_t size, bool repair)
{
	struct jit_store *s = store_new(&id);
	uint8_t *copy = calloc(1, size + sizeof(struct store_header));
	struct store_header *h = (struct store_header *)copy;
	struct store_image image = { 0 };
	size_t index, end;

	if (!s || !copy)
		abort();
	memcpy(copy, data, size);
	if (repair) {
		size = MAX(size, sizeof(*h));
		memcpy(h->magic, STORE_MAGIC, sizeof(h->magic));
		h->version = STORE_VERSION;
		h->header_bytes = sizeof(*h);
		h->id = id;
		h->size = size;
		index = align_up(sizeof(*h) + (h->buckets + 1ull) * 4, 8);
		end = index + h->units * sizeof(struct store_entry);
		for (uint32_t i = 0; end <= size && i < h->units; i++) {
			struct store_entry *e = (struct store_entry *)(copy + index) + i;
			uint64_t at = e->at * 8ull;

			if (at <= size && e->bytes <= size - at)
				e->sum = store_sum(copy + at, e->bytes, 0);
		}
		if (end <= size)
			h->index_sum = store_sum(copy + sizeof(*h), end - sizeof(*h), 0);
		h->sum = store_sum(h, offsetof(struct store_header, sum), 0);
	}
	if (!store_load(&image, &id, copy, size)) {
		s->image = image;
		use(s);
		store_unload(&image);
	}
	jit_store_close(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	load(data, size, false);
	load(data, size, true);
	return 0;
}
