/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-vsock between a hostile guest and programs that do anything.
 *
 * Input: steps of 8 bytes {what, op, source, destination, length, buffer, taken, flags}: a packet
 * of the guest, a receive buffer, a program that connects, sends, takes, ends or goes.
 */
#include <stdlib.h>
#include <string.h>

#include "core/aspace.h"
#include "support/vdriver.h"
#include "support/vsockbackend.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define DATA     (RIG_RAM + 0x10000)

enum { NUM = 16, STEP = 8, HDR = 44 };

struct run {
	struct rig *rig;
	struct rig_dev *d;
	struct vsockbackend *f;
	struct vqueue q[3];
};

static void set_up(struct run *r)
{
	static const uint8_t zero[0x3000];

	v_negotiate(r->d, 1);
	for (unsigned i = 0; i < 3; i++) {
		hull_mem_write(r->rig->vm, RINGS(i), zero, sizeof(zero));
		v_queue(r->d, i, RINGS(i), NUM, &r->q[i]);
	}
	v_set(r->d, V_STATUS, 15);
}

static void send_packet(struct run *r, const uint8_t *p)
{
	uint16_t at = (uint16_t)(r->q[1].avail_idx * 2 % NUM);
	uint32_t len = (uint32_t)p[4] << (p[4] & 15);
	uint8_t h[HDR] = { 0 };

	store_le64(h, p[0] & 0x80 ? p[2] : VSOCKBACKEND_CID);
	store_le64(h + 8, p[0] & 0x40 ? p[3] : 2);
	store_le32(h + 16, p[2]);
	/* Ports that we gave out are far up. */
	store_le32(h + 20, p[0] & 0x20 ? (1u << 30) + p[3] : p[3]);
	store_le32(h + 24, len);
	store_le16(h + 28, p[0] & 0x10 ? p[1] : 1);
	store_le16(h + 30, p[1]);
	store_le32(h + 32, p[7]);
	store_le32(h + 36, (uint32_t)p[5] << (p[5] & 31));
	store_le32(h + 40, (uint32_t)p[6] << (p[6] & 31));
	hull_mem_write(r->rig->vm, DATA, h, HDR);
	v_desc(r->rig, V_AT(r->q[1].desc, at), DATA, HDR - 3, VD_NEXT, at + 1);
	v_desc(r->rig, V_AT(r->q[1].desc, at + 1), DATA + HDR - 3,
	       p[7] & 0x80 ? p[7] : MIN(3 + len, 0x20000u), 0, 0);
	v_avail(&r->q[1], at);
	v_kick(&r->q[1]);
}

static void give_buffers(struct run *r, unsigned q, const uint8_t *p)
{
	uint16_t at = (uint16_t)(r->q[q].avail_idx % NUM);

	v_desc(r->rig, V_AT(r->q[q].desc, at), DATA, p[4] < 8 ? p[4] : p[4] * 64u, VD_WRITE, 0);
	for (unsigned i = 0; i <= (p[5] & 7u); i++)
		v_avail(&r->q[q], at);
	v_kick(&r->q[q]);
}

static void act(struct run *r, const uint8_t *p)
{
	unsigned id = p[1] % HULL_VSOCK_CONNS;
	struct vsock_program *g = &r->f->programs[id];
	int made;

	switch (p[2] % 5) {
	case 0:
		made = vsockbackend_program(r->f);
		if (made >= 0 && !r->f->b.opened(r->f->b.arg, (unsigned)made, p[3]))
			r->f->programs[made].used = false;
		return;
	case 1: g->available += p[4] * 100u; break;
	case 2: g->unsent -= MIN(g->unsent, p[4] * 300u); break;
	case 3: g->ended = true; break;
	case 4: g->ended = g->gone = true; break;
	}
	/* Also about numbers that nobody has: such news may be late. */
	r->f->b.ready(r->f->b.arg, id);
}

static void step(struct run *r, const uint8_t *p)
{
	switch (p[0] & 15) {
	case 0: set_up(r); break;
	case 1:
	case 2:
	case 3: give_buffers(r, 0, p); break;
	case 4: give_buffers(r, 2, p); break;
	case 5:
	case 6:
	case 7:
	case 8: act(r, p); break;
	case 9: rig_clock(r->rig, hull_clock_now(r->rig->vm) + 1); break;
	default: send_packet(r, p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct run r = { 0 };

	r.rig = rig_new();
	r.f = vsockbackend_new();
	r.d = rig_add(r.rig, hull_dev_type_find("virtio-vsock"), NULL, 0, &r.f->b);
	set_up(&r);
	for (; size >= STEP; data += STEP, size -= STEP)
		step(&r, data);
	rig_free(r.rig);
	vsockbackend_free(r.f);
	return 0;
}
