/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What user networking does with frames, and texts of addresses and ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/bits.h"
#include "core/frame.h"
#include "host/net/user.h"
#include "host/net/user_frames.h"

enum { HEAD = 34, SYN = 2, RST = 4, ACK = 16 };

static struct hull_user_frames f;

static int setup(void **state)
{
	hull_user_frames_init(&f, 1500);
	return 0;
}

/* A TCP segment between 10.0.2.15:4000 and 10.0.2.2:80, either way; its length. */
static uint32_t tcp(uint8_t *d, bool to_guest, uint8_t flags, uint32_t number, uint32_t len)
{
	static const uint8_t a[4] = { 10, 0, 2, 15 }, b[4] = { 10, 0, 2, 2 };

	memset(d, 0, HEAD + 20 + len);
	store_be16(d + 12, 0x0800);
	d[14] = 0x45;
	store_be16(d + 16, (uint16_t)(40 + len));
	d[23] = 6;
	memcpy(d + 26, to_guest ? b : a, 4);
	memcpy(d + 30, to_guest ? a : b, 4);
	store_be16(d + 34, to_guest ? 80 : 4000);
	store_be16(d + 36, to_guest ? 4000 : 80);
	store_be32(d + 38, to_guest ? 1 : number);
	store_be32(d + 42, to_guest ? number : 1);
	d[46] = 5 << 4;
	d[47] = flags;
	return HEAD + 20 + len;
}

static bool from_guest(uint8_t flags, uint32_t seq, uint32_t len)
{
	static uint8_t d[2000];
	struct hull_net_packet p = { .data = d, .len = tcp(d, false, flags, seq, len) };

	return hull_user_from_guest(&f, &p);
}

static void count(void *arg, struct hull_net_packet *p)
{
	unsigned *n = arg;

	(*n)++;
	assert_true(p->len <= 1514 || p->gso_size);
}

static unsigned to_guest(uint8_t flags, uint32_t ack, uint32_t len)
{
	static uint8_t d[20000];
	unsigned n = 0;

	hull_user_to_guest(&f, d, tcp(d, true, flags, ack, len), count, &n);
	return n;
}

static void segments_out_of_order_are_bounded(void **state)
{
	unsigned passed = 0;

	assert_true(from_guest(SYN, 100, 0));
	assert_false(from_guest(ACK, 101, 10)); /* nobody has answered yet */
	assert_int_equal(to_guest(SYN | ACK, 101, 0), 1);
	for (unsigned i = 0; i < 1000; i++)
		passed += from_guest(ACK, 200 + i, 1);
	assert_int_equal(passed, HULL_USER_AHEAD);
	/* An acknowledgement of nothing new changes nothing; one of data does. */
	to_guest(ACK, 101, 0);
	assert_false(from_guest(ACK, 102, 1));
	to_guest(ACK, 150, 0);
	assert_true(from_guest(ACK, 150, 1));
	assert_int_equal(f.ahead, 1);
	for (unsigned i = 0; i < 100000; i++) {
		assert_true(from_guest(ACK, 151 + i, 1));
		to_guest(ACK, 152 + i, 0);
	}
	assert_int_equal(f.ahead, 0);
}

static void large_answers_are_for_segmentation(void **state)
{
	static uint8_t d[20000];
	unsigned n = 0;
	uint32_t len = tcp(d, true, ACK, 1, 10000);

	assert_in_range(hull_user_frames_mtu(&f), 10040, 65521);
	hull_user_to_guest(&f, d, len, count, &n);
	assert_int_equal(n, 1);
	/* As a datagram it would be fragments. */
	d[23] = 17;
	store_be16(d + 38, 10020);
	n = 0;
	hull_user_to_guest(&f, d, len, count, &n);
	assert_int_equal(n, 7);
}

static void a_syn_asks_for_large_segments(void **state)
{
	uint8_t d[HEAD + 24];
	struct hull_net_packet p = { .data = d, .len = sizeof(d) };

	for (unsigned mss = 1400; mss <= 1460; mss += 60) {
		tcp(d, false, SYN, 1, 4);
		d[46] = 6 << 4;
		d[HEAD + 20] = 2;
		d[HEAD + 21] = 4;
		store_be16(d + HEAD + 22, (uint16_t)mss);
		assert_true(hull_user_from_guest(&f, &p));
		if (mss == 1400)
			assert_int_equal(load_be16(d + HEAD + 22), mss);
		else
			assert_true(load_be16(d + HEAD + 22) >= 8 * mss);
	}
}

static void sockets_are_bounded(void **state)
{
	f.flows = HULL_USER_FLOWS - 1;
	assert_true(from_guest(SYN, 1, 0));
	assert_false(from_guest(SYN, 1, 0));
	assert_int_equal(f.refused, 1);
}

static void texts_of_ports(void **state)
{
	static const char *const bad[] = {
		"",        "22",    ":22",   "1:",        "0:22",          "22:0",
		"65536:1", "1:2/x", "a:1:2", "1.2.3:1:2", "1:2:3:",        "[::1:1:2",
		"autox:1", "-1:2",  "1:2 ",  "1 :2",      "1.2.3.4/8:1:2",
	};
	struct hull_net_publish p;
	char text[HULL_NET_PUBLISH_TEXT];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (hull_net_publish_parse(bad[i], &p))
			fail_msg("%s", bad[i]);
	assert_true(hull_net_publish_parse("2222:22", &p));
	hull_net_publish_text(&p, text);
	assert_string_equal(text, "127.0.0.1:2222 -> 22/tcp");
	assert_true(hull_net_publish_parse("[::1]:5353:53/udp", &p));
	hull_net_publish_text(&p, text);
	assert_string_equal(text, "[::1]:5353 -> 53/udp");
	assert_true(hull_net_publish_parse("*:auto:80/tcp", &p));
	assert_int_equal(p.host, 0);
	assert_int_equal(p.addr.bytes[0], 0);
}

static void texts_of_addresses(void **state)
{
	static const char *const bad[] = { "", "1.2.3", "1.2.3.4/33", "::/129", "1.2.3.4/", "x" };
	static const uint8_t in[4] = { 192, 168, 3, 9 }, out[4] = { 192, 169, 0, 1 };
	struct hull_net_address a;
	uint8_t mac[6];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(hull_net_address_parse(bad[i], &a));
	assert_true(hull_net_address_parse("192.168.0.0/15", &a));
	assert_true(hull_net_address_holds(&a, false, in));
	assert_true(hull_net_address_holds(&a, false, out));
	assert_true(hull_net_address_parse("192.168.0.0/16", &a));
	assert_false(hull_net_address_holds(&a, false, out));
	assert_false(hull_net_address_holds(&a, true, in));
	assert_true(hull_net_mac_parse("52:54:00:AA:bb:01", mac));
	assert_int_equal(mac[3], 0xaa);
	assert_false(hull_net_mac_parse("53:54:00:aa:bb:01", mac));
	assert_false(hull_net_mac_parse("00:00:00:00:00:00", mac));
	assert_false(hull_net_mac_parse("52:54:00:aa:bb:0", mac));
	assert_false(hull_net_mac_parse("52:54:00:aa:bb:0g", mac));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(segments_out_of_order_are_bounded, setup),
		cmocka_unit_test_setup(large_answers_are_for_segmentation, setup),
		cmocka_unit_test_setup(a_syn_asks_for_large_segments, setup),
		cmocka_unit_test_setup(sockets_are_bounded, setup),
		cmocka_unit_test(texts_of_ports),
		cmocka_unit_test(texts_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
