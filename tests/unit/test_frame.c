/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* core/frame.h: known frames, and cutting compared with what a receiver would put together. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/prng.h"
#include "core/frame.h"

enum { MANY = 4000 };

/* RFC 1071, section 3: the example. */
static void test_sum(void **state)
{
	static const uint8_t rfc[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 };
	/* A header that is often shown as an example: its checksum is b861. */
	static const uint8_t ip[] = { 0x45, 0, 0,   0x73, 0, 0, 0x40, 0,   0x40, 0x11,
		                      0,    0, 192, 168,  0, 1, 192,  168, 0,    199 };

	(void)state;
	assert_int_equal(hull_frame_fold(hull_frame_sum(rfc, 8, 0)), 0xffff & ~0xddf2);
	assert_int_equal(hull_frame_fold(hull_frame_sum(ip, 20, 0)), 0xb861);
	assert_int_equal(hull_frame_fold(hull_frame_sum(rfc, 3, 0)), 0xffff & ~0xf201);
	assert_int_equal(hull_frame_fold(hull_frame_sum(rfc, 0, 0)), 0xffff);
}

struct layout {
	unsigned tags, ip, options; /* VLAN tags; 4 or 6; bytes of options or extension headers */
	bool tcp;
	unsigned tcp_options;
};

static uint8_t *headers_of(uint8_t *f, const struct layout *l, uint32_t payload, unsigned *ret_l3,
                           unsigned *ret_l4)
{
	unsigned at = 12, transport = l->tcp ? 20 + l->tcp_options : 8;

	memset(f, 0, HULL_FRAME_HEADERS);
	for (unsigned i = 0; i < l->tags; i++, at += 4)
		store_be16(f + at, i ? 0x8100 : l->tags == 2 ? 0x88a8 : 0x8100);
	store_be16(f + at, l->ip == 4 ? 0x0800 : 0x86dd);
	at += 2;
	*ret_l3 = at;
	if (l->ip == 4) {
		f[at] = (uint8_t)(0x40 | (20 + l->options) / 4);
		store_be16(f + at + 2, (uint16_t)(20 + l->options + transport + payload));
		store_be16(f + at + 4, 0xfffe); /* wraps after two segments */
		f[at + 8] = 64;
		f[at + 9] = l->tcp ? 6 : 17;
		memcpy(f + at + 12, "\x0a\0\0\x01\x0a\0\0\x02", 8);
		at += 20 + l->options;
	} else {
		f[at] = 0x60;
		store_be16(f + at + 4, (uint16_t)(l->options + transport + payload));
		f[at + 6] = l->options ? 60 : l->tcp ? 6 : 17;
		f[at + 7] = 64;
		memset(f + at + 8, 0xfd, 31);
		at += 40;
		if (l->options) {
			f[at] = l->tcp ? 6 : 17;
			f[at + 1] = (uint8_t)(l->options / 8 - 1);
		}
		at += l->options;
	}
	*ret_l4 = at;
	store_be16(f + at, 1234);
	store_be16(f + at + 2, 80);
	if (l->tcp) {
		store_be32(f + at + 4, 0xfffffff0); /* wraps */
		f[at + 12] = (uint8_t)(transport / 4 << 4);
		f[at + 13] = 0x80 | 0x10 | 0x08 | 0x01; /* CWR ACK PSH FIN */
	} else {
		store_be16(f + at + 4, (uint16_t)(8 + payload));
	}
	return f + at + transport;
}

/* A receiver's view: both checksums are right. */
static void check_sums(const uint8_t *f, uint32_t len, const struct layout *l, unsigned l3,
                       unsigned l4)
{
	const uint8_t *addrs = f + l3 + (l->ip == 4 ? 12 : 8);
	uint64_t sum = hull_frame_sum(addrs, l->ip == 4 ? 8 : 32, 0);

	if (l->ip == 4) {
		assert_int_equal(hull_frame_fold(hull_frame_sum(f + l3, l4 - l3, 0)), 0);
		assert_int_equal(load_be16(f + l3 + 2), len - l3);
	} else {
		assert_int_equal(load_be16(f + l3 + 4), len - l3 - 40);
	}
	sum += len - l4 + (l->tcp ? 6 : 17);
	assert_int_equal(hull_frame_fold(hull_frame_sum(f + l4, len - l4, sum)), 0);
	if (!l->tcp)
		assert_int_equal(load_be16(f + l4 + 4), len - l4);
}

