/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Threads for a VM; see run.h. */
#include "host/run.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/text.h"
#include "host/os/os.h"

struct worker {
	struct hull_run *run;
	uint32_t id;
	pthread_t thread;
};

struct hull_run {
	struct hull_vm *vm;
	int event_fd;
	uint32_t started; /* workers with a thread */
	uint32_t running; /* atomic: vCPU threads that have not returned */
	pthread_t timers;
	bool has_timers;
	struct worker workers[];
};

static void finished(struct hull_run *r)
{
	uint64_t one = 1;

	/* The last vCPU thread made the VM Stopped before it returned. */
	if (hull_add_seqcst(&r->running, (uint32_t)-1) == 1 && r->event_fd >= 0 &&
	    write(r->event_fd, &one, sizeof(one)) < 0) {
		/* The counter is at its limit: the reader is awake. */
	}
}

static void *vcpu_thread(void *arg)
{
	struct worker *w = arg;

	hull_vm_vcpu_loop(w->run->vm, w->id);
	finished(w->run);
	return NULL;
}

static void *deterministic_thread(void *arg)
{
	struct worker *w = arg;

	hull_vm_deterministic_loop(w->run->vm);
	finished(w->run);
	return NULL;
}

static void *timer_thread(void *arg)
{
	struct hull_run *r = arg;

	hull_vm_timer_loop(r->vm);
	return NULL;
}

static void join_all(struct hull_run *r)
{
	for (uint32_t i = 0; i < r->started; i++)
		pthread_join(r->workers[i].thread, NULL);
	if (r->has_timers)
		pthread_join(r->timers, NULL);
}

static int start_threads(struct hull_run *r, uint32_t n, struct hull_err *err)
{
	bool single = hull_vm_config(r->vm)->deterministic;
	char name[16];
	int e;

	for (uint32_t i = 0; i < n; i++) {
		struct worker *w = &r->workers[i];

		w->run = r;
		w->id = i;
		hull_format(name, sizeof(name), single ? "hull-whole" : "hull-vcpu%u", i);
		e = hull_os_thread(&w->thread, name, single ? deterministic_thread : vcpu_thread, w,
		                   err);
		if (e)
			return e;
		r->started++;
	}
	/* Last, for the guest need not wait for it: a timer that was due fires when it comes. */
	if (!single) {
		e = hull_os_thread(&r->timers, "hull-timers", timer_thread, r, err);
		if (e)
			return e;
		r->has_timers = true;
	}
	return 0;
}

int hull_run_start(struct hull_vm *vm, int event_fd, struct hull_run **ret, struct hull_err *err)
{
	uint32_t n = hull_vm_config(vm)->deterministic ? 1 : hull_vm_vcpu_count(vm);
	struct hull_run *r = calloc(1, sizeof(*r) + n * sizeof(r->workers[0]));
	int e;

	if (!r)
		return hull_fail(err, HULL_ENOMEM, 0, "no memory for threads");
	r->vm = vm;
	r->event_fd = event_fd;
	r->running = n;
	e = hull_vm_boot(vm, err);
	if (e) {
		free(r);
		return e;
	}
	e = start_threads(r, n, err);
	if (e) {
		hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
		/* The loops of the vCPUs without a thread end the stop: they return at once. */
		for (uint32_t i = r->started; i < n; i++)
			hull_vm_vcpu_loop(vm, i);
		join_all(r);
		free(r);
		return e;
	}
	*ret = r;
	return 0;
}

bool hull_run_over(const struct hull_run *r)
{
	return hull_load_acquire(&r->running) == 0;
}

enum hull_stop_reason hull_run_wait(struct hull_run *r)
{
	struct hull_vm *vm = r->vm;

	join_all(r);
	free(r);
	return hull_vm_stop_reason(vm);
}
