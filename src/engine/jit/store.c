/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What is in a file of generated code: checked, found, collected, put together. */
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "engine/jit/store_impl.h"

#include <hull/types.h>

/*
 * Each step is a bijection of the state for a given word, and of the word for a given state: any
 * damage to a single word changes the sum.
 */
uint64_t store_sum(const void *data, size_t bytes, uint64_t seed)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	const uint8_t *p = data;
	uint64_t h = (seed ^ bytes) * odd, w;

	for (; bytes >= sizeof(w); bytes -= sizeof(w), p += sizeof(w)) {
		memcpy(&w, p, sizeof(w));
		h = (h ^ w) * odd;
		h ^= h >> 32;
	}
	w = 0;
	memcpy(&w, p, bytes);
	h = (h ^ w) * odd;
	return h ^ h >> 29;
}

/* --- loading --- */

static size_t buckets_at(void)
{
	return sizeof(struct store_header);
}

static size_t entries_at(uint32_t buckets)
{
	return align_up(buckets_at() + ((size_t)buckets + 1) * sizeof(uint32_t), 8);
}

static size_t records_at(uint32_t buckets, uint32_t units)
{
	return entries_at(buckets) + (size_t)units * sizeof(struct store_entry);
}

static bool check_index(const struct store_image *image)
{
	const struct store_header *h = image->header;
	size_t first = records_at(h->buckets, h->units);

	if (image->buckets[0] || image->buckets[h->buckets] != h->units)
		return false;
	for (uint32_t i = 0; i < h->buckets; i++)
		if (image->buckets[i] > image->buckets[i + 1] ||
		    image->buckets[i + 1] - image->buckets[i] > STORE_BUCKET_MAX)
			return false;
	for (uint32_t i = 0; i < h->units; i++) {
		const struct store_entry *e = &image->entries[i];
		uint64_t at = (uint64_t)e->at * 8;

		if (at < first || at > image->size || e->bytes > image->size - at ||
		    e->bytes < sizeof(struct store_record) || e->bytes % 8)
			return false;
	}
	return true;
}

static const char *check_image(struct store_image *image, const struct store_id *id)
{
	const struct store_header *h = image->header;
	size_t end;

	if (image->size < sizeof(*h) || memcmp(h->magic, STORE_MAGIC, sizeof(h->magic)))
		return "it is not a file of translated code";
	if (h->version != STORE_VERSION || h->header_bytes != sizeof(*h))
		return "another version of Hull wrote it";
	if (store_sum(h, offsetof(struct store_header, sum), 0) != h->sum)
		return "its header is damaged";
	if (memcmp(&h->id, id, sizeof(*id)))
		return "its code is for another build or another CPU";
	if (h->size != image->size)
		return "it has been cut short or extended";
	if (h->units > STORE_UNITS_MAX || h->buckets > STORE_UNITS_MAX || !is_pow2(h->buckets))
		return "its header makes no sense";
	end = records_at(h->buckets, h->units);
	if (end > image->size)
		return "its header makes no sense";
	image->buckets = (const uint32_t *)(image->data + buckets_at());
	image->entries = (const struct store_entry *)(image->data + entries_at(h->buckets));
	if (store_sum(image->buckets, end - buckets_at(), 0) != h->index_sum || !check_index(image))
		return "its index is damaged";
	return NULL;
}

const char *store_load(struct store_image *ret, const struct store_id *id, uint8_t *data,
                       size_t size)
{
	struct store_image image = { .data = data, .size = size };
	const char *why;

	image.header = (const struct store_header *)data;
	why = check_image(&image, id);
	if (!why) {
		image.state = calloc(image.header->units + 1, 1);
		why = image.state ? NULL : "there is no memory for it";
	}
	if (why) {
		free(data);
		return why;
	}
	*ret = image;
	return NULL;
}

void store_unload(struct store_image *image)
{
	free(image->data);
	free(image->state);
	*image = (struct store_image){ 0 };
}

static size_t record_bytes(const struct store_record *r)
{
	return align_up(sizeof(*r) + r->exit_count * sizeof(struct jit_exit) +
	                        r->range_count * sizeof(struct jit_range) + r->guest_bytes +
	                        r->code_bytes,
	                8);
}

