/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The scripted accelerator; see fake.h. */
#include "accel/fake/fake.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "base/mem.h"
#include "core/aspace.h"

enum { TIMER_LINE = 7, FLUSHES = HULL_REQ_FLUSH_TLB | HULL_REQ_FLUSH_CODE };

static struct hull_fake_vcpu *state_of(struct hull_vcpu *vcpu)
{
	return hull_vcpu_accel_state(vcpu);
}

void hull_fake_script(struct hull_vcpu *vcpu, const struct hull_fake_op *ops, uint32_t n)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	s->ops = ops;
	s->nops = n;
	s->pc = 0;
	s->done = 0;
}

static int fake_probe(const struct hull_hal *hal, struct hull_accel_caps *ret, struct hull_err *err)
{
	(void)hal;
	(void)ret;
	return hull_fail(err, HULL_ENOTSUP, 0, "fake: runs scripts of tests, no guests");
}

static int fake_vm_init(struct hull_vm *vm, struct hull_err *err)
{
	(void)vm;
	(void)err;
	return 0;
}

static void fake_vm_fini(struct hull_vm *vm)
{
	(void)vm;
}

static int fake_map(struct hull_vm *vm, hull_gpa gpa, void *hva, uint64_t len, unsigned attr)
{
	struct hull_fake_vm *s = hull_vm_accel_state(vm);

	if (s->fail_maps || s->nmaps == HULL_FAKE_MAPS)
		return HULL_ENOMEM;
	s->maps[s->nmaps++] = (struct hull_fake_map){ gpa, len, hva, attr };
	return 0;
}

static struct hull_fake_map *find_map(struct hull_fake_vm *s, hull_gpa gpa, uint64_t len)
{
	for (uint32_t i = 0; i < s->nmaps; i++)
		if (s->maps[i].gpa == gpa && s->maps[i].len == len)
			return &s->maps[i];
	return NULL;
}

static int fake_unmap(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	struct hull_fake_vm *s = hull_vm_accel_state(vm);
	struct hull_fake_map *m = find_map(s, gpa, len);

	if (!m)
		return HULL_ENOENT;
	*m = s->maps[--s->nmaps];
	hull_vcpus_sync(vm, UINT64_MAX, HULL_REQ_FLUSH_TLB);
	return 0;
}

static int fake_protect(struct hull_vm *vm, hull_gpa gpa, uint64_t len, unsigned attr)
{
	struct hull_fake_vm *s = hull_vm_accel_state(vm);
	struct hull_fake_map *m = find_map(s, gpa, len);

	if (!m || s->fail_protects)
		return HULL_EINVAL;
	m->attr = attr;
	hull_vcpus_sync(vm, UINT64_MAX, HULL_REQ_FLUSH_TLB);
	return 0;
}

static void timer_fire(struct hull_timer *t)
{
	hull_vcpu_line_set(CONTAINER_OF(t, struct hull_vcpu, timer), TIMER_LINE, true);
}

static int fake_vcpu_init(struct hull_vcpu *vcpu, struct hull_err *err)
{
	(void)err;
	vcpu->timer.fire = timer_fire;
	return 0;
}

static void fake_vcpu_fini(struct hull_vcpu *vcpu)
{
	(void)vcpu;
}

static void fake_vcpu_reset(struct hull_vcpu *vcpu)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	s->pc = 0;
	s->done = 0;
	memset(s->regs, 0, sizeof(s->regs));
	hull_add_relaxed(&s->resets, 1);
}

/* Serve requests; true if the vCPU has to leave. */
static bool attend(struct hull_vcpu *vcpu)
{
	struct hull_fake_vcpu *s = state_of(vcpu);
	uint32_t requests = hull_vcpu_take(vcpu, UINT32_MAX);

	if (requests & FLUSHES) {
		hull_add_relaxed(&s->flushes, 1);
		hull_vcpu_done(vcpu, FLUSHES);
	}
	return requests & HULL_REQ_STOP;
}

/* One instruction; false if the vCPU has to leave with *exit. */
static bool execute(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	if (hull_load_relaxed(&vcpu->attention) && attend(vcpu)) {
		exit->kind = HULL_EXIT_KICKED;
		return false;
	}
	if (vcpu->budget <= 0) {
		exit->kind = HULL_EXIT_BUDGET;
		return false;
	}
	if (vcpu->budget != INT64_MAX)
		hull_store_relaxed(&vcpu->budget, vcpu->budget - 1);
	hull_store_relaxed(&vcpu->insns, vcpu->insns + 1);
	return true;
}

static bool woken(struct hull_vcpu *vcpu)
{
	if (hull_vcpu_take(vcpu, HULL_REQ_IRQ_EDGE)) {
		hull_vcpu_done(vcpu, HULL_REQ_IRQ_EDGE);
		if (__atomic_exchange_n(&vcpu->irq_edges, 0, __ATOMIC_SEQ_CST))
			return true;
	}
	return hull_vcpu_lines(vcpu) != 0;
}

