/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The HAL of the tests. */
#include "support/fake_hal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <hull/error.h>
#include <hull/host.h>

#include "base/atomic.h"

static _Thread_local uint32_t held_ranks;
static _Thread_local unsigned cpu;
static unsigned ncpus;

static struct fake_hal *of(const struct hull_hal *hal)
{
	return (struct fake_hal *)(uintptr_t)hal;
}

static void *pages_alloc(const struct hull_hal *hal, uint64_t bytes, uint64_t align, bool guest_ram)
{
	struct fake_hal *h = of(hal);
	void *p = NULL;

	pthread_mutex_lock(&h->mutex);
	h->allocations++;
	if (h->allocations != h->fail_at && bytes && !(bytes & HULL_PAGE_MASK))
		p = aligned_alloc(align, bytes);
	if (p) {
		h->live_bytes += bytes;
		h->live_private += guest_ram ? 0 : bytes;
		h->live_blocks++;
	}
	pthread_mutex_unlock(&h->mutex);
	if (p)
		memset(p, 0, bytes);
	return p;
}

static bool pages_discard(const struct hull_hal *hal, void *pages, uint64_t bytes)
{
	(void)hal;
	memset(pages, 0, bytes);
	return true;
}

static void pages_free(const struct hull_hal *hal, void *pages, uint64_t bytes)
{
	struct fake_hal *h = of(hal);

	pthread_mutex_lock(&h->mutex);
	h->live_bytes -= bytes;
	h->live_blocks--;
	pthread_mutex_unlock(&h->mutex);
	free(pages);
}

static int code_alloc(const struct hull_hal *hal, uint64_t bytes, void **ret_rw, void **ret_rx)
{
	struct fake_hal *h = of(hal);
	bool fails;
	int r;

	pthread_mutex_lock(&h->mutex);
	fails = ++h->allocations == h->fail_at;
	pthread_mutex_unlock(&h->mutex);
	r = h->no_code ? HULL_ENOTSUP
	    : fails    ? HULL_ENOMEM
	               : hull_host_hal()->code_alloc(hull_host_hal(), bytes, ret_rw, ret_rx);
	if (r)
		return r;
	pthread_mutex_lock(&h->mutex);
	h->live_bytes += bytes;
	h->live_code += bytes;
	h->live_blocks++;
	pthread_mutex_unlock(&h->mutex);
	return 0;
}

static void code_free(const struct hull_hal *hal, uint64_t bytes, void *rw, void *rx)
{
	struct fake_hal *h = of(hal);

	pthread_mutex_lock(&h->mutex);
	h->live_bytes -= bytes;
	h->live_code -= bytes;
	h->live_blocks--;
	pthread_mutex_unlock(&h->mutex);
	hull_host_hal()->code_free(hull_host_hal(), bytes, rw, rx);
}

static int range_claim(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes, void **ret)
{
	struct fake_hal *h = of(hal);

	if (h->claimed_bytes || hpa < h->claim_base || hpa - h->claim_base > h->claim_size ||
	    bytes > h->claim_size - (hpa - h->claim_base))
		return HULL_EBUSY;
	h->claimed_bytes += bytes;
	*ret = h->claimable + (hpa - h->claim_base);
	return 0;
}

static void range_release(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes)
{
	(void)hpa;
	of(hal)->claimed_bytes -= bytes;
}

static hull_hpa virt_to_phys(const struct hull_hal *hal, const void *hva)
{
	(void)hal;
	return (uintptr_t)hva;
}

static void *phys_to_virt(const struct hull_hal *hal, hull_hpa hpa)
{
	(void)hal;
	return (void *)(uintptr_t)hpa;
}

