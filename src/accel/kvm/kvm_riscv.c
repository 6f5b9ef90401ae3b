/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * KVM on riscv64 hosts.
 *
 * Timers and SBI are KVM's: harts wait inside KVM_RUN for interrupts and for being started, so the
 * core sees neither halts nor starts.  Calls that KVM leaves to us (the old console) go to Hull's
 * SBI.  The PLIC is the board's; its line into a hart is KVM_INTERRUPT (api 4.16).
 */
#include "accel/kvm/kvm_impl.h"

#if defined(__riscv)

#include <errno.h>
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "isa/riscv64/isa.h"
#include "isa/riscv64/regs.h"

/* What headers of Linux 6.1 lack. */
enum { CAP_VM_GPA_BITS = 207 };

/* Kinds of registers (api 4.68), and numbers within them. */
enum { CONFIG = 1, CORE = 2, CSR = 3, TIMER = 4, FP_D = 6, ISA_EXT = 7 };
enum { CONFIG_ZICBOM_BLOCK = 1, CONFIG_ZICBOZ_BLOCK = 5 };
enum { CORE_PC = 0, CORE_MODE = 32, FP_D_FCSR = 32 };
enum { TIMER_FREQUENCY, TIMER_TIME, TIMER_COMPARE, TIMER_STATE };
enum {
	CSR_FCSR = 0x003,
	CSR_SSTATUS = 0x100,
	CSR_SIE = 0x104,
	CSR_STVEC = 0x105,
	CSR_SCOUNTEREN = 0x106,
	CSR_SENVCFG = 0x10a,
	CSR_SSCRATCH = 0x140,
	CSR_SEPC = 0x141,
	CSR_SCAUSE = 0x142,
	CSR_STVAL = 0x143,
	CSR_SIP = 0x144,
	CSR_STIMECMP = 0x14d,
	CSR_SATP = 0x180,
	CSR_TIME = 0xc01,
};
enum { REG_A0 = 10, REG_A1 = 11, ALL_COUNTERS = 7, GPA_BITS_LEAST = 41 /* Sv39x4 */ };

/* Registers without a rule.  Of KVM's CSRs senvcfg came later than the others. */
static const struct place {
	uint32_t reg;
	uint8_t kind, number;
} places[] = {
	{ HULL_RV_REG_PC, CORE, CORE_PC },
	{ HULL_RV_REG_PRIV, CORE, CORE_MODE },
	{ HULL_RV_REG_TIMEBASE, TIMER, TIMER_FREQUENCY },
	{ HULL_RV_REG_CSR + CSR_FCSR, FP_D, FP_D_FCSR },
	{ HULL_RV_REG_CSR + CSR_TIME, TIMER, TIMER_TIME },
	{ HULL_RV_REG_CSR + CSR_STIMECMP, TIMER, TIMER_COMPARE },
	{ HULL_RV_REG_CSR + CSR_SSTATUS, CSR, 0 },
	{ HULL_RV_REG_CSR + CSR_SIE, CSR, 1 },
	{ HULL_RV_REG_CSR + CSR_STVEC, CSR, 2 },
	{ HULL_RV_REG_CSR + CSR_SSCRATCH, CSR, 3 },
	{ HULL_RV_REG_CSR + CSR_SEPC, CSR, 4 },
	{ HULL_RV_REG_CSR + CSR_SCAUSE, CSR, 5 },
	{ HULL_RV_REG_CSR + CSR_STVAL, CSR, 6 },
	{ HULL_RV_REG_CSR + CSR_SIP, CSR, 7 },
	{ HULL_RV_REG_CSR + CSR_SATP, CSR, 8 },
	{ HULL_RV_REG_CSR + CSR_SCOUNTEREN, CSR, 9 },
	{ HULL_RV_REG_CSR + CSR_SENVCFG, CSR, 10 },
};

const uint32_t hull_kvm_arch_isas = HULL_KVM_ISAS;
const int hull_kvm_arch_needs[] = { KVM_CAP_ONE_REG, 0 };

unsigned long hull_kvm_arch_vm_type(struct hull_kvm_vm *k)
{
	return 0;
}

uint8_t hull_kvm_arch_gpa_bits(struct hull_kvm_vm *k)
{
	int bits = hull_kvm_cap(k, CAP_VM_GPA_BITS);

	return bits > 0 && bits <= 64 ? (uint8_t)bits : GPA_BITS_LEAST;
}

