/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-net: frames both ways, offloads, filters, steering, and drivers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/prng.h"
#include "core/aspace.h"
#include "dev/virtio/net_impl.h"
#include "support/netbackend.h"
#include "support/vdriver.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define DATA     (RIG_RAM + 0x40000)
#define RX_DATA  (RIG_RAM + 0x60000)
#define F(bit)   (UINT64_C(1) << NET_F_##bit)

enum { NUM = 64, PAIRS = 4, HDR = 12 };

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct netbackend *net;
	struct vqueue q[2 * PAIRS + 1];
	unsigned ctrl;
	unsigned hdr;
};

static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
static const uint8_t peer[6] = { 2, 0, 0, 0, 0, 9 };

static void restart(struct env *e, uint64_t features)
{
	static const uint8_t zero[0x3000];
	bool many = features & (F(MQ) | F(RSS));

	e->ctrl = many ? 2 * PAIRS : 2;
	e->hdr = features & F(HASH_REPORT) ? 20 : HDR;
	assert_true(v_negotiate(e->d, features));
	for (unsigned i = 0; i <= e->ctrl; i++) {
		assert_true(hull_mem_write(e->rig->vm, RINGS(i), zero, sizeof(zero)));
		assert_true(v_queue(e->d, i, RINGS(i), NUM, &e->q[i]));
	}
	v_set(e->d, V_STATUS, 15);
}

static struct env *start(uint64_t features, unsigned takes)
{
	struct env *e = calloc(1, sizeof(*e));
	const uint64_t pairs[] = { PAIRS };

	assert_non_null(e);
	e->rig = rig_new();
	e->net = netbackend_new();
	e->net->n.takes = takes;
	memcpy(e->net->n.mac, mac, 6);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-net"), pairs, 1, &e->net->n);
	restart(e, features);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	netbackend_free(e->net);
	free(e);
}

/* Ethernet, IPv4, TCP or UDP; returns the bytes. */
static uint32_t frame(uint8_t *f, bool tcp, uint16_t ports, uint32_t payload)
{
	uint32_t size = tcp ? 20 : 8;

	memset(f, 0, 54 + payload);
	memcpy(f, peer, 6);
	memcpy(f + 6, mac, 6);
	store_be16(f + 12, 0x0800);
	f[14] = 0x45;
	store_be16(f + 16, (uint16_t)(20 + size + payload));
	f[22] = 64;
	f[23] = tcp ? 6 : 17;
	memcpy(f + 26, "\x0a\0\0\x01\x0a\0\0\x02", 8);
	store_be16(f + 24, hull_frame_fold(hull_frame_sum(f + 14, 20, 0)));
	store_be16(f + 34, ports);
	store_be16(f + 36, 80);
	if (tcp)
		f[46] = 0x50;
	else
		store_be16(f + 38, (uint16_t)(8 + payload));
	for (uint32_t i = 0; i < payload; i++)
		f[34 + size + i] = (uint8_t)(i * 3);
	return 34 + size + payload;
}

/* Offer header and frame to transmit queue `q` as one request in two parts. */
static void offer(struct env *e, unsigned q, const uint8_t h[20], const void *f, uint32_t len)
{
	struct vqueue *v = &e->q[q];
	uint16_t at = (uint16_t)(v->avail_idx * 2 % NUM);

	assert_true(hull_mem_write(e->rig->vm, DATA, h, e->hdr));
	assert_true(hull_mem_write(e->rig->vm, DATA + e->hdr, f, len));
	v_desc(e->rig, V_AT(v->desc, at), DATA, 7, VD_NEXT, at + 1);
	v_desc(e->rig, V_AT(v->desc, at + 1), DATA + 7, e->hdr + len - 7, 0, 0);
	v_avail(v, at);
	v_kick(v);
}

static bool used(struct env *e, unsigned q, uint32_t *ret_len)
{
	uint32_t id;

	return v_used(&e->q[q], &id, ret_len);
}

static void send_done(struct env *e, unsigned q)
{
	uint32_t len;

	assert_true(used(e, q, &len));
	assert_int_equal(len, 0);
}

