/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The code cache: what is where, how it is found and linked. */
#include "engine/jit/cache.h"

#include <hull/error.h>

#include "base/bits.h"
#include "base/mem.h"
#include "engine/jit/cache_impl.h"
#include "engine/jit/host.h"

_Static_assert(sizeof(struct jit_code_range) == 32 && sizeof(struct jit_code_exit) == 32 &&
                       offsetof(struct jit_code, ranges) % 8 == 0,
               "what the bounds on memory were computed with");

/* The bytes at a site that linking may change. */
enum { SITE_BYTES = sizeof(uint64_t) };

/* --- indexes --- */

static unsigned bucket(uint64_t key, unsigned bits)
{
	return (unsigned)(key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - bits));
}

static uint32_t *hash_head(struct jit_cache *c, uint64_t gpa)
{
	return &c->hash[bucket(gpa >> 1, c->hash_bits)];
}

static uint32_t *page_head(struct jit_cache *c, uint64_t gpa)
{
	return &c->pages[bucket(gpa / HULL_PAGE_SIZE, c->page_bits)];
}

/* Where the hash chain refers to `code`. */
static uint32_t *hash_slot(struct jit_cache *c, const struct jit_code *code)
{
	uint32_t *slot = hash_head(c, code->gpa);

	while (*slot != cache_ref(c, code))
		slot = &cache_at(c, *slot)->hash_next;
	return slot;
}

static struct jit_code_range *range_at(const struct jit_cache *c, uint32_t ref)
{
	return (struct jit_code_range *)(c->data + ref);
}

static uint32_t *page_slot(struct jit_cache *c, const struct jit_code_range *r)
{
	return r->prev ? &range_at(c, r->prev)->next : page_head(c, r->gpa);
}

static void page_enter(struct jit_cache *c, struct jit_code_range *r)
{
	uint32_t *head = page_head(c, r->gpa);

	r->prev = 0;
	r->next = *head;
	if (r->next)
		range_at(c, r->next)->prev = cache_ref(c, r);
	*head = cache_ref(c, r);
}

static void page_leave(struct jit_cache *c, const struct jit_code_range *r)
{
	*page_slot(c, r) = r->next;
	if (r->next)
		range_at(c, r->next)->prev = r->prev;
}

static void count_alive(struct jit_cache *c, const struct jit_code *code)
{
	c->stats.alive[code->tier]++;
	c->stats.bytes += cache_block_bytes(code->code_bytes);
	c->stats.bytes_peak = MAX(c->stats.bytes_peak, c->stats.bytes);
}

void jit_cache_enter(struct jit_cache *c, struct jit_code *code)
{
	uint32_t *head = hash_head(c, code->gpa);

	code->hash_next = *head;
	*head = cache_ref(c, code);
	for (unsigned i = 0; i < code->range_count; i++) {
		code->ranges[i].owner = cache_ref(c, code);
		page_enter(c, &code->ranges[i]);
	}
	count_alive(c, code);
}

struct jit_code *jit_cache_find(struct jit_cache *c, uint64_t gpa, const struct jit_code *after)
{
	uint32_t ref = after ? after->hash_next : *hash_head(c, gpa);

	while (ref && cache_at(c, ref)->gpa != gpa)
		ref = cache_at(c, ref)->hash_next;
	return ref ? cache_at(c, ref) : NULL;
}

struct jit_code_range *jit_cache_page(struct jit_cache *c, uint64_t gpa,
                                      const struct jit_code_range *after)
{
	uint32_t ref = after ? after->next : *page_head(c, gpa);

	while (ref && (range_at(c, ref)->gpa ^ gpa) >= HULL_PAGE_SIZE)
		ref = range_at(c, ref)->next;
	return ref ? range_at(c, ref) : NULL;
}

struct jit_code *jit_cache_owner(const struct jit_cache *c, const struct jit_code_range *r)
{
	return cache_at(c, r->owner);
}

void jit_cache_set_owner(struct jit_cache *c, uint32_t offset, uint32_t ref)
{
	memcpy(c->rw + offset - BLOCK_HEADER, &ref, sizeof(ref));
}

/* Does a record of the generation that was not given up yet start at `ref`? */
static bool in_use(const struct cache_gen *g, uint32_t ref)
{
	uint64_t behind;

	if (ref < g->data_at || ref - g->data_at >= g->data_size)
		return false;
	behind = ref - g->data_at + g->data_size - g->tail % g->data_size;
	return behind % g->data_size < g->head - g->tail;
}

