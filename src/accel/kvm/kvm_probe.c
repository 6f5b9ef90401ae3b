/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Does KVM work here, and how fast?  A machine of a few pages runs a loop and what kernels need.
 *
 * A host that is itself a virtual machine may offer a KVM that emulates the guest's kernel,
 * instruction by instruction: then /dev/kvm opens, and nothing of use runs.
 */
#include "accel/kvm/kvm_impl.h"

#include <errno.h>
#include <time.h>

#include "base/bits.h"
#include "base/text.h"

enum {
	FIRST_LOOPS = 1000,
	MORE = 8,           /* times as many in the next measurement */
	ENOUGH_NS = 500000, /* long enough to be exact */
	FAST_MIPS = 1000,   /* above this nobody needs to know exactly */
	SLOW_MIPS = 100,
	TRIES = 3,
	PATIENCE_S = 5,
};

/* Ends a run that does not end by itself. */
struct watchdog {
	struct hull_vm *vm;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool over;
};

static void *watch(void *arg)
{
	struct watchdog *w = arg;
	struct timespec end;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += PATIENCE_S;
	pthread_mutex_lock(&w->lock);
	while (!w->over && r != ETIMEDOUT)
		r = pthread_cond_timedwait(&w->cond, &w->lock, &end);
	if (!w->over)
		hull_vm_system_event(w->vm, HULL_SYSTEM_CRASH, 0);
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

static void call_off(struct watchdog *w, pthread_t thread)
{
	pthread_mutex_lock(&w->lock);
	w->over = true;
	pthread_cond_signal(&w->cond);
	pthread_mutex_unlock(&w->lock);
	pthread_join(thread, NULL);
}

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	int r = hull_kvm_arch_payload_load(vm);

	return r ? hull_fail(err, r, 203, "the test program does not fit") : 0;
}

/* Run until it is over; the time that it took. */
static int run(struct hull_vm *vm, uint32_t loops, uint64_t *ret_ns, struct hull_err *err)
{
	const struct hull_hal *hal = hull_vm_hal(vm);
	struct hull_exit e = { 0 };
	uint64_t start;
	int r = hull_kvm_arch_payload_start(hull_vm_vcpu(vm, 0), loops);

	start = hal->now_ns(hal);
	if (!r)
		r = hull_vm_run_vcpu(vm, 0, &e);
	*ret_ns = MAX(hal->now_ns(hal) - start, UINT64_C(1));
	if (!r && (e.kind == HULL_EXIT_HALT ||
	           (e.kind == HULL_EXIT_SYSTEM && e.system.event == HULL_SYSTEM_OFF)))
		return 0;
	if (!r && e.kind == HULL_EXIT_FAIL)
		return hull_fail(err, HULL_ENOTSUP, 203, "%.*s", 200, e.fail.why);
	return hull_fail(err, HULL_ENOTSUP, 203, "it does not come to an end");
}

static uint64_t rate_of(uint32_t loops, uint64_t ns)
{
	return (uint64_t)loops * hull_kvm_arch_payload.loop_insns * 1000000 / ns;
}

/* Instructions per millisecond, without what it takes to start unless that hardly counts. */
static int measure(struct hull_vm *vm, uint64_t *ret_rate, struct hull_err *err)
{
	uint32_t loops = FIRST_LOOPS;
	uint64_t start = 0, ns = 0;
	int r = run(vm, 1, &start, err); /* memory comes into being */

	if (!r)
		r = run(vm, 1, &start, err);
	while (!r) {
		r = run(vm, loops, &ns, err);
		*ret_rate = rate_of(loops, ns);
		if (*ret_rate >= FAST_MIPS * UINT64_C(1000) || loops > UINT32_MAX / MORE)
			break;
		if (ns > start && ns - start >= ENOUGH_NS) {
			*ret_rate = rate_of(loops, ns - start);
			break;
		}
		loops *= MORE;
	}
	return r;
}

static int judge(struct hull_vm *vm, struct hull_accel_caps *caps, struct hull_err *err)
{
	struct hull_err why = { 0 };
	const char *failed;
	uint64_t rate = 0, again, ns;
	int r = hull_vm_boot(vm, err);

	/* On a busy host another program may have had the processor meanwhile. */
	for (unsigned i = 0; !r && i < TRIES && rate < SLOW_MIPS * UINT64_C(1000); i++) {
		r = measure(vm, &again, err);
		rate = r ? rate : MAX(rate, again);
	}
	if (r)
		return r;
	caps->mips = rate / 1000;
	if (caps->mips < SLOW_MIPS)
		return hull_fail(err, HULL_ENOTSUP, 203,
		                 "/dev/kvm works but executes only %llu.%llu MIPS here (nested "
		                 "without hardware help)",
		                 (unsigned long long)(rate / 1000),
		                 (unsigned long long)(rate / 100 % 10));
	r = run(vm, 0, &ns, &why);
	failed = hull_kvm_arch_payload_result(vm);
	if (!r && !failed)
		return 0;
	return hull_fail(err, HULL_ENOTSUP, 203, "/dev/kvm opens, but KVM fails at %s here%s%s",
	                 failed ? failed : "its end", r ? ": " : "", why.text);
}

static int with_watchdog(struct hull_vm *vm, struct hull_accel_caps *caps, struct hull_err *err)
{
	struct watchdog w = { .vm = vm,
		              .lock = PTHREAD_MUTEX_INITIALIZER,
		              .cond = PTHREAD_COND_INITIALIZER };
	pthread_t thread;
	int r;

	if (pthread_create(&thread, NULL, watch, &w))
		return hull_fail(err, HULL_ENOMEM, 801, "no thread for the test of KVM");
	r = judge(vm, caps, err);
	call_off(&w, thread);
	return r;
}

int hull_kvm_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err)
{
	const struct hull_kvm_payload *p = &hull_kvm_arch_payload;
	struct hull_region_config ram = { .gpa = p->ram_at,
		                          .size = p->ram,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_accel_caps caps = { .isas = HULL_KVM_ISAS, .has_dirty_log = true };
	struct hull_vm_config config;
	struct hull_kvm_vm *k;
	struct hull_vm *vm;
	int r;

	if (!caps.isas)
		return hull_fail(err, HULL_ENOTSUP, 201,
		                 "this build does not use KVM on such a "
		                 "host");
	hull_config_init(&config, p->isa, "probe");
	config.hw.irqchip = HULL_IRQCHIP_USER;
	r = hull_config_add_region(&config, &ram, err);
	if (!r)
		r = hull_vm_create(&config, hal, hull_accel_find("kvm"), &vm, err);
	if (r)
		return r;
	hull_vm_set_loader(vm, load, NULL);
	k = hull_vm_accel_state(vm);
	caps.max_vcpus = (uint32_t)MIN(hull_kvm_cap(k, KVM_CAP_MAX_VCPUS), HULL_MAX_VCPUS);
	caps.gpa_bits = hull_kvm_arch_gpa_bits(k);
	r = hull_vm_seal(vm, err);
	if (!r)
		r = with_watchdog(vm, &caps, err);
	(void)hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	hull_vm_unref(vm);
	if (!r)
		*ret = caps;
	return r;
}