/* Give the device `n` receive buffers of `len` bytes, one after the other from RX_DATA on. */
static void buffers(struct env *e, unsigned q, unsigned n, uint32_t len)
{
	struct vqueue *v = &e->q[q];

	for (unsigned i = 0; i < n; i++) {
		uint16_t at = (uint16_t)(v->avail_idx % NUM);

		v_desc(e->rig, V_AT(v->desc, at), RX_DATA + (hull_gpa)at * len, len, VD_WRITE, 0);
		v_avail(v, at);
	}
	v_kick(v);
}

static void read_rx(struct env *e, hull_gpa off, void *buf, uint32_t len)
{
	assert_true(hull_mem_read(e->rig->vm, RX_DATA + off, buf, len));
}

/* One control command; its answer. */
static uint8_t command(struct env *e, uint8_t class, uint8_t cmd, const void *data, uint32_t len)
{
	struct vqueue *v = &e->q[e->ctrl];
	uint16_t at = (uint16_t)(v->avail_idx * 2 % NUM);
	uint8_t head[2] = { class, cmd }, ack = 0x55;
	uint32_t n;

	assert_true(hull_mem_write(e->rig->vm, DATA, head, 2));
	assert_true(hull_mem_write(e->rig->vm, DATA + 2, data, len));
	v_desc(e->rig, V_AT(v->desc, at), DATA, 2 + len, VD_NEXT, at + 1);
	v_desc(e->rig, V_AT(v->desc, at + 1), DATA + 0x8000, 1, VD_WRITE, 0);
	v_avail(v, at);
	v_kick(v);
	assert_true(used(e, e->ctrl, &n));
	assert_int_equal(n, 1);
	assert_true(hull_mem_read(e->rig->vm, DATA + 0x8000, &ack, 1));
	return ack;
}

static void test_plain(void **state)
{
	static const uint8_t none[20];
	struct env *e = start(0, 0);
	const struct netbackend_frame *got;
	uint8_t f[2000], back[2000];
	uint32_t n = frame(f, false, 5000, 100), len;

	(void)state;
	offer(e, 1, none, f, n);
	send_done(e, 1);
	got = netbackend_next(e->net);
	assert_non_null(got);
	assert_int_equal(got->f.len, n);
	assert_memory_equal(got->data, f, n);
	/* No buffer: refused, and told once there is one. */
	assert_false(netbackend_plain(e->net, f, n));
	assert_int_equal(e->net->ready, 0);
	buffers(e, 0, 2, 2000);
	assert_int_equal(e->net->ready, 1);
	assert_true(netbackend_plain(e->net, f, n));
	assert_true(used(e, 0, &len));
	assert_int_equal(len, HDR + n);
	read_rx(e, 0, back, HDR + n);
	assert_memory_equal(back, "\0\0\0\0\0\0\0\0\0\0\1\0", HDR);
	assert_memory_equal(back + HDR, f, n);
	assert_int_equal(e->d->dev->guest_errors, 0);
	end(e);
}

static unsigned kicks;

static bool send_of_a_batch(struct hull_net *n, const struct hull_net_frame *f)
{
	assert_true(n->sending);
	return true;
}

static void count_kick(struct hull_net *n)
{
	assert_false(n->sending);
	kicks++;
}

static void test_batches(void **state)
{
	static const uint8_t none[20];
	struct env *e = start(0, 0);
	uint8_t f[2000];
	uint32_t n = frame(f, false, 5000, 100), len;

	(void)state;
	/* The driver hears of frames when the batch is whole... */
	e->net->n.receiving = true;
	buffers(e, 0, 3, 2000);
	for (unsigned i = 0; i < 2; i++)
		assert_true(netbackend_plain(e->net, f, n));
	assert_false(used(e, 0, &len));
	assert_false(e->d->irq.level[0]);
	e->net->n.arrived(e->net->n.arg);
	assert_true(e->d->irq.level[0]);
	for (unsigned i = 0; i < 2; i++)
		assert_true(used(e, 0, &len));
	/* ...or not at all, after a reset. */
	assert_true(netbackend_plain(e->net, f, n));
	v_set(e->d, V_STATUS, 0);
	e->net->n.arrived(e->net->n.arg);
	assert_false(e->d->irq.level[0]);
	assert_false(used(e, 0, &len));
	/* The backend hears of its end, too. */
	restart(e, 0);
	e->net->n.send = send_of_a_batch;
	e->net->n.kick = count_kick;
	kicks = 0;
	offer(e, 1, none, f, n);
	assert_int_equal(kicks, 1);
	end(e);
}