static void cut_and_check(const struct layout *l, uint32_t payload, uint16_t size)
{
	uint8_t *f = malloc(HULL_FRAME_HEADERS + payload), piece[HULL_FRAME_HEADERS + 65535];
	unsigned l3, l4, type = l->tcp ? l->ip == 4 ? 1 : 4 : 5;
	uint8_t *body = headers_of(f, l, payload, &l3, &l4);
	struct hull_frame_gso g;
	uint32_t done = 0;

	for (uint32_t i = 0; i < payload; i++)
		body[i] = (uint8_t)(i * 7 + i / 256);
	assert_true(hull_frame_gso(f, (uint32_t)(body - f) + payload, (uint8_t)type, size, &g));
	assert_int_equal(g.count, payload ? (payload + size - 1) / size : 1);
	for (unsigned i = 0; i < g.count; i++) {
		const uint8_t *p;
		uint32_t len, n = hull_frame_segment(&g, i, piece, &p, &len);
		const uint8_t *tcp = piece + l4;

		assert_int_equal(n, body - f);
		memcpy(piece + n, p, len);
		check_sums(piece, n + len, l, l3, l4);
		assert_memory_equal(piece + n, body + done, len);
		if (l->ip == 4)
			assert_int_equal(load_be16(piece + l3 + 4), (0xfffe + i) & 0xffff);
		if (l->tcp) {
			assert_int_equal(load_be32(tcp + 4), 0xfffffff0u + done);
			assert_int_equal(tcp[13] & 0x80, i ? 0 : 0x80);
			assert_int_equal(tcp[13] & 0x09, i + 1 == g.count ? 0x09 : 0);
			assert_int_equal(tcp[13] & 0x10, 0x10);
		}
		done += len;
	}
	assert_int_equal(done, payload);
	free(f);
}

static void test_cut(void **state)
{
	static const struct layout all[] = {
		{ 0, 4, 0, true, 0 },  { 0, 4, 0, true, 12 }, { 1, 4, 40, true, 40 },
		{ 2, 4, 0, false, 0 }, { 0, 6, 0, true, 12 }, { 1, 6, 16, true, 0 },
		{ 0, 6, 0, false, 0 }, { 2, 6, 8, false, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		cut_and_check(&all[i], 0, 1000);
		cut_and_check(&all[i], 1, 1);
		cut_and_check(&all[i], 2000, 1);
		cut_and_check(&all[i], 1448, 1448);
		cut_and_check(&all[i], 2897, 1448);
		cut_and_check(&all[i], 65000, 1447);
		cut_and_check(&all[i], 65000, 65000);
	}
}

/* What is not what it says, or would be too much, is refused. */
static void test_refused(void **state)
{
	static const struct layout tcp = { 0, 4, 0, true, 0 };
	uint8_t *f = calloc(1, 70000);
	struct hull_frame_gso g;
	unsigned l3, l4;

	(void)state;
	headers_of(f, &tcp, 60000, &l3, &l4);
	assert_true(hull_frame_gso(f, 60000, 1, 30, &g));
	assert_false(hull_frame_gso(f, 60000, 1, 0, &g));
	assert_false(hull_frame_gso(f, 60000, 1, 29, &g)); /* more than 2048 segments */
	assert_false(hull_frame_gso(f, 60000, 1, 1, &g));
	assert_false(hull_frame_gso(f, 60000, 4, 1448, &g));
	assert_false(hull_frame_gso(f, 60000, 5, 1448, &g));
	assert_false(hull_frame_gso(f, 60000, 0x81, 1448, &g));
	assert_false(hull_frame_gso(f, 53, 1, 1448, &g));
	assert_true(hull_frame_gso(f, 54, 1, 1448, &g));
	assert_false(hull_frame_gso(f, HULL_NET_FRAME_MAX + 1, 1, 1448, &g));
	assert_false(hull_frame_gso(f, HULL_NET_FRAME_MAX, 1, 65535, &g)); /* IP has 16 bits */
	f[l3 + 7] = 1;                                                     /* a fragment */
	assert_false(hull_frame_gso(f, 60000, 1, 1448, &g));
	f[l3 + 7] = 0;
	f[l4 + 12] = 0x40; /* a TCP header of 16 bytes */
	assert_false(hull_frame_gso(f, 60000, 1, 1448, &g));
	free(f);
}

/* Cut short at each byte, and with each byte changed: nothing is read beyond the end. */
static void test_hostile(void **state)
{
	static const struct layout l[] = { { 2, 4, 40, true, 40 }, { 2, 6, 64, true, 40 } };
	struct hull_frame_parts p;
	struct hull_prng r;

	(void)state;
	hull_prng_seed(&r, 1);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		uint8_t f[HULL_FRAME_HEADERS + 64];
		unsigned l3, l4, size = (unsigned)(headers_of(f, &l[i % 2], 10, &l3, &l4) - f);
		size_t len = hull_prng_next(&r) % (size + 1);
		uint8_t *exact = malloc(len ? len : 1);

		for (unsigned n = hull_prng_next(&r) % 4; n; n--)
			f[hull_prng_next(&r) % size] = (uint8_t)hull_prng_next(&r);
		memcpy(exact, f, len);
		hull_frame_parse(exact, len, &p);
		if (p.ip)
			assert_true(p.l4 <= len &&
			            p.payload <= MIN(len, (size_t)HULL_FRAME_HEADERS));
		hull_frame_checksum(exact, len, hull_prng_next(&r) % 300, hull_prng_next(&r) % 300);
		free(exact);
	}
	assert_false(hull_frame_checksum((uint8_t[]){ 1 }, 1, 0, 0));
}