/* KVM takes it as the hart id. */
unsigned long hull_kvm_arch_vcpu_id(const struct hull_vcpu *vcpu)
{
	return vcpu->phys_id;
}

int hull_kvm_arch_vm_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	k->irqchip = HULL_IRQCHIP_USER;
	return 0;
}

int hull_kvm_arch_before_vcpus(struct hull_kvm_vm *k, struct hull_err *err)
{
	return 0;
}

void hull_kvm_arch_vm_fini(struct hull_kvm_vm *k)
{
}

uint32_t hull_kvm_arch_below(struct hull_kvm_vm *k)
{
	return HULL_BELOW_POWER;
}

int hull_kvm_arch_vcpu_init(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	pthread_mutex_init(&v->arch.line_lock, NULL);
	return 0;
}

void hull_kvm_arch_vcpu_fini(struct hull_kvm_vcpu *v)
{
	if (v->run) /* the rest of it was made, too */
		pthread_mutex_destroy(&v->arch.line_lock);
}

static int move(struct hull_kvm_vcpu *v, unsigned long request, uint64_t kind, uint64_t number,
                uint64_t *value)
{
	struct kvm_one_reg r = { .id = KVM_REG_RISCV | KVM_REG_SIZE_U64 |
		                       kind << KVM_REG_RISCV_TYPE_SHIFT | number,
		                 .addr = (uintptr_t)value };

	if (kind == FP_D && number == FP_D_FCSR)
		r.id = (r.id & ~KVM_REG_SIZE_MASK) | KVM_REG_SIZE_U32;
	switch (hull_kvm_vcpu_ioctl(v, request, &r)) {
	case 0: return 0;
	case -ENOENT: return HULL_ENOENT;
	default: return HULL_EINVAL;
	}
}

static int get(struct hull_kvm_vcpu *v, uint64_t kind, uint64_t number, uint64_t *ret)
{
	uint64_t value = 0;
	int r = move(v, KVM_GET_ONE_REG, kind, number, &value);

	if (!r)
		*ret = value;
	return r;
}

static int set(struct hull_kvm_vcpu *v, uint64_t kind, uint64_t number, uint64_t value)
{
	return move(v, KVM_SET_ONE_REG, kind, number, &value);
}

/* enum KVM_RISCV_ISA_EXT_ID, of which Linux 6.1 has the first twelve; -1: KVM knows no such. */
static int extension_id(const char *name)
{
	static const struct {
		const char *name;
		int id;
	} ids[] = { { "a", 0 },         { "c", 1 },
		    { "d", 2 },         { "f", 3 },
		    { "i", 5 },         { "m", 6 },
		    { "svpbmt", 7 },    { "sstc", 8 },
		    { "svinval", 9 },   { "zihintpause", 10 },
		    { "zicbom", 11 },   { "zicboz", 12 },
		    { "zbb", 13 },      { "svnapot", 16 },
		    { "zba", 17 },      { "zbs", 18 },
		    { "zicntr", 19 },   { "zicsr", 20 },
		    { "zifencei", 21 }, { "zihpm", 22 },
		    { "zicond", 24 },   { "zbc", 25 },
		    { "zfh", 46 },      { "zfhmin", 47 },
		    { "zawrs", 61 } };

	for (unsigned i = 0; i < ARRAY_LEN(ids); i++)
		if (hull_text_eq(ids[i].name, name))
			return ids[i].id;
	return -1;
}

/* Is the n-th extension of isa/riscv64/isa.h there, as device trees of Hull mean it? */
static int get_extension(struct hull_kvm_vcpu *v, uint32_t n, uint64_t *ret)
{
	const char *name = hull_riscv64_isa_extension(n);
	uint64_t block = HULL_RV_CACHE_BLOCK;
	int id;

	if (!name)
		return HULL_ENOENT;
	id = extension_id(name);
	*ret = 0;
	if (id >= 0)
		(void)get(v, ISA_EXT, (uint64_t)id, ret);
	if (hull_text_eq(name, "zicbom"))
		(void)get(v, CONFIG, CONFIG_ZICBOM_BLOCK, &block);
	if (hull_text_eq(name, "zicboz"))
		(void)get(v, CONFIG, CONFIG_ZICBOZ_BLOCK, &block);
	*ret = *ret && block == HULL_RV_CACHE_BLOCK;
	return 0;
}