static void test_config(void **state)
{
	struct env *e = start(0, 0);
	uint64_t v;
	static const struct {
		unsigned off, size;
		uint64_t value;
	} want[] = { { 0, 4, 0x01005452 }, { 4, 2, 0x0302 }, { 6, 2, 1 },  { 8, 2, PAIRS },
		     { 10, 2, 1500 },      { 12, 4, 10000 }, { 16, 1, 1 }, { 17, 1, 40 },
		     { 18, 2, 128 },       { 20, 4, 0x3f } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(want); i++) {
		assert_true(rig_read(e->d, V_CONFIG + want[i].off, want[i].size, &v));
		assert_int_equal(v, want[i].value);
	}
	v_set(e->d, V_INT_ACK, 3);
	e->net->n.link_changed(e->net->n.arg, false);
	assert_int_equal(v_get(e->d, V_INT_STATUS), 2);
	assert_true(rig_read(e->d, V_CONFIG + 6, 2, &v));
	assert_int_equal(v, 0);
	end(e);
}

/* The driver leaves the checksum to the device; backends with and without that ability. */
static void test_checksum(void **state)
{
	uint8_t f[200], h[20] = { 1, 0, 0, 0, 0, 0, 34, 0, 6, 0 };
	uint32_t n = frame(f, false, 5000, 101);
	const struct netbackend_frame *got;
	uint64_t pseudo = hull_frame_sum(f + 26, 8, 17 + 109);
	struct env *e;

	(void)state;
	store_be16(f + 40, (uint16_t)~hull_frame_fold(pseudo));
	for (unsigned takes = 0; takes < 2; takes++) {
		e = start(F(CSUM), takes ? HULL_NET_CSUM : 0);
		offer(e, 1, h, f, n);
		send_done(e, 1);
		got = netbackend_next(e->net);
		assert_non_null(got);
		assert_int_equal(got->f.flags, takes ? HULL_NET_NEEDS_CSUM : 0);
		assert_int_equal(got->f.csum_start, takes ? 34 : 0);
		if (!takes)
			assert_int_equal(
				hull_frame_fold(hull_frame_sum(got->data + 34, n - 34, pseudo)), 0);
		/* Item 36: start or field beyond the packet. */
		h[6] = (uint8_t)(n - 1);
		offer(e, 1, h, f, n);
		h[6] = 34;
		h[8] = (uint8_t)(n - 34 - 1);
		offer(e, 1, h, f, n);
		h[8] = 0xff;
		h[9] = 0xff;
		offer(e, 1, h, f, n);
		h[8] = 6;
		h[9] = 0;
		assert_null(netbackend_next(e->net));
		assert_int_equal(e->d->dev->guest_errors, 3);
		for (unsigned i = 0; i < 3; i++)
			send_done(e, 1);
		end(e);
	}
	/* Not negotiated. */
	e = start(0, 0);
	offer(e, 1, h, f, n);
	send_done(e, 1);
	assert_null(netbackend_next(e->net));
	end(e);
}

static uint8_t big[70000];

static void test_segments(void **state)
{
	uint8_t h[20] = { 1, 1, 54, 0, 0xa8, 5, 34, 0, 16, 0 }; /* 1448 bytes each */
	uint64_t f = F(CSUM) | F(HOST_TSO4);
	struct env *e = start(f, HULL_NET_CSUM);
	uint32_t n = frame(big, true, 5000, 10 * 1448 - 5), len;
	const struct netbackend_frame *got;

	(void)state;
	e->net->room = 4;
	offer(e, 1, h, big, n);
	assert_false(used(e, 1, &len));
	e->net->room = UINT32_MAX;
	e->net->n.writable(e->net->n.arg);
	send_done(e, 1);
	for (unsigned i = 0; i < 10; i++) {
		got = netbackend_next(e->net);
		assert_non_null(got);
		assert_int_equal(got->f.len, 54 + 1448 - (i == 9 ? 5 : 0));
		assert_int_equal(load_be32(got->data + 38), i * 1448);
		assert_int_equal(hull_frame_fold(hull_frame_sum(
					 got->data + 34, got->f.len - 34,
					 hull_frame_sum(got->data + 26, 8, 6 + got->f.len - 34))),
		                 0);
	}
	assert_null(netbackend_next(e->net));
	end(e);
	/* A backend that cuts itself. */
	e = start(f, HULL_NET_CSUM | HULL_NET_TSO4);
	offer(e, 1, h, big, n);
	got = netbackend_next(e->net);
	assert_non_null(got);
	assert_int_equal(got->f.len, n);
	assert_int_equal(got->f.gso_size, 1448);
	assert_int_equal(got->f.hdr_len, 54);
	assert_int_equal(e->d->dev->guest_errors, 0);
	end(e);
}

