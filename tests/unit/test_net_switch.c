/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Switches within one process and between two, cables, and hostile peers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "host/net/switch.h"
#include "support/netguest.h"

static char dir[64];

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/hull-test-switch-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d)))
		unlinkat(dirfd(d), e->d_name, 0);
	closedir(d);
	return rmdir(dir);
}

struct nic {
	struct hull_net_end *end;
	struct netguest g;
};

static void begin(struct nic *n, uint8_t number)
{
	netguest_init(&n->g, &n->end->net, 0);
	n->g.mac[5] = number;
	assert_int_equal(hull_net_start(n->end, NULL), 0);
}

static struct nic *join(const char *name, uint8_t number)
{
	struct hull_switch_options o = { .name = name,
		                         .dir = dir,
		                         .mac = { 0x52, 0x54, 0, 0x12, 0x34, number } };
	struct nic *n = calloc(1, sizeof(*n));
	struct hull_err err = { 0 };

	if (hull_switch_join(&o, &n->end, &err))
		fail_msg("%s", err.text);
	begin(n, number);
	return n;
}

static void leave(struct nic *n)
{
	hull_net_stop(n->end);
	hull_net_close(n->end);
	netguest_fini(&n->g);
	free(n);
}

/* A frame from `from` to a NIC by its number; 255: to all. */
static void say(struct nic *n, uint8_t from, uint8_t to, const char *text)
{
	uint8_t f[100] = { 0x52, 0x54, 0, 0x12, 0x34, to, 0x52, 0x54, 0, 0x12, 0x34, from };

	if (to == 255)
		memset(f, 0xff, 6);
	f[12] = 0x88;
	f[13] = 0xb5;
	snprintf((char *)f + 14, sizeof(f) - 14, "%s", text);
	netguest_send(&n->g, f, sizeof(f));
}

static bool hears(struct nic *n, const char *text)
{
	uint32_t len = netguest_receive(&n->g, 1000);

	return len == 100 && !strcmp((char *)n->g.buf + 14, text);
}

static bool silent(struct nic *n)
{
	return !netguest_receive(&n->g, 50);
}

static void frames_go_where_they_belong(void **state)
{
	struct nic *a = join("one", 1), *b = join("one", 2), *c = join("one", 3);
	struct nic *other = join("two", 4);

	say(a, 1, 255, "all");
	assert_true(hears(b, "all"));
	assert_true(hears(c, "all"));
	assert_true(silent(a));
	say(b, 2, 1, "only you");
	assert_true(hears(a, "only you"));
	assert_true(silent(c));
	say(c, 3, 99, "anybody");
	assert_true(hears(a, "anybody"));
	assert_true(hears(b, "anybody"));
	assert_true(silent(other));
	leave(a);
	say(c, 3, 255, "still");
	assert_true(hears(b, "still"));
	leave(b);
	leave(c);
	leave(other);
}

static void nobody_takes_a_neighbours_address(void **state)
{
	struct nic *a = join("one", 1), *b = join("one", 2), *c = join("one", 3);
	struct hull_switch_options o = { .name = "one",
		                         .dir = dir,
		                         .mac = { 0x52, 0x54, 0, 0x12, 0x34, 1 } };
	struct hull_net_end *e = NULL;
	struct hull_switch_stats st;
	struct hull_err err = { 0 };

	say(b, 1, 255, "I am a");
	say(b, 2, 255, "I am b");
	assert_true(hears(c, "I am b"));
	say(c, 3, 1, "for a");
	assert_true(hears(a, "I am b"));
	assert_true(hears(a, "for a"));
	assert_true(silent(b));
	hull_switch_stats(a->end, &st);
	assert_int_equal(st.spoofed, 1);
	assert_int_equal(hull_switch_join(&o, &e, &err), HULL_EEXIST);
	leave(a);
	leave(b);
	leave(c);
}

/* Thousands of addresses from one port do not make the switch forget the others. */
static void a_flood_of_addresses_pushes_nobody_out(void **state)
{
	struct nic *a = join("one", 1), *b = join("one", 2), *c = join("one", 3);
	struct hull_switch_stats st;
	uint8_t f[60] = { 0x52, 0x54, 0, 0x12, 0x34, 99 };

	for (unsigned i = 0; i < 20000; i++) {
		f[6] = 2;
		f[10] = (uint8_t)(i >> 8);
		f[11] = (uint8_t)i;
		netguest_send(&b->g, f, sizeof(f));
		while (netguest_receive(&a->g, 0) || netguest_receive(&c->g, 0))
			;
	}
	while (netguest_receive(&a->g, 200))
		;
	while (netguest_receive(&c->g, 200))
		;
	hull_switch_stats(a->end, &st);
	assert_in_range(st.macs, 3, 3 + HULL_SWITCH_PORT_MACS);
	say(a, 1, 3, "private");
	assert_true(hears(c, "private"));
	assert_true(silent(b));
	leave(a);
	leave(b);
	leave(c);
}

