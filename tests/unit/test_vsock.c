/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virtio-vsock with real Unix sockets behind it: streams both ways, credit, ends, and lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "host/unix.h"
#include "host/vsock/vsock.h"
#include "support/vdriver.h"

#define RINGS(q) (RIG_RAM + 0x3000 * (hull_gpa)(q))
#define TX_DATA  (RIG_RAM + 0x10000)
#define RX_DATA  (RIG_RAM + 0x30000)

enum { NUM = 32, RX_SIZE = 4096, CID = 7, HDR = 44, TX_ROOM = 0x11000 };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT, CREDIT_REQUEST };

struct env {
	struct rig *rig;
	struct rig_dev *d;
	struct hull_vsock *b;
	struct vqueue rx, tx, event;
	char dir[64], path[80];
	uint32_t buffer, taken; /* what we, the guest, say of ours */
};

struct packet {
	uint32_t src, dst, len, flags, buffer, taken;
	uint16_t op;
	uint8_t data[RX_SIZE];
};

static unsigned descriptors(void)
{
	unsigned n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

static void give(struct env *e, uint16_t slot)
{
	v_desc(e->rig, V_AT(e->rx.desc, slot), RX_DATA + slot * (hull_gpa)RX_SIZE, RX_SIZE,
	       VD_WRITE, 0);
	v_avail(&e->rx, slot);
}

static void restart(struct env *e)
{
	static const uint8_t zero[0x3000];

	assert_true(v_negotiate(e->d, 1));
	for (unsigned i = 0; i < 3; i++)
		assert_true(hull_mem_write(e->rig->vm, RINGS(i), zero, sizeof(zero)));
	assert_true(v_queue(e->d, 0, RINGS(0), NUM, &e->rx));
	assert_true(v_queue(e->d, 1, RINGS(1), NUM, &e->tx));
	assert_true(v_queue(e->d, 2, RINGS(2), NUM, &e->event));
	v_set(e->d, V_STATUS, 15);
	for (uint16_t i = 0; i < NUM; i++)
		give(e, i);
	v_kick(&e->rx);
}

static struct env *start(void)
{
	struct env *e = calloc(1, sizeof(*e));
	struct hull_err err = { 0 };

	assert_non_null(e);
	snprintf(e->dir, sizeof(e->dir), "/tmp/hull-vsock-XXXXXX");
	assert_non_null(mkdtemp(e->dir));
	snprintf(e->path, sizeof(e->path), "%s/v", e->dir);
	e->rig = rig_new();
	assert_int_equal(hull_vsock_open(e->path, CID, &e->b, &err), 0);
	e->d = rig_add(e->rig, hull_dev_type_find("virtio-vsock"), NULL, 0, e->b);
	assert_int_equal(hull_vsock_start(e->b, &err), 0);
	e->buffer = 1 << 18;
	restart(e);
	return e;
}

static void end(struct env *e)
{
	hull_vsock_stop(e->b);
	rig_free(e->rig);
	hull_vsock_close(e->b);
	assert_int_equal(access(e->path, F_OK), -1);
	assert_int_equal(rmdir(e->dir), 0);
	free(e);
}

static void put_header(struct env *e, uint8_t h[HDR], uint16_t op, uint32_t src, uint32_t dst,
                       uint32_t len)
{
	memset(h, 0, HDR);
	store_le64(h, CID);
	store_le64(h + 8, 2);
	store_le32(h + 16, src);
	store_le32(h + 20, dst);
	store_le32(h + 24, len);
	store_le16(h + 28, 1);
	store_le16(h + 30, op);
	store_le32(h + 36, e->buffer);
	store_le32(h + 40, e->taken);
}

/* Offer a header and its payload, the header over two descriptors. */
static void offer(struct env *e, const uint8_t h[HDR], const void *data, uint32_t len)
{
	uint16_t at = (uint16_t)(e->tx.avail_idx * 2 % NUM);
	uint32_t id, n;

	assert_true(hull_mem_write(e->rig->vm, TX_DATA, h, HDR));
	assert_true(hull_mem_write(e->rig->vm, TX_DATA + HDR, data, len));
	v_desc(e->rig, V_AT(e->tx.desc, at), TX_DATA, 29, VD_NEXT, at + 1);
	v_desc(e->rig, V_AT(e->tx.desc, at + 1), TX_DATA + 29, HDR - 29 + len, 0, 0);
	v_avail(&e->tx, at);
	v_kick(&e->tx);
	assert_true(v_used(&e->tx, &id, &n));
}

static void say(struct env *e, uint16_t op, uint32_t src, uint32_t dst, const void *data,
                uint32_t len)
{
	uint8_t h[HDR];

	put_header(e, h, op, src, dst, len);
	offer(e, h, data, len);
}

static void say_shutdown(struct env *e, uint32_t src, uint32_t dst, uint32_t flags)
{
	uint8_t h[HDR];

	put_header(e, h, SHUTDOWN, src, dst, 0);
	store_le32(h + 32, flags);
	offer(e, h, "", 0);
}

/* The next packet for the guest; waits for the host's thread.  False: none comes. */
static bool hear_within(struct env *e, struct packet *p, unsigned ms)
{
	uint8_t h[HDR];
	uint32_t id, len;

	while (!v_used(&e->rx, &id, &len)) {
		if (!ms--)
			return false;
		poll(NULL, 0, 1);
		rig_clock(e->rig, hull_clock_now(e->rig->vm) + 1);
	}
	assert_true(hull_mem_read(e->rig->vm, RX_DATA + id * RX_SIZE, h, HDR));
	assert_int_equal(load_le64(h), 2);
	assert_int_equal(load_le64(h + 8), CID);
	assert_int_equal(load_le16(h + 28), 1);
	*p = (struct packet){ .src = load_le32(h + 16),
		              .dst = load_le32(h + 20),
		              .len = load_le32(h + 24),
		              .op = load_le16(h + 30),
		              .flags = load_le32(h + 32),
		              .buffer = load_le32(h + 36),
		              .taken = load_le32(h + 40) };
	assert_int_equal(len, HDR + p->len);
	assert_true(hull_mem_read(e->rig->vm, RX_DATA + id * RX_SIZE + HDR, p->data, p->len));
	give(e, (uint16_t)id);
	v_kick(&e->rx);
	return true;
}

static void hear(struct env *e, struct packet *p, uint16_t op)
{
	assert_true(hear_within(e, p, 5000));
	assert_int_equal(p->op, op);
}

static int program_listens(struct env *e, unsigned port)
{
	char path[100];
	int fd;

	snprintf(path, sizeof(path), "%s_%u", e->path, port);
	assert_int_equal(hull_unix_listen(path, &fd, NULL), 0);
	return fd;
}

static void listener_ends(struct env *e, int fd, unsigned port)
{
	char path[100];

	snprintf(path, sizeof(path), "%s_%u", e->path, port);
	unlink(path);
	close(fd);
}

static int program_connects(struct env *e)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memcpy(a.sun_path, e->path, strlen(e->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static void wait_for(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	assert_int_equal(poll(&p, 1, 5000), 1);
}

static void expect_bytes(int fd, const void *want, size_t len)
{
	uint8_t buf[256];
	size_t n = 0;

	while (n < len) {
		ssize_t got;

		wait_for(fd);
		got = read(fd, buf + n, len - n);
		assert_true(got > 0);
		n += (size_t)got;
	}
	assert_memory_equal(buf, want, len);
}

static void expect_end(int fd)
{
	char c;

	wait_for(fd);
	assert_int_equal(read(fd, &c, 1), 0);
}

/* The guest connects to port 1000; returns the program's side. */
static int connected(struct env *e, int listener, uint32_t guest_port)
{
	struct packet p;
	int fd;

	say(e, REQUEST, guest_port, 1000, "", 0);
	hear(e, &p, RESPONSE);
	assert_int_equal(p.src, 1000);
	assert_int_equal(p.dst, guest_port);
	assert_int_equal(p.buffer, HULL_VSOCK_BUFFER);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	return fd;
}

static void test_guest_connects(void **state)
{
	struct env *e = start();
	int listener = program_listens(e, 1000), fd = connected(e, listener, 5);
	struct packet p;

	(void)state;
	say(e, RW, 5, 1000, "hello", 5);
	expect_bytes(fd, "hello", 5);
	assert_int_equal(write(fd, "world", 5), 5);
	hear(e, &p, RW);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "world", 5);
	assert_int_equal(p.taken, 5);
	say(e, CREDIT_REQUEST, 5, 1000, "", 0);
	hear(e, &p, CREDIT);
	/* The guest sends no more; the program still answers, then ends, too. */
	say_shutdown(e, 5, 1000, 2);
	expect_end(fd);
	assert_int_equal(write(fd, "bye", 3), 3);
	hear(e, &p, RW);
	assert_memory_equal(p.data, "bye", 3);
	close(fd);
	hear(e, &p, SHUTDOWN);
	assert_int_equal(p.flags & 2, 2);
	say_shutdown(e, 5, 1000, 3);
	do
		assert_true(hear_within(e, &p, 5000));
	while (p.op == SHUTDOWN);
	assert_int_equal(p.op, RST);
	/* Nobody listens there; nobody has that connection. */
	say(e, REQUEST, 6, 1001, "", 0);
	hear(e, &p, RST);
	assert_int_equal(p.src, 1001);
	assert_int_equal(p.dst, 6);
	say(e, RW, 5, 1000, "x", 1);
	hear(e, &p, RST);
	assert_int_equal(e->d->dev->guest_errors, 0);
	listener_ends(e, listener, 1000);
	end(e);
}

static void test_program_connects(void **state)
{
	struct env *e = start();
	int fd = program_connects(e);
	struct packet p;
	char text[32];

	(void)state;
	assert_int_equal(write(fd, "CONN", 4), 4);
	assert_int_equal(write(fd, "ECT 52\nearly", 12), 12);
	hear(e, &p, REQUEST);
	assert_int_equal(p.dst, 52);
	say(e, RESPONSE, 52, p.src, "", 0);
	snprintf(text, sizeof(text), "OK %u\n", p.src);
	expect_bytes(fd, text, strlen(text));
	hear(e, &p, RW);
	assert_int_equal(p.len, 5);
	assert_memory_equal(p.data, "early", 5);
	say(e, RW, 52, p.src, "answer", 6);
	say(e, RST, 52, p.src, "", 0);
	expect_bytes(fd, "answer", 6);
	expect_end(fd);
	close(fd);
	/* The guest says no; the program does not wait; a program that says something else. */
	fd = program_connects(e);
	assert_int_equal(write(fd, "CONNECT 53\n", 11), 11);
	hear(e, &p, REQUEST);
	say(e, RST, 53, p.src, "", 0);
	expect_end(fd);
	close(fd);
	fd = program_connects(e);
	assert_int_equal(write(fd, "CONNECT 54\n", 11), 11);
	hear(e, &p, REQUEST);
	close(fd);
	hear(e, &p, RST);
	for (unsigned i = 0; i < 5; i++) {
		static const char *const wrong[] = { "\n", "CONNECT\n", "CONNECT x\n",
			                             "CONNECT 4294967296\n",
			                             "CONNECT 000000000000000000000000001\n" };

		fd = program_connects(e);
		assert_true(write(fd, wrong[i], strlen(wrong[i])) > 0);
		wait_for(fd);
		assert_true(read(fd, text, 1) <= 0);
		close(fd);
	}
	end(e);
}

/* More than anybody takes at once, both ways: all arrives, no credit is exceeded. */
static void test_bulk(void **state)
{
	enum { TOTAL = 1 << 20 };
	struct env *e = start();
	int listener = program_listens(e, 1000), fd = connected(e, listener, 5);
	static uint8_t out[4096], in[65536];
	uint32_t sent = 0, taken = 0, got = 0, back = 0, wrote = 0;
	struct packet p;
	ssize_t n;

	(void)state;
	e->buffer = 10000;
	while (got < TOTAL || back < TOTAL) {
		if (sent < TOTAL && sent + sizeof(out) - taken <= HULL_VSOCK_BUFFER) {
			for (unsigned i = 0; i < sizeof(out); i++)
				out[i] = (uint8_t)((sent + i) * 131 >> 3);
			say(e, RW, 5, 1000, out, sizeof(out));
			sent += (uint32_t)sizeof(out);
		} else if (got < TOTAL) {
			n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
			for (ssize_t i = 0; i < n; i++, got++)
				assert_int_equal(in[i], (uint8_t)(got * 131 >> 3));
		}
		for (unsigned i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)((back + i) * 7 >> 2);
		if (back < TOTAL && back == wrote) {
			assert_int_equal(send(fd, in, 7001, MSG_DONTWAIT), 7001);
			wrote += 7001;
		}
		while (hear_within(e, &p, 1)) {
			taken = p.taken;
			assert_true(p.op == RW || p.op == CREDIT);
			for (uint32_t i = 0; i < p.len; i++, back++)
				assert_int_equal(p.data[i], (uint8_t)(back * 7 >> 2));
			if (back < wrote)
				continue;
			e->taken = back;
			say(e, CREDIT, 5, 1000, "", 0);
		}
	}
	assert_int_equal(e->d->dev->guest_errors, 0);
	close(fd);
	listener_ends(e, listener, 1000);
	end(e);
}

/* A guest that gives no room gets nothing; one that claims to have taken more than all, neither. */
static void test_credit(void **state)
{
	struct env *e = start();
	int listener, fd;
	struct packet p;

	(void)state;
	e->buffer = 10;
	listener = program_listens(e, 1000);
	fd = connected(e, listener, 5);
	assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
	hear(e, &p, RW);
	assert_int_equal(p.len, 10);
	assert_false(hear_within(e, &p, 30));
	e->taken = 0x80000000;
	say(e, CREDIT, 5, 1000, "", 0);
	assert_false(hear_within(e, &p, 30));
	e->taken = 11;
	say(e, CREDIT, 5, 1000, "", 0);
	assert_false(hear_within(e, &p, 30));
	e->taken = 4;
	say(e, CREDIT, 5, 1000, "", 0);
	hear(e, &p, RW);
	assert_int_equal(p.len, 4);
	assert_memory_equal(p.data, "abcd", 4);
	e->buffer = 0;
	say(e, CREDIT, 5, 1000, "", 0);
	assert_false(hear_within(e, &p, 30));
	close(fd);
	listener_ends(e, listener, 1000);
	end(e);
}

/* The guest ignores our credit: it loses the connection, and we no memory. */
static void test_overrun(void **state)
{
	struct env *e = start();
	int listener = program_listens(e, 1000), fd = connected(e, listener, 5);
	static uint8_t data[65536];
	struct packet p = { 0 };
	unsigned n = 0;

	(void)state;
	for (; n < 100 && p.op != RST; n++) {
		say(e, RW, 5, 1000, data, sizeof(data));
		while (p.op != RST && hear_within(e, &p, 2))
			;
	}
	assert_in_range(n, 2, 20);
	assert_int_equal(e->d->dev->guest_errors, 1);
	close(fd);
	listener_ends(e, listener, 1000);
	end(e);
}

/* Item 42: lengths against descriptors, senders that are somebody else, ports used twice. */
static void test_lies(void **state)
{
	struct env *e = start();
	int listener = program_listens(e, 1000), fd = connected(e, listener, 5);
	uint8_t h[HDR], c;
	struct packet p;

	(void)state;
	put_header(e, h, RW, 5, 1000, 11);
	offer(e, h, "0123456789", 10);
	put_header(e, h, RW, 5, 1000, UINT32_MAX);
	offer(e, h, "0123456789", 10);
	put_header(e, h, RW, 5, 1000, 65537);
	offer(e, h, "0123456789", 10);
	put_header(e, h, REQUEST, 6, 1000, 1);
	offer(e, h, "0", 1);
	put_header(e, h, RW, 5, 1000, 1);
	store_le64(h, 8);
	offer(e, h, "0", 1);
	put_header(e, h, RW, 5, 1000, 1);
	store_le64(h + 8, (UINT64_C(1) << 32) + 2);
	offer(e, h, "0", 1);
	assert_int_equal(e->d->dev->guest_errors, 6);
	assert_false(hear_within(e, &p, 10));
	assert_int_equal(recv(fd, &c, 1, MSG_DONTWAIT), -1);
	/* Another type. */
	put_header(e, h, REQUEST, 6, 1000, 0);
	store_le16(h + 28, 2);
	offer(e, h, "", 0);
	hear(e, &p, RST);
	/* The same ports again; operations that do not exist or fit. */
	say(e, REQUEST, 5, 1000, "", 0);
	hear(e, &p, RST);
	expect_end(fd);
	close(fd);
	for (unsigned op = 0; op < 300; op += op < 9 ? 1 : 97) {
		static const unsigned fine[] = { SHUTDOWN, RW, CREDIT, CREDIT_REQUEST };
		bool ok = false;

		fd = connected(e, listener, 5);
		for (unsigned i = 0; i < 4; i++)
			ok |= op == fine[i];
		say(e, (uint16_t)op, 5, 1000, "", 0);
		if (op != RST && !ok)
			hear(e, &p, RST);
		if (ok)
			say(e, RST, 5, 1000, "", 0);
		while (hear_within(e, &p, 5))
			;
		close(fd);
	}
	listener_ends(e, listener, 1000);
	end(e);
}

/* Thousands of connections that are never finished, from both sides; then all is as before. */
static void test_many(void **state)
{
	unsigned before = descriptors();
	struct env *e = start();
	int listener = program_listens(e, 1000), fds[300], fd;
	struct packet p;
	unsigned open = 0, refused = 0;

	(void)state;
	for (unsigned i = 0; i < 3000; i++) {
		say(e, REQUEST, 10 + i, 1000, "", 0);
		assert_true(hear_within(e, &p, 1000));
		open += p.op == RESPONSE;
		refused += p.op == RST;
	}
	/* As many as there are numbers, or as fit into the program's queue. */
	assert_in_range(open, 2, HULL_VSOCK_CONNS);
	assert_int_equal(open + refused, 3000);
	while ((fd = accept(listener, NULL, NULL)) >= 0)
		close(fd);
	restart(e);
	while (hear_within(e, &p, 20))
		;
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++) {
		fds[i] = program_connects(e);
		/* Those above the limit are closed again. */
		(void)!send(fds[i], i & 1 ? "CONNECT 9\n" : "CONN", i & 1 ? 10 : 4, MSG_NOSIGNAL);
	}
	for (open = 0; hear_within(e, &p, 100);)
		open += p.op == REQUEST;
	assert_in_range(open, 1, HULL_VSOCK_CONNS);
	for (unsigned i = 0; i < ARRAY_LEN(fds); i++)
		close(fds[i]);
	while (hear_within(e, &p, 100))
		;
	fd = connected(e, listener, 5);
	close(fd);
	listener_ends(e, listener, 1000);
	end(e);
	assert_int_equal(descriptors(), before);
}

/* Reset under load, and a snapshot: connections end, the driver learns of it. */
static void test_reset_and_restore(void **state)
{
	static uint8_t buf[1 << 16];
	struct env *e = start();
	int listener = program_listens(e, 1000), fd;
	uint32_t id, len;
	uint8_t event[4] = { 1, 1, 1, 1 };
	struct packet p;
	size_t n;

	(void)state;
	for (unsigned i = 0; i < 50; i++) {
		fd = connected(e, listener, 5);
		say(e, RW, 5, 1000, buf, 4096);
		assert_true(write(fd, buf, sizeof(buf)) > 0);
		restart(e);
		while (hear_within(e, &p, 1))
			;
		close(fd);
	}
	v_desc(e->rig, V_AT(e->event.desc, 0), TX_DATA, 4, VD_WRITE, 0);
	v_avail(&e->event, 0);
	fd = connected(e, listener, 5);
	n = rig_save(e->d, buf, sizeof(buf));
	assert_int_equal(rig_load(e->d, buf, n), 0);
	rig_clock(e->rig, hull_clock_now(e->rig->vm) + 1);
	assert_true(v_used(&e->event, &id, &len));
	assert_int_equal(len, 4);
	assert_true(hull_mem_read(e->rig->vm, TX_DATA, event, 4));
	assert_int_equal(load_le32(event), 0);
	expect_end(fd);
	close(fd);
	listener_ends(e, listener, 1000);
	end(e);
}

static void test_errors(void **state)
{
	struct hull_vsock *b = NULL;
	struct hull_err err = { 0 };
	char path[200];

	(void)state;
	assert_int_equal(hull_vsock_open("/tmp/hull-v", 2, &b, &err), HULL_EINVAL);
	assert_int_equal(err.id, 541);
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(hull_vsock_open(path, 3, &b, &err), HULL_EINVAL);
	assert_int_equal(err.id, 540);
	assert_int_equal(hull_vsock_open("/nowhere/at/all", 3, &b, &err), HULL_ENOENT);
	assert_int_equal(err.id, 540);
	assert_null(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_connects), cmocka_unit_test(test_program_connects),
		cmocka_unit_test(test_bulk),           cmocka_unit_test(test_credit),
		cmocka_unit_test(test_overrun),        cmocka_unit_test(test_lies),
		cmocka_unit_test(test_many),           cmocka_unit_test(test_reset_and_restore),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