/* Item 36: sizes 0 and 1, more than 64 KiB, types not negotiated, headers that lie. */
static void test_hostile_segments(void **state)
{
	struct env *e = start(F(CSUM) | F(HOST_TSO4), 0);
	static const struct {
		uint8_t flags, type;
		uint16_t size, start, offset;
		uint32_t len;
	} bad[] = {
		{ 1, 1, 0, 34, 16, 60000 },       { 1, 1, 1, 34, 16, 60000 },
		{ 0, 1, 1448, 34, 16, 60000 },    { 1, 4, 1448, 34, 16, 60000 },
		{ 1, 5, 1448, 34, 16, 60000 },    { 1, 1, 1448, 33, 16, 60000 },
		{ 1, 1, 1448, 34, 6, 60000 },     { 1, 1, 1461, 34, 16, 60000 },
		{ 1, 1, 9000, 34, 16, 60000 },    { 1, 1, 1448, 34, 16, HULL_NET_FRAME_MAX + 1 },
		{ 1, 0x81, 1448, 34, 16, 60000 }, { 1, 3, 1448, 34, 16, 60000 },
		{ 1, 1, 1448, 34, 16, 40 },       { 1, 0, 0, 34, 16, 1523 },
	};
	unsigned n = 0;

	(void)state;
	frame(big, true, 5000, 65535);
	for (; n < ARRAY_LEN(bad); n++) {
		uint8_t h[20] = { bad[n].flags, bad[n].type };

		store_le16(h + 4, bad[n].size);
		store_le16(h + 6, bad[n].start);
		store_le16(h + 8, bad[n].offset);
		offer(e, 1, h, big, bad[n].len);
		send_done(e, 1);
		assert_int_equal(e->d->dev->guest_errors, n + 1);
		assert_null(netbackend_next(e->net));
	}
	/* One byte each is fine if they are few. */
	{
		uint8_t h[20] = { 1, 1, 0, 0, 1, 0, 34, 0, 16, 0 };

		offer(e, 1, h, big, 54 + 2000);
		send_done(e, 1);
		assert_int_equal(e->net->nout, 2000);
	}
	assert_int_equal(e->d->dev->guest_errors, n);
	end(e);
}

/* Requests that are no frames: too short, nothing but a header, not in memory. */
static void test_hostile_requests(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 11, 12, 13, 25, 0x40000 };
	struct env *e = start(0, 0);
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
		v_desc(e->rig, V_AT(e->q[1].desc, 0), RIG_RAM, sizes[i], 0, 0);
		v_avail(&e->q[1], 0);
		v_kick(&e->q[1]);
		assert_true(used(e, 1, &len));
		assert_int_equal(e->d->dev->guest_errors, i + 1);
	}
	v_desc(e->rig, V_AT(e->q[1].desc, 0), RIG_MMIO, 100, 0, 0);
	v_avail(&e->q[1], 0);
	v_kick(&e->q[1]);
	assert_true(used(e, 1, &len));
	assert_null(netbackend_next(e->net));
	assert_int_equal(v_get(e->d, V_STATUS), 15);
	end(e);
}

