/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/netbackend.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool keep(struct hull_net *n, const struct hull_net_frame *f)
{
	struct netbackend *b = (struct netbackend *)n;
	struct netbackend_frame *o = &b->out[b->nout];
	uint32_t at = 0;

	if (!b->room) {
		b->refused++;
		return false;
	}
	if (b->room != UINT32_MAX)
		b->room--;
	if (b->nout == NETBACKEND_FRAMES)
		return true;
	o->f = *f;
	o->f.segs = NULL;
	o->data = malloc(f->len);
	if (!o->data)
		abort();
	for (unsigned i = 0; i < f->nsegs; i++) {
		memcpy(o->data + at, f->segs[i].hva, f->segs[i].len);
		at += (uint32_t)f->segs[i].len;
	}
	if (at != f->len) {
		fprintf(stderr, "netbackend: segments of %u bytes, frame of %u\n", at, f->len);
		abort();
	}
	b->nout++;
	return true;
}

static void count_ready(struct hull_net *n)
{
	((struct netbackend *)n)->ready++;
}

struct netbackend *netbackend_new(void)
{
	struct netbackend *b = calloc(1, sizeof(*b));

	if (!b)
		abort();
	b->room = UINT32_MAX;
	b->n.send = keep;
	b->n.ready = count_ready;
	return b;
}

void netbackend_forget(struct netbackend *b)
{
	for (unsigned i = 0; i < b->nout; i++)
		free(b->out[i].data);
	b->nout = b->seen = 0;
}

void netbackend_free(struct netbackend *b)
{
	netbackend_forget(b);
	free(b);
}

const struct netbackend_frame *netbackend_next(struct netbackend *b)
{
	return b->seen < b->nout ? &b->out[b->seen++] : NULL;
}

bool netbackend_in(struct netbackend *b, struct hull_net_frame f, const void *data, uint32_t len)
{
	/* In three pieces: nobody may count on fewer. */
	uint8_t *copy = malloc(len);
	uint32_t a = len / 3, c = len / 2;
	struct hull_block_seg segs[3] = { { copy, a }, { copy + a, c - a }, { copy + c, len - c } };
	bool taken;

	if (!copy)
		abort();
	memcpy(copy, data, len);
	f.segs = segs;
	f.nsegs = 3;
	f.len = len;
	taken = b->n.receive(b->n.arg, &f);
	free(copy);
	return taken;
}

bool netbackend_plain(struct netbackend *b, const void *data, uint32_t len)
{
	return netbackend_in(b, (struct hull_net_frame){ 0 }, data, len);
}