struct sink {
	unsigned room, frames;
	uint32_t bytes;
};

static bool take(void *arg, const struct hull_net_frame *f)
{
	struct sink *s = arg;

	if (!s->room)
		return false;
	s->room--;
	s->frames++;
	s->bytes += f->len;
	assert_int_equal(f->flags | f->gso_type, 0);
	return true;
}

/* Back-pressure in the middle of a frame: it goes on where it stopped. */
static void test_pass(void **state)
{
	static const struct layout tcp = { 0, 4, 0, true, 0 };
	uint8_t f[4054], *linear = malloc(HULL_NET_FRAME_MAX);
	struct hull_block_seg segs[2] = { { f, 100 }, { f + 100, sizeof(f) - 100 } };
	struct hull_net_frame big = { .segs = segs,
		                      .nsegs = 2,
		                      .len = sizeof(f),
		                      .flags = 1,
		                      .gso_type = 1,
		                      .gso_size = 1000,
		                      .csum_start = 34,
		                      .csum_offset = 16 };
	struct sink s = { .room = 3 };
	struct hull_frame_way way = { HULL_NET_CSUM, linear, take, &s };
	unsigned l3, l4;
	uint16_t at = 0;
	bool bad;

	(void)state;
	memset(f, 0, sizeof(f));
	headers_of(f, &tcp, 4000, &l3, &l4);
	assert_false(hull_frame_pass(&way, &big, &at, &bad));
	assert_int_equal(at, 3);
	s.room = 9;
	assert_true(hull_frame_pass(&way, &big, &at, &bad));
	assert_int_equal(s.frames, 4);
	assert_int_equal(s.bytes, 4 * 54 + 4000);
	big.gso_type = 4;
	assert_true(hull_frame_pass(&way, &big, &at, &bad));
	assert_true(bad);
	big.gso_type = 0;
	big.csum_start = 4053;
	way.can = 0;
	assert_true(hull_frame_pass(&way, &big, &at, &bad));
	assert_true(bad);
	assert_int_equal(s.frames, 4);
	free(linear);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sum),     cmocka_unit_test(test_cut),
		cmocka_unit_test(test_refused), cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_pass),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