/* A large frame over several buffers: all of them or none. */
static void test_merged(void **state)
{
	struct env *e = start(F(MRG_RXBUF) | F(GUEST_CSUM) | F(GUEST_TSO4), 0);
	struct hull_net_frame gso = { .flags = 1,
		                      .gso_type = 1,
		                      .gso_size = 1448,
		                      .hdr_len = 54,
		                      .csum_start = 34,
		                      .csum_offset = 16 };
	uint32_t n = frame(big, true, 5000, 8000), len, sum = 0;
	static uint8_t back[16384];

	(void)state;
	assert_int_equal(e->net->n.gives, HULL_NET_CSUM | HULL_NET_TSO4);
	buffers(e, 0, 7, 1024);
	assert_false(netbackend_in(e->net, gso, big, n));
	assert_false(used(e, 0, &len));
	buffers(e, 0, 1, 1024);
	assert_true(netbackend_in(e->net, gso, big, n));
	for (unsigned i = 0; i < 8; i++) {
		assert_true(used(e, 0, &len));
		sum += len;
	}
	assert_int_equal(sum, n + HDR);
	read_rx(e, 0, back, sum);
	assert_memory_equal(back, "\1\1\x36\0\xa8\5\x22\0\x10\0\x08\0", HDR);
	assert_memory_equal(back + HDR, big, n);
	/* Buffers of one byte: the first must hold the header. */
	buffers(e, 0, 1, 1);
	assert_true(netbackend_plain(e->net, big, 60));
	assert_true(used(e, 0, &len));
	assert_int_equal(len, 0);
	assert_int_equal(e->d->dev->guest_errors, 1);
	end(e);
}

/* The same in every format of ring, over its end and again. */
static void test_merged_in_all_rings(void **state)
{
	static const uint64_t rings[] = { 0, VF_PACKED, VF_IN_ORDER, VF_PACKED | VF_IN_ORDER };
	struct env *e = start(0, 0);
	uint32_t n = frame(big, true, 5000, 4000), len, sum;
	static uint8_t back[8192];

	(void)state;
	for (unsigned k = 0; k < ARRAY_LEN(rings); k++) {
		restart(e, F(MRG_RXBUF) | F(GUEST_CSUM) | F(GUEST_TSO4) | rings[k]);
		for (unsigned round = 0; round < 3 * NUM; round++) {
			struct hull_net_frame gso = { .flags = 1,
				                      .gso_type = 1,
				                      .gso_size = 1448,
				                      .csum_start = 34,
				                      .csum_offset = 16 };

			for (unsigned i = 0; i < 4; i++) {
				struct vbuf b = { RX_DATA + i * 1024, 1024, true };

				assert_false(netbackend_in(e->net, gso, big, n));
				assert_false(used(e, 0, &len));
				v_post(&e->q[0], &b, 1, 0);
				v_kick(&e->q[0]);
			}
			assert_true(netbackend_in(e->net, gso, big, n));
			for (sum = 0; used(e, 0, &len);)
				sum += len;
			/* In order, one entry may stand for several. */
			assert_true(sum == n + HDR || rings[k] & VF_IN_ORDER);
			read_rx(e, 0, back, n + HDR);
			assert_int_equal(back[10], 4);
			assert_memory_equal(back + HDR, big, n);
			memset(back, 0, sizeof(back));
			assert_true(hull_mem_write(e->rig->vm, RX_DATA, back, sizeof(back)));
		}
	}
	assert_int_equal(e->d->dev->guest_errors, 0);
	end(e);
}

/* A driver that can do nothing gets segments with checksums. */
static void test_received_segments(void **state)
{
	struct env *e = start(0, 0);
	struct hull_net_frame gso = {
		.flags = 1, .gso_type = 1, .gso_size = 1000, .csum_start = 34, .csum_offset = 16
	};
	uint32_t n = frame(big, true, 5000, 3500), len;
	uint8_t back[1600];

	(void)state;
	buffers(e, 0, 4, 1600);
	assert_true(netbackend_in(e->net, gso, big, n));
	for (unsigned i = 0; i < 4; i++) {
		assert_true(used(e, 0, &len));
		assert_int_equal(len, HDR + 54 + (i == 3 ? 500 : 1000));
		read_rx(e, i * 1600, back, len);
		assert_memory_equal(back, "\0\0\0\0\0\0\0\0\0\0\1\0", HDR);
		assert_int_equal(load_be32(back + HDR + 38), i * 1000);
	}
	/* A buffer that is too small for the frame is given back, the frame dropped. */
	buffers(e, 0, 1, 500);
	assert_true(netbackend_plain(e->net, big, 600));
	assert_true(used(e, 0, &len));
	assert_int_equal(len, 0);
	end(e);
}

