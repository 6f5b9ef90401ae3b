/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Captures, impaired lines and tap interfaces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/file.h"
#include "host/net/capture.h"
#include "host/net/impair.h"
#include "host/net/tap.h"
#include "support/netguest.h"

/* An end that gives each frame back at once, and counts. */
struct mirror {
	struct hull_net_end end;
	uint32_t frames; /* atomic */
};

static bool mirror_send(struct hull_net *n, const struct hull_net_frame *f)
{
	hull_add_relaxed(&((struct mirror *)n)->frames, 1);
	n->receive(n->arg, f);
	return true;
}

static int mirror_start(struct hull_net_end *e, struct hull_err *err)
{
	return 0;
}

static void mirror_stop(struct hull_net_end *e)
{
}

static void mirror_close(struct hull_net_end *e)
{
	free(e);
}

static struct mirror *mirror(void)
{
	static const struct hull_net_kind kind = { "mirror", mirror_start, mirror_stop,
		                                   mirror_close };
	struct mirror *m = calloc(1, sizeof(*m));

	m->end.kind = &kind;
	m->end.net.send = mirror_send;
	return m;
}

static uint64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static char path[64];

static int make_path(void **state)
{
	int fd;

	snprintf(path, sizeof(path), "/tmp/hull-test-capture-XXXXXX");
	fd = mkstemp(path);
	return fd < 0 || close(fd);
}

static int remove_path(void **state)
{
	return unlink(path);
}

static struct hull_net_end *record(const struct hull_capture_options *o, struct netguest *g)
{
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };

	if (hull_capture_open(o, &mirror()->end, &e, &err))
		fail_msg("%s", err.text);
	netguest_init(g, &e->net, 0);
	assert_int_equal(hull_net_start(e, NULL), 0);
	return e;
}

/* Walk the file; returns packets, and checks all lengths.  `snap` and `len` of each packet. */
static unsigned walk(uint32_t kept, uint32_t len, unsigned *ret_outbound, bool *ret_statistics)
{
	struct hull_file f = { 0 };
	unsigned packets = 0, blocks = 0;
	size_t at = 0;

	assert_int_equal(hull_file_read(path, 1 << 28, &f, NULL), 0);
	*ret_outbound = 0;
	*ret_statistics = false;
	while (at < f.size) {
		uint32_t type = load_le32(f.data + at), size = load_le32(f.data + at + 4);

		assert_true(size >= 12 && size % 4 == 0 && at + size <= f.size);
		assert_int_equal(load_le32(f.data + at + size - 4), size);
		assert_int_equal(type == 0x0a0d0d0a, blocks == 0);
		assert_int_equal(type == 1, blocks == 1);
		if (type == 6) {
			packets++;
			assert_int_equal(load_le32(f.data + at + 20), kept);
			assert_int_equal(load_le32(f.data + at + 24), len);
			*ret_outbound += load_le32(f.data + at + size - 12) == 2;
		}
		*ret_statistics |= type == 5;
		at += size;
		blocks++;
	}
	assert_int_equal(at, f.size);
	hull_file_free(&f);
	return packets;
}

static void both_directions_are_recorded(void **state)
{
	struct hull_capture_options o = { .path = path, .interface = "lan0" };
	static struct netguest g;
	struct hull_net_end *e = record(&o, &g);
	uint8_t frame[61] = { 0 };
	unsigned outbound;
	bool statistics;

	for (int i = 0; i < 100; i++) {
		netguest_send(&g, frame, sizeof(frame));
		assert_int_equal(netguest_receive(&g, 1000), sizeof(frame));
	}
	hull_net_close(e);
	netguest_fini(&g);
	assert_int_equal(walk(61, 61, &outbound, &statistics), 200);
	assert_int_equal(outbound, 100);
	assert_true(statistics);
}

