/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Running vCPUs: exits, sleeping, requests, races, deterministic runs. */
#include "support/vm_fixture.h"

#include <sched.h>
#include <string.h>

static void shut(struct fixture_threads *t)
{
	assert_int_equal(hull_vm_shutdown(t->vm, HULL_STOP_FORCED, NULL), 0);
	fixture_join(t);
	assert_int_equal(hull_vm_state(t->vm), HULL_VM_STOPPED);
}

static void test_misuse(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_WAIT } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 1);
	struct hull_exit e;

	(void)state;
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), HULL_ESTATE);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 2, &e), HULL_EINVAL);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, NULL), HULL_EINVAL);
	assert_int_equal(hull_vm_run_vcpu(vm, 1, &e), HULL_ESTATE); /* off */
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_HALT);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(vm, 0)), HULL_VCPU_HALTED);
	assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 0), NULL, 0), HULL_ESTATE);
	assert_null(hull_vm_vcpu(vm, 2));
	hull_vm_vcpu_loop(vm, 7); /* nobody: returns */
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static bool start_other(struct hull_vcpu *vcpu, struct hull_exit *e, void *arg)
{
	struct hull_reg_value regs[] = { { 2, e->call.args[0] } };

	(void)arg;
	if (e->call.nr == 99)
		return false;
	if (e->call.nr == 1) {
		assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vcpu->vm, 1), regs, 1), 0);
		assert_int_equal(hull_vcpu_reg_set(vcpu, 3, 42), 0); /* its own: allowed */
	}
	e->kind = e->call.nr == 2 ? HULL_EXIT_CPU_OFF : HULL_EXIT_NONE;
	return true;
}

static void test_hypercalls(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_HYPERCALL, .call = { .nr = 1, .args = { 7 } } } },
		{ .exit = { .kind = HULL_EXIT_HYPERCALL, .call = { .nr = 99 } } },
		{ .exit = { .kind = HULL_EXIT_HYPERCALL, .call = { .nr = 2 } } },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 3);
	struct hull_exit e;
	uint64_t v;

	(void)state;
	hull_vm_set_hypercall(vm, start_other, NULL);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_HYPERCALL);
	assert_int_equal(e.call.nr, 99);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(vm, 1)), HULL_VCPU_READY);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(vm, 1), 2, &v), 0);
	assert_int_equal(v, 7);
	assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(vm, 0), 3, &v), 0);
	assert_int_equal(v, 42);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_CPU_OFF);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), HULL_ESTATE);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static void count(struct hull_vcpu *vcpu, void *arg)
{
	(void)vcpu;
	hull_add_seqcst((uint64_t *)arg, 1);
}

/* Every edge must be seen, however it falls between the look and the sleep. */
static void test_no_lost_wakeup(void **state)
{
	uint64_t seen = 0;
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_WAIT },
		{ .kind = HULL_FAKE_CALL, .fn = count, .arg = &seen },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 3);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	for (uint64_t i = 1; i <= 3000; i++) {
		assert_int_equal(hull_vm_inject_irq(vm, 1, (uint32_t)(i % 64)), 0);
		fixture_await(&seen, i);
	}
	assert_int_equal(hull_vm_inject_irq(vm, 2, 1), HULL_EINVAL);
	assert_int_equal(hull_vm_inject_irq(vm, 1, 64), HULL_EINVAL);
	shut(&t);
	fixture_unmake(&h, vm);
}

static void lower(struct hull_vcpu *vcpu, void *arg)
{
	hull_vcpu_line_set(vcpu, 3, false);
	count(vcpu, arg);
}

static void test_lines_wake(void **state)
{
	uint64_t seen = 0;
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_WAIT },
		{ .kind = HULL_FAKE_CALL, .fn = lower, .arg = &seen },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 3);
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);
	struct hull_irq line = hull_vcpu_line(vcpu, 3);
	struct fixture_threads t;
	uint64_t base;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	for (uint64_t i = 1; i <= 2000; i++) {
		hull_irq_set(line, true);
		fixture_await(&seen, i);
		while (hull_vcpu_lines(vcpu))
			sched_yield();
	}
	/* A line that is high already wakes nobody. */
	base = hull_load_relaxed(&vcpu->wait_word);
	hull_irq_set(line, false);
	assert_int_equal(hull_load_relaxed(&vcpu->wait_word), base);
	shut(&t);
	fixture_unmake(&h, vm);
}