/* Where KVM has a register; kind 0: nowhere. */
static struct place place_of(uint32_t reg)
{
	if (reg > HULL_RV_REG_X0 && reg < HULL_RV_REG_PC)
		return (struct place){ reg, CORE, (uint8_t)reg };
	if (reg >= HULL_RV_REG_F0 && reg < HULL_RV_REG_F0 + 32)
		return (struct place){ reg, FP_D, (uint8_t)(reg - HULL_RV_REG_F0) };
	for (unsigned i = 0; i < ARRAY_LEN(places); i++)
		if (places[i].reg == reg)
			return places[i];
	return (struct place){ reg, 0, 0 };
}

int hull_kvm_arch_reg_get(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t *ret)
{
	struct place p = place_of(reg);

	if (reg == HULL_RV_REG_X0 || reg == HULL_RV_REG_SBI) {
		*ret = reg == HULL_RV_REG_SBI;
		return 0;
	}
	if (reg >= HULL_RV_REG_EXT && reg < HULL_RV_REG_EXT + HULL_RV_EXTENSIONS_MAX)
		return get_extension(v, reg - HULL_RV_REG_EXT, ret);
	return p.kind ? get(v, p.kind, p.number, ret) : HULL_ENOENT;
}

int hull_kvm_arch_reg_set(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t value)
{
	struct place p = place_of(reg);

	if (reg == HULL_RV_REG_X0)
		return 0;
	if (reg == HULL_RV_REG_SBI)
		return value == 1 ? 0 : HULL_EINVAL;
	/* KVM writes the answer of a call when the hart goes on. */
	if (v->arch.calls && (reg == REG_A0 || reg == REG_A1)) {
		v->run->riscv_sbi.ret[reg - REG_A0] = value;
		return 0;
	}
	if (!p.kind || reg == HULL_RV_REG_TIMEBASE)
		return HULL_ENOENT;
	return set(v, p.kind, p.number, value);
}

static void tell_line(struct hull_kvm_vcpu *v)
{
	struct kvm_interrupt i;

	pthread_mutex_lock(&v->arch.line_lock);
	i.irq = hull_vcpu_lines(v->vcpu) & BIT(RV_IRQ_SEI) ? KVM_INTERRUPT_SET
	                                                   : KVM_INTERRUPT_UNSET;
	(void)hull_kvm_vcpu_ioctl(v, KVM_INTERRUPT, &i);
	pthread_mutex_unlock(&v->arch.line_lock);
}

/* KVM resets harts only when the guest starts them: everything by hand (SBI 9.1). */
void hull_kvm_arch_vcpu_reset(struct hull_kvm_vcpu *v)
{
	struct kvm_mp_state mp = { v->vcpu->id ? KVM_MP_STATE_STOPPED : KVM_MP_STATE_RUNNABLE };
	int r = 0;

	v->run->exit_reason = KVM_EXIT_UNKNOWN; /* nothing is to be completed */
	v->arch.calls = false;
	for (uint64_t n = CORE_PC; !r && n < CORE_MODE; n++)
		r = set(v, CORE, n, 0);
	if (!r)
		r = set(v, CORE, CORE_MODE, RV_PRIV_S);
	for (unsigned i = 0; i < ARRAY_LEN(places); i++)
		if (places[i].kind == CSR)
			(void)set(v, CSR, places[i].number, 0);
	/* Linux leaves it to the firmware, and its vDSO reads time in U. */
	(void)hull_kvm_arch_reg_set(v, HULL_RV_REG_CSR + CSR_SCOUNTEREN, ALL_COUNTERS);
	if (!r)
		r = set(v, TIMER, TIMER_COMPARE, UINT64_MAX);
	if (!r)
		r = set(v, TIMER, TIMER_STATE, KVM_RISCV_TIMER_STATE_ON);
	if (r || hull_kvm_vcpu_ioctl(v, KVM_SET_MP_STATE, &mp) < 0)
		v->refused = EIO;
	tell_line(v);
}

