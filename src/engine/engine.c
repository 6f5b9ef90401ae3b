/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The CPU engine as an accelerator: any guest on any host.
 *
 * Guest memory stays in the core's address space; what a hart caches of it
 * is dropped by requests, so map needs nothing and unmap is a synchronous flush.
 */
#include <fenv.h>
#include <hull/accel.h>
#include <hull/vm.h>

#include "base/atomic.h"
#include "base/mem.h"
#include "core/vcpu.h"
#include "engine/engine.h"
#include "engine/hardfloat.h"
#include "engine/jit/cache.h"
#include "engine/jit/store.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "engine/jit/host.h"
#include "engine/riscv64/lift.h"

/* Decoded blocks of all vCPUs together; what is hot needs none if there is generated code. */
#define CACHE_BYTES     (UINT64_C(32) << 20)
#define CACHE_BYTES_JIT (UINT64_C(12) << 20)
#define CACHE_BYTES_MIN (UINT64_C(1) << 20)
/* Generated code of all vCPUs together, if the configuration does not say. */
#define CODE_BYTES (UINT64_C(128) << 20)

/* A file of code that is kept between runs. */
#define STORE_BYTES (UINT64_C(64) << 20)

struct engine_vm {
	enum hull_engine_tier tier;
	struct jit_perf *perf;                /* NULL: none */
	struct jit_store *store;              /* NULL: none */
	struct rv_eval *eval[HULL_MAX_VCPUS]; /* HULL_TIER_EVAL only */
};

#define EVAL_BYTES align_up(sizeof(struct rv_eval), HULL_PAGE_SIZE)

static struct rv_hart *hart(struct hull_vcpu *vcpu)
{
	return hull_vcpu_accel_state(vcpu);
}

/*
 * The thread's own floating-point environment may round otherwise, flush subnormal numbers or
 * trap exceptions, which a guest would then raise at will: hardfloat.h needs the default one.
 */
static void enter_fp(fenv_t *saved)
{
	(void)fegetenv(saved);
	(void)fesetenv(FE_DFL_ENV);
}

static bool fp_usable(void)
{
	fenv_t saved;
	bool usable;

	enter_fp(&saved);
	usable = hard_fp_usable();
	(void)fesetenv(&saved);
	return usable;
}

unsigned hull_engine_tiers(void)
{
	return HULL_TIER_INTERP | HULL_TIER_EVAL |
	       (host_info.gpr_count ? HULL_TIER_BLOCK | HULL_TIER_REGION : 0);
}

enum hull_engine_tier hull_engine_tier_of(enum hull_engine_mode mode)
{
	unsigned tiers = hull_engine_tiers();

	switch (mode) {
	case HULL_ENGINE_AUTO:
	case HULL_ENGINE_HYBRID:
		if (tiers & HULL_TIER_REGION)
			return HULL_TIER_REGION;
		if (tiers & HULL_TIER_BLOCK)
			return HULL_TIER_BLOCK;
		return mode == HULL_ENGINE_AUTO ? HULL_TIER_INTERP : 0;
	case HULL_ENGINE_INTERP: return HULL_TIER_INTERP;
	case HULL_ENGINE_JIT: return tiers & HULL_TIER_BLOCK;
	case HULL_ENGINE_OPT: return tiers & HULL_TIER_REGION;
	case HULL_ENGINE_EVAL: return tiers & HULL_TIER_EVAL;
	default: return 0;
	}
}

/* Code of earlier runs, if the configuration names a directory for it. */
static int open_store(struct hull_vm *vm, struct hull_err *err)
{
	const char *dir = hull_vm_config(vm)->engine.cache_dir;
	struct engine_vm *e = hull_vm_accel_state(vm);
	struct jit_store_key key = { .guest = "riscv64",
		                     .features = host_features(),
		                     .smp = rv_jit_is_shared(hull_vm_config(vm)) };

	return *dir ? jit_store_open(dir, &key, &e->store, err) : 0;
}

