/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The life of a VM: every pair of state and verb, boot, reset, references. */
#include "support/vm_fixture.h"

#include <string.h>

enum verb { SEAL, BOOT, PAUSE, RESUME, RESET, SHUTDOWN, DESTROY, VERBS };

static int no_loader_error;

static int counting_loader(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	(void)err;
	++*(int *)arg;
	return hull_vcpu_reg_set(hull_vm_vcpu(vm, 0), 1, 77);
}

static int failing_loader(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	(void)vm;
	(void)arg;
	return hull_fail(err, HULL_EIO, 0, "no kernel");
}

static int nosy_loader(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	struct hull_err inner;

	(void)arg;
	(void)err;
	assert_int_equal(hull_vm_pause(vm, &inner), HULL_EBUSY);
	assert_int_equal(hull_vm_shutdown(vm, HULL_STOP_FORCED, &inner), HULL_ESTATE);
	assert_non_null(strstr(inner.text, "loader"));
	return 0;
}

static int perform(struct hull_vm *vm, enum verb verb, struct hull_err *err)
{
	switch (verb) {
	case SEAL: return hull_vm_seal(vm, err);
	case BOOT: return hull_vm_boot(vm, err);
	case PAUSE: return hull_vm_pause(vm, err);
	case RESUME: return hull_vm_resume(vm, err);
	case RESET: return hull_vm_reset(vm, err);
	case SHUTDOWN: return hull_vm_shutdown(vm, HULL_STOP_FORCED, err);
	default: return hull_vm_destroy(vm, err);
	}
}

/* Run vCPU 0 until `exit`, to get a VM that waits for its loop in Stopping. */
static void *loop(void *arg)
{
	hull_vm_vcpu_loop(arg, 0);
	return NULL;
}

struct blocker {
	uint64_t entered, leave; /* atomic */
};

static void block(struct hull_vcpu *vcpu, void *arg)
{
	struct blocker *b = arg;

	(void)vcpu;
	hull_add_seqcst(&b->entered, 1);
	fixture_await(&b->leave, 1);
}

/* A VM in `state`, with a script that blocks in a call so that Stopping lasts. */
struct scene {
	struct fake_hal h;
	struct hull_vm *vm;
	struct blocker blocker;
	struct hull_fake_op script[2];
	pthread_t thread;
	bool threaded;
};

static void set_scene(struct scene *s, enum hull_vm_state state)
{
	static const enum verb path[][4] = {
		[HULL_VM_LOADING] = { VERBS },
		[HULL_VM_READY] = { SEAL, VERBS },
		[HULL_VM_RUNNING] = { SEAL, BOOT, VERBS },
		[HULL_VM_PAUSED] = { SEAL, BOOT, PAUSE, VERBS },
		[HULL_VM_STOPPING] = { SEAL, BOOT, VERBS },
		[HULL_VM_STOPPED] = { SEAL, BOOT, SHUTDOWN, VERBS },
		[HULL_VM_FAILED] = { SEAL, BOOT, VERBS },
	};

	memset(s, 0, sizeof(*s));
	s->vm = fixture_make(&s->h, 1);
	for (int i = 0; i < 4 && path[state][i] != VERBS; i++)
		assert_int_equal(perform(s->vm, path[state][i], NULL), 0);
	if (state == HULL_VM_STOPPING) {
		s->script[0] = (struct hull_fake_op){ .kind = HULL_FAKE_CALL,
			                              .fn = block,
			                              .arg = &s->blocker };
		hull_fake_script(hull_vm_vcpu(s->vm, 0), s->script, 1);
		pthread_create(&s->thread, NULL, loop, s->vm);
		s->threaded = true;
		fixture_await(&s->blocker.entered, 1);
		assert_int_equal(hull_vm_shutdown(s->vm, HULL_STOP_FORCED, NULL), 0);
	}
	if (state == HULL_VM_FAILED) {
		struct hull_exit e;

		s->script[0] = (struct hull_fake_op){ .exit = { .kind = HULL_EXIT_FAIL } };
		hull_fake_script(hull_vm_vcpu(s->vm, 0), s->script, 1);
		assert_int_equal(hull_vm_run_vcpu(s->vm, 0, &e), 0);
		assert_int_equal(e.kind, HULL_EXIT_FAIL);
	}
	assert_int_equal(hull_vm_state(s->vm), state);
}

