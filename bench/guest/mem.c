/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Memory: latency of caches, memory and TLBs; copies; atomic operations. */
#include "bench.h"

#include <string.h>

#define LINE 64
#define PAGE 4096
#define HOPS 200
#define AREA (256 * 1024)

/* --- chases: each place holds the address of the next --- */

static char *chase_base;
static size_t chase_stride;
static void **chase_at;

/* Places that lie stride apart, in one cycle of random order (Sattolo's shuffle). */
static void make_chase(size_t count, size_t stride)
{
	uint32_t *order = bench_pages((count * sizeof(*order) + PAGE - 1) & ~(size_t)(PAGE - 1));
	uint64_t seed = 77;

	chase_base = bench_pages(count * stride);
	chase_stride = stride;
	for (size_t i = 0; i < count; i++)
		order[i] = (uint32_t)i;
	for (size_t i = count - 1; i > 0; i--) {
		size_t j = (next_random(&seed) >> 32) % i;
		uint32_t swap = order[i];

		order[i] = order[j];
		order[j] = swap;
	}
	for (size_t i = 0; i < count; i++) {
		/* In pages, not all at the same offset: they would share a few cache sets. */
		size_t from = i * stride, to = order[i] * stride;

		if (stride == PAGE) {
			from += i % 61 * LINE;
			to += order[i] % 61 * LINE;
		}
		*(void **)(chase_base + from) = chase_base + to;
	}
	chase_at = (void **)chase_base;
}

static uint64_t run_chase(uint64_t n)
{
	void **at = chase_at;

	for (uint64_t i = 0; i < n; i++) {
		for (int j = 0; j < HOPS; j++)
			at = *at;
		__asm__ volatile("" : "+r"(at));
	}
	chase_at = at;
	return (size_t)((char *)at - chase_base) / chase_stride;
}

static void setup_16k(void)
{
	make_chase(16 * 1024 / LINE, LINE);
}

static void setup_512k(void)
{
	make_chase(512 * 1024 / LINE, LINE);
}

static void setup_64m(void)
{
	make_chase(64 * 1024 * 1024 / LINE, LINE);
}

static void setup_pages(void)
{
	make_chase(4030, PAGE);
}

/* --- areas that lie exactly 1 MiB apart (they share places of a small TLB), and 37 pages more ---
 */

static char *area[3];

static void place_areas(size_t apart)
{
	char *base = bench_pages(2 * apart + AREA);

	for (int i = 0; i < 3; i++) {
		double *numbers = (void *)(base + (size_t)i * apart);

		area[i] = base + (size_t)i * apart;
		for (size_t j = 0; j < AREA / sizeof(double); j++)
			numbers[j] = (double)(j * 7 + (size_t)i) * 0.5;
	}
}

static void setup_near(void)
{
	place_areas(1024 * 1024);
}

static void setup_off(void)
{
	place_areas(1024 * 1024 + 37 * PAGE);
}

static uint64_t hash_area(const char *at)
{
	uint64_t check = 0, word;

	for (size_t i = 0; i < AREA; i += 8 * 1024) {
		memcpy(&word, at + i, sizeof(word));
		check = fold(check, word);
	}
	return check;
}

static uint64_t run_memcpy(uint64_t n)
{
	while (n--) {
		memcpy(area[1], area[0], AREA);
		__asm__ volatile("" ::: "memory");
	}
	return hash_area(area[1]);
}

static FAR void triad(double *to, const double *a, const double *b, double factor)
{
	for (size_t i = 0; i < AREA / sizeof(double); i++)
		to[i] = a[i] + factor * b[i];
}

static uint64_t run_stream(uint64_t n)
{
	while (n--)
		triad((double *)(void *)area[2], (double *)(void *)area[0],
		      (double *)(void *)area[1], 3);
	return hash_area(area[2]);
}

/* --- atomic: additions, swaps, comparisons --- */

static uint64_t run_atomic(uint64_t n)
{
	static uint64_t wide;
	static uint32_t narrow;

	while (n--) {
		wide = 1;
		narrow = 0;
		for (uint32_t i = 0; i < 16; i++) {
			uint64_t seen = __atomic_fetch_add(&wide, i, __ATOMIC_SEQ_CST);

			__atomic_compare_exchange_n(&wide, &seen, seen ^ i, 0, __ATOMIC_ACQ_REL,
			                            __ATOMIC_ACQUIRE);
			if (__atomic_exchange_n(&narrow, i, __ATOMIC_ACQUIRE) > i)
				bench_die("mem/atomic");
			__atomic_fetch_or(&narrow, 1u << i, __ATOMIC_RELEASE);
			__atomic_store_n(&narrow, i, __ATOMIC_RELEASE);
		}
	}
	return fold(wide, narrow);
}

const struct bench bench_mem[] = {
	{ "mem/chase16k", run_chase, setup_16k, NULL },
	{ "mem/chase512k", run_chase, setup_512k, NULL },
	{ "mem/chase64m", run_chase, setup_64m, NULL },
	{ "mem/chasepg", run_chase, setup_pages, NULL },
	{ "mem/memcpy", run_memcpy, setup_near, NULL },
	{ "mem/memcpy_off", run_memcpy, setup_off, NULL },
	{ "mem/stream", run_stream, setup_near, NULL },
	{ "mem/stream_off", run_stream, setup_off, NULL },
	{ "mem/atomic", run_atomic, NULL, NULL },
	{ NULL, NULL, NULL, NULL },
};