/* Guest code from the entry to the end of its range; 0: the unit makes no sense. */
static const uint8_t *entry_code(const struct jit_unit *u, unsigned *ret_bytes)
{
	const struct jit_range *r = u->ranges;

	*ret_bytes = 0;
	if (!u->range_count || u->offset < r->offset || u->offset - r->offset >= r->bytes)
		return NULL;
	*ret_bytes = r->bytes - (u->offset - r->offset);
	return u->guest + (u->offset - r->offset);
}

/* Whole instructions, in pages near that of the entry. */
static bool range_makes_sense(const struct jit_range *r)
{
	return r->page >= INT8_MIN && r->page <= INT8_MAX && r->bytes && r->offset % 2 == 0 &&
	       r->bytes % 2 == 0 && r->offset < HULL_PAGE_SIZE &&
	       r->bytes <= HULL_PAGE_SIZE - r->offset;
}

/*
 * Links must not lead into code of several pages, but to its front (jit_unit.enter); to an
 * instruction that spans two pages there are none (gen.c).
 */
static bool entry_makes_sense(const struct jit_unit *u)
{
	bool spans = false;

	for (unsigned i = 0; i < u->range_count; i++)
		spans |= u->ranges[i].page != 0;
	if (u->tier == 1)
		return !u->enter && (!spans || u->offset == HULL_PAGE_SIZE - 2);
	return !u->enter == !spans;
}

static bool makes_sense(const struct jit_unit *u, unsigned *ret_guest_bytes)
{
	unsigned bytes = 0, at_entry;

	if (!u->code_bytes || u->code_bytes > JIT_CODE_BYTES || u->tier < 1 || u->tier > 2 ||
	    !u->range_count || u->range_count > JIT_RANGES || u->offset >= HULL_PAGE_SIZE ||
	    u->offset % 2 || u->enter >= u->code_bytes)
		return false;
	for (unsigned i = 0; i < u->range_count; i++) {
		if (!range_makes_sense(&u->ranges[i]))
			return false;
		bytes += u->ranges[i].bytes;
	}
	if (u->ranges[0].page || !entry_makes_sense(u))
		return false;
	for (unsigned i = 0; i < u->exit_count; i++)
		if (u->exits[i].site >= u->code_bytes || u->exits[i].target > HULL_PAGE_SIZE)
			return false;
	*ret_guest_bytes = bytes;
	return bytes <= JIT_GUEST_BYTES && entry_code(u, &at_entry) && at_entry >= 2;
}

bool store_unit(const struct store_image *image, uint32_t entry, struct jit_unit *ret)
{
	const struct store_entry *e = &image->entries[entry];
	const struct store_record *r = (const struct store_record *)(image->data + 8ull * e->at);
	struct jit_unit u;
	unsigned guest_bytes;

	if (hull_load_relaxed(&image->state[entry]) == STORE_DAMAGED)
		return false;
	if (record_bytes(r) != e->bytes)
		return false;
	u = (struct jit_unit){ .code_bytes = r->code_bytes,
		               .tier = r->tier,
		               .enter = r->enter,
		               .exit_count = r->exit_count,
		               .range_count = r->range_count,
		               .insns = r->insns,
		               .offset = r->offset,
		               .exits = (const struct jit_exit *)(r + 1) };
	u.ranges = (const struct jit_range *)(u.exits + u.exit_count);
	u.guest = (const uint8_t *)(u.ranges + u.range_count);
	u.code = u.guest + r->guest_bytes;
	if (!makes_sense(&u, &guest_bytes) || guest_bytes != r->guest_bytes)
		return false;
	*ret = u;
	return true;
}

bool store_sound(const struct store_image *image, uint32_t entry)
{
	const struct store_entry *e = &image->entries[entry];

	if (store_sum(image->data + 8ull * e->at, e->bytes, 0) == e->sum)
		return true;
	hull_store_relaxed(&image->state[entry], STORE_DAMAGED); /* others see it, or find it */
	return false;
}

/* --- finding --- */