struct jit_code *jit_cache_of(const struct jit_cache *c, const void *site)
{
	uint64_t offset = (uintptr_t)site - (uintptr_t)c->rx;
	struct jit_code *code;
	uint32_t ref;

	if (offset < BLOCK_ALIGN || offset >= c->code_bytes)
		return NULL;
	memcpy(&ref, c->rw + offset - BLOCK_HEADER, sizeof(ref));
	if (ref % 8 || (!in_use(&c->gen[YOUNG], ref) && !in_use(&c->gen[OLD], ref)))
		return NULL;
	code = cache_at(c, ref);
	return code->flags & JIT_CODE_DEAD || code->entry != site ? NULL : code;
}

struct jit_code *jit_cache_next(const struct jit_cache *c, const struct jit_code *after)
{
	unsigned which = after && after->flags & JIT_CODE_OLD ? OLD : YOUNG;
	const struct cache_gen *g = &c->gen[which];
	uint64_t at = g->tail;

	if (after) {
		uint64_t from = cache_ref(c, after) - g->data_at + g->data_size;

		at += (from - g->tail % g->data_size) % g->data_size + after->size;
	}
	for (;; at += cache_at(c, g->data_at + (uint32_t)(at % g->data_size))->size) {
		if (at == g->head) {
			if (which == OLD)
				return NULL;
			which = OLD;
			g = &c->gen[OLD];
			at = g->tail;
			if (at == g->head)
				return NULL;
		}
		if (!(cache_at(c, g->data_at + (uint32_t)(at % g->data_size))->flags &
		      JIT_CODE_DEAD))
			return cache_at(c, g->data_at + (uint32_t)(at % g->data_size));
	}
}

/* --- links --- */

static struct jit_code_exit *exit_at(const struct jit_cache *c, uint32_t ref)
{
	return (struct jit_code_exit *)(c->data + ref);
}

static void patch(struct jit_cache *c, struct jit_code_exit *e, const void *target)
{
	uint64_t before, now;

	memcpy(&before, c->rw + e->at, SITE_BYTES);
	host_patch(c->rw + e->at, c->rx + e->at, target);
	memcpy(&now, c->rw + e->at, SITE_BYTES);
	/* Neighbours' bytes do not differ: the order of undoing does not matter. */
	e->diff ^= before ^ now;
}

static void unpatch(struct jit_cache *c, struct jit_code_exit *e)
{
	uint64_t now;

	memcpy(&now, c->rw + e->at, SITE_BYTES);
	now ^= e->diff;
	memcpy(c->rw + e->at, &now, SITE_BYTES);
	host_sync_code(c->rw + e->at, c->rx + e->at, SITE_BYTES);
	e->diff = 0;
}

static void list_link(struct jit_cache *c, struct jit_code_exit *e)
{
	struct jit_code *to = cache_at(c, e->to);

	e->prev = 0;
	e->next = to->links_in;
	if (e->next)
		exit_at(c, e->next)->prev = cache_ref(c, e);
	to->links_in = cache_ref(c, e);
}

static void unlist_link(struct jit_cache *c, const struct jit_code_exit *e)
{
	if (e->prev)
		exit_at(c, e->prev)->next = e->next;
	else
		cache_at(c, e->to)->links_in = e->next;
	if (e->next)
		exit_at(c, e->next)->prev = e->prev;
}

static void unlink_exit(struct jit_cache *c, struct jit_code_exit *e)
{
	unpatch(c, e);
	unlist_link(c, e);
	e->to = 0;
	c->stats.links_undone++;
}

void jit_cache_unlink(struct jit_cache *c, struct jit_code *from, unsigned exit)
{
	if (exit < from->exit_count && jit_code_exits(from)[exit].to)
		unlink_exit(c, &jit_code_exits(from)[exit]);
}

void jit_cache_unlink_into(struct jit_cache *c, struct jit_code *to)
{
	while (to->links_in)
		unlink_exit(c, exit_at(c, to->links_in));
}

void jit_cache_link(struct jit_cache *c, struct jit_code *from, unsigned exit, struct jit_code *to)
{
	struct jit_code_exit *e = &jit_code_exits(from)[exit];

	if (exit >= from->exit_count || (from->flags | to->flags) & JIT_CODE_DEAD)
		return;
	jit_cache_touch(to);
	if (e->to == cache_ref(c, to))
		return;
	jit_cache_unlink(c, from, exit);
	e->to = cache_ref(c, to);
	list_link(c, e);
	patch(c, e, to->entry);
	c->stats.links_made++;
}

/* --- death and transfiguration --- */

