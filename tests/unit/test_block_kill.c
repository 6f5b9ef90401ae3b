/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * kill -9 at random points: what a finished flush made stable is found afterwards.
 *
 * A child plays a sequence of writes that follows from a seed, some at a time,
 * flushes now and then, and says through a pipe how far it is stable.  It is
 * killed; then every block must hold what the last stable write of the
 * sequence put there, or a later one.  HULL_KILL_RUNS: how many per format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/prng.h"
#include "host/block/disk.h"

enum { BLOCK = 4096, BLOCKS = 512, GROUP = 8, OPS_MAX = 1 << 20 };

static char dir[64], path[96];

struct op {
	unsigned block;
	bool zero;
};

/* Operation `k` of a sequence. */
static struct op op_at(uint64_t seed, uint64_t k)
{
	struct hull_prng dice;
	uint64_t x;

	hull_prng_seed(&dice, seed * 1000003 + k);
	x = hull_prng_next(&dice);
	/* The blocks of one group differ: what runs at a time does not overlap. */
	return (struct op){ (unsigned)(x % (BLOCKS / GROUP)) * GROUP + (unsigned)(k % GROUP),
		            (x >> 32) % 7 == 0 };
}

static void content(uint64_t seed, uint64_t k, uint8_t *buf)
{
	struct hull_prng dice;

	if (op_at(seed, k).zero) {
		memset(buf, 0, BLOCK);
		return;
	}
	hull_prng_seed(&dice, ~seed * 1000003 + k);
	hull_prng_fill(&dice, buf, BLOCK);
}

static void finished(struct hull_block_req *req)
{
	(void)req;
}

static void run_group(struct hull_block *b, uint64_t seed, uint64_t first)
{
	static uint8_t bufs[GROUP][BLOCK] __attribute__((aligned(4096)));
	struct hull_block_req reqs[GROUP] = { 0 };
	struct hull_block_seg segs[GROUP];

	for (unsigned i = 0; i < GROUP; i++) {
		struct op op = op_at(seed, first + i);

		content(seed, first + i, bufs[i]);
		segs[i] = (struct hull_block_seg){ bufs[i], BLOCK };
		reqs[i].op = op.zero ? HULL_BLOCK_WRITE_ZEROES : HULL_BLOCK_WRITE;
		reqs[i].unmap = op.block % 2;
		reqs[i].offset = (uint64_t)op.block * BLOCK;
		reqs[i].len = BLOCK;
		reqs[i].segs = &segs[i];
		reqs[i].nsegs = 1;
		reqs[i].done = finished;
		(void)b->submit(b, &reqs[i]);
	}
	b->kick(b, 0);
	b->drain(b);
	for (unsigned i = 0; i < GROUP; i++)
		if (reqs[i].status)
			_exit(3);
}

static void child(const char *format, uint64_t seed, int out)
{
	struct hull_image_options io = { .path = path, .format = format };
	struct hull_disk_options o = { .discard = true };
	struct hull_block_req flush = { .op = HULL_BLOCK_FLUSH, .done = finished };
	struct hull_image *img;
	struct hull_block *b;

	if (hull_image_open(&io, &img, NULL) || hull_disk_open(&o, img, &b, NULL))
		_exit(2);
	for (uint64_t k = 0; k < OPS_MAX;) {
		run_group(b, seed, k);
		k += GROUP;
		if (op_at(seed, k).block % 4)
			continue;
		(void)b->submit(b, &flush);
		b->kick(b, 0);
		b->drain(b);
		if (flush.status || write(out, &k, sizeof(k)) != sizeof(k))
			_exit(4);
	}
	_exit(5);
}

/* Run a child and kill it; how far it is stable. */
static uint64_t run_and_kill(const char *format, uint64_t seed, uint64_t after_us)
{
	struct timespec t = { .tv_nsec = (long)after_us * 1000 };
	uint64_t k, stable = 0;
	int pipes[2], status;
	pid_t pid;

	assert_int_equal(pipe(pipes), 0);
	pid = fork();
	if (!pid) {
		close(pipes[0]);
		child(format, seed, pipes[1]);
	}
	close(pipes[1]);
	if (read(pipes[0], &k, sizeof(k)) == sizeof(k)) {
		stable = k;
		nanosleep(&t, NULL);
	}
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	if (!WIFSIGNALED(status))
		fail_msg("the child ended by itself: %d", WEXITSTATUS(status));
	while (read(pipes[0], &k, sizeof(k)) == sizeof(k))
		stable = k;
	close(pipes[0]);
	return stable;
}

static bool is_op(uint64_t seed, uint64_t k, const uint8_t *have)
{
	static uint8_t want[BLOCK];

	content(seed, k, want);
	return !memcmp(have, want, BLOCK);
}

/* Is a block as the last stable operation on it left it, or a later one? */
static void check_block(struct hull_image *img, uint64_t seed, uint64_t stable, unsigned block)
{
	static const uint8_t zero[BLOCK];
	uint8_t have[BLOCK];
	uint64_t k = stable;
	bool good = false;

	assert_int_equal(hull_image_read(img, (uint64_t)block * BLOCK, have, BLOCK), 0);
	while (k > 0 && op_at(seed, k - 1).block != block)
		k--;
	good = k ? is_op(seed, k - 1, have) : !memcmp(have, zero, BLOCK);
	/* What ran after the last word: bounded by how long flushes are apart. */
	for (k = stable; !good && k < stable + 100 * GROUP; k++)
		good = op_at(seed, k).block == block && is_op(seed, k, have);
	if (!good)
		fail_msg("seed %llu: block %u lost what was stable after operation %llu",
		         (unsigned long long)seed, block, (unsigned long long)stable);
}

static void one_run(const char *format, uint64_t seed, uint64_t after_us)
{
	struct hull_image_create c = { .path = path, .size = BLOCKS * BLOCK };
	struct hull_image_options io = { .path = path, .format = format };
	struct hull_image *img;
	struct hull_err err = { 0 };
	uint64_t stable;

	if (hull_image_make(format, &c, &err))
		fail_msg("%s", err.text);
	stable = run_and_kill(format, seed, after_us);
	assert_true(stable > 0);
	if (hull_image_open(&io, &img, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < BLOCKS; i++)
		check_block(img, seed, stable, i);
	hull_image_unref(img);
	unlink(path);
}

static uint64_t clock_seed(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void stable_data_survive(void **state)
{
	static const char *const formats[] = { "raw", "qcow2" };
	const char *runs = getenv("HULL_KILL_RUNS");
	unsigned n = runs ? (unsigned)strtoul(runs, NULL, 10) : 15;
	uint64_t seed = clock_seed();
	struct hull_prng dice;

	print_message("seed %llu\n", (unsigned long long)seed);
	hull_prng_seed(&dice, seed);
	for (size_t f = 0; f < sizeof(formats) / sizeof(formats[0]); f++)
		for (unsigned i = 0; hull_image_format_find(formats[f]) && i < n; i++)
			one_run(formats[f], hull_prng_next(&dice) >> 8,
			        hull_prng_below(&dice, 30000));
}

static int make_dir(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/hull-kill-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/disk", dir);
	return 0;
}

static int remove_dir(void **state)
{
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(stable_data_survive, make_dir, remove_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