const char *hull_engine_store_note(struct hull_vm *vm)
{
	const struct engine_vm *e = hull_vm_accel_state(vm);

	return e->store ? jit_store_note(e->store) : NULL;
}

int hull_engine_save_code(struct hull_vm *vm, struct hull_err *err)
{
	const struct engine_vm *e = hull_vm_accel_state(vm);
	int rc = 0;

	if (!e->store)
		return 0;
	for (uint32_t i = 0; !rc && i < hull_vm_vcpu_count(vm); i++)
		rc = rv_jit_hand_over(hart(hull_vm_vcpu(vm, i)));
	if (rc)
		return hull_fail(err, rc, 120, "no memory for keeping translated code");
	return jit_store_save(e->store, STORE_BYTES, err);
}

static int engine_vm_init(struct hull_vm *vm, struct hull_err *err)
{
	const struct hull_engine_config *c = &hull_vm_config(vm)->engine;
	struct engine_vm *e = hull_vm_accel_state(vm);
	int rc;

	if (hull_vm_config(vm)->isa != HULL_ISA_RISCV64)
		return hull_fail(err, HULL_ENOTSUP, 1301, "the engine runs riscv64 guests only");
	e->tier = hull_engine_tier_of(hull_vm_config(vm)->engine.mode);
	if (!e->tier)
		return hull_fail(err, HULL_ENOTSUP, 1301, "the engine cannot run this way");
	if (!fp_usable())
		return hull_fail(
			err, HULL_ENOTSUP, 802,
			"the host's floating-point unit is not in its IEEE 754 default mode");
	if (!(e->tier & (HULL_TIER_BLOCK | HULL_TIER_REGION)))
		return 0;
	rc = open_store(vm, err);
	if (rc)
		return rc;
	rc = jit_perf_open(c->perf, c->perf_dir, &e->perf, err);
	if (rc)
		jit_store_close(e->store);
	return rc;
}

static void engine_vm_fini(struct hull_vm *vm)
{
	struct engine_vm *e = hull_vm_accel_state(vm);

	jit_perf_close(e->perf);
	jit_store_close(e->store);
}

static int engine_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr)
{
	return 0;
}

static uint64_t all_vcpus(struct hull_vm *vm)
{
	return low_mask(hull_vm_vcpu_count(vm));
}

static int engine_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	hull_vcpus_sync(vm, all_vcpus(vm), HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE);
	return 0;
}

static int engine_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr)
{
	return engine_unmap(vm, gpa, len);
}

static int engine_dirty_log(struct hull_vm *vm, hull_gpa gpa, uint64_t len, bool on)
{
	hull_vcpus_sync(vm, all_vcpus(vm), HULL_REQ_FLUSH_TLB);
	return 0;
}

static int engine_vcpu_init(struct hull_vcpu *vcpu, struct hull_err *err)
{
	struct engine_vm *e = hull_vm_accel_state(vcpu->vm);
	const struct hull_hal *hal = hull_vm_hal(vcpu->vm);
	struct rv_hart *h = hart(vcpu);
	/* Not hull_vm_vcpu_count(): not all of them are there yet. */
	uint32_t cpus = hull_vm_config(vcpu->vm)->cpu_num;
	bool jit = e->tier & (HULL_TIER_BLOCK | HULL_TIER_REGION);
	uint64_t bytes = (jit ? CACHE_BYTES_JIT : CACHE_BYTES) / cpus;
	int rc;

	h->vcpu = vcpu;
	h->vm = vcpu->vm;
	h->watch.on = cpus == 1;
	hull_timer_init(&vcpu->timer, rv_timer_fired);
	rc = rv_cache_init(h, hal, align_down(MAX(bytes, CACHE_BYTES_MIN), HULL_PAGE_SIZE));
	if (rc)
		return hull_fail(err, rc, 801, "no memory for the decoded-block cache of vCPU %u",
		                 vcpu->id);
	if (e->tier == HULL_TIER_EVAL) {
		e->eval[vcpu->id] = hal->pages_alloc(hal, EVAL_BYTES, HULL_PAGE_SIZE, false);
		if (!e->eval[vcpu->id]) {
			rv_cache_fini(h, hal);
			return hull_fail(err, HULL_ENOMEM, 120, "no memory for the IR of vCPU %u",
			                 vcpu->id);
		}
	}
	if (jit) {
		const struct hull_engine_config *c = &hull_vm_config(vcpu->vm)->engine;
		uint64_t code = c->cache_bytes ? c->cache_bytes : CODE_BYTES;

		code = MAX(code / cpus, (uint64_t)JIT_CACHE_MIN);
		rc = rv_jit_init(h, c, align_down(code, HULL_PAGE_SIZE), err);
		if (rc) {
			rv_cache_fini(h, hal);
			return rc;
		}
		h->jit->perf = e->perf;
		h->jit->store = e->store;
	}
	rv_hart_reset(h);
	return 0;
}

