/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "core/frame_ring.h"

#include "base/bits.h"
#include "base/mem.h"

enum { ALIGN = 16, HEAD = 32 };

_Static_assert(sizeof(struct hull_net_packet) <= HEAD, "a header fits before its frame");

static uint32_t room_for(uint32_t len)
{
	return (uint32_t)align_up(HEAD + (uint64_t)len, ALIGN);
}

/* Where the next frame goes; NULL if there is no room. */
static uint8_t *reserve(struct hull_frame_ring *r, uint32_t len)
{
	uint32_t need = room_for(len), at = r->head & (r->size - 1), left = r->size - at;
	struct hull_net_packet skip = { 0 };

	/* A frame lies in one piece; a header of length 0 sends the reader to the start. */
	if (left < need) {
		if (r->size - (r->head - r->tail) < left + need)
			return NULL;
		memcpy(r->mem + at, &skip, MIN((size_t)left, sizeof(skip)));
		r->head += left;
		at = 0;
	} else if (r->size - (r->head - r->tail) < need) {
		return NULL;
	}
	return r->mem + at;
}

bool hull_frame_ring_push(struct hull_frame_ring *r, const struct hull_net_frame *f)
{
	struct hull_net_packet p = { .len = f->len,
		                     .flags = f->flags,
		                     .gso_type = f->gso_type,
		                     .gso_size = f->gso_size,
		                     .hdr_len = f->hdr_len,
		                     .csum_start = f->csum_start,
		                     .csum_offset = f->csum_offset };
	uint8_t *to;
	uint32_t done = 0;

	if (f->len < 14 || f->len > HULL_NET_FRAME_MAX)
		return true;
	to = reserve(r, f->len);
	if (!to) {
		r->starved = true;
		return false;
	}
	p.data = to + HEAD;
	memcpy(to, &p, sizeof(p));
	for (unsigned i = 0; i < f->nsegs && done < f->len; i++) {
		uint32_t n = (uint32_t)MIN(f->segs[i].len, (uint64_t)(f->len - done));

		memcpy(to + HEAD + done, f->segs[i].hva, n);
		done += n;
	}
	memset(to + HEAD + done, 0, f->len - done);
	r->head += room_for(f->len);
	return true;
}

/* Pass over the end of the memory. */
static bool settle(struct hull_frame_ring *r)
{
	struct hull_net_packet p = { 0 };
	uint32_t at = r->tail & (r->size - 1);

	if (r->head == r->tail)
		return false;
	memcpy(&p, r->mem + at, MIN((size_t)(r->size - at), sizeof(p)));
	if (r->size - at < HEAD || !p.len)
		r->tail += r->size - at;
	return r->head != r->tail;
}

bool hull_frame_ring_peek(struct hull_frame_ring *r, struct hull_net_packet *ret)
{
	bool any = settle(r);

	if (any)
		memcpy(ret, r->mem + (r->tail & (r->size - 1)), sizeof(*ret));
	return any;
}

bool hull_frame_ring_pop(struct hull_frame_ring *r)
{
	struct hull_net_packet p;
	bool tell;

	if (!hull_frame_ring_peek(r, &p))
		return false;
	r->tail += room_for(p.len);
	tell = r->starved && r->head - r->tail <= r->size / 2;
	if (tell)
		r->starved = false;
	return tell;
}

struct hull_net_frame hull_net_packet_frame(const struct hull_net_packet *p,
                                            struct hull_block_seg *seg)
{
	seg->hva = p->data;
	seg->len = p->len;
	return (struct hull_net_frame){ .segs = seg,
		                        .nsegs = 1,
		                        .len = p->len,
		                        .flags = p->flags,
		                        .gso_type = p->gso_type,
		                        .gso_size = p->gso_size,
		                        .hdr_len = p->hdr_len,
		                        .csum_start = p->csum_start,
		                        .csum_offset = p->csum_offset };
}