static void test_timer_wakes(void **state)
{
	uint64_t seen = 0;
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_TIMER, .n = 100000 },
		{ .kind = HULL_FAKE_WAIT },
		{ .kind = HULL_FAKE_LOWER },
		{ .kind = HULL_FAKE_CALL, .fn = count, .arg = &seen },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 5);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	fixture_await(&seen, 200);
	shut(&t);
	fixture_unmake(&h, vm);
}

static void test_pause_stops_guests(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_SPIN } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 3, script, 1);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0), 0);
	for (int i = 0; i < 300; i++) {
		uint64_t insns, now;

		assert_int_equal(hull_vm_pause(vm, NULL), 0);
		for (uint32_t c = 0; c < 3; c++)
			assert_int_equal(hull_load_seqcst(&fixture_cpu(vm, c)->in_guest), 0);
		insns = hull_load_relaxed(&hull_vm_vcpu(vm, 0)->insns);
		now = hull_clock_now(vm);
		if (i % 50 == 0)
			sched_yield();
		assert_int_equal(hull_load_relaxed(&hull_vm_vcpu(vm, 0)->insns), insns);
		assert_int_equal(hull_clock_now(vm), now);
		assert_int_equal(hull_vm_resume(vm, NULL), 0);
		if (i % 10 == 0)
			fixture_await(&hull_vm_vcpu(vm, 0)->insns, insns + 1);
	}
	shut(&t);
	fixture_unmake(&h, vm);
}

static void *meddle(void *arg)
{
	struct hull_vm *vm = arg;

	for (int i = 0; i < 200; i++) {
		(void)hull_vm_pause(vm, NULL);
		(void)hull_vm_resume(vm, NULL);
		(void)hull_vm_reset(vm, NULL);
		(void)hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0);
		(void)hull_vm_inject_irq(vm, 3, 1);
		if (i % 16 == 0)
			hull_vm_system_event(vm, HULL_SYSTEM_RESET, 0);
		hull_vcpus_sync(vm, 3, HULL_REQ_FLUSH_TLB);
	}
	return NULL;
}

static bool start_one(struct hull_vcpu *vcpu, struct hull_exit *e, void *arg)
{
	(void)arg;
	(void)hull_vcpu_start(hull_vm_vcpu(vcpu->vm, 1 - vcpu->id), NULL, 0);
	hull_vcpus_sync(vcpu->vm, 3, HULL_REQ_FLUSH_TLB);
	e->kind = HULL_EXIT_NONE;
	return true;
}

/* All verbs at once from several threads, while the guests start each other. */
static void test_races(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_WORK, .n = 50 },
		{ .exit = { .kind = HULL_EXIT_HYPERCALL } },
		{ .kind = HULL_FAKE_WORK, .n = 50 },
		{ .exit = { .kind = HULL_EXIT_CPU_ON } },
		{ .kind = HULL_FAKE_TIMER, .n = 1000 },
		{ .kind = HULL_FAKE_WAIT },
		{ .kind = HULL_FAKE_LOWER },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, ARRAY_LEN(script));
	struct fixture_threads t;
	pthread_t meddlers[2];
	struct hull_err err;

	(void)state;
	h.real_time = true;
	hull_vm_set_hypercall(vm, start_one, NULL);
	fixture_start(&t, vm); /* before boot: they wait */
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	for (int i = 0; i < 2; i++)
		pthread_create(&meddlers[i], NULL, meddle, vm);
	for (int i = 0; i < 2; i++)
		pthread_join(meddlers[i], NULL);
	if (hull_vm_state(vm) == HULL_VM_PAUSED)
		assert_int_equal(hull_vm_resume(vm, &err), 0);
	shut(&t);
	fixture_unmake(&h, vm);
}

static void test_guest_reset(void **state)
{
	uint64_t runs = 0;
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_CALL, .fn = count, .arg = &runs },
		{ .exit = { .kind = HULL_EXIT_SYSTEM, .system = { .event = HULL_SYSTEM_RESET } } },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 2);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	fixture_await(&runs, 100);
	shut(&t);
	assert_true(fixture_cpu(vm, 1)->resets >= 100);
	fixture_unmake(&h, vm);
}