/* Perform one operation; false if the vCPU leaves with *exit. */
static bool perform(struct hull_vcpu *vcpu, const struct hull_fake_op *op, struct hull_exit *exit)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	if (op->kind == HULL_FAKE_SPIN)
		return execute(vcpu, exit);
	if (op->kind == HULL_FAKE_WORK && s->done < op->n) {
		s->done += execute(vcpu, exit);
		return exit->kind == HULL_EXIT_NONE;
	}
	if (op->kind != HULL_FAKE_WORK && !execute(vcpu, exit))
		return false;
	if (op->kind == HULL_FAKE_WAIT && !woken(vcpu)) {
		exit->kind = HULL_EXIT_HALT;
		return false;
	}
	s->done = 0;
	s->pc++;
	switch (op->kind) {
	case HULL_FAKE_EXIT: *exit = op->exit; return false;
	case HULL_FAKE_CALL: op->fn(vcpu, op->arg); return true;
	case HULL_FAKE_TIMER:
		hull_timer_set(vcpu->vm, &vcpu->timer, hull_clock_now(vcpu->vm) + op->n);
		return true;
	case HULL_FAKE_LOWER: hull_vcpu_line_set(vcpu, TIMER_LINE, false); return true;
	case HULL_FAKE_JUMP: s->pc = (uint32_t)op->n; return true;
	default: return true;
	}
}

static int fake_vcpu_run(struct hull_vcpu *vcpu, struct hull_exit *exit)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	*exit = (struct hull_exit){ .kind = HULL_EXIT_NONE };
	if (attend(vcpu)) {
		exit->kind = HULL_EXIT_KICKED;
		return 0;
	}
	hull_store_seqcst(&s->in_guest, 1);
	while (s->pc < s->nops)
		if (!perform(vcpu, &s->ops[s->pc], exit))
			break;
	hull_store_seqcst(&s->in_guest, 0);
	/* A script that is over waits for ever. */
	if (s->pc >= s->nops && exit->kind == HULL_EXIT_NONE)
		exit->kind = HULL_EXIT_HALT;
	return 0;
}

static void fake_vcpu_complete(struct hull_vcpu *vcpu, const struct hull_exit *exit)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	if (exit->io.failed)
		s->failed_io++;
	else if (!exit->io.write)
		s->regs[0] = exit->io.data;
}

static void fake_nothing(struct hull_vcpu *vcpu)
{
	(void)vcpu;
}

static uint64_t *find_reg(struct hull_vcpu *vcpu, uint32_t reg)
{
	struct hull_fake_vcpu *s = state_of(vcpu);

	if (reg < HULL_FAKE_REGS)
		return &s->regs[reg];
	for (uint32_t i = 0; i < s->nothers; i++)
		if (s->others[i].reg == reg)
			return &s->others[i].value;
	return NULL;
}

static int fake_reg_get(struct hull_vcpu *vcpu, uint32_t reg, uint64_t *ret)
{
	const uint64_t *r = find_reg(vcpu, reg);

	if (!r)
		return HULL_ENOENT;
	*ret = *r;
	return 0;
}

static int fake_reg_set(struct hull_vcpu *vcpu, uint32_t reg, uint64_t value)
{
	struct hull_fake_vcpu *s = state_of(vcpu);
	uint64_t *r = find_reg(vcpu, reg);

	if (!r && s->nothers == HULL_FAKE_OTHERS)
		return HULL_ENOENT;
	if (r)
		*r = value;
	else
		s->others[s->nothers++] = (struct hull_reg_value){ reg, value };
	return 0;
}

HULL_ACCEL(fake) = {
	.name = "fake",
	.summary = "scripts of tests instead of a processor",
	.isas = 1u << HULL_ISA_RISCV64 | 1u << HULL_ISA_AARCH64 | 1u << HULL_ISA_X86_64,
	.vm_size = sizeof(struct hull_fake_vm),
	.vcpu_size = sizeof(struct hull_fake_vcpu),
	.probe = fake_probe,
	.vm_init = fake_vm_init,
	.vm_fini = fake_vm_fini,
	.map = fake_map,
	.unmap = fake_unmap,
	.protect = fake_protect,
	.vcpu_init = fake_vcpu_init,
	.vcpu_fini = fake_vcpu_fini,
	.vcpu_reset = fake_vcpu_reset,
	.vcpu_run = fake_vcpu_run,
	.vcpu_complete = fake_vcpu_complete,
	.vcpu_kick = fake_nothing,
	.reg_get = fake_reg_get,
	.reg_set = fake_reg_set,
	.irq_update = fake_nothing,
};