/* A port that takes nothing does not hold up the others. */
static void a_deaf_port_delays_nobody(void **state)
{
	struct nic *a = join("one", 1), *b = join("one", 2), *deaf = join("one", 3);
	struct hull_switch_stats st;

	pthread_mutex_lock(&deaf->g.mutex);
	deaf->g.deaf = true;
	pthread_mutex_unlock(&deaf->g.mutex);
	for (unsigned i = 0; i < 20000; i++) {
		say(a, 1, 3, "are you there?");
		if (i % 100 == 0) {
			say(a, 1, 2, "you are");
			assert_true(hears(b, "you are"));
		}
	}
	hull_switch_stats(a->end, &st);
	assert_true(st.dropped > 0);
	leave(a);
	leave(b);
	leave(deaf);
}

/* Another process on the same switch: echoes frames, back from 2 to 1, until told to end. */
static pid_t other_process(int ret_go[2])
{
	struct nic *n;
	pid_t pid;
	char byte;

	/* Made while this process has no switch of its own; it begins at a byte in the pipe. */
	assert_int_equal(pipe(ret_go), 0);
	pid = fork();
	if (pid)
		return pid;
	if (read(ret_go[0], &byte, 1) != 1)
		_exit(2);
	n = join("far", 2);
	say(n, 2, 255, "hello");
	for (;;) {
		uint32_t len = netguest_receive(&n->g, 10000);

		if (!len || !strcmp((char *)n->g.buf + 14, "end"))
			break;
		if (n->g.buf[5] == 2)
			say(n, 2, 1, "echo");
	}
	leave(n);
	_exit(0);
}

static void processes_share_a_switch(void **state)
{
	struct hull_switch_stats st;
	int go[2][2], status;
	pid_t first = other_process(go[0]), second = other_process(go[1]);
	struct nic *a;

	/* The other one is the hub; when it is gone, this one is. */
	assert_int_equal(write(go[0][1], "", 1), 1);
	for (int i = 0; i < 2000; i++) {
		char path[100];

		snprintf(path, sizeof(path), "%s/switch-far", dir);
		if (!access(path, F_OK))
			break;
		usleep(1000);
	}
	a = join("far", 1);
	for (int i = 0; i < 20; i++) {
		say(a, 1, 2, "there?");
		if (hears(a, "echo"))
			break;
	}
	hull_switch_stats(a->end, &st);
	assert_false(st.hub);
	while (netguest_receive(&a->g, 50))
		;
	kill(first, SIGKILL);
	waitpid(first, &status, 0);
	for (int i = 0; i < 3000 && !st.hub; i++) {
		usleep(1000);
		hull_switch_stats(a->end, &st);
	}
	assert_true(st.hub);
	assert_int_equal(write(go[1][1], "", 1), 1);
	assert_true(hears(a, "hello"));
	say(a, 1, 2, "there?");
	assert_true(hears(a, "echo"));
	say(a, 1, 2, "end");
	waitpid(second, &status, 0);
	for (int i = 0; i < 4; i++)
		close(go[i / 2][i % 2]);
	assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
	leave(a);
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Whoever comes while there are no descriptors waits, and costs nothing. */
static void without_descriptors_nobody_spins(void **state)
{
	struct nic *a = join("full", 1);
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int taken[256], n = 0, fd = socket(AF_UNIX, SOCK_STREAM, 0);
	struct rlimit old, low;
	struct hull_switch_stats st;
	double begun;

	getrlimit(RLIMIT_NOFILE, &old);
	low = old;
	low.rlim_cur = 200;
	setrlimit(RLIMIT_NOFILE, &low);
	while (n < 256 && (taken[n] = dup(fd)) >= 0)
		n++;
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/switch-full", dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	begun = cpu_s();
	sleep(1);
	assert_true(cpu_s() - begun < 0.05);
	while (n)
		close(taken[--n]);
	setrlimit(RLIMIT_NOFILE, &old);
	close(fd);
	hull_switch_stats(a->end, &st);
	leave(a);
}

/* The lock of one switch is not the socket of another. */
static void names_do_not_clash(void **state)
{
	struct nic *b = join("x.lock", 2), *a = join("x", 1);

	leave(b);
	leave(a);
}

static void names_and_directories_are_checked(void **state)
{
	static const char *const bad[] = { "",   "a/b", "..",
		                           ".x", "a b", "123456789012345678901234567890123" };
	struct hull_switch_options o = { .name = "ok", .dir = dir };
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };
	char link[100];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		o.name = bad[i];
		assert_int_equal(hull_switch_join(&o, &e, &err), HULL_EINVAL);
		assert_int_equal(err.id, 505);
	}
	o.name = "ok";
	chmod(dir, 0777);
	assert_int_equal(hull_switch_join(&o, &e, &err), HULL_EPERM);
	assert_int_equal(err.id, 508);
	chmod(dir, 0700);
	snprintf(link, sizeof(link), "%s/link", dir);
	assert_int_equal(symlink("/tmp", link), 0);
	o.dir = link;
	assert_int_equal(hull_switch_join(&o, &e, &err), HULL_EPERM);
	assert_null(e);
}