static bool arrives(struct env *e, const uint8_t *dst, int vlan)
{
	uint8_t f[64] = { 0 };
	uint32_t len;

	memcpy(f, dst, 6);
	if (vlan >= 0) {
		store_be16(f + 12, 0x8100);
		store_be16(f + 14, (uint16_t)vlan);
	}
	buffers(e, 0, 1, 256);
	assert_true(netbackend_plain(e->net, f, sizeof(f)));
	if (used(e, 0, &len))
		return true;
	/* Not there: the buffer is used up by one that is for everybody. */
	return false;
}

static void test_filters(void **state)
{
	static const uint8_t all[6] = { 255, 255, 255, 255, 255, 255 }, group[6] = { 1, 0, 0x5e },
			     other[6] = { 2, 1, 1, 1, 1, 1 }, on[1] = { 1 }, off[1] = { 0 };
	uint8_t table[8 + 12] = { 1, 0, 0, 0, 2, 1, 1, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0x5e };
	struct env *e = start(
		F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_RX_EXTRA) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR), 0);

	(void)state;
	assert_true(arrives(e, other, -1));
	assert_int_equal(command(e, 0, 0, off, 1), 0);
	assert_false(arrives(e, other, -1));
	assert_false(arrives(e, group, -1));
	assert_true(arrives(e, mac, -1));
	assert_true(arrives(e, all, -1));
	assert_int_equal(command(e, 1, 0, table, sizeof(table)), 0);
	assert_true(arrives(e, other, -1));
	assert_true(arrives(e, group, -1));
	assert_false(arrives(e, peer, -1));
	assert_int_equal(command(e, 1, 1, peer, 6), 0);
	assert_true(arrives(e, peer, -1));
	assert_false(arrives(e, mac, -1));
	assert_int_equal(command(e, 0, 5, on, 1), 0);
	assert_false(arrives(e, all, -1));
	assert_int_equal(command(e, 0, 3, on, 1), 0);
	assert_false(arrives(e, group, -1));
	assert_false(arrives(e, peer, 100));
	assert_int_equal(command(e, 2, 0, "\x64\0", 2), 0);
	assert_true(arrives(e, peer, 100));
	assert_int_equal(command(e, 2, 1, "\x64\0", 2), 0);
	assert_false(arrives(e, peer, 100));
	/* The reset brings back the address and lets all pass. */
	restart(e, 0);
	assert_true(arrives(e, other, 100));
	end(e);
}

/* Item 36: lengths that lie, commands without features or sense; nothing changes. */
static void test_hostile_control(void **state)
{
	static const struct {
		uint8_t class, cmd;
		uint8_t data[8];
		uint32_t len;
	} bad[] = {
		{ 0, 0, { 0 }, 0 },
		{ 0, 6, { 1 }, 1 },
		{ 0, 255, { 1 }, 1 },
		{ 1, 0, { 0 }, 3 },
		{ 1, 0, { 1, 0, 0, 0, 1, 2, 3 }, 7 },
		{ 1, 0, { 0xff, 0xff, 0xff, 0xff }, 8 },
		{ 1, 0, { 0xab, 0xaa, 0xaa, 0x2a }, 8 },
		{ 1, 0, { 0, 0, 0, 0, 1 }, 8 },
		{ 1, 1, { 1 }, 5 },
		{ 1, 1, { 1 }, 7 },
		{ 1, 2, { 1 }, 6 },
		{ 2, 0, { 0, 0x10 }, 2 },
		{ 2, 2, { 0 }, 2 },
		{ 2, 0, { 0 }, 1 },
		{ 3, 0, { 0 }, 0 },
		{ 4, 0, { 0 }, 2 },
		{ 4, 0, { PAIRS + 1 }, 2 },
		{ 4, 1, { 0 }, 8 },
		{ 4, 2, { 0 }, 8 },
		{ 5, 0, { 0x82 }, 8 },
		{ 5, 0, { 2 }, 7 },
		{ 6, 0, { 0 }, 8 },
		{ 255, 255, { 0 }, 0 },
	};
	uint64_t f = F(CTRL_VQ) | F(CTRL_RX) | F(CTRL_VLAN) | F(CTRL_MAC_ADDR) | F(MQ) |
	             F(CTRL_GUEST_OFFLOADS) | F(GUEST_CSUM);
	struct env *e = start(f, 0);
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(command(e, bad[i].class, bad[i].cmd, bad[i].data, bad[i].len), 1);
		assert_int_equal(e->d->dev->guest_errors, i + 1);
	}
	/* 10,000 of them in a row: at most a queue's worth per turn. */
	for (unsigned i = 0; i < 10000; i++)
		assert_int_equal(command(e, 1, 1, mac, 6), 0);
	assert_int_equal(e->net->n.gives, HULL_NET_CSUM);
	assert_int_equal(command(e, 5, 0, "\0\0\0\0\0\0\0\0", 8), 0);
	assert_int_equal(e->net->n.gives, 0);
	/* No place for the answer: broken. */
	v_desc(e->rig, V_AT(e->q[e->ctrl].desc, 0), DATA, 3, 0, 0);
	v_avail(&e->q[e->ctrl], 0);
	v_kick(&e->q[e->ctrl]);
	assert_false(used(e, e->ctrl, &len));
	assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
	/* A broken device takes no frames, and keeps nobody waiting. */
	assert_true(netbackend_plain(e->net, big, 60));
	end(e);
}