/* A failure while somebody waits in pause for this vCPU must not hang. */
static void test_fail_against_pause(void **state)
{
	(void)state;
	for (int i = 0; i < 50; i++) {
		struct hull_fake_op script[] = {
			{ .kind = HULL_FAKE_WORK, .n = (uint64_t)i * 200 },
			{ .exit = { .kind = HULL_EXIT_FAIL, .fail = { .code = -5 } } },
		};
		struct fake_hal h;
		struct hull_vm *vm = fixture_sealed(&h, 2, script, 2);
		struct fixture_threads t;

		h.real_time = true;
		assert_int_equal(hull_vm_boot(vm, NULL), 0);
		fixture_start(&t, vm);
		while (hull_vm_state(vm) != HULL_VM_FAILED) {
			(void)hull_vm_pause(vm, NULL);
			(void)hull_vm_resume(vm, NULL);
		}
		fixture_join(&t);
		assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_FAULT);
		fixture_unmake(&h, vm);
	}
}

struct pair {
	uint64_t synced[2];
};

static void sync_other(struct hull_vcpu *vcpu, void *arg)
{
	struct pair *p = arg;

	hull_vcpus_sync(vcpu->vm, UINT64_MAX, HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE);
	hull_add_seqcst(&p->synced[vcpu->id], 1);
}

/* Two vCPUs that flush each other from within vcpu_run do not wait for each other for ever. */
static void test_mutual_sync(void **state)
{
	struct pair pair = { 0 };
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_CALL, .fn = sync_other, .arg = &pair },
		{ .kind = HULL_FAKE_WORK, .n = 20 },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 3);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0), 0);
	fixture_await(&pair.synced[0], 2000);
	fixture_await(&pair.synced[1], 2000);
	shut(&t);
	fixture_unmake(&h, vm);
}

static uint8_t shared_page[4096] __attribute__((aligned(4096)));

static void remap(struct hull_vcpu *vcpu, void *arg)
{
	struct pair *p = arg;
	hull_gpa gpa = (vcpu->id + 1) * UINT64_C(4096);

	assert_int_equal(hull_vm_map(vcpu->vm, gpa, shared_page, 4096, HULL_MEM_R, NULL), 0);
	assert_int_equal(hull_vm_unmap(vcpu->vm, gpa, 4096, NULL), 0);
	hull_add_seqcst(&p->synced[vcpu->id], 1);
}

/* Two vCPUs that change the map from within vcpu_run: one waits for the lock, the other for it. */
static void test_mutual_remap(void **state)
{
	struct pair pair = { 0 };
	struct hull_fake_op script[] = {
		{ .kind = HULL_FAKE_CALL, .fn = remap, .arg = &pair },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 2);
	struct fixture_threads t;

	(void)state;
	h.real_time = true;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	fixture_start(&t, vm);
	assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0), 0);
	fixture_await(&pair.synced[0], 500);
	fixture_await(&pair.synced[1], 500);
	shut(&t);
	fixture_unmake(&h, vm);
}

static void test_sync_leaves_sleepers_alone(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_WAIT } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, script, 1);
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);
	struct hull_exit e;
	uint32_t before;

	(void)state;
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	before = vcpu->wait_word;
	hull_vcpus_sync(vm, UINT64_MAX, HULL_REQ_FLUSH_TLB);
	assert_int_equal(vcpu->wait_word, before);
	assert_int_equal(fixture_cpu(vm, 0)->flushes, 0);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(fixture_cpu(vm, 0)->flushes, 1);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&h, vm);
}

static struct hull_vm *deterministic(struct fake_hal *h, uint32_t ncpus,
                                     const struct hull_fake_op *ops, uint32_t n)
{
	struct hull_vm_config c = fixture_config(ncpus);
	struct hull_vm *vm;

	c.deterministic = true;
	c.ns_per_insn = 10;
	vm = fixture_make_config(h, &c);
	for (uint32_t i = 0; i < ncpus; i++)
		hull_fake_script(hull_vm_vcpu(vm, i), ops, n);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	return vm;
}

