/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/hal.h"

#include <hull/error.h>

#include "base/assert.h"
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/pass.h"
#include "metal/common/random.h"
#include "metal/common/spin.h"
#include "metal/common/thread.h"

/* Guest RAM begins where a stage-2 block can. */
#define BLOCK    (UINT64_C(2) << 20)
#define NS_PER_S INT64_C(1000000000)

static void *pages_alloc(const struct hull_hal *hal, uint64_t bytes, uint64_t align, bool guest_ram)
{
	return metal_frames_alloc(bytes,
	                          guest_ram && bytes >= BLOCK && align < BLOCK ? BLOCK : align);
}

static void pages_free(const struct hull_hal *hal, void *pages, uint64_t bytes)
{
	metal_frames_free(pages, bytes);
}

static int range_claim(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes, void **ret)
{
	*ret = (void *)(uintptr_t)hpa;
	if (metal_pass_has(hpa, bytes))
		return 0;
	if (!metal_frames_claim(hpa, bytes))
		return HULL_EBUSY;
	metal_zero(*ret, bytes); /* of what another VM has left there */
	return 0;
}

static void range_release(const struct hull_hal *hal, hull_hpa hpa, uint64_t bytes)
{
	if (!metal_pass_has(hpa, bytes))
		metal_frames_free((void *)(uintptr_t)hpa, bytes);
}

static hull_hpa virt_to_phys(const struct hull_hal *hal, const void *hva)
{
	return (hull_hpa)(uintptr_t)hva;
}

static void *phys_to_virt(const struct hull_hal *hal, hull_hpa hpa)
{
	return (void *)(uintptr_t)hpa;
}

static uint64_t now_ns(const struct hull_hal *hal)
{
	return metal_now();
}

/* When the counter was 0. */
static int64_t epoch_ns = INT64_C(1767225600) * NS_PER_S;

void metal_clock_set(uint64_t seconds)
{
	epoch_ns = (int64_t)seconds * NS_PER_S - (int64_t)metal_now();
}

static int64_t wallclock_ns(const struct hull_hal *hal)
{
	return epoch_ns + (int64_t)metal_now();
}

static unsigned cpu_id(const struct hull_hal *hal)
{
	return metal_this_cpu()->current->id;
}

static unsigned cpu_count(const struct hull_hal *hal)
{
	return metal_ncpus;
}

static void cpu_kick(const struct hull_hal *hal, unsigned id)
{
	uint32_t cpu = metal_thread_cpu(id);

	if (cpu != UINT32_MAX)
		metal_poke(cpu);
}

static void wait_word(const struct hull_hal *hal, const uint32_t *word, uint32_t expected,
                      uint64_t deadline_ns)
{
	metal_wait(word, expected, deadline_ns);
}

static void wake_word(const struct hull_hal *hal, const uint32_t *word, uint32_t count)
{
	metal_wake(word, count);
}

static void console_write(const struct hull_hal *hal, const char *text, size_t len)
{
	metal_console_write(text, len);
}

static bool fill_random(const struct hull_hal *hal, void *buf, size_t len)
{
	return metal_random(buf, len);
}

static void fatal(const struct hull_hal *hal, const char *text)
{
	hull_assert_failed(text, "hull", 0);
}

const struct hull_hal metal_hal = {
	.pages_alloc = pages_alloc,
	.pages_free = pages_free,
	.range_claim = range_claim,
	.range_release = range_release,
	.virt_to_phys = virt_to_phys,
	.phys_to_virt = phys_to_virt,
	.now_ns = now_ns,
	.wallclock_ns = wallclock_ns,
	.cpu_id = cpu_id,
	.cpu_count = cpu_count,
	.cpu_kick = cpu_kick,
	/* No held_ranks: the order of locks is the same where it is checked. */
	.wait = wait_word,
	.wake = wake_word,
	.console_write = console_write,
	.random = fill_random,
	.fatal = fatal,
};