static struct nic *cable(int *ret_fd)
{
	struct hull_link_options o = { .fd = -1 };
	struct nic *n = calloc(1, sizeof(*n));
	struct hull_err err = { 0 };
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	o.fd = pair[0];
	*ret_fd = pair[1];
	if (hull_link_open(&o, &n->end, &err))
		fail_msg("%s", err.text);
	begin(n, 1);
	return n;
}

static void a_cable_speaks_length_and_frame(void **state)
{
	uint8_t b[200];
	int fd;
	struct nic *n = cable(&fd);

	say(n, 1, 2, "out");
	assert_int_equal(recv(fd, b, 104, MSG_WAITALL), 104);
	assert_int_equal(load_be32(b), 100);
	assert_string_equal((char *)b + 18, "out");
	snprintf((char *)b + 18, 20, "in");
	/* In two pieces, and with one that is too short to be a frame before it. */
	assert_int_equal(write(fd, "\0\0\0\x03zzz", 7), 7);
	assert_int_equal(write(fd, b, 50), 50);
	usleep(20000);
	assert_int_equal(write(fd, b + 50, 54), 54);
	assert_true(hears(n, "in"));
	close(fd);
	leave(n);
}

/* A length that no frame has ends the connection, not more. */
static void nonsense_ends_the_connection(void **state)
{
	uint8_t b[8] = { 0xff, 0xff, 0xff, 0xff };
	int fd;
	struct nic *n = cable(&fd);

	assert_int_equal(write(fd, b, sizeof(b)), sizeof(b));
	for (int i = 0; i < 100; i++)
		say(n, 1, 2, "x");
	shutdown(fd, SHUT_WR);
	while (recv(fd, b, sizeof(b), 0) > 0)
		;
	say(n, 1, 2, "nobody hears this");
	close(fd);
	leave(n);
}

/* A peer that does not read slows the guest down; nothing is lost, nothing grows. */
static void a_slow_peer_slows_the_guest_down(void **state)
{
	static uint8_t f[1514], b[1518];
	struct hull_block_seg seg = { f, sizeof(f) };
	struct hull_net_frame frame = { .segs = &seg, .nsegs = 1, .len = sizeof(f) };
	struct hull_switch_stats st;
	uint32_t sent = 0;
	int fd;
	struct nic *n = cable(&fd);

	for (int idle = 0; idle < 100;) {
		store_be32(f + 20, sent);
		if (n->end->net.send(&n->end->net, &frame)) {
			sent++;
			idle = 0;
		} else {
			usleep(1000);
			idle++;
		}
	}
	assert_in_range(sent, 500, 4000);
	for (uint32_t i = 0; i < sent; i++) {
		assert_int_equal(recv(fd, b, sizeof(b), MSG_WAITALL), sizeof(b));
		assert_int_equal(load_be32(b), sizeof(f));
		assert_int_equal(load_be32(b + 24), i);
	}
	assert_true(hull_load_relaxed(&n->g.writable) > 0);
	hull_switch_stats(n->end, &st);
	assert_int_equal(st.dropped, 0);
	close(fd);
	leave(n);
}

static void nobody_to_connect_to(void **state)
{
	struct hull_link_options o = { .connect = "/nowhere/at/all", .fd = -1 };
	struct hull_net_end *e = NULL;
	struct hull_err err = { 0 };

	assert_true(hull_link_open(&o, &e, &err) < 0);
	assert_int_equal(err.id, 507);
	o = (struct hull_link_options){ .listen = "/nowhere/at/all", .fd = -1 };
	assert_true(hull_link_open(&o, &e, &err) < 0);
	assert_int_equal(err.id, 505);
	assert_null(e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(without_descriptors_nobody_spins, make_dir,
		                                remove_dir),
		cmocka_unit_test_setup_teardown(names_do_not_clash, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(frames_go_where_they_belong, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(nobody_takes_a_neighbours_address, make_dir,
		                                remove_dir),
		cmocka_unit_test_setup_teardown(a_flood_of_addresses_pushes_nobody_out, make_dir,
		                                remove_dir),
		cmocka_unit_test_setup_teardown(a_deaf_port_delays_nobody, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(processes_share_a_switch, make_dir, remove_dir),
		cmocka_unit_test_setup_teardown(names_and_directories_are_checked, make_dir,
		                                remove_dir),
		cmocka_unit_test(a_cable_speaks_length_and_frame),
		cmocka_unit_test(nonsense_ends_the_connection),
		cmocka_unit_test(a_slow_peer_slows_the_guest_down),
		cmocka_unit_test(nobody_to_connect_to),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