struct stamps {
	uint64_t at[64];
	uint32_t n;
};

static void stamp(struct hull_vcpu *vcpu, void *arg)
{
	struct stamps *s = arg;

	if (s->n < 64)
		s->at[s->n++] = hull_clock_now(vcpu->vm);
}

static void test_idle_ends(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_WORK, .n = 50000 },
		                                      { .kind = HULL_FAKE_WAIT } };
	struct fake_hal h;
	struct hull_vm *vm = deterministic(&h, 2, script, 2);

	(void)state;
	assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0), 0);
	hull_vm_deterministic_loop(vm);
	assert_int_equal(hull_vm_state(vm), HULL_VM_STOPPED);
	assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_IDLE);
	/* The sum of both vCPUs' instructions: 50,000 and the look of the wait. */
	assert_int_equal(hull_clock_now(vm), 2 * 50001 * 10);
	fixture_unmake(&h, vm);
}

/* Timers fire at their instruction, sleeping jumps, and a second run is the same. */
static void test_deterministic_repeats(void **state)
{
	struct stamps runs[2] = { 0 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct hull_fake_op script[] = {
			{ .kind = HULL_FAKE_TIMER, .n = 123456789 },
			{ .kind = HULL_FAKE_WAIT },
			{ .kind = HULL_FAKE_CALL, .fn = stamp, .arg = &runs[i] },
			{ .kind = HULL_FAKE_LOWER },
			{ .kind = HULL_FAKE_WORK, .n = 777 },
			{ .kind = HULL_FAKE_TIMER, .n = 1000 }, /* 100 instructions */
			{ .kind = HULL_FAKE_WORK, .n = 30000 },
			{ .kind = HULL_FAKE_CALL, .fn = stamp, .arg = &runs[i] },
			{ .kind = HULL_FAKE_LOWER },
			{ .kind = HULL_FAKE_WAIT },
		};
		struct fake_hal h;
		struct hull_vm *vm = deterministic(&h, 2, script, ARRAY_LEN(script));
		uint64_t random[2];

		assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, 1), NULL, 0), 0);
		hull_random(vm, random, sizeof(random));
		assert_int_not_equal(random[0], random[1]);
		runs[i].at[63] = random[0];
		hull_vm_deterministic_loop(vm);
		assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_IDLE);
		fixture_unmake(&h, vm);
	}
	assert_int_equal(runs[0].n, runs[1].n);
	assert_memory_equal(&runs[0], &runs[1], sizeof(runs[0]));
	assert_true(runs[0].n >= 2);
	assert_true(runs[0].at[0] >= 123456789);
	assert_true(runs[0].at[0] < 123456789 + 1000);
}

struct trace {
	struct {
		uint64_t at;
		uint32_t vcpu;
	} seen[600];
	uint32_t n; /* atomic */
};

static void note(struct hull_vcpu *vcpu, void *arg)
{
	struct trace *t = arg;
	uint32_t n = hull_load_relaxed(&t->n);

	if (n == ARRAY_LEN(t->seen))
		return;
	t->seen[n].at = hull_clock_now(vcpu->vm);
	t->seen[n].vcpu = vcpu->id;
	hull_store_relaxed(&t->n, n + 1);
}

/*
 * Two vCPUs that work, two that sleep until their timers come; `pauses`: disturb them; `slice`:
 * run that many instructions at a time.
 */
