/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/aarch64/spi.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "core/lane.h"
#include "metal/aarch64/gic.h"
#include "metal/common/hal.h"
#include "metal/common/thread.h"

enum { SPIS = HULL_MAX_SPIS, ACTIVE = 1, ONE = 2 };

struct spi {
	uint32_t intid; /* atomic; 0: free */
	bool edge;
	struct hull_vm *vm;
	struct hull_irq line;
	uint32_t state; /* atomic: how often it came, and ACTIVE in the machine's GIC */
	uint32_t shown; /* the state when it last went to the guest */
	uint32_t told;  /* the state that the model knows; the thread's */
};

static struct spi spis[SPIS];
static uint32_t nspis;        /* atomic: places that were ever used */
static uint32_t bell;         /* atomic: counts what the thread has to look at */
static struct hull_lock lock; /* while lines are driven by the thread, and VMs come and go */
static uint32_t thread;

static struct spi *find(uint32_t intid)
{
	uint32_t n = hull_load_acquire(&nspis);

	for (uint32_t i = 0; i < n; i++)
		if (hull_load_acquire(&spis[i].intid) == intid)
			return &spis[i];
	return NULL;
}

static struct spi *find_of(const struct hull_vm *vm, uint32_t intid)
{
	struct spi *s = find(intid);

	return s && s->vm == vm ? s : NULL;
}

static void ring(void)
{
	hull_add_seqcst(&bell, 1);
	metal_wake(&bell, 1);
}

bool metal_spi_arrived(uint32_t intid)
{
	struct spi *s = find(intid);

	if (!s)
		return false;
	hull_store_seqcst(&s->state,
	                  ((hull_load_relaxed(&s->state) & ~(uint32_t)ACTIVE) + ONE) | ACTIVE);
	ring();
	return true;
}

bool metal_spi_shown(const struct hull_vm *vm, uint32_t intid)
{
	struct spi *s = find_of(vm, intid);

	if (!s)
		return false;
	s->shown = hull_load_seqcst(&s->state);
	return s->shown & ACTIVE;
}

/* One that has come meanwhile is still to be served. */
void metal_spi_over(const struct hull_vm *vm, uint32_t intid)
{
	struct spi *s = find_of(vm, intid);
	uint32_t state;

	if (!s)
		return;
	state = s->shown;
	if (!hull_cas_seqcst(&s->state, &state, state & ~(uint32_t)ACTIVE) || s->edge)
		return;
	hull_irq_set(s->line, false);
	if (hull_load_seqcst(&s->state) & ACTIVE)
		hull_irq_set(s->line, true);
}

void metal_spi_reset(const struct hull_vm *vm)
{
	for (uint32_t i = 0; i < hull_load_acquire(&nspis); i++) {
		struct spi *s = &spis[i];

		if (s->vm != vm || !hull_load_seqcst(&s->intid) ||
		    !(hull_load_seqcst(&s->state) & ACTIVE))
			continue;
		hull_irq_set(s->line, false);
		hull_store_seqcst(&s->state, hull_load_relaxed(&s->state) & ~(uint32_t)ACTIVE);
		metal_gic_end_spi(s->intid);
	}
}

static void tell(struct spi *s)
{
	uint32_t state = hull_load_seqcst(&s->state);

	if (!hull_load_seqcst(&s->intid) || state == s->told)
		return;
	s->told = state;
	if (!(state & ACTIVE))
		return;
	if (s->edge)
		hull_irq_set(s->line, false);
	hull_irq_set(s->line, true);
}

/* Ends with the last VM that has some. */
static void run(void *arg)
{
	bool any = true;

	while (any) {
		uint32_t seen = hull_load_seqcst(&bell);

		any = false;
		hull_lock_acquire(&lock);
		for (uint32_t i = 0; i < nspis; i++) {
			tell(&spis[i]);
			any |= spis[i].intid != 0;
		}
		if (!any)
			thread = 0;
		hull_lock_release(&lock);
		if (any)
			metal_wait(&bell, seen, HULL_NEVER);
	}
}

static int enter(uint32_t intid, const struct spi *like, struct hull_err *err)
{
	struct spi *s = find(intid);

	if (s)
		return hull_fail(err, HULL_EBUSY, 904, "interrupt %u belongs to another VM", intid);
	s = find(0);
	if (!s && nspis == SPIS)
		return hull_fail(err, HULL_ENOMEM, 904,
		                 "all VMs together have at most %u interrupts", SPIS);
	if (!thread)
		thread = metal_thread_new(0, run, NULL);
	if (!thread)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a thread");
	if (!s) {
		s = &spis[nspis];
		*s = *like;
		hull_store_release(&nspis, nspis + 1);
	}
	*s = *like;
	hull_store_release(&s->intid, intid);
	return 0;
}

int metal_spi_assign(uint32_t intid, bool edge, struct hull_vm *vm, struct hull_irq line,
                     struct hull_err *err)
{
	const struct spi like = { .edge = edge, .vm = vm, .line = line };
	int r;

	if (!lock.hal)
		hull_lock_init(&lock, &metal_hal, HULL_RANK_LIFECYCLE);
	hull_lock_acquire(&lock);
	r = enter(intid, &like, err);
	hull_lock_release(&lock);
	if (!r)
		metal_gic_enable_spi(intid, edge);
	return r;
}

void metal_spi_release(const struct hull_vm *vm)
{
	if (!nspis)
		return;
	hull_lock_acquire(&lock);
	for (uint32_t i = 0; i < nspis; i++) {
		struct spi *s = &spis[i];
		uint32_t intid = s->intid;

		if (s->vm != vm || !intid)
			continue;
		metal_gic_disable_spi(intid);
		hull_store_seqcst(&s->intid, 0);
		metal_gic_end_spi(intid);
	}
	hull_lock_release(&lock);
	ring();
}
