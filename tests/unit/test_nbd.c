/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The NBD client and server: against each other, and against peers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"
#include "base/text.h"
#include "host/block/image.h"
#include "host/block/nbd.h"
#include "host/socket.h"
#include "support/memimage.h"

enum { DISK = 1 << 20, BLOCK = 4096 };

static char folder[64], disk_path[128], socket_path[128], address[160], uri[256];

static int setup(void **state)
{
	(void)state;
	hull_format(folder, sizeof(folder), "/tmp/hull-nbd-XXXXXX");
	assert_non_null(mkdtemp(folder));
	hull_format(disk_path, sizeof(disk_path), "%s/disk", folder);
	hull_format(socket_path, sizeof(socket_path), "%s/socket", folder);
	hull_format(address, sizeof(address), "unix:%s", socket_path);
	hull_format(uri, sizeof(uri), "nbd+unix:///the%%20disk?socket=%s", socket_path);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(disk_path);
	unlink(socket_path);
	return rmdir(folder);
}

static void make_disk(void)
{
	FILE *f = fopen(disk_path, "w");

	assert_non_null(f);
	assert_int_equal(ftruncate(fileno(f), DISK), 0);
	fclose(f);
}

static struct hull_image *open_image(const char *path, bool read_only)
{
	struct hull_image_options o = { .path = path, .format = "raw", .read_only = read_only };
	struct hull_image *img = NULL;
	struct hull_err err = { 0 };

	if (hull_image_open(&o, &img, &err))
		fail_msg("%s", err.text);
	return img;
}

static struct hull_nbd_server *start(bool read_only)
{
	struct hull_image *img = open_image(disk_path, read_only);
	struct hull_nbd_serve o = { .image = img, .address = address, .name = "the disk" };
	struct hull_nbd_server *s = NULL;
	struct hull_err err = { 0 };

	if (hull_nbd_serve(&o, &s, &err))
		fail_msg("%s", err.text);
	hull_image_unref(img);
	return s;
}

static void test_addresses(void **state)
{
	static const struct {
		const char *path, *socket, *name;
	} good[] = {
		{ "nbd://host/disk", "tcp:host:10809", "disk" },
		{ "nbd://host:1234", "tcp:host:1234", "" },
		{ "nbd://[::1]:1234/a/b", "tcp:[::1]:1234", "a/b" },
		{ "nbd://[::1]/x", "tcp:[::1]:10809", "x" },
		{ "nbd+unix:///a%20b?socket=/run/s", "unix:/run/s", "a b" },
		{ "nbd+unix:///?socket=/run/s", "unix:/run/s", "" },
		{ "nbd:unix:/run/s:exportname=x", "unix:/run/s", "x" },
		{ "nbd:localhost:99", "tcp:localhost:99", "" },
	};
	static const char *const bad[] = {
		"nbd+unix:///x",
		"nbd+unix://host/x?socket=/s",
		"nbd+unix:///%zz?socket=/s",
		"nbd+unix:///%00?socket=/s",
		"nbd+unix:///a%2?socket=/s",
		"nbd:///x",
		"file.img",
		"nbd://h/x?tls",
	};
	struct hull_nbd_address a;
	char text[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(hull_nbd_parse(good[i].path, &a, NULL), 0);
		assert_string_equal(a.socket, good[i].socket);
		assert_string_equal(a.name, good[i].name);
	}
	hull_nbd_uri(text, sizeof(text), "unix:/run/a b", 0, "x%y");
	assert_string_equal(text, "nbd+unix:///x%25y?socket=/run/a%20b");
	hull_nbd_uri(text, sizeof(text), "tcp:[::1]:0", 7, "z");
	assert_string_equal(text, "nbd://[::1]:7/z");
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(hull_nbd_parse(bad[i], &a, NULL), HULL_EINVAL);
}

/* Two threads change halves of one disk at random and compare with what it must hold. */
struct half {
	struct hull_image *img;
	uint64_t seed;
	uint8_t *oracle;
	uint64_t base;
	const char *wrong;
};

