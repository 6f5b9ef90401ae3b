/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Frames of a guest and for it, through what user networking does with them (user_frames.c).
 * The input is a list of: direction and flags, 9 bytes of needs, 2 of length, the frame.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "core/frame.h"
#include "host/net/user_frames.h"

enum { HEAD = 12, MTU = 1500 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *arg, struct hull_net_packet *p)
{
	const struct hull_user_frames *f = arg;
	struct hull_frame_gso g;

	if (p->len < 14)
		abort();
	/* What does not fit in one frame must be something that can be cut. */
	if (p->len > f->mtu + 14u &&
	    (!p->gso_type || p->gso_size > f->mtu ||
	     !hull_frame_gso(p->data, p->len, p->gso_type, p->gso_size, &g)))
		abort();
}

static void one(struct hull_user_frames *f, const uint8_t *head, const uint8_t *frame, uint32_t len)
{
	struct hull_net_packet p = {
		.len = len,
		.flags = head[1] & 3,
		.gso_type = head[2] & 5,
		.gso_size = load_le16(head + 3),
		.csum_start = head[5],
		.csum_offset = head[6],
	};
	uint8_t *copy = malloc(len ? len : 1);

	memcpy(copy, frame, len);
	p.data = copy;
	f->now_ms += head[7];
	f->flows = head[8] * 2u;
	if (head[0] & 1) {
		hull_user_to_guest(f, copy, len, check, f);
	} else if (hull_user_from_guest(f, &p)) {
		if (p.data != copy || p.len > len || p.gso_type)
			abort();
	}
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hull_user_frames f;
	static const struct hull_net_address deny = { .bytes = { 10 }, .prefix = 8 };
	static const struct hull_net_publish publish = { .udp = true, .guest = 53 };

	hull_user_frames_init(&f, MTU);
	f.deny = &deny;
	f.ndeny = 1;
	f.publish = &publish;
	f.npublish = 1;
	while (size >= HEAD) {
		/* 9 bytes may name a length beyond the input: such as is left. */
		uint32_t len = load_le16(data + 9), most = hull_user_frames_mtu(&f) + 14;

		len = (uint32_t)MIN((size_t)len, size - HEAD);
		if (data[0] & 1)
			len = MIN(len, most);
		one(&f, data, data + HEAD, len);
		data += HEAD + len;
		size -= HEAD + len;
	}
	return 0;
}