/* Units with less code than JIT_STORE_FIRST are known by fewer bytes. */
static unsigned first_length(unsigned bytes)
{
	return bytes >= 8 ? 8 : bytes >= 4 ? 4 : bytes >= 2 ? 2 : 0;
}

static uint32_t first_key(uint16_t offset, const uint8_t *first, unsigned length)
{
	uint64_t h = store_sum(first, length, offset);

	return (uint32_t)(h >> 32 ^ h);
}

void jit_store_find(struct jit_store_search *f, uint16_t offset, const uint8_t *first,
                    unsigned avail)
{
	avail = MIN(avail, (unsigned)JIT_STORE_FIRST);
	*f = (struct jit_store_search){ .offset = offset,
		                        .length = (uint8_t)(2 * first_length(avail)),
		                        .entry = UINT32_MAX };
	memcpy(f->first, first, avail);
}

/* The longest first: next_bucket() begins with the half of `length`. */
static bool next_bucket(const struct store_image *image, struct jit_store_search *f)
{
	uint32_t bucket;

	f->length /= 2;
	if (f->length < 2)
		return false;
	f->key = first_key(f->offset, f->first, f->length);
	bucket = f->key & (image->header->buckets - 1);
	f->at = image->buckets[bucket];
	f->end = image->buckets[bucket + 1];
	return true;
}

bool jit_store_next(const struct jit_store *s, struct jit_store_search *f, struct jit_unit *ret)
{
	const struct store_image *image = &s->image;

	if (!image->data)
		return false;
	for (;;) {
		for (; f->at < f->end; f->at++) {
			struct jit_unit u;
			unsigned bytes;

			if (image->entries[f->at].key != f->key || !store_unit(image, f->at, &u) ||
			    u.offset != f->offset)
				continue;
			if (memcmp(entry_code(&u, &bytes), f->first, f->length))
				continue;
			f->entry = f->at++;
			*ret = u;
			return true;
		}
		if (!next_bucket(image, f))
			return false;
	}
}

bool jit_store_take(const struct jit_store *s, const struct jit_store_search *f)
{
	if (!s->image.data || f->entry >= s->image.header->units ||
	    !store_sound(&s->image, f->entry))
		return false;
	hull_store_relaxed(&s->image.state[f->entry], STORE_TAKEN);
	return true;
}

/* --- collecting --- */

static bool set_grow(struct store_set *set)
{
	struct store_set big = { .size = set->size ? 2 * set->size : 4096 };

	if (2 * set->count < set->size)
		return true;
	big.slots = calloc(big.size, sizeof(*big.slots));
	if (!big.slots)
		return false;
	for (uint32_t i = 0; i < set->size; i++) {
		uint32_t at = (uint32_t)set->slots[i] & (big.size - 1);

		if (!set->slots[i])
			continue;
		while (big.slots[at])
			at = (at + 1) & (big.size - 1);
		big.slots[at] = set->slots[i];
	}
	big.count = set->count;
	free(set->slots);
	*set = big;
	return true;
}

/* False: it is there, or (*failed) there is no memory. */
static bool set_add(struct store_set *set, uint64_t identity, bool *failed)
{
	uint32_t at;

	if (!set_grow(set)) {
		*failed = true;
		return false;
	}
	identity += !identity;
	at = (uint32_t)identity & (set->size - 1);
	for (; set->slots[at]; at = (at + 1) & (set->size - 1))
		if (set->slots[at] == identity)
			return false;
	set->slots[at] = identity;
	set->count++;
	return true;
}

static uint64_t identity_of(const struct jit_unit *u, unsigned guest_bytes)
{
	uint64_t h = store_sum(u->ranges, u->range_count * sizeof(*u->ranges), u->tier);

	return store_sum(u->guest, guest_bytes, h ^ (uint64_t)u->offset << 16);
}