static void step(struct half *h, struct hull_prng *p, uint8_t *buf)
{
	uint64_t n = 1 + hull_prng_below(p, 40), at = hull_prng_below(p, DISK / 1024 - n);
	uint64_t off = 512 * at, len = 512 * n;
	int r;

	switch (hull_prng_below(p, 5)) {
	case 0:
		memset(h->oracle + off, 0, len);
		r = hull_image_write_zeroes(h->img, h->base + off, len, n & 1, n & 2);
		break;
	case 1: r = hull_image_flush(h->img); break;
	case 2:
	case 3:
		hull_prng_fill(p, h->oracle + off, len);
		r = hull_image_write(h->img, h->base + off, h->oracle + off, len);
		break;
	default:
		r = hull_image_read(h->img, h->base + off, buf, len);
		if (!r && memcmp(buf, h->oracle + off, len))
			h->wrong = "data differ";
	}
	if (r)
		h->wrong = hull_error_text(r);
}

static void *work(void *arg)
{
	struct half *h = arg;
	struct hull_prng p;
	uint8_t *buf = malloc(40 * 512);

	hull_prng_seed(&p, h->seed);
	for (unsigned i = 0; i < 400 && !h->wrong; i++)
		step(h, &p, buf);
	free(buf);
	return NULL;
}