static void engine_vcpu_fini(struct hull_vcpu *vcpu)
{
	struct engine_vm *e = hull_vm_accel_state(vcpu->vm);
	const struct hull_hal *hal = hull_vm_hal(vcpu->vm);

	rv_jit_fini(hart(vcpu));
	rv_cache_fini(hart(vcpu), hal);
	if (e->eval[vcpu->id])
		hal->pages_free(hal, e->eval[vcpu->id], EVAL_BYTES);
	e->eval[vcpu->id] = NULL;
}

static void engine_vcpu_reset(struct hull_vcpu *vcpu)
{
	rv_hart_reset(hart(vcpu));
}

static int engine_vcpu_run(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	const struct engine_vm *e = hull_vm_accel_state(vcpu->vm);
	struct rv_hart *h = hart(vcpu);
	bool limited = vcpu->budget != INT64_MAX;
	fenv_t saved;
	int rc;

	enter_fp(&saved);
	h->retire_limit = limited ? h->retired : UINT64_MAX;
	rv_heed_budget(h);
	if (e->tier == HULL_TIER_EVAL)
		rc = rv_evaluate(h, e->eval[vcpu->id], exit);
	else
		rc = h->jit ? rv_jit_run(h, exit) : rv_interpret(h, exit);
	rv_tell_budget(h);
	(void)fesetenv(&saved);
	hull_store_relaxed(&vcpu->insns, h->retired); /* read by statistics only */
	return rc;
}

static void engine_vcpu_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit)
{
}

static void engine_vcpu_kick(struct hull_vcpu *vcpu)
{
	/* `attention` is all that the interpreter looks at, and it is set already. */
}

static int engine_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	return rv_reg_get(hart(vcpu), reg, ret);
}

static int engine_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	return rv_reg_set(hart(vcpu), reg, value);
}

static void engine_irq_update(struct hull_vcpu *vcpu)
{
}

static void engine_stats(struct hull_vm *vm, uint32_t id, hull_stat_fn fn, void *arg)
{
	struct hull_engine_stats sum = { 0 };
	const char *name, *text;
	uint64_t value;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++) {
		const struct rv_hart *h = hart(hull_vm_vcpu(vm, i));
		struct hull_engine_stats s = h->stats;

		if (h->jit)
			rv_jit_stats(h, &s);
		if (id == UINT32_MAX || id == i)
			hull_engine_stats_add(&sum, &s);
	}
	for (unsigned i = 0; (name = hull_engine_stats_get(&sum, i, &text, &value)); i++)
		fn(arg, name, text, value);
}

/*
 * The payload of probe(): a loop of adds, a load, a store and a branch.
 *   auipc a0, 0; addi a0, a0, 64;
 *   1: ld a1, 0(a0); addi a1, a1, 1; sd a1, 0(a0); add a2, a2, a1; xor a3, a2, a1; j 1b
 */