static void clear_scene(struct scene *s, bool destroyed)
{
	if (s->threaded) {
		hull_store_seqcst(&s->blocker.leave, 1);
		pthread_join(s->thread, NULL);
		assert_int_equal(hull_vm_state(s->vm), HULL_VM_STOPPED);
	}
	if (destroyed) {
		assert_int_equal(s->h.live_bytes, 0);
		fake_hal_fini(&s->h);
		return;
	}
	if (hull_vm_state(s->vm) == HULL_VM_RUNNING || hull_vm_state(s->vm) == HULL_VM_PAUSED)
		assert_int_equal(hull_vm_shutdown(s->vm, HULL_STOP_FORCED, NULL), 0);
	fixture_unmake(&s->h, s->vm);
}

static void test_every_pair(void **state)
{
	static const char *const names[VERBS] = { "seal",  "boot",     "pause",  "resume",
		                                  "reset", "shutdown", "destroy" };
	/* The state after each verb; -1: refused with ESTATE. */
	static const int after[HULL_VM_FAILED + 1][VERBS] = {
		{ HULL_VM_READY, -1, -1, -1, -1, -1, 0 },
		{ -1, HULL_VM_RUNNING, -1, -1, -1, HULL_VM_STOPPED, 0 },
		{ -1, -1, HULL_VM_PAUSED, -1, HULL_VM_RUNNING, HULL_VM_STOPPED, -1 },
		{ -1, -1, -1, HULL_VM_RUNNING, HULL_VM_RUNNING, HULL_VM_STOPPED, -1 },
		{ -1, -1, -1, -1, -1, -1, -1 },
		{ -1, HULL_VM_RUNNING, -1, -1, -1, -1, 0 },
		{ -1, -1, -1, -1, -1, -1, 0 },
	};

	(void)state;
	for (int from = 0; from <= HULL_VM_FAILED; from++)
		for (int verb = 0; verb < VERBS; verb++) {
			struct scene s;
			struct hull_err err = { 0 };
			int ret;

			set_scene(&s, (enum hull_vm_state)from);
			ret = perform(s.vm, (enum verb)verb, &err);
			if (after[from][verb] < 0) {
				assert_int_equal(ret, HULL_ESTATE);
				assert_int_equal(err.id, 401);
				assert_non_null(strstr(err.text, names[verb]));
				assert_non_null(strstr(err.text, hull_vm_state_name(from)));
				assert_non_null(strstr(err.fix, "allowed now"));
				assert_int_equal(hull_vm_state(s.vm), from);
			} else {
				assert_int_equal(ret, 0);
				if (verb != DESTROY)
					assert_int_equal(hull_vm_state(s.vm), after[from][verb]);
			}
			clear_scene(&s, verb == DESTROY && !ret);
		}
}

static void test_boot_again(void **state)
{
	static const struct hull_fake_op script[] = {
		{ .exit = { .kind = HULL_EXIT_SYSTEM,
		            .system = { .event = HULL_SYSTEM_OFF, .code = 5 } } },
	};
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 1);
	int loads = 0;

	(void)state;
	hull_vm_set_loader(vm, counting_loader, &loads);
	for (int i = 1; i <= 3; i++) {
		uint64_t value = 0;

		assert_int_equal(hull_vm_boot(vm, NULL), 0);
		assert_int_equal(loads, i);
		assert_int_equal(hull_vcpu_reg_get(hull_vm_vcpu(vm, 0), 1, &value), 0);
		assert_int_equal(value, 77);
		assert_int_equal(hull_vcpu_state(hull_vm_vcpu(vm, 1)), HULL_VCPU_OFF);
		hull_vm_vcpu_loop(vm, 0);
		assert_int_equal(hull_vm_state(vm), HULL_VM_STOPPED);
		assert_int_equal(hull_vm_stop_code(vm), 5);
	}
	fixture_unmake(&h, vm);
}

