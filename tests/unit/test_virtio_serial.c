/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-serial: how ports are announced, bytes both ways, and drivers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "support/vdriver.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define DATA     (RIG_RAM + 0x40000)

enum { NUM = 16, PORTS = 2, QUEUES = 2 * PORTS + 4, ROOM = 256 };
enum { CTRL_RX = 2, CTRL_TX = 3, READY = 0, ADD = 1, PORT_READY = 3, OPEN = 6, NAME = 7 };

struct stream {
	struct hull_char c; /* first */
	char in[64], out[64];
	size_t in_len, out_len, room;
};

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct hull_ports ports;
	struct stream stream[PORTS];
	struct vqueue q[QUEUES];
};

static size_t take(struct hull_char *c, const void *buf, size_t len)
{
	struct stream *s = (struct stream *)c;
	size_t n = MIN(len, s->room);

	n = MIN(n, sizeof(s->out) - s->out_len);
	memcpy(s->out + s->out_len, buf, n);
	s->out_len += n;
	s->room -= n;
	return n;
}

static size_t give(struct hull_char *c, void *buf, size_t len)
{
	struct stream *s = (struct stream *)c;
	size_t n = MIN(len, s->in_len);

	memcpy(buf, s->in, n);
	s->in_len -= n;
	memmove(s->in, s->in + n, s->in_len);
	return n;
}

static void arrive(struct env *e, unsigned i, const char *text)
{
	struct stream *s = &e->stream[i];

	memcpy(s->in + s->in_len, text, strlen(text));
	s->in_len += strlen(text);
	s->c.readable(s->c.readable_arg);
}

/* A buffer for what the device says, at a place of its own per queue and slot. */
static hull_gpa place(unsigned q, uint16_t slot)
{
	return DATA + (q * NUM + slot) * (hull_gpa)ROOM;
}

static void buffer(struct env *e, unsigned q, uint32_t len)
{
	uint16_t at = (uint16_t)(e->q[q].avail_idx % NUM);

	v_desc(e->rig, V_AT(e->q[q].desc, at), place(q, at), len, VD_WRITE, 0);
	v_avail(&e->q[q], at);
	v_kick(&e->q[q]);
}

static void restart(struct env *e)
{
	static const uint8_t zero[0x3000];

	assert_true(v_negotiate(e->d, 1 << 1));
	for (unsigned i = 0; i < QUEUES; i++) {
		assert_true(hull_mem_write(e->rig->vm, RINGS(i), zero, sizeof(zero)));
		assert_true(v_queue(e->d, i, RINGS(i), NUM, &e->q[i]));
	}
	v_set(e->d, V_STATUS, 15);
}

static struct env *start(void)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->rig = rig_new();
	e->ports.n = PORTS;
	for (unsigned i = 0; i < PORTS; i++) {
		e->stream[i].c.write = take;
		e->stream[i].c.read = give;
		e->stream[i].room = SIZE_MAX;
		e->ports.port[i] =
			(struct hull_named_port){ i ? "b" : "org.hull.first", &e->stream[i].c };
	}
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-serial"), NULL, 0, &e->ports);
	restart(e);
	return e;
}

static void end(struct env *e)
{
	rig_free(e->rig);
	free(e);
}

static void send(struct env *e, unsigned q, const void *data, uint32_t len)
{
	uint16_t at = (uint16_t)(e->q[q].avail_idx % NUM);

	assert_true(hull_mem_write(e->rig->vm, place(q, at), data, len));
	v_desc(e->rig, V_AT(e->q[q].desc, at), place(q, at), len, 0, 0);
	v_avail(&e->q[q], at);
	v_kick(&e->q[q]);
}

static void control(struct env *e, uint32_t port, uint16_t event, uint16_t value)
{
	uint8_t h[8];
	uint32_t id, len;

	store_le32(h, port);
	store_le16(h + 4, event);
	store_le16(h + 6, value);
	send(e, CTRL_TX, h, sizeof(h));
	assert_true(v_used(&e->q[CTRL_TX], &id, &len));
}

static void hear(struct env *e, uint32_t port, uint16_t event, const char *name)
{
	uint8_t h[64];
	uint32_t id, len;

	assert_true(v_used(&e->q[CTRL_RX], &id, &len));
	assert_int_equal(len, 8 + strlen(name));
	assert_true(hull_mem_read(e->rig->vm, place(CTRL_RX, (uint16_t)id), h, len));
	assert_int_equal(load_le32(h), port);
	assert_int_equal(load_le16(h + 4), event);
	assert_int_equal(load_le16(h + 6), 1);
	assert_memory_equal(h + 8, name, strlen(name));
}

