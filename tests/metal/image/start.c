/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The hypervisor of the tests: the same, but for what it does once it is ready.  The name of the
 * first VM says what: it is the test.
 */
#include "metal/common/start.h"

#include <hull/accel.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/prng.h"
#include "base/text.h"
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/thread.h"
#include "metal/common/vms.h"

#define LL(x) ((long long)(x))

enum { RESTARTS = 1000, CHAOS_S = 8 };

static void pause_us(uint64_t us)
{
	static const uint32_t never;
	uint64_t until = metal_now() + us * 1000;

	while (metal_now() < until)
		metal_wait(&never, 0, until);
}

static bool settled(const char *what, uint32_t n, uint64_t before)
{
	uint64_t now = metal_frames_left();

	if (now == before)
		return true;
	metal_say("test: %s %u: %lld bytes are not back", what, n, LL(before - now));
	return false;
}

/* A thousand times the whole way: made, running, paused, stopped, nothing left. */
static void restarts(void)
{
	uint64_t before = metal_frames_left();
	struct hull_err err = { 0 };
	uint32_t n = 0;
	bool good = true;

	for (; good && n < RESTARTS; n++) {
		good = !hull_metal_vm_start(0, &err);
		pause_us(n % 5 * 100);
		if (good && n % 3 == 0)
			good = !hull_metal_vm_pause(0, &err) && !hull_metal_vm_start(0, &err);
		if (good && n % 10 == 0)
			good = !hull_metal_vm_restart(0, &err);
		if (good)
			good = !hull_metal_vm_stop(0, &err) && settled("restart", n, before);
	}
	metal_say("test: %u restarts, %s", n, good ? "nothing is missing" : err.text);
}

/* Each allocation on the way to a running VM fails once. */
static void failures(void)
{
	uint64_t before = metal_frames_left();
	uint32_t n = 0, wrong = 0;
	int r;

	do {
		struct hull_err err = { 0 };

		metal_frames_fail(++n);
		r = hull_metal_vm_start(0, &err);
		metal_frames_fail(0);
		if (!r)
			(void)hull_metal_vm_stop(0, NULL);
		else if (r != HULL_ENOMEM || !err.text[0])
			metal_say("test: failure %u: %d '%s'", n, r, err.text);
		wrong +=
			(r && (r != HULL_ENOMEM || !err.text[0])) || !settled("failure", n, before);
	} while (r);
	metal_say("test: %u failures, %u wrong", n - 1, wrong);
}

/* Whatever the shell may ask for, in any order, while guests with several vCPUs run. */
static void chaos(void)
{
	uint64_t before = metal_frames_left(), did[4] = { 0 };
	uint64_t until = metal_now() + CHAOS_S * UINT64_C(1000000000);
	struct hull_prng rng;

	hull_prng_seed(&rng, 6);
	while (metal_now() < until) {
		uint32_t vm = (uint32_t)(hull_prng_next(&rng) % hull_metal_vm_count());
		uint32_t verb = (uint32_t)(hull_prng_next(&rng) % 16);
		int r;

		if (verb < 8)
			r = hull_metal_vm_start(vm, NULL);
		else if (verb < 13)
			r = hull_metal_vm_pause(vm, NULL);
		else if (verb == 13)
			r = hull_metal_vm_stop(vm, NULL);
		else
			r = hull_metal_vm_restart(vm, NULL);
		did[MIN(verb / 4, 3U)] += !r;
		pause_us(hull_prng_next(&rng) % 500);
	}
	for (uint32_t vm = 0; vm < hull_metal_vm_count(); vm++)
		(void)hull_metal_vm_stop(vm, NULL);
	metal_say("test: chaos %lld %lld %lld %lld, %s", LL(did[0]), LL(did[1]), LL(did[2]),
	          LL(did[3]), settled("chaos", 0, before) ? "nothing is missing" : "not back");
}

/*
 * The first counter of the PMU counts instructions at EL2 (INST_RETIRED), and guests may read it:
 * Arm ARM, D13.
 */
static void count_instructions(void)
{
	uint64_t counters;

	__asm__ volatile("mrs %0, pmcr_el0" : "=r"(counters));
	counters = counters >> 11 & 31;
	/* Without the traps of the PMU; all counters are EL1's. */
	__asm__ volatile("msr mdcr_el2, %0" : : "r"(UINT64_C(0xe00) | counters));
	__asm__ volatile("msr pmevtyper0_el0, %0" : : "r"(UINT64_C(0xc8000008)));
	__asm__ volatile("msr pmcntenset_el0, %0" : : "r"(UINT64_C(1)));
	__asm__ volatile("msr pmcr_el0, %0\n isb" : : "r"(UINT64_C(1)));
}

/* One page of guest memory after the other at the same place, while guests read it. */
static void tlb(void)
{
	enum { PAGES = 50 };
	const uint64_t window = 0x50000000;
	struct hull_err err = { 0 };
	int r = hull_metal_vm_start(0, &err);

	for (uint32_t n = 1; !r && n <= PAGES; n++) {
		uint32_t *page = metal_frames_alloc(HULL_PAGE_SIZE, HULL_PAGE_SIZE);

		*page = n;
		if (n > 1)
			r = hull_vm_unmap(metal_vm(0), window, HULL_PAGE_SIZE, &err);
		if (!r)
			r = hull_vm_map(metal_vm(0), window, page, HULL_PAGE_SIZE,
			                HULL_MEM_R | HULL_MEM_W, &err);
		/* The first for long: the other vCPU must have begun. */
		pause_us(n == 1 ? 2000000 : 2000);
	}
	metal_say("test: %u pages, %s", PAGES, r ? err.text : "mapped");
	(void)metal_vms_finish();
}

/* Guests that need no more than that. */
static void plain(void)
{
	count_instructions();
	for (uint32_t i = 0; i < hull_metal_vm_count(); i++) {
		struct hull_err err = { 0 };

		if (hull_metal_vm_start(i, &err))
			metal_say("test: %s", err.text);
	}
	(void)metal_vms_finish();
}

/* A boot as it always is, of a guest that reads the machine's own counter. */
static void boot(void)
{
	struct hull_accel_caps caps;
	struct hull_err err = { 0 };

	if (hull_accels[0]->probe(&metal_hal, &caps, &err))
		metal_say("test: %s", err.text);
	__asm__ volatile("msr cnthctl_el2, %0\n isb" : : "r"(UINT64_C(1)));
	plain();
}

void metal_start(const void *package, uint64_t bytes)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} tests[] = { { "restarts", restarts }, { "failures", failures }, { "chaos", chaos },
		      { "counts", plain },      { "boot", boot },         { "tlb", tlb } };

	if (!metal_vms_open(package, bytes))
		return;
	for (unsigned i = 0; i < ARRAY_LEN(tests); i++)
		if (hull_text_eq(hull_metal_vm_name(0), tests[i].name))
			tests[i].run();
	metal_say("test: end");
}