/* 5.1.6.4.3.4: the key and the results that the specification gives. */
static void test_toeplitz(void **state)
{
	static const uint8_t key[NET_KEY] = { 0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2,
		                              0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3, 0x8f, 0xb0,
		                              0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4,
		                              0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2, 0x0c,
		                              0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa };
	/* 66.9.149.187:2794 to 161.142.100.80:1766 */
	static const uint8_t in[12] = {
		66, 9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6
	};

	(void)state;
	assert_int_equal(hull_net_toeplitz(key, in, 12), 0x51ccc178);
	assert_int_equal(hull_net_toeplitz(key, in, 8), 0x323e8fc2);
}

static unsigned where(struct env *e, const uint8_t *f, uint32_t n)
{
	uint32_t len;

	assert_true(netbackend_plain(e->net, f, n));
	for (unsigned i = 0; i < PAIRS; i++)
		if (used(e, 2 * i, &len))
			return i;
	return PAIRS;
}

/* Replies come back by the pair that asked; RSS decides by its table. */
static void test_steering(void **state)
{
	static const uint8_t none[20];
	struct env *e = start(F(CTRL_VQ) | F(MQ) | F(RSS) | F(HASH_REPORT) | F(MRG_RXBUF), 0);
	uint8_t f[200], reply[200], rss[8 + 8 + 3 + 40] = { 2, 0, 0, 0, 3, 0, 2, 0 };
	uint32_t n = frame(f, true, 5000, 60), hash;

	(void)state;
	for (unsigned i = 0; i < PAIRS; i++)
		buffers(e, 2 * i, 8, 256);
	frame(reply, true, 80, 60);
	store_be16(reply + 36, 5000);
	memcpy(reply + 26, "\x0a\0\0\x02\x0a\0\0\x01", 8);
	assert_int_equal(where(e, reply, n), 0);
	assert_int_equal(command(e, 4, 0, "\4\0", 2), 0);
	for (unsigned i = 0; i < PAIRS; i++) {
		offer(e, 2 * i + 1, none, f, n);
		assert_int_equal(where(e, reply, n), i);
	}
	/* TCP over IPv4 hashed, everything else to queue 2. */
	store_le16(rss + 8, 3);
	store_le16(rss + 10, 2);
	store_le16(rss + 12, 1);
	store_le16(rss + 14, 0);
	store_le16(rss + 16, PAIRS);
	rss[18] = 40;
	for (unsigned i = 0; i < 40; i++)
		rss[19 + i] = (uint8_t)(i * 37 + 1);
	assert_int_equal(command(e, 4, 1, rss, sizeof(rss)), 0);
	{
		uint8_t in[12];

		memcpy(in, reply + 26, 8);
		memcpy(in + 8, reply + 34, 4);
		hash = hull_net_toeplitz(rss + 19, in, 12);
		assert_int_equal(where(e, reply, n), 3 - hash % 4);
	}
	frame(f, false, 5000, 60);
	assert_int_equal(where(e, f, 102), 2);
	rss[18] = 41;
	assert_int_equal(command(e, 4, 1, rss, sizeof(rss)), 1);
	rss[18] = 40;
	store_le16(rss + 12, PAIRS);
	assert_int_equal(command(e, 4, 1, rss, sizeof(rss)), 1);
	store_le16(rss + 4, 2);
	assert_int_equal(command(e, 4, 1, rss, sizeof(rss)), 1);
	store_le16(rss + 4, 0xffff);
	assert_int_equal(command(e, 4, 1, rss, sizeof(rss)), 1);
	assert_int_equal(command(e, 4, 1, rss, 17), 1);
	end(e);
}

