/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-net between a hostile driver and a hostile network.
 *
 * Input: 9 bytes {features, abilities of the backend}, then steps {what, how, n, n bytes}: a frame
 * with its header or a control command from the driver, receive buffers, a frame that arrives with
 * the offloads that its first bytes say, room in the network, time, reset.  A frame is its bytes
 * followed by as many zeroes as `how` says.
 */
#include <stdlib.h>
#include <string.h>

#include "core/aspace.h"
#include "dev/virtio/net_impl.h"
#include "support/netbackend.h"
#include "support/vdriver.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define DATA     (RIG_RAM + 0x40000)

enum { NUM = 16, PAIRS = 2, HEAD = 9, ROOM = 0x20000 };

struct run {
	struct rig *rig;
	struct rig_dev *d;
	struct netbackend *net;
	struct vqueue q[2 * PAIRS + 1];
	uint64_t features;
};

/* All but those of the rings, which other targets are about. */
static uint64_t offered(struct rig_dev *d)
{
	uint64_t f;

	v_set(d, V_DEVICE_SEL, 1);
	f = (uint64_t)v_get(d, V_DEVICE_FEATURES) << 32;
	v_set(d, V_DEVICE_SEL, 0);
	f |= v_get(d, V_DEVICE_FEATURES);
	return f & ~(low_mask(14) << 28);
}

static void set_up(struct run *r)
{
	static const uint8_t zero[0x3000];

	v_negotiate(r->d, r->features & offered(r->d));
	for (unsigned i = 0; i < 2 * PAIRS + 1; i++) {
		hull_mem_write(r->rig->vm, RINGS(i), zero, sizeof(zero));
		v_queue(r->d, i, RINGS(i), NUM, &r->q[i]);
	}
	v_set(r->d, V_STATUS, 15);
}

static uint32_t extent(uint8_t how, uint32_t n)
{
	return n + ((uint32_t)how << (how & 15));
}

/* A request of everything, readable, and one byte for the answer. */
static void request(struct run *r, unsigned q, uint8_t how, const uint8_t *p, uint32_t n)
{
	struct vqueue *v = &r->q[q];
	uint16_t at = (uint16_t)(v->avail_idx * 2 % NUM);

	hull_mem_write(r->rig->vm, DATA, p, n);
	v_desc(r->rig, V_AT(v->desc, at), DATA, MIN(extent(how, n), (uint32_t)ROOM), VD_NEXT,
	       at + 1);
	v_desc(r->rig, V_AT(v->desc, at + 1), DATA, 1, q & 1 ? 0 : VD_WRITE, 0);
	v_avail(v, at);
	v_kick(v);
}

static void buffers(struct run *r, uint8_t how)
{
	struct vqueue *v = &r->q[how & 2];
	uint16_t at = (uint16_t)(v->avail_idx % NUM);

	v_desc(r->rig, V_AT(v->desc, at), DATA, 1u << (how & 15), VD_WRITE, 0);
	for (unsigned i = how >> 4; i; i--)
		v_avail(v, at);
	v_kick(v);
}

static void arrive(struct run *r, uint8_t how, const uint8_t *p, uint32_t n)
{
	uint32_t len = MIN(extent(how, n), (uint32_t)HULL_NET_FRAME_MAX + 2);
	struct hull_net_frame f = { 0 };
	uint8_t *frame;

	if (n < 10)
		return;
	f.flags = p[0];
	f.gso_type = p[1];
	f.gso_size = load_le16(p + 2);
	f.hdr_len = load_le16(p + 4);
	f.csum_start = load_le16(p + 6);
	f.csum_offset = load_le16(p + 8);
	frame = calloc(1, len);
	if (!frame)
		abort();
	memcpy(frame, p + 10, n - 10);
	netbackend_in(r->net, f, frame, len);
	free(frame);
}

static void step(struct run *r, uint8_t what, uint8_t how, const uint8_t *p, uint32_t n)
{
	switch (what % 8) {
	case 0: request(r, what & 8 ? 3 : 1, how, p, n); break;
	case 1: request(r, what & 8 ? 2 * PAIRS : 2, how, p, n); break;
	case 2: buffers(r, how); break;
	case 3:
	case 4: arrive(r, how, p, n); break;
	case 5:
		r->net->room = how;
		r->net->n.writable(r->net->n.arg);
		break;
	case 6: rig_clock(r->rig, hull_clock_now(r->rig->vm) + how); break;
	case 7:
		if (how < 16)
			set_up(r);
		else
			r->net->n.link_changed(r->net->n.arg, how & 1);
	}
	netbackend_forget(r->net);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint64_t pairs = PAIRS;
	struct run r = { 0 };

	if (size < HEAD)
		return 0;
	r.rig = rig_new();
	r.net = netbackend_new();
	r.net->n.takes = data[8];
	r.d = rig_add(r.rig, hull_dev_type_find("virtio-net"), &pairs, 1, &r.net->n);
	r.features = load_le64(data);
	set_up(&r);
	for (data += HEAD, size -= HEAD; size >= 3;) {
		uint32_t n = (uint32_t)MIN((size_t)data[2], size - 3);

		step(&r, data[0], data[1], data + 3, n);
		data += 3 + n;
		size -= 3 + n;
	}
	v_set(r.d, V_STATUS, 0);
	rig_free(r.rig);
	netbackend_free(r.net);
	return 0;
}