void jit_cache_die(struct jit_cache *c, struct jit_code *code, enum jit_death why)
{
	if (c->user.forget)
		c->user.forget(c->user.arg, code, JIT_DROPPED);
	jit_cache_unlink_into(c, code);
	for (unsigned i = 0; i < code->exit_count; i++)
		jit_cache_unlink(c, code, i);
	*hash_slot(c, code) = code->hash_next;
	for (unsigned i = 0; i < code->range_count; i++)
		page_leave(c, &code->ranges[i]);
	code->flags |= JIT_CODE_DEAD;
	if (c->keep == code)
		c->keep = NULL;
	c->stats.alive[code->tier]--;
	c->stats.bytes -= cache_block_bytes(code->code_bytes);
	c->stats.died[why]++;
}

void jit_cache_drop(struct jit_cache *c, struct jit_code *code)
{
	if (!(code->flags & JIT_CODE_DEAD))
		jit_cache_die(c, code, JIT_DEATH_DROPPED);
}

void jit_cache_flush(struct jit_cache *c)
{
	struct jit_cache_stats *s = &c->stats;

	jit_cache_finish_jobs(c);
	memset(c->hash, 0, sizeof(*c->hash) << c->hash_bits);
	memset(c->pages, 0, sizeof(*c->pages) << c->page_bits);
	jit_cache_empty(c);
	s->died[JIT_DEATH_FLUSHED] += s->alive[0] + s->alive[1] + s->alive[2];
	memset(s->alive, 0, sizeof(s->alive));
	s->bytes = 0;
}

/* Copy the bytes of code, clean of links: whole, or where links were. */
static void move_bytes(struct jit_cache *c, const struct jit_code *code, uint32_t offset,
                       bool copied)
{
	const struct jit_code_exit *e = jit_code_exits(code);
	uint8_t *from = c->rw + cache_code_offset(c, code), *to = c->rw + offset;
	uint32_t bytes = code->code_bytes;

	if (!copied) {
		memmove(to, from, bytes);
		host_sync_code(to, c->rx + offset, bytes);
		return;
	}
	for (unsigned i = 0; i < code->exit_count; i++) {
		uint32_t site = e[i].exit.site;

		memcpy(to + site, from + site, MIN((uint32_t)SITE_BYTES, bytes - site));
		host_sync_code(to + site, c->rx + offset + site, SITE_BYTES);
	}
	/* For this CPU to see what the other thread's has made ready. */
	host_sync_code(to, c->rx + offset, 1);
}

/* References to a record that has moved to where `code` is. */
static void move_references(struct jit_cache *c, struct jit_code *code)
{
	uint32_t ref = cache_ref(c, code), own = cache_ref(c, jit_code_exits(code));
	struct jit_code_exit *e;

	for (unsigned i = 0; i < code->range_count; i++) {
		code->ranges[i].owner = ref;
		page_enter(c, &code->ranges[i]);
	}
	for (uint32_t at = code->links_in; at; at = e->next) {
		e = exit_at(c, at);
		e->to = ref;
		patch(c, e, code->entry);
	}
	for (unsigned i = 0; i < code->exit_count; i++, own += sizeof(*e)) {
		e = exit_at(c, own);
		e->at = cache_code_offset(c, code) + e->exit.site;
		if (e->to) {
			list_link(c, e);
			patch(c, e, cache_at(c, e->to)->entry);
		}
	}
}

void jit_cache_move(struct jit_cache *c, struct jit_code *code, uint32_t ref, uint32_t offset,
                    bool copied)
{
	struct jit_code_exit *e = jit_code_exits(code);
	uint32_t was = cache_ref(c, code), *slot = hash_slot(c, code);
	struct jit_code *now = cache_at(c, ref);
	bool was_old = code->flags & JIT_CODE_OLD;

	if (c->user.forget)
		c->user.forget(c->user.arg, code, JIT_MOVED);
	for (unsigned i = 0; i < code->exit_count; i++) {
		if (!e[i].to)
			continue;
		unpatch(c, &e[i]);
		unlist_link(c, &e[i]);
		if (e[i].to == was)
			e[i].to = ref;
	}
	for (unsigned i = 0; i < code->range_count; i++)
		page_leave(c, &code->ranges[i]);
	move_bytes(c, code, offset, copied);
	jit_cache_set_owner(c, offset, ref);
	memmove(now, code, code->size);
	if (!was_old)
		code->flags = JIT_CODE_DEAD;
	*slot = ref;
	now->entry = c->rx + offset;
	now->flags = JIT_CODE_OLD;
	move_references(c, now);
	if (c->keep == code)
		c->keep = now;
	c->stats.moved++;
	c->stats.moved_bytes += now->code_bytes;
	c->stats.moved_in_background += copied;
	if (c->user.moved)
		c->user.moved(c->user.arg, now);
}