static void fill_record(struct store_record *r, const struct jit_unit *u, unsigned guest_bytes)
{
	struct jit_exit *exits = (struct jit_exit *)(r + 1);
	struct jit_range *ranges = (struct jit_range *)(exits + u->exit_count);
	uint8_t *guest = (uint8_t *)(ranges + u->range_count);

	r->code_bytes = u->code_bytes;
	r->insns = u->insns;
	r->offset = u->offset;
	r->guest_bytes = (uint16_t)guest_bytes;
	r->tier = u->tier;
	r->enter = u->enter;
	r->exit_count = u->exit_count;
	r->range_count = u->range_count;
	if (u->exit_count)
		memcpy(exits, u->exits, u->exit_count * sizeof(*exits));
	memcpy(ranges, u->ranges, u->range_count * sizeof(*ranges));
	memcpy(guest, u->guest, guest_bytes);
	memcpy(guest + guest_bytes, u->code, u->code_bytes);
}

/* The image's units are known, except those that had better be replaced. */
static bool know_image(struct jit_store *s)
{
	const struct store_image *image = &s->image;
	bool failed = false;

	if (s->known.size || !image->data)
		return true;
	for (uint32_t i = 0; i < image->header->units; i++)
		if (image->state[i] != STORE_DAMAGED)
			set_add(&s->known, image->entries[i].identity, &failed);
	return !failed;
}

int jit_store_add(struct jit_store *s, const struct jit_unit *u)
{
	struct store_record head = { .code_bytes = u->code_bytes,
		                     .exit_count = u->exit_count,
		                     .range_count = u->range_count };
	unsigned guest_bytes, at_entry, length;
	const uint8_t *first;
	struct store_new *n;
	uint64_t identity;
	bool failed = false;
	size_t bytes;

	if (!makes_sense(u, &guest_bytes))
		return HULL_EINVAL;
	identity = identity_of(u, guest_bytes);
	failed = !know_image(s);
	if (!set_add(&s->known, identity, &failed))
		return failed ? HULL_ENOMEM : 0;
	head.guest_bytes = (uint16_t)guest_bytes;
	bytes = record_bytes(&head);
	n = calloc(1, sizeof(*n) + bytes);
	if (!n)
		return HULL_ENOMEM;
	fill_record((struct store_record *)n->record, u, guest_bytes);
	first = entry_code(u, &at_entry);
	length = first_length(at_entry);
	n->entry = (struct store_entry){ .sum = store_sum(n->record, bytes, 0),
		                         .identity = identity,
		                         .key = first_key(u->offset, first, length),
		                         .bytes = (uint32_t)bytes };
	n->next = s->added;
	s->added = n;
	s->added_count++;
	return 0;
}

/* --- putting together --- */

struct piece {
	struct store_entry entry;
	const void *record;
	uint32_t bucket;
};

struct pieces {
	struct piece *list;
	uint32_t count, buckets;
	bool failed;
	struct store_set known;
};

static void add_piece(struct pieces *p, const struct store_entry *e, const void *record,
                      uint32_t age)
{
	if (!set_add(&p->known, e->identity, &p->failed))
		return;
	p->list[p->count] = (struct piece){ *e, record, 0 };
	p->list[p->count++].entry.age = age;
}

static void add_image(struct pieces *p, const struct store_image *image, unsigned older)
{
	struct jit_unit u;

	for (uint32_t i = 0; image->data && i < image->header->units; i++) {
		const struct store_entry *e = &image->entries[i];
		bool taken = image->state[i] == STORE_TAKEN;

		if (store_unit(image, i, &u) && store_sound(image, i))
			add_piece(p, e, image->data + 8ull * e->at,
			          taken ? 0 : MIN(e->age, UINT32_MAX - 1) + older);
	}
}

static int by_age(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	return (x->entry.age > y->entry.age) - (x->entry.age < y->entry.age);
}

static int by_bucket(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->bucket != y->bucket)
		return x->bucket > y->bucket ? 1 : -1;
	return by_age(a, b);
}

static uint32_t buckets_for(uint32_t units)
{
	uint32_t n = 1;

	while (n < units && n < STORE_UNITS_MAX)
		n *= 2;
	return n;
}

/*
 * No more pieces of a bucket than can be searched each time: a guest can make any number of them.
 * Returns the bytes that are gone.
 */
static size_t limit_buckets(struct pieces *p)
{
	uint32_t kept = 0, same = 0;
	size_t gone = 0;

	for (uint32_t i = 0; i < p->count; i++) {
		same = kept && p->list[kept - 1].bucket == p->list[i].bucket ? same + 1 : 0;
		if (same < STORE_BUCKET_MAX)
			p->list[kept++] = p->list[i];
		else
			gone += p->list[i].entry.bytes;
	}
	p->count = kept;
	return gone;
}