static uint64_t now_ns(const struct hull_hal *hal)
{
	struct timespec t;

	if (!of(hal)->real_time)
		return hull_load_seqcst(&of(hal)->now);
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static int64_t wallclock_ns(const struct hull_hal *hal)
{
	return hull_load_seqcst(&of(hal)->wall);
}

static unsigned cpu_id(const struct hull_hal *hal)
{
	(void)hal;
	if (!cpu)
		cpu = __atomic_add_fetch(&ncpus, 1, __ATOMIC_SEQ_CST);
	return cpu;
}

static unsigned cpu_count(const struct hull_hal *hal)
{
	(void)hal;
	return 2;
}

static void cpu_kick(const struct hull_hal *hal, unsigned id)
{
	(void)hal;
	(void)id;
}

static void wait_word(const struct hull_hal *hal, const uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns)
{
	struct fake_hal *h = of(hal);

	pthread_mutex_lock(&h->mutex);
	if (hull_load_seqcst(word) == expected && now_ns(hal) < deadline_ns) {
		hull_add_seqcst(&h->waits, 1);
		if (h->real_time && deadline_ns != HULL_NEVER) {
			struct timespec t = { (time_t)(deadline_ns / 1000000000),
				              (long)(deadline_ns % 1000000000) };

			pthread_cond_timedwait(&h->cond, &h->mutex, &t);
		} else {
			pthread_cond_wait(&h->cond, &h->mutex);
		}
	}
	pthread_mutex_unlock(&h->mutex);
}

static void wake(const struct hull_hal *hal, const uint32_t *word, uint32_t count)
{
	struct fake_hal *h = of(hal);

	/* One condition for all words: spurious wake-ups are allowed. */
	(void)word;
	(void)count;
	pthread_mutex_lock(&h->mutex);
	pthread_cond_broadcast(&h->cond);
	pthread_mutex_unlock(&h->mutex);
}

static uint32_t *ranks(const struct hull_hal *hal)
{
	(void)hal;
	return &held_ranks;
}

static void console_write(const struct hull_hal *hal, const char *text, size_t len)
{
	struct fake_hal *h = of(hal);
	size_t have = strlen(h->console);

	if (len > sizeof(h->console) - 1 - have)
		len = sizeof(h->console) - 1 - have;
	memcpy(h->console + have, text, len);
}

static bool random_bytes(const struct hull_hal *hal, void *buf, size_t len)
{
	memset(buf, 0x5a, len);
	return !of(hal)->random_fails;
}

static void fatal(const struct hull_hal *hal, const char *text)
{
	(void)hal;
	(void)text;
	abort();
}

void fake_hal_init(struct fake_hal *h)
{
	static const struct hull_hal table = {
		.pages_alloc = pages_alloc,
		.pages_free = pages_free,
		.pages_discard = pages_discard,
		.code_alloc = code_alloc,
		.code_free = code_free,
		.range_claim = range_claim,
		.range_release = range_release,
		.virt_to_phys = virt_to_phys,
		.phys_to_virt = phys_to_virt,
		.now_ns = now_ns,
		.wallclock_ns = wallclock_ns,
		.cpu_id = cpu_id,
		.cpu_count = cpu_count,
		.cpu_kick = cpu_kick,
		.wait = wait_word,
		.wake = wake,
		.held_ranks = ranks,
		.console_write = console_write,
		.random = random_bytes,
		.fatal = fatal,
	};
	pthread_condattr_t attr;

	memset(h, 0, sizeof(*h));
	h->hal = table;
	h->now = 1;
	pthread_mutex_init(&h->mutex, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&h->cond, &attr);
	pthread_condattr_destroy(&attr);
	h->claim_base = 0x10000000;
	h->claim_size = 0x10000;
	h->claimable = aligned_alloc(HULL_PAGE_SIZE, h->claim_size);
	memset(h->claimable, 0, h->claim_size);
}

void fake_hal_fini(struct fake_hal *h)
{
	pthread_cond_destroy(&h->cond);
	pthread_mutex_destroy(&h->mutex);
	free(h->claimable);
}

void fake_hal_advance(struct fake_hal *h, uint64_t ns)
{
	hull_add_seqcst(&h->now, ns);
	hull_add_seqcst(&h->wall, (int64_t)ns);
	wake(&h->hal, NULL, 0);
}