static void a_capture_keeps_its_bounds(void **state)
{
	struct hull_capture_options o = { .path = path, .max_bytes = 20000, .snap = 100 };
	static struct netguest g;
	struct hull_net_end *e = record(&o, &g);
	static uint8_t frame[1514];
	unsigned outbound, packets;
	struct stat st;
	bool statistics;

	for (int i = 0; i < 500; i++) {
		netguest_send(&g, frame, sizeof(frame));
		assert_int_equal(netguest_receive(&g, 1000), sizeof(frame));
	}
	for (int i = 0; i < 2000 && !hull_capture_ended(e); i++)
		usleep(1000);
	assert_non_null(strstr(hull_capture_ended(e), "largest size"));
	hull_net_close(e);
	netguest_fini(&g);
	packets = walk(100, 1514, &outbound, &statistics);
	assert_in_range(packets, 100, 200);
	assert_int_equal(stat(path, &st), 0);
	assert_in_range(st.st_size, 19000, 20000);
}

/* The guest goes on; the user is told. */
static void a_full_disk_ends_the_capture_only(void **state)
{
	struct hull_capture_options o = { .path = "/dev/full" };
	struct hull_net_end *e = NULL;
	struct mirror *m;
	struct hull_err err = { 0 };
	static struct netguest g;
	uint8_t frame[60] = { 0 };

	if (access("/dev/full", W_OK))
		skip();
	e = record(&o, &g);
	netguest_send(&g, frame, sizeof(frame));
	for (int i = 0; i < 2000 && !hull_capture_ended(e); i++)
		usleep(1000);
	assert_non_null(strstr(hull_capture_ended(e), "ENOSPC"));
	assert_int_equal(netguest_receive(&g, 1000), sizeof(frame));
	netguest_send(&g, frame, sizeof(frame));
	assert_int_equal(netguest_receive(&g, 1000), sizeof(frame));
	hull_net_close(e);
	netguest_fini(&g);

	m = mirror();
	o.path = "/nowhere/at/all";
	assert_true(hull_capture_open(&o, &m->end, &e, &err) < 0);
	assert_int_equal(err.id, 515);
	hull_net_close(&m->end);
}

static struct hull_net_end *line(const struct hull_impair_options *o, struct mirror **ret,
                                 struct netguest *g)
{
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };

	*ret = mirror();
	if (hull_impair_open(o, &(*ret)->end, &e, &err))
		fail_msg("%s", err.text);
	netguest_init(g, &e->net, 0);
	assert_int_equal(hull_net_start(e, NULL), 0);
	return e;
}

static void delay_counts_both_ways_and_keeps_order(void **state)
{
	struct hull_impair_options o = { .delay_ns = 30000000, .jitter_ns = 10000000, .seed = 5 };
	static struct netguest g;
	struct mirror *m;
	struct hull_net_end *e = line(&o, &m, &g);
	uint64_t start = now_ms();
	uint8_t frame[60] = { 0 };

	for (uint8_t i = 0; i < 50; i++) {
		frame[20] = i;
		netguest_send(&g, frame, sizeof(frame));
	}
	for (uint8_t i = 0; i < 50; i++) {
		assert_int_equal(netguest_receive(&g, 2000), sizeof(frame));
		assert_int_equal(g.buf[20], i);
	}
	assert_true(now_ms() - start >= 40);
	hull_net_close(e);
	netguest_fini(&g);
}

static unsigned survivors(uint32_t loss, uint32_t duplicate)
{
	struct hull_impair_options o = { .loss_ppm = loss, .duplicate_ppm = duplicate, .seed = 9 };
	static struct netguest g;
	struct mirror *m;
	struct hull_net_end *e = line(&o, &m, &g);
	uint8_t frame[60] = { 0 };
	unsigned n;

	for (int i = 0; i < 400; i++)
		netguest_send(&g, frame, sizeof(frame));
	while (netguest_receive(&g, 100))
		;
	n = hull_load_relaxed(&m->frames);
	hull_net_close(e);
	netguest_fini(&g);
	return n;
}

static void chance_is_as_asked_for(void **state)
{
	unsigned half = survivors(500000, 0);

	assert_int_equal(survivors(0, 0), 400);
	assert_int_equal(survivors(1000000, 0), 0);
	assert_int_equal(survivors(0, 1000000), 800);
	assert_in_range(half, 150, 250);
	assert_int_equal(survivors(500000, 0), half); /* the same seed, the same fate */
}