static void test_both_ends(void **state)
{
	uint8_t *oracle = calloc(1, DISK), *seen = malloc(DISK);
	struct hull_nbd_server *s;
	struct hull_image *img;
	struct half h[4];
	pthread_t t[4];

	(void)state;
	make_disk();
	s = start(false);
	img = open_image(uri, false);
	assert_int_equal(img->size, DISK);
	for (unsigned i = 0; i < 4; i++) {
		/* Two halves, each first by one and then by another thread. */
		h[i] = (struct half){ img, i, oracle + (i & 1) * (DISK / 2), (i & 1) * (DISK / 2),
			              NULL };
		if (i == 2)
			for (unsigned k = 0; k < 2; k++)
				pthread_join(t[k], NULL);
		assert_int_equal(pthread_create(&t[i], NULL, work, &h[i]), 0);
	}
	pthread_join(t[2], NULL);
	pthread_join(t[3], NULL);
	for (unsigned i = 0; i < 4; i++)
		assert_null(h[i].wrong);
	assert_int_equal(hull_image_flush(img), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
	img = open_image(disk_path, true);
	assert_int_equal(hull_image_read(img, 0, seen, DISK), 0);
	assert_memory_equal(seen, oracle, DISK);
	hull_image_unref(img);
	free(seen);
	free(oracle);
}

static void test_map_and_limits(void **state)
{
	static uint8_t block[BLOCK] = { 1 };
	struct hull_image_extent e;
	struct hull_nbd_server *s;
	struct hull_image *img;

	(void)state;
	make_disk();
	s = start(false);
	img = open_image(uri, false);
	assert_int_equal(hull_image_write(img, 65536, block, BLOCK), 0);
	assert_int_equal(hull_image_map(img, 0, DISK, &e), 0);
	assert_true(e.flags & HULL_IMAGE_ZERO);
	assert_true(e.len <= 65536);
	assert_int_equal(hull_image_map(img, 65536, DISK - 65536, &e), 0);
	assert_true(e.flags & HULL_IMAGE_DATA);
	assert_int_not_equal(hull_image_read(img, DISK - 512, block, BLOCK), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
}

static void test_read_only(void **state)
{
	struct hull_image_options o = { .path = uri, .format = "raw" };
	struct hull_image *img = NULL;
	struct hull_nbd_server *s;
	struct hull_err err;

	(void)state;
	make_disk();
	s = start(true);
	assert_int_equal(hull_image_open(&o, &img, &err), HULL_EPERM);
	assert_int_equal(err.id, 302);
	img = open_image(uri, true);
	assert_int_not_equal(hull_image_write(img, 0, "x", 1), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
}

/* A server that goes away and comes back: errors meanwhile; what was not flushed is told once. */
static void test_server_restarts(void **state)
{
	static uint8_t block[BLOCK];
	struct hull_nbd_server *s;
	struct hull_image *img;
	int r = -1;

	(void)state;
	make_disk();
	s = start(false);
	img = open_image(uri, false);
	assert_int_equal(hull_image_write(img, 0, block, BLOCK), 0);
	hull_nbd_server_stop(s);
	assert_int_not_equal(hull_image_read(img, 0, block, BLOCK), 0);
	s = start(false);
	for (unsigned i = 0; i < 50 && r; i++) {
		usleep(100000);
		r = hull_image_read(img, 0, block, BLOCK);
	}
	assert_int_equal(r, 0);
	assert_int_equal(hull_image_flush(img), HULL_EIO);
	assert_int_equal(hull_image_flush(img), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
}

static void *flush(void *arg)
{
	return (void *)(intptr_t)hull_image_flush(arg);
}

static void *stop(void *arg)
{
	hull_nbd_server_stop(arg);
	return NULL;
}

static struct hull_nbd_server *start_on(struct mem_image *m)
{
	struct hull_nbd_serve o = { .image = &m->img, .address = address, .name = "the disk" };
	struct hull_nbd_server *s = NULL;

	assert_int_equal(hull_nbd_serve(&o, &s, NULL), 0);
	return s;
}

/* A server that goes away under a flush: to ask again does not make good what may be lost. */
static void test_flush_is_cut_off(void **state)
{
	struct mem_image *m = mem_image_new(DISK);
	struct hull_nbd_server *s = start_on(m);
	static uint8_t block[BLOCK];
	struct hull_image *img;
	pthread_t one, two;
	void *status;
	int r = -1;

	(void)state;
	img = open_image(uri, false);
	m->status = HULL_ENOSPC;
	m->fail_writes = 1;
	assert_int_equal(hull_image_write(img, 0, block, BLOCK), HULL_ENOSPC);
	assert_int_equal(hull_image_write(img, 0, block, BLOCK), 0);
	hull_store_seqcst(&m->hold, 1);
	assert_int_equal(pthread_create(&one, NULL, flush, img), 0);
	while (!hull_load_seqcst(&m->held))
		usleep(1000);
	assert_int_equal(pthread_create(&two, NULL, stop, s), 0);
	pthread_join(one, &status);
	assert_int_equal((intptr_t)status, HULL_EIO);
	mem_image_release(m);
	pthread_join(two, NULL);
	s = start_on(m);
	for (unsigned i = 0; i < 50 && r; i++) {
		usleep(100000);
		r = hull_image_read(img, 0, block, BLOCK);
	}
	assert_int_equal(r, 0);
	assert_int_equal(hull_image_flush(img), HULL_EIO);
	assert_int_equal(hull_image_flush(img), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
	hull_image_unref(&m->img);
}

/* What a server says that keeps no rules. */
enum evil {
	NO_GREETING,
	OLD_STYLE,
	WANTS_TLS,
	UNKNOWN_EXPORT,
	LONG_ANSWER,
	ENDLESS_ANSWERS,
	OTHER_OPTION,
	LARGE_BLOCKS,
	ODD_SIZE,
	HUGE_SIZE,
	LAST_OF_NEGOTIATION,
	WRONG_COOKIE,
	GONE,
	CHUNK_AHEAD,
	CHUNK_TOO_LONG,
	CHUNK_GAP,
	CHUNK_SIMPLE,
	CHUNK_ERROR,
	CHUNK_STATUS,
	CHUNK_UNKNOWN,
	EVILS,
};

struct peer {
	enum evil how;
	int listener;
};

static bool send_bytes(int fd, const void *p, size_t n)
{
	return hull_socket_write(fd, p, n, 1000);
}

static bool answer(int fd, uint32_t opt, uint32_t type, const void *data, uint32_t len)
{
	uint8_t head[20];

	store_be64(head, NBD_OPT_REPLY_MAGIC);
	store_be32(head + 8, opt);
	store_be32(head + 12, type);
	store_be32(head + 16, len);
	return send_bytes(fd, head, sizeof(head)) && (!data || send_bytes(fd, data, len));
}

static bool answer_go(int fd, enum evil how)
{
	uint64_t size = how == ODD_SIZE ? 1000 : how == HUGE_SIZE ? UINT64_MAX : DISK;
	uint8_t info[14] = { 0 };

	if (how == WANTS_TLS)
		return answer(fd, NBD_OPT_GO, NBD_REP_ERR_TLS, NULL, 0);
	if (how == UNKNOWN_EXPORT)
		return answer(fd, NBD_OPT_GO, NBD_REP_ERR_UNKNOWN, "\033[2Jno", 6);
	if (how == LONG_ANSWER)
		return answer(fd, NBD_OPT_GO, NBD_REP_INFO, NULL, 0xffffffff);
	if (how == OTHER_OPTION)
		return answer(fd, NBD_OPT_LIST, NBD_REP_ACK, NULL, 0);
	if (how == LARGE_BLOCKS) {
		store_be16(info, NBD_INFO_BLOCK_SIZE);
		store_be32(info + 2, 4096);
		store_be32(info + 10, 4096);
		if (!answer(fd, NBD_OPT_GO, NBD_REP_INFO, info, 14))
			return false;
	}
	while (how == ENDLESS_ANSWERS)
		if (!answer(fd, NBD_OPT_GO, NBD_REP_INFO, info, 2))
			return false;
	store_be16(info, NBD_INFO_EXPORT);
	store_be64(info + 2, size);
	store_be16(info + 10, NBD_HAS_FLAGS | NBD_SEND_FLUSH);
	return answer(fd, NBD_OPT_GO, NBD_REP_INFO, info, 12) &&
	       answer(fd, NBD_OPT_GO, NBD_REP_ACK, NULL, 0);
}

static bool shake_hands(int fd, enum evil how)
{
	uint8_t head[18], option[16], context[19] = { 0 };

	store_be64(head, how == NO_GREETING ? 7 : NBD_MAGIC);
	store_be64(head + 8, how == OLD_STYLE ? 7 : NBD_OPTION_MAGIC);
	store_be16(head + 16, NBD_FIXED_NEWSTYLE);
	memcpy(context + 4, "base:allocation", 15);
	if (!send_bytes(fd, head, sizeof(head)) || !hull_socket_read(fd, head, 4, 1000))
		return false;
	for (;;) {
		uint32_t what;

		if (!hull_socket_read(fd, option, sizeof(option), 1000) ||
		    !hull_socket_skip(fd, load_be32(option + 12), 1000))
			return false;
		what = load_be32(option + 8);
		if (what == NBD_OPT_GO)
			return answer_go(fd, how);
		if (what == NBD_OPT_SET_META_CONTEXT &&
		    !answer(fd, what, NBD_REP_META_CONTEXT, context, sizeof(context)))
			return false;
		if (!answer(fd, what, NBD_REP_ACK, NULL, 0))
			return false;
	}
}

static void chunk(int fd, const uint8_t *cookie, unsigned flags, unsigned type, const void *data,
                  uint32_t len)
{
	uint8_t head[20];

	store_be32(head, NBD_CHUNK_MAGIC);
	store_be16(head + 4, (uint16_t)flags);
	store_be16(head + 6, (uint16_t)type);
	memcpy(head + 8, cookie, 8);
	store_be32(head + 16, len);
	send_bytes(fd, head, sizeof(head));
	send_bytes(fd, data, len);
}

static void misbehave(int fd, enum evil how)
{
	static uint8_t data[8 + 2 * BLOCK];
	uint8_t request[NBD_REQUEST_BYTES], simple[16] = { 0 };

	if (!hull_socket_read(fd, request, sizeof(request), 1000) || how == GONE)
		return;
	store_be32(simple, NBD_SIMPLE_MAGIC);
	memcpy(simple + 8, request + 8, 8);
	memcpy(data, request + 16, 8);
	switch (how) {
	case WRONG_COOKIE: simple[15] ^= 1; /* fall through */
	case CHUNK_SIMPLE: send_bytes(fd, simple, sizeof(simple)); break;
	case CHUNK_AHEAD:
		store_be64(data, load_be64(data) + 512);
		chunk(fd, request + 8, 1, NBD_CHUNK_DATA, data, 8 + 512);
		break;
	case CHUNK_TOO_LONG: chunk(fd, request + 8, 1, NBD_CHUNK_DATA, data, sizeof(data)); break;
	case CHUNK_GAP: chunk(fd, request + 8, 1, NBD_CHUNK_DATA, data, 8 + 512); break;
	case CHUNK_ERROR: chunk(fd, request + 8, 1, NBD_CHUNK_ERROR, data, 6); break;
	case CHUNK_STATUS: chunk(fd, request + 8, 1, NBD_CHUNK_STATUS, data, 12); break;
	case CHUNK_UNKNOWN: chunk(fd, request + 8, 1, 77, data, 12); break;
	default: break;
	}
}

static void *be_evil(void *arg)
{
	const struct peer *p = arg;
	int fd = accept(p->listener, NULL, NULL);

	if (fd >= 0 && shake_hands(fd, p->how))
		misbehave(fd, p->how);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void test_evil_servers(void **state)
{
	(void)state;
	for (enum evil how = 0; how < EVILS; how++) {
		struct hull_image_options o = { .path = uri, .format = "raw" };
		struct peer p = { how, hull_socket_listen(address, NULL) };
		struct hull_image *img = NULL;
		uint8_t block[BLOCK];
		struct hull_err err = { 0 };
		pthread_t t;
		int r;

		assert_true(p.listener >= 0);
		assert_int_equal(pthread_create(&t, NULL, be_evil, &p), 0);
		r = hull_image_open(&o, &img, &err);
		if (how < LAST_OF_NEGOTIATION) {
			assert_true(r < 0);
			assert_true(err.id == 341 || err.id == 342 || err.id == 304);
			assert_null(strchr(err.text, '\033'));
		} else if (how > LAST_OF_NEGOTIATION) {
			assert_int_equal(r, 0);
			assert_int_not_equal(hull_image_read(img, 4096, block, BLOCK), 0);
		}
		shutdown(p.listener, SHUT_RDWR);
		hull_image_unref(img);
		pthread_join(t, NULL);
		close(p.listener);
	}
}

/* Clients that break the rules lose their connection; the server serves on. */
static void test_evil_clients(void **state)
{
	static const char *const words[] = {
		"",
		"\0\0\0\1",
		"\0\0\0\xff",
		"\0\0\0\1IHAVEOPT\0\0\0\7\xff\xff\xff\xff",
		"\0\0\0\1IHAVEOPT\0\0\0\7\0\0\0\4\xff\xff\xff\xff",
		"\0\0\0\1IHAVEOPT\0\0\0\1\0\0\0\3abc",
		"\0\0\0\1WHATEVER\0\0\0\1\0\0\0\3abc",
	};
	static const size_t len[] = { 0, 4, 4, 20, 24, 23, 23 };
	struct hull_nbd_server *s;
	struct hull_image *img;
	char byte;

	(void)state;
	make_disk();
	s = start(false);
	for (unsigned round = 0; round < 8; round++)
		for (size_t i = 0; i < ARRAY_LEN(words); i++) {
			int fd = hull_socket_connect(address, 1000, NULL);

			assert_true(fd >= 0);
			send_bytes(fd, words[i], len[i]);
			shutdown(fd, SHUT_WR);
			while (hull_socket_read(fd, &byte, 1, 5000))
				;
			close(fd);
		}
	img = open_image(uri, false);
	assert_int_equal(hull_image_read(img, 0, &byte, 1), 0);
	hull_image_unref(img);
	hull_nbd_server_stop(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),
		cmocka_unit_test_setup_teardown(test_both_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_map_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_restarts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_flush_is_cut_off, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evil_servers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_evil_clients, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