bool hull_kvm_arch_enter(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit)
{
	uint64_t sip;

	v->arch.calls = false;
	if (UNLIKELY(edges & BIT(RV_IRQ_SSI)) &&
	    !hull_kvm_arch_reg_get(v, HULL_RV_REG_CSR + CSR_SIP, &sip))
		(void)hull_kvm_arch_reg_set(v, HULL_RV_REG_CSR + CSR_SIP, sip | BIT(RV_IRQ_SSI));
	return true;
}

void hull_kvm_arch_left(struct hull_kvm_vcpu *v)
{
}

static bool call_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	const struct kvm_run *run = v->run;

	*exit = (struct hull_exit){ .kind = HULL_EXIT_HYPERCALL };
	exit->call.nr = run->riscv_sbi.extension_id;
	for (unsigned i = 0; i < ARRAY_LEN(exit->call.args); i++)
		exit->call.args[i] = run->riscv_sbi.args[i];
	v->arch.calls = true;
	return true;
}

bool hull_kvm_arch_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	switch (v->run->exit_reason) {
	case KVM_EXIT_RISCV_SBI: return call_exit(v, exit);
	case KVM_EXIT_RISCV_CSR:
		/* Only the entropy source comes here: one that is never ready (Zkr 4.1, BIST). */
		v->run->riscv_csr.ret_value = 0;
		return false;
	default:
		hull_kvm_fail(v, exit, v->run->exit_reason,
		              "KVM stopped for reason %u, which Hull does not know",
		              v->run->exit_reason);
		return true;
	}
}

/* KVM cannot make it an access fault. */
void hull_kvm_arch_unanswered(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	exit->io.data = 0;
}

uint64_t hull_kvm_arch_debug_pc(struct hull_kvm_vcpu *v)
{
	uint64_t pc = 0;

	(void)get(v, CORE, CORE_PC, &pc);
	return pc;
}

void hull_kvm_arch_irq_update(struct hull_kvm_vcpu *v)
{
	tell_line(v);
}

int hull_kvm_arch_irq_line(struct hull_kvm_vm *k, uint32_t line, bool level)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_route(struct hull_kvm_vm *k, uint32_t line, uint64_t addr, uint32_t data)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_gsi(struct hull_kvm_vm *k, uint32_t line)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_save(struct hull_kvm_vcpu *v, void *buf, size_t *len)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_load(struct hull_kvm_vcpu *v, const void *buf, size_t len)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_debug(struct hull_kvm_vcpu *v, const struct hull_debug *d,
                        struct kvm_guest_debug *ret)
{
	/* KVM accepts any kind of stop and makes one: at ebreak. */
	return d->n || d->step ? HULL_ENOTSUP : 0;
}

/* The counter of the guest goes on by itself: put it back to where guest time stopped. */
void hull_kvm_arch_clock(struct hull_kvm_vm *k, bool running)
{
	struct hull_kvm_vcpu *v = hull_vcpu_accel_state(hull_vm_vcpu(k->vm, 0));

	if (!running)
		k->arch.stopped = !get(v, TIMER, TIMER_TIME, &k->arch.stopped_time);
	else if (k->arch.stopped)
		(void)set(v, TIMER, TIMER_TIME, k->arch.stopped_time);
	if (running)
		k->arch.stopped = false;
}

static size_t dump(struct hull_kvm_vcpu *v, char *dst, size_t size, uint32_t reg, const char *name)
{
	uint64_t value;
	size_t n;

	if (hull_kvm_arch_reg_get(v, reg, &value))
		return 0;
	n = hull_format(dst, size, "%s%-6x %016llx\n", name, reg & 0xfff,
	                (unsigned long long)value);
	return MIN(n, size - 1);
}

void hull_kvm_arch_dump(struct hull_kvm_vcpu *v, char *dst, size_t size)
{
	size_t at = 0;

	dst[0] = '\0';
	for (unsigned i = 0; i < ARRAY_LEN(places); i++)
		at += dump(v, dst + at, size - at, places[i].reg,
		           places[i].reg >= HULL_RV_REG_CSR  ? "csr "
		           : places[i].reg == HULL_RV_REG_PC ? "pc  "
		                                             : "    ");
	for (uint32_t n = 1; n < 32; n++)
		at += dump(v, dst + at, size - at, HULL_RV_REG_X0 + n, "x   ");
}

#endif