/* --- adding --- */

static bool makes_sense(const struct jit_unit *u, const uint64_t *range_gpas)
{
	unsigned bytes = 0;

	if (!u->code_bytes || u->code_bytes > JIT_CODE_BYTES || u->tier < 1 || u->tier > 2 ||
	    !u->range_count || u->range_count > JIT_RANGES || u->offset >= HULL_PAGE_SIZE ||
	    u->enter >= u->code_bytes)
		return false;
	for (unsigned i = 0; i < u->range_count; i++) {
		const struct jit_range *r = &u->ranges[i];

		if (r->offset > HULL_PAGE_SIZE || r->bytes > HULL_PAGE_SIZE - r->offset ||
		    (range_gpas[i] & HULL_PAGE_MASK) != (r->offset & HULL_PAGE_MASK))
			return false;
		bytes += r->bytes;
	}
	for (unsigned i = 0; i < u->exit_count; i++)
		if (u->exits[i].site >= u->code_bytes)
			return false;
	return bytes <= JIT_GUEST_BYTES;
}

/* Code that changes again and again must not fill the cache with what it was. */
static void limit_versions(struct jit_cache *c, uint64_t gpa, unsigned tier)
{
	struct jit_code *last = NULL;
	unsigned n = 0;

	for (struct jit_code *code = jit_cache_find(c, gpa, NULL); code;
	     code = jit_cache_find(c, gpa, code)) {
		if (code->tier == tier) {
			n++;
			last = code;
		}
	}
	if (last && n >= JIT_VERSIONS)
		jit_cache_die(c, last, JIT_DEATH_VERSION);
}

static void fill(struct jit_cache *c, struct jit_code *code, const struct jit_unit *u,
                 const uint64_t *range_gpas, uint32_t offset)
{
	struct jit_code_exit *e;
	unsigned guest = 0;

	for (unsigned i = 0; i < u->range_count; i++) {
		code->ranges[i] = (struct jit_code_range){ u->ranges[i], .gpa = range_gpas[i] };
		guest += u->ranges[i].bytes;
	}
	code->tier = u->tier;
	code->enter = u->enter;
	code->exit_count = u->exit_count;
	code->range_count = u->range_count;
	code->entry = c->rx + offset;
	code->gpa = (range_gpas[0] & ~(uint64_t)HULL_PAGE_MASK) | u->offset;
	code->code_bytes = u->code_bytes;
	code->insns = u->insns;
	code->guest_bytes = (uint16_t)guest;
	e = jit_code_exits(code);
	for (unsigned i = 0; i < u->exit_count; i++)
		e[i] = (struct jit_code_exit){ u->exits[i], .at = offset + u->exits[i].site };
	memcpy(e + u->exit_count, u->guest, guest);
	memcpy(c->rw + offset, u->code, u->code_bytes);
	host_sync_code(c->rw + offset, c->rx + offset, u->code_bytes);
}

struct jit_code *jit_cache_add(struct jit_cache *c, const struct jit_unit *u,
                               const uint64_t *range_gpas, struct jit_code **keep)
{
	struct cache_size n = { cache_block_bytes(u->code_bytes), sizeof(struct jit_code) };
	struct jit_code *code;
	uint32_t ref, offset;

	if (!makes_sense(u, range_gpas))
		return NULL;
	n.data += u->range_count * (uint32_t)sizeof(struct jit_code_range) +
	          u->exit_count * (uint32_t)sizeof(struct jit_code_exit);
	for (unsigned i = 0; i < u->range_count; i++)
		n.data += u->ranges[i].bytes;
	n.data = (uint32_t)align_up(n.data, 8);
	c->keep = keep ? *keep : NULL;
	if (c->keep)
		jit_cache_touch(c->keep);

	jit_cache_begin(c, n);
	limit_versions(c, (range_gpas[0] & ~(uint64_t)HULL_PAGE_MASK) | u->offset, u->tier);
	ref = jit_cache_allot(c, &c->gen[u->tier == 2 ? OLD : YOUNG], n, &offset);
	code = cache_at(c, ref);
	memset(code, 0, sizeof(*code));
	code->size = n.data;
	code->flags = u->tier == 2 ? JIT_CODE_OLD : 0;
	jit_cache_set_owner(c, offset, ref);
	fill(c, code, u, range_gpas, offset);
	jit_cache_enter(c, code);
	c->stats.added++;
	jit_cache_end(c);
	if (keep)
		*keep = c->keep;
	c->keep = NULL;
	return code;
}