static void test_failing_loader(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);
	struct hull_err err;

	(void)state;
	hull_vm_set_loader(vm, failing_loader, &no_loader_error);
	assert_int_equal(hull_vm_boot(vm, &err), HULL_EIO);
	assert_string_equal(err.text, "no kernel");
	assert_int_equal(hull_vm_state(vm), HULL_VM_READY);
	hull_vm_set_loader(vm, nosy_loader, NULL);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	/* A reset that fails leaves nothing to run. */
	hull_vm_set_loader(vm, failing_loader, NULL);
	assert_int_equal(hull_vm_reset(vm, &err), HULL_EIO);
	assert_int_equal(hull_vm_state(vm), HULL_VM_FAILED);
	fixture_unmake(&h, vm);
}

static void test_references(void **state)
{
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 1, NULL, 0);

	(void)state;
	hull_vm_ref(vm);
	assert_int_equal(hull_vm_destroy(vm, NULL), HULL_EBUSY);
	hull_vm_unref(vm);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	hull_vm_unref(vm); /* runs, nobody inside: stopped and destroyed */
	assert_int_equal(h.live_bytes, 0);
	assert_int_equal(hull_vm_destroy(NULL, NULL), 0);
	hull_vm_unref(NULL);
	fake_hal_fini(&h);
}

static void test_busy_while_inside(void **state)
{
	struct scene s;

	(void)state;
	set_scene(&s, HULL_VM_STOPPING);
	assert_int_equal(hull_vm_destroy(s.vm, NULL), HULL_ESTATE);
	clear_scene(&s, false);
}

static void test_system_events(void **state)
{
	static const struct hull_fake_op script[] = { { .kind = HULL_FAKE_SPIN } };
	struct fake_hal h;
	struct hull_vm *vm = fixture_sealed(&h, 2, script, 1);
	struct hull_exit e;
	int loads = 0;

	(void)state;
	hull_vm_set_loader(vm, counting_loader, &loads);
	assert_int_equal(hull_vm_boot(vm, NULL), 0);
	/* Whoever calls run_vcpu decides by himself. */
	hull_vm_system_event(vm, HULL_SYSTEM_RESET, 9);
	hull_vm_system_event(vm, HULL_SYSTEM_OFF, 1); /* the first one wins */
	hull_vm_system_event(vm, (enum hull_system_event)7, 1);
	assert_int_equal(hull_vm_run_vcpu(vm, 0, &e), 0);
	assert_int_equal(e.kind, HULL_EXIT_SYSTEM);
	assert_int_equal(e.system.event, HULL_SYSTEM_RESET);
	assert_int_equal(e.system.code, 9);
	assert_int_equal(hull_vm_reset(vm, NULL), 0);
	assert_int_equal(loads, 2);
	/* The loop performs it. */
	hull_vm_system_event(vm, HULL_SYSTEM_CRASH, 4);
	hull_vm_vcpu_loop(vm, 0);
	assert_int_equal(hull_vm_stop_reason(vm), HULL_STOP_CRASH);
	assert_int_equal(hull_vm_stop_code(vm), 4);
	assert_string_equal(hull_vm_state_name((enum hull_vm_state)99), "?");
	fixture_unmake(&h, vm);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_pair),        cmocka_unit_test(test_boot_again),
		cmocka_unit_test(test_failing_loader),    cmocka_unit_test(test_references),
		cmocka_unit_test(test_busy_while_inside), cmocka_unit_test(test_system_events),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