static void traced_run(struct trace *t, bool pauses, uint64_t slice)
{
	const struct hull_fake_op works[] = {
		{ .kind = HULL_FAKE_WORK, .n = 7919 },
		{ .kind = HULL_FAKE_CALL, .fn = note, .arg = t },
		{ .kind = HULL_FAKE_JUMP },
	};
	const struct hull_fake_op sleeps[] = {
		{ .kind = HULL_FAKE_TIMER, .n = 1234567 },
		{ .kind = HULL_FAKE_WAIT },
		{ .kind = HULL_FAKE_LOWER },
		{ .kind = HULL_FAKE_CALL, .fn = note, .arg = t },
		{ .kind = HULL_FAKE_JUMP },
	};
	struct fake_hal h;
	struct hull_vm *vm = deterministic(&h, 4, works, ARRAY_LEN(works));
	pthread_t thread;

	for (uint32_t i = 1; i < 4; i++) {
		if (i >= 2)
			hull_fake_script(hull_vm_vcpu(vm, i), sleeps, ARRAY_LEN(sleeps));
		assert_int_equal(hull_vcpu_start(hull_vm_vcpu(vm, i), NULL, 0), 0);
	}
	while (slice && t->n < ARRAY_LEN(t->seen))
		assert_true(hull_vm_deterministic_step(vm, slice));
	if (!slice)
		pthread_create(&thread, NULL,
		               (void *(*)(void *))(void (*)(void))hull_vm_deterministic_loop, vm);
	while (hull_load_relaxed(&t->n) < ARRAY_LEN(t->seen)) {
		if (pauses) {
			assert_int_equal(hull_vm_pause(vm, NULL), 0);
			assert_int_equal(hull_vm_resume(vm, NULL), 0);
		}
		sched_yield();
	}
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	if (!slice)
		pthread_join(thread, NULL);
	assert_false(hull_vm_deterministic_step(vm, 1));
	fixture_unmake(&h, vm);
}

/* Nor must the guest see where the caller cuts a run into slices. */
static void test_slices_leave_no_trace(void **state)
{
	static const uint64_t slices[] = { 1, 13, 1000, 7919, 20000, 1000003 };
	static struct trace whole, cut;

	(void)state;
	traced_run(&whole, false, 0);
	for (size_t k = 0; k < ARRAY_LEN(slices); k++) {
		memset(&cut, 0, sizeof(cut));
		traced_run(&cut, false, slices[k]);
		for (uint32_t i = 0; i < ARRAY_LEN(whole.seen); i++) {
			assert_int_equal(whole.seen[i].at, cut.seen[i].at);
			assert_int_equal(whole.seen[i].vcpu, cut.seen[i].vcpu);
		}
	}
}

/* A pause comes at a place that the host chooses: the guest must not see it. */
static void test_pauses_leave_no_trace(void **state)
{
	static struct trace calm, disturbed;

	(void)state;
	traced_run(&calm, false, 0);
	traced_run(&disturbed, true, 0);
	for (uint32_t i = 0; i < ARRAY_LEN(calm.seen); i++) {
		assert_int_equal(calm.seen[i].at, disturbed.seen[i].at);
		assert_int_equal(calm.seen[i].vcpu, disturbed.seen[i].vcpu);
	}
}

static void test_guest_cannot_stop_time(void **state)
{
	/* Exits without an instruction, for ever: a shutdown still gets through. */
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_HYPERCALL } },
		{ .kind = HULL_FAKE_JUMP, .n = 0 },
	};
	struct fake_hal h;
	struct hull_vm *vm = deterministic(&h, 1, script, 2);
	pthread_t thread;

	(void)state;
	pthread_create(&thread, NULL, (void *(*)(void *))(void (*)(void))hull_vm_deterministic_loop,
	               vm);
	while (hull_load_relaxed(&hull_vm_vcpu(vm, 0)->insns) < 100)
		sched_yield();
	assert_int_equal(hull_vm_pause(vm, NULL), 0);
	assert_int_equal(hull_vm_resume(vm, NULL), 0);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL), 0);
	pthread_join(thread, NULL);
	assert_int_equal(hull_vm_state(vm), HULL_VM_STOPPED);
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_misuse),
		cmocka_unit_test(test_pauses_leave_no_trace),
		cmocka_unit_test(test_slices_leave_no_trace),
		cmocka_unit_test(test_hypercalls),
		cmocka_unit_test(test_no_lost_wakeup),
		cmocka_unit_test(test_lines_wake),
		cmocka_unit_test(test_timer_wakes),
		cmocka_unit_test(test_pause_stops_guests),
		cmocka_unit_test(test_races),
		cmocka_unit_test(test_guest_reset),
		cmocka_unit_test(test_fail_against_pause),
		cmocka_unit_test(test_mutual_sync),
		cmocka_unit_test(test_mutual_remap),
		cmocka_unit_test(test_sync_leaves_sleepers_alone),
		cmocka_unit_test(test_idle_ends),
		cmocka_unit_test(test_deterministic_repeats),
		cmocka_unit_test(test_guest_cannot_stop_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