void jit_cache_unit(const struct jit_cache *c, const struct jit_code *code, uint8_t *bytes,
                    struct jit_exit *exits, struct jit_range *ranges, struct jit_unit *ret)
{
	const struct jit_code_exit *e = jit_code_exits(code);

	memcpy(bytes, c->rw + cache_code_offset(c, code), code->code_bytes);
	for (unsigned i = 0; i < code->exit_count; i++) {
		const uint8_t *diff = (const uint8_t *)&e[i].diff;
		uint32_t site = e[i].exit.site;

		exits[i] = e[i].exit;
		for (unsigned k = 0; k < SITE_BYTES && k < code->code_bytes - site; k++)
			bytes[site + k] ^= diff[k];
	}
	for (unsigned i = 0; i < code->range_count; i++)
		ranges[i] = code->ranges[i].range;
	*ret = (struct jit_unit){
		.code = bytes,
		.code_bytes = code->code_bytes,
		.tier = code->tier,
		.enter = code->enter,
		.exit_count = code->exit_count,
		.range_count = code->range_count,
		.insns = code->insns,
		.offset = code->gpa & HULL_PAGE_MASK,
		.exits = exits,
		.ranges = ranges,
		.guest = jit_code_guest(code),
	};
}

/* --- life of a cache --- */

static unsigned log2_of(uint64_t v)
{
	return 63 - (unsigned)__builtin_clzll(v);
}

int jit_cache_new(const struct hull_hal *hal, uint64_t bytes, enum jit_policy policy,
                  const struct jit_cache_user *user, struct jit_cache **ret)
{
	uint64_t code = align_down(bytes, HULL_PAGE_SIZE), own, tables, data;
	unsigned hash_bits, page_bits;
	void *rw, *rx;
	struct jit_cache *c;
	int r;

	if (code < JIT_CACHE_MIN || code > JIT_CACHE_MAX || (unsigned)policy >= JIT_POLICIES)
		return HULL_EINVAL;
	if (!hal->code_alloc)
		return HULL_ENOTSUP;
	hash_bits = log2_of(code / 512);
	page_bits = log2_of(code / 2048);
	data = align_down(code / 8 * 3, 64);
	tables = (sizeof(uint32_t) << hash_bits) + (sizeof(uint32_t) << page_bits);
	own = align_up(align_up(sizeof(*c), 64) + tables + data, HULL_PAGE_SIZE);
	c = hal->pages_alloc(hal, own, HULL_PAGE_SIZE, false);
	if (!c)
		return HULL_ENOMEM;
	r = hal->code_alloc(hal, code, &rw, &rx);
	if (r) {
		hal->pages_free(hal, c, own);
		return r;
	}
	c->hal = hal;
	if (user)
		c->user = *user;
	c->rw = rw;
	c->rx = rx;
	c->code_bytes = code;
	c->own_bytes = own;
	c->hash = (uint32_t *)((uint8_t *)c + align_up(sizeof(*c), 64));
	c->pages = c->hash + (1U << hash_bits);
	c->data = (uint8_t *)(c->pages + (1U << page_bits));
	c->hash_bits = hash_bits;
	c->page_bits = page_bits;
	c->policy = policy;
	/* A block starts 8 before a multiple of 16; a site's 8 bytes end within the memory. */
	c->gen[YOUNG].code_at = BLOCK_ALIGN - BLOCK_HEADER;
	c->gen[YOUNG].code_size = (uint32_t)align_down(code / 4, 64);
	c->gen[OLD].code_at = c->gen[YOUNG].code_at + c->gen[YOUNG].code_size;
	c->gen[OLD].code_size = (uint32_t)code - c->gen[YOUNG].code_size - 2 * BLOCK_ALIGN;
	/* Reference 0 is none. */
	c->gen[YOUNG].data_at = 64;
	c->gen[YOUNG].data_size = (uint32_t)align_down(data / 4, 64);
	c->gen[OLD].data_at = c->gen[YOUNG].data_at + c->gen[YOUNG].data_size;
	c->gen[OLD].data_size = (uint32_t)data - c->gen[YOUNG].data_size - 64;
	jit_cache_policy_init(c);
	*ret = c;
	return 0;
}

void jit_cache_free(struct jit_cache *c)
{
	if (!c)
		return;
	c->hal->code_free(c->hal, c->code_bytes, c->rw, (void *)(uintptr_t)c->rx);
	c->hal->pages_free(c->hal, c, c->own_bytes);
}

const struct jit_cache_stats *jit_cache_stats(const struct jit_cache *c)
{
	return &c->stats;
}