static const uint32_t payload[] = {
	0x00000517, 0x04050513, 0x00053583, 0x00158593,
	0x00b53023, 0x00b60633, 0x00b646b3, 0xfedff06f,
};

static int load_payload(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);
	int rc = hull_vm_write(vm, 0x80000000, payload, sizeof(payload));

	if (rc)
		return hull_fail(err, rc, 0, "cannot load the probe payload");
	return hull_vcpu_reg_set(vcpu, HULL_RV_REG_PC, 0x80000000);
}

static int run_payload(struct hull_vm *vm, const struct hull_hal *hal, uint64_t *ret_mips,
                       struct hull_err *err)
{
	const int64_t insns = 4000000;
	struct hull_vcpu *vcpu = hull_vm_vcpu(vm, 0);
	struct hull_exit exit;
	uint64_t start, ns, count = 0;
	int rc;

	hull_vm_set_loader(vm, load_payload, NULL);
	if ((rc = hull_vm_seal(vm, err)) || (rc = hull_vm_boot(vm, err)))
		return rc;
	vcpu->budget = insns;
	start = hal->now_ns(hal);
	rc = hull_vm_run_vcpu(vm, 0, &exit);
	ns = hal->now_ns(hal) - start;
	if (rc || exit.kind != HULL_EXIT_BUDGET ||
	    hull_vm_read(vm, 0x80000040, &count, sizeof(count)) || count < (uint64_t)insns / 6 - 1)
		return hull_fail(err, HULL_EIO, 801, "the engine's self-test computed %llu",
		                 (unsigned long long)count);
	*ret_mips = (uint64_t)insns * 1000 / MAX(ns, UINT64_C(1));
	return 0;
}

static int engine_probe(const struct hull_hal *hal, struct hull_accel_caps *ret,
                        struct hull_err *err)
{
	struct hull_region_config ram = { .gpa = 0x80000000,
		                          .size = HULL_PAGE_SIZE,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config config;
	struct hull_vm *vm;
	uint64_t mips = 0;
	int rc;

	hull_config_init(&config, HULL_ISA_RISCV64, "probe");
	config.deterministic = true; /* budgets count */
	rc = hull_config_add_region(&config, &ram, err);
	if (!rc)
		rc = hull_vm_create(&config, hal, hull_accel_find("engine"), &vm, err);
	if (rc)
		return rc;
	rc = run_payload(vm, hal, &mips, err);
	hull_vm_shutdown(vm, HULL_STOP_FORCED, NULL);
	hull_vm_unref(vm);
	if (rc)
		return rc;
	*ret = (struct hull_accel_caps){
		.isas = 1u << HULL_ISA_RISCV64,
		.max_vcpus = HULL_MAX_VCPUS,
		.gpa_bits = 56,
		.has_dirty_log = true,
		.deterministic = true,
		.mips = mips,
	};
	return 0;
}

HULL_ACCEL(engine) = {
	.name = "engine",
	.summary = "Hull's own CPU engine: any guest on any host",
	.isas = 1u << HULL_ISA_RISCV64,
	.vm_size = sizeof(struct engine_vm),
	.vcpu_size = sizeof(struct rv_hart),
	.probe = engine_probe,
	.vm_init = engine_vm_init,
	.vm_fini = engine_vm_fini,
	.map = engine_map,
	.unmap = engine_unmap,
	.protect = engine_protect,
	.vcpu_init = engine_vcpu_init,
	.vcpu_fini = engine_vcpu_fini,
	.vcpu_reset = engine_vcpu_reset,
	.vcpu_run = engine_vcpu_run,
	.vcpu_complete = engine_vcpu_complete,
	.vcpu_kick = engine_vcpu_kick,
	.reg_get = engine_reg_get,
	.reg_set = engine_reg_set,
	.irq_update = engine_irq_update,
	.dirty_log = engine_dirty_log,
	.stats = engine_stats,
};
