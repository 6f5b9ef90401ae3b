/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The fixture of the core's tests. */
#include "support/vm_fixture.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

struct hull_vm_config fixture_config(uint32_t ncpus)
{
	struct hull_vm_config c;
	struct hull_region_config ram = { .gpa = RAM_AT,
		                          .size = RAM_SIZE,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };

	hull_config_init(&c, HULL_ISA_RISCV64, "test");
	c.cpu_num = ncpus;
	assert_int_equal(hull_config_add_region(&c, &ram, NULL), 0);
	return c;
}

struct hull_vm *fixture_make_config(struct fake_hal *h, const struct hull_vm_config *c)
{
	struct hull_vm *vm = NULL;

	fake_hal_init(h);
	assert_int_equal(hull_vm_create(c, &h->hal, hull_accel_find("fake"), &vm, NULL), 0);
	return vm;
}

struct hull_vm *fixture_make(struct fake_hal *h, uint32_t ncpus)
{
	struct hull_vm_config c = fixture_config(ncpus);

	return fixture_make_config(h, &c);
}

struct hull_vm *fixture_sealed(struct fake_hal *h, uint32_t ncpus, const struct hull_fake_op *ops,
                               uint32_t nops)
{
	struct hull_vm *vm = fixture_make(h, ncpus);

	for (uint32_t i = 0; i < ncpus; i++)
		hull_fake_script(hull_vm_vcpu(vm, i), ops, nops);
	assert_int_equal(hull_vm_seal(vm, NULL), 0);
	return vm;
}

void fixture_unmake(struct fake_hal *h, struct hull_vm *vm)
{
	assert_int_equal(hull_vm_destroy(vm, NULL), 0);
	assert_int_equal(h->live_bytes, 0);
	assert_int_equal(h->live_blocks, 0);
	assert_int_equal(h->claimed_bytes, 0);
	fake_hal_fini(h);
}

struct hull_fake_vcpu *fixture_cpu(struct hull_vm *vm, uint32_t i)
{
	return hull_vcpu_accel_state(hull_vm_vcpu(vm, i));
}

struct job {
	struct hull_vm *vm;
	uint32_t id;
};

static void *vcpu_thread(void *arg)
{
	struct job job = *(struct job *)arg;

	free(arg);
	hull_vm_vcpu_loop(job.vm, job.id);
	return NULL;
}

static void *timer_thread(void *arg)
{
	hull_vm_timer_loop(arg);
	return NULL;
}

void fixture_start(struct fixture_threads *t, struct hull_vm *vm)
{
	t->vm = vm;
	t->n = hull_vm_vcpu_count(vm);
	for (uint32_t i = 0; i < t->n; i++) {
		struct job *job = malloc(sizeof(*job));

		*job = (struct job){ vm, i };
		assert_int_equal(pthread_create(&t->vcpu[i], NULL, vcpu_thread, job), 0);
	}
	assert_int_equal(pthread_create(&t->timer, NULL, timer_thread, vm), 0);
}

void fixture_join(struct fixture_threads *t)
{
	for (uint32_t i = 0; i < t->n; i++)
		pthread_join(t->vcpu[i], NULL);
	pthread_join(t->timer, NULL);
}

static uint64_t seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec;
}

void fixture_await(const uint64_t *word, uint64_t value)
{
	uint64_t end = seconds() + 20;

	while (hull_load_seqcst(word) < value) {
		if (seconds() > end)
			fail_msg("nothing happened for 20 s");
		sched_yield();
	}
}