/* Reset under load: what waits is forgotten, who waits is told, and it works again. */
static void test_reset_under_load(void **state)
{
	static const uint8_t none[20];
	struct env *e = start(0, 0);
	uint32_t n = frame(big, false, 5000, 100);
	uint32_t len;

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		e->net->room = 0;
		offer(e, 1, none, big, n);
		assert_false(used(e, 1, &len));
		assert_false(netbackend_plain(e->net, big, n));
		e->net->ready = 0;
		v_set(e->d, V_STATUS, 0);
		assert_int_equal(e->net->ready, 1);
		assert_true(netbackend_plain(e->net, big, n));
		e->net->room = UINT32_MAX;
		e->net->n.writable(e->net->n.arg);
		assert_int_equal(e->net->nout, 0);
		restart(e, 0);
		offer(e, 1, none, big, n);
		send_done(e, 1);
		assert_int_equal(e->net->nout, 1);
		netbackend_forget(e->net);
	}
	end(e);
}

/* Saved and loaded elsewhere; then whatever a snapshot could hold. */
static void test_saved(void **state)
{
	static uint8_t buf[65536];
	struct env *e = start(F(CTRL_VQ) | F(CTRL_RX) | F(MQ) | F(GUEST_ANNOUNCE), 0);
	struct hull_prng r;
	uint64_t v;
	size_t n;

	(void)state;
	assert_int_equal(command(e, 0, 0, "\0", 1), 0);
	n = rig_save(e->d, buf, sizeof(buf));
	v_set(e->d, V_STATUS, 0);
	assert_int_equal(rig_load(e->d, buf, n), 0);
	assert_int_equal(v_get(e->d, V_STATUS), 15);
	assert_true(rig_read(e->d, V_CONFIG + 6, 2, &v));
	assert_int_equal(v, 3);
	assert_int_equal(command(e, 3, 0, "", 0), 0);
	assert_false(arrives(e, peer, -1));
	assert_true(arrives(e, mac, -1));
	hull_prng_seed(&r, 7);
	for (unsigned i = 0; i < 300; i++) {
		size_t at = 64 + hull_prng_next(&r) % (n - 64);
		uint8_t old = buf[at];

		buf[at] = (uint8_t)hull_prng_next(&r);
		(void)rig_load(e->d, buf, n);
		rig_clock(e->rig, (i + 1) * 1000000u);
		netbackend_plain(e->net, big, 60);
		e->net->n.writable(e->net->n.arg);
		buf[at] = old;
	}
	end(e);
}

/* Without an address from outside, each card of each VM has one of its own. */
static void test_default_mac(void **state)
{
	struct rig *rig = rig_new();
	const struct hull_dev_type *t = hull_dev_type_find("virtio-net");
	struct rig_dev *a = rig_add(rig, t, NULL, 0, NULL), *b = rig_add(rig, t, NULL, 0, NULL);
	uint64_t x, y;

	(void)state;
	assert_true(rig_read(a, V_CONFIG, 4, &x) && rig_read(b, V_CONFIG, 4, &y));
	assert_int_equal(x & 0xffffff, 0x005452);
	assert_true(rig_read(a, V_CONFIG + 4, 2, &x) && rig_read(b, V_CONFIG + 4, 2, &y));
	assert_int_not_equal(x, y);
	rig_free(rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_hostile_segments),
		cmocka_unit_test(test_hostile_requests),
		cmocka_unit_test(test_merged),
		cmocka_unit_test(test_merged_in_all_rings),
		cmocka_unit_test(test_received_segments),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_hostile_control),
		cmocka_unit_test(test_toeplitz),
		cmocka_unit_test(test_steering),
		cmocka_unit_test(test_reset_under_load),
		cmocka_unit_test(test_saved),
		cmocka_unit_test(test_default_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