static void rates_are_kept(void **state)
{
	struct hull_impair_options o = { .from_guest = 1000000 };
	static struct netguest g;
	struct mirror *m;
	struct hull_net_end *e = line(&o, &m, &g);
	static uint8_t frame[1000];
	uint64_t start = now_ms();

	for (int i = 0; i < 200; i++)
		netguest_send(&g, frame, sizeof(frame));
	for (int i = 0; i < 200; i++)
		assert_int_equal(netguest_receive(&g, 2000), sizeof(frame));
	assert_in_range(now_ms() - start, 180, 2000);
	hull_net_close(e);
	netguest_fini(&g);
}

static void a_full_line_refuses(void **state)
{
	struct hull_impair_options o = { .delay_ns = 200000000 };
	static struct netguest g;
	struct mirror *m;
	struct hull_net_end *e = line(&o, &m, &g);
	static uint8_t frame[1514];
	struct hull_block_seg seg = { frame, sizeof(frame) };
	struct hull_net_frame f = { .segs = &seg, .nsegs = 1, .len = sizeof(frame) };
	unsigned n = 0, back = 0;

	while (n < 5000 && e->net.send(&e->net, &f))
		n++;
	assert_in_range(n, 600, 800);
	while (netguest_receive(&g, 1000))
		back++;
	assert_int_equal(back, n);
	assert_true(hull_load_relaxed(&g.writable) > 0);
	hull_net_close(e);
	netguest_fini(&g);
}

/* A tap in a network of its own: the kernel answers. */
static void the_kernel_answers_through_a_tap(void **state)
{
	static const uint8_t mac[6] = { 0x52, 0x54, 0, 1, 2, 3 };
	struct ifreq r = { .ifr_name = "hulltap0" };
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x0a4d0001) };
	struct hull_net_end *e = NULL;
	static struct netguest g;
	struct hull_err err = { 0 };
	int fd, pongs = 0;

	if (unshare(CLONE_NEWNET) || hull_net_tap_open("hulltap0", mac, 0, &e, &err))
		skip();
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFADDR, &r), 0);
	a.sin_addr.s_addr = htonl(0xffffff00);
	memcpy(&r.ifr_addr, &a, sizeof(a));
	assert_int_equal(ioctl(fd, SIOCSIFNETMASK, &r), 0);
	assert_int_equal(ioctl(fd, SIOCGIFFLAGS, &r), 0);
	r.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &r), 0);
	close(fd);
	netguest_init(&g, &e->net, HULL_NET_CSUM);
	assert_int_equal(hull_net_start(e, NULL), 0);
	g.ip = 0x0a4d0002;
	g.gateway = 0x0a4d0001;
	assert_true(netguest_arp(&g));
	for (int i = 0; i < 3; i++)
		pongs += netguest_ping(&g, 0x0a4d0001, 1000, 2000);
	assert_int_equal(pongs, 3);
	hull_net_close(e);
	netguest_fini(&g);
}

static void senseless_taps_are_refused(void **state)
{
	static const uint8_t mac[6];
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };

	assert_true(hull_net_tap_open("", mac, 0, &e, &err) < 0);
	assert_true(hull_net_tap_open("a-name-that-is-too-long", mac, 0, &e, &err) < 0);
	assert_int_equal(err.id, 516);
	assert_true(hull_net_tap_open("lo", mac, 0, &e, &err) < 0);
	assert_int_equal(err.id, 516);
	assert_true(err.fix[0]);
	assert_null(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(both_directions_are_recorded, make_path,
		                                remove_path),
		cmocka_unit_test_setup_teardown(a_capture_keeps_its_bounds, make_path, remove_path),
		cmocka_unit_test(a_full_disk_ends_the_capture_only),
		cmocka_unit_test(delay_counts_both_ways_and_keeps_order),
		cmocka_unit_test(chance_is_as_asked_for),
		cmocka_unit_test(rates_are_kept),
		cmocka_unit_test(a_full_line_refuses),
		cmocka_unit_test(senseless_taps_are_refused),
		cmocka_unit_test(the_kernel_answers_through_a_tap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