/* As many of the pieces as there is room for, the latest used first; sorted for the file. */
static size_t choose(struct pieces *p, uint64_t limit)
{
	size_t records = 0;
	uint32_t n = 0;

	limit = MIN(limit, (uint64_t)STORE_FILE_MAX);
	qsort(p->list, p->count, sizeof(*p->list), by_age);
	while (n < p->count && n < STORE_UNITS_MAX &&
	       records_at(buckets_for(n + 1), n + 1) + records + p->list[n].entry.bytes <= limit)
		records += p->list[n++].entry.bytes;
	p->count = n;
	p->buckets = buckets_for(n);
	for (uint32_t i = 0; i < n; i++)
		p->list[i].bucket = p->list[i].entry.key & (p->buckets - 1);
	qsort(p->list, n, sizeof(*p->list), by_bucket);
	records -= limit_buckets(p);
	return records_at(p->buckets, p->count) + records;
}

static void write_image(const struct pieces *p, const struct store_id *id, uint8_t *data,
                        size_t size)
{
	uint32_t buckets = p->buckets, *bucket = (uint32_t *)(data + buckets_at());
	struct store_entry *entry = (struct store_entry *)(data + entries_at(buckets));
	size_t first = records_at(buckets, p->count), at = first;
	struct store_header *h = (struct store_header *)data;

	for (uint32_t i = 0; i < p->count; i++) {
		const struct piece *from = &p->list[i];

		entry[i] = from->entry;
		entry[i].at = (uint32_t)(at / 8);
		memcpy(data + at, from->record, from->entry.bytes);
		at += from->entry.bytes;
		bucket[from->bucket + 1] = i + 1;
	}
	for (uint32_t i = 1; i <= buckets; i++)
		bucket[i] = MAX(bucket[i], bucket[i - 1]);
	*h = (struct store_header){ .magic = STORE_MAGIC,
		                    .version = STORE_VERSION,
		                    .header_bytes = sizeof(*h),
		                    .id = *id,
		                    .size = size,
		                    .units = p->count,
		                    .buckets = buckets };
	h->index_sum = store_sum(bucket, first - buckets_at(), 0);
	h->sum = store_sum(h, offsetof(struct store_header, sum), 0);
}

uint8_t *store_build(const struct jit_store *s, const struct store_image *other, uint64_t limit,
                     size_t *ret_size)
{
	size_t most = (size_t)s->added_count + (s->image.data ? s->image.header->units : 0) +
	              (other->data ? other->header->units : 0);
	struct pieces p = { .list = calloc(most + 1, sizeof(*p.list)) };
	uint8_t *data = NULL;
	size_t size;

	if (!p.list)
		return NULL;
	for (const struct store_new *n = s->added; n; n = n->next)
		add_piece(&p, &n->entry, n->record, 0);
	add_image(&p, &s->image, 1);
	add_image(&p, other, 0);
	size = choose(&p, MAX(limit, UINT64_C(4096)));
	if (!p.failed)
		data = calloc(1, size);
	if (data) {
		write_image(&p, &s->id, data, size);
		*ret_size = size;
	}
	free(p.known.slots);
	free(p.list);
	return data;
}

/* --- the store --- */

struct jit_store *store_new(const struct store_id *id)
{
	struct jit_store *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->id = *id;
	s->dir = -1;
	return s;
}

const char *jit_store_note(const struct jit_store *s)
{
	return s->note[0] ? s->note : NULL;
}

void jit_store_stats(const struct jit_store *s, struct jit_store_stats *ret)
{
	const struct store_image *image = &s->image;

	*ret = (struct jit_store_stats){ .added = s->added_count };
	if (!image->data)
		return;
	ret->units = image->header->units;
	ret->bytes = image->size;
	for (uint32_t i = 0; i < image->header->units; i++) {
		uint8_t state = hull_load_relaxed(&image->state[i]);

		ret->taken += state == STORE_TAKEN;
		ret->damaged += state == STORE_DAMAGED;
	}
}