static void announce(struct env *e)
{
	uint32_t id, len;

	for (unsigned i = 0; i < 10; i++)
		buffer(e, CTRL_RX, ROOM);
	control(e, UINT32_MAX, READY, 1);
	hear(e, 1, ADD, "");
	hear(e, 2, ADD, "");
	control(e, 1, PORT_READY, 1);
	hear(e, 1, NAME, "org.hull.first");
	hear(e, 1, OPEN, "");
	control(e, 2, PORT_READY, 1);
	hear(e, 2, NAME, "b");
	hear(e, 2, OPEN, "");
	assert_false(v_used(&e->q[CTRL_RX], &id, &len));
}

static void test_announced(void **state)
{
	struct env *e = start();
	uint64_t v;

	(void)state;
	assert_true(rig_read(e->d, V_CONFIG + 4, 4, &v));
	assert_int_equal(v, PORTS + 1);
	announce(e);
	/* Few buffers: said one by one; a driver that has none hears nothing, and later all. */
	restart(e);
	control(e, 0, READY, 1);
	buffer(e, CTRL_RX, ROOM);
	hear(e, 1, ADD, "");
	buffer(e, CTRL_RX, ROOM);
	hear(e, 2, ADD, "");
	assert_int_equal(e->d->dev->guest_errors, 0);
	end(e);
}

static void test_bytes(void **state)
{
	struct env *e = start();
	uint32_t id, len;
	char got[8];

	(void)state;
	announce(e);
	send(e, 4 + 1, "to one", 6);
	send(e, 6 + 1, "to two", 6);
	assert_memory_equal(e->stream[0].out, "to one", 6);
	assert_memory_equal(e->stream[1].out, "to two", 6);
	/* Input waits for a buffer, and for somebody who has the port open. */
	buffer(e, 6, 4);
	arrive(e, 1, "abcdef");
	assert_false(v_used(&e->q[6], &id, &len));
	assert_int_equal(e->stream[1].in_len, 6);
	control(e, 2, OPEN, 1);
	assert_true(v_used(&e->q[6], &id, &len));
	assert_int_equal(len, 4);
	buffer(e, 6, 4);
	assert_true(v_used(&e->q[6], &id, &len));
	assert_int_equal(len, 2);
	assert_true(hull_mem_read(e->rig->vm, place(6, (uint16_t)id), got, 2));
	assert_memory_equal(got, "ef", 2);
	control(e, 2, OPEN, 0);
	buffer(e, 6, 4);
	arrive(e, 1, "x");
	assert_int_equal(e->stream[1].in_len, 1);
	/* One port whose program is slow does not hold up the other. */
	e->stream[0].room = 1;
	send(e, 4 + 1, "slow", 4);
	send(e, 6 + 1, "fast", 4);
	assert_memory_equal(e->stream[1].out + 6, "fast", 4);
	e->stream[0].room = SIZE_MAX;
	rig_clock(e->rig, 2000000);
	assert_memory_equal(e->stream[0].out + 6, "slow", 4);
	end(e);
}

/* Item 40: counts and numbers that lie, messages cut short, buffers that are none. */
static void test_lies(void **state)
{
	static const uint32_t ports[] = { 0, 3, 31, 32, 0x7fffffff, UINT32_MAX };
	struct env *e = start();
	uint32_t id, len;
	unsigned n = 0;

	(void)state;
	announce(e);
	for (unsigned i = 0; i < ARRAY_LEN(ports); i++) {
		control(e, ports[i], PORT_READY, 1);
		control(e, ports[i], OPEN, 1);
		n += 2;
		assert_int_equal(e->d->dev->guest_errors, n);
	}
	for (uint16_t event = 8; event; event = (uint16_t)(event * 2)) {
		control(e, 1, event, 1);
		assert_int_equal(e->d->dev->guest_errors, ++n);
	}
	control(e, 1, OPEN, 2);
	send(e, CTRL_TX, "1234567", 7);
	assert_true(v_used(&e->q[CTRL_TX], &id, &len));
	assert_int_equal(e->d->dev->guest_errors, n + 2);
	/* Port 0 is not there; its queues are. */
	send(e, 1, "lost", 4);
	assert_false(v_used(&e->q[1], &id, &len));
	for (unsigned i = 0; i < 10000; i++)
		control(e, 1, OPEN, (uint16_t)(i & 1));
	/* A buffer without room for a message. */
	restart(e);
	control(e, 0, READY, 1);
	buffer(e, CTRL_RX, 7);
	assert_int_equal(v_get(e->d, V_STATUS), 15 | 64);
	end(e);
}

static void test_reset_under_load(void **state)
{
	struct env *e = start();

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		e->stream[0].out_len = 0;
		announce(e);
		e->stream[0].room = 0;
		send(e, 5, "waits", 5);
		arrive(e, 0, "y");
		e->stream[0].room = SIZE_MAX;
		restart(e);
		rig_clock(e->rig, (i + 1) * UINT64_C(5000000));
		assert_int_equal(e->stream[0].out_len, 0);
	}
	end(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_announced),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_reset_under_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
