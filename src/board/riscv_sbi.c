/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * SBI calls; see riscv_sbi.h.
 *
 * Every argument is the guest's word: hart masks are matched against the
 * harts that exist, addresses are only copied through, lengths are cut.
 * Remote fences flush everything: a superset is always allowed.
 */
#include "board/riscv_sbi.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/aspace.h"
#include "core/backend.h"
#include "core/bus.h"
#include "core/dev_impl.h"
#include "isa/riscv64/regs.h"

/* Error codes (3.1). */
enum {
	SBI_SUCCESS = 0,
	SBI_FAILED = -1,
	SBI_NOT_SUPPORTED = -2,
	SBI_INVALID_PARAM = -3,
	SBI_INVALID_ADDRESS = -5,
	SBI_ALREADY_AVAILABLE = -6,
};

enum {
	EXT_LEGACY_LAST = 8,
	EXT_BASE = 0x10,
	EXT_TIME = 0x54494d45,
	EXT_IPI = 0x735049,
	EXT_RFENCE = 0x52464e43,
	EXT_HSM = 0x48534d,
	EXT_SRST = 0x53525354,
	EXT_DBCN = 0x4442434e,
};

enum { SPEC_VERSION = 2 << 24, IMPL_ID = 0x48554c4c /* "HULL" */, IMPL_VERSION = 1 };
enum { REG_A0 = 10, REG_A1 = 11, REG_A6 = 16 };
enum {
	CSR_MEDELEG = 0x302,
	CSR_MIDELEG = 0x303,
	CSR_MIE = 0x304,
	CSR_MCOUNTEREN = 0x306,
	CSR_MENVCFG = 0x30a,
	CSR_MIP = 0x344,
	CSR_STIMECMP = 0x14d,
	CSR_MVENDORID = 0xf11,
	CSR_MARCHID = 0xf12,
	CSR_MIMPID = 0xf13,
};
enum { CONSOLE_CHUNK = 256, CONSOLE_MAX = 16384 };

struct call {
	struct hull_vcpu *vcpu;
	struct hull_exit *exit;
	const struct hull_sbi *sbi;
	uint64_t a[6];
	uint64_t fid;
	uint64_t value; /* a1 of the answer */
};

static uint64_t all_harts(const struct call *c)
{
	return low_mask(hull_vm_vcpu_count(c->vcpu->vm));
}

/* The vCPU with hart id `hart`, or NULL. */
static struct hull_vcpu *find_hart(struct hull_vm *vm, uint64_t hart)
{
	uint32_t n = hull_vm_vcpu_count(vm);

	for (uint32_t i = 0; i < n; i++) {
		struct hull_vcpu *v = hull_vm_vcpu(vm, i);

		if (v->phys_id == hart)
			return v;
	}
	return NULL;
}

/* Translate {mask, base} (3.2) into a mask of vCPUs; false if it names a hart that is none. */
static bool hart_mask(const struct call *c, uint64_t mask, uint64_t base, uint64_t *ret)
{
	uint64_t found = 0;

	if (base == UINT64_MAX) {
		*ret = all_harts(c);
		return true;
	}
	for (uint64_t bit = 0; bit < 64; bit++) {
		struct hull_vcpu *v;
		uint64_t hart;

		if (!(mask >> bit & 1))
			continue;
		if (!hull_add(base, bit, &hart))
			return false;
		v = find_hart(c->vcpu->vm, hart);
		if (!v)
			return false;
		found |= BIT(v->id);
	}
	*ret = found;
	return true;
}

static void send_ipi(struct call *c, uint64_t vcpus)
{
	for (uint32_t i = 0; i < hull_vm_vcpu_count(c->vcpu->vm); i++)
		if (vcpus >> i & 1)
			hull_vcpu_raise(hull_vm_vcpu(c->vcpu->vm, i), BIT(RV_IRQ_SSI));
}

static uint64_t read_csr(const struct call *c, uint32_t csr)
{
	uint64_t v = 0;

	/* These may be absent in an accelerator: zero is a legal value for each. */
	if (hull_vcpu_reg_get(c->vcpu, HULL_RV_REG_CSR + csr, &v))
		return 0;
	return v;
}

static bool implemented(uint64_t ext)
{
	switch (ext) {
	case EXT_BASE:
	case EXT_TIME:
	case EXT_IPI:
	case EXT_RFENCE:
	case EXT_HSM:
	case EXT_SRST:
	case EXT_DBCN: return true;
	default: return ext <= EXT_LEGACY_LAST;
	}
}

/* Chapter 4. */
static int base(struct call *c)
{
	switch (c->fid) {
	case 0: c->value = SPEC_VERSION; return SBI_SUCCESS;
	case 1: c->value = IMPL_ID; return SBI_SUCCESS;
	case 2: c->value = IMPL_VERSION; return SBI_SUCCESS;
	case 3: c->value = implemented(c->a[0]); return SBI_SUCCESS;
	case 4: c->value = read_csr(c, CSR_MVENDORID); return SBI_SUCCESS;
	case 5: c->value = read_csr(c, CSR_MARCHID); return SBI_SUCCESS;
	case 6: c->value = read_csr(c, CSR_MIMPID); return SBI_SUCCESS;
	default: return SBI_NOT_SUPPORTED;
	}
}

/* Chapter 6.  The comparison drives STIP, so a later deadline also clears it. */
static int set_timer(struct call *c)
{
	if (hull_vcpu_reg_set(c->vcpu, HULL_RV_REG_CSR + CSR_STIMECMP, c->a[0]))
		return SBI_FAILED;
	return SBI_SUCCESS;
}

/* Chapter 7. */
static int ipi(struct call *c)
{
	uint64_t vcpus;

	if (c->fid != 0)
		return SBI_NOT_SUPPORTED;
	if (!hart_mask(c, c->a[0], c->a[1], &vcpus))
		return SBI_INVALID_PARAM;
	send_ipi(c, vcpus);
	return SBI_SUCCESS;
}

/* Chapter 8.  The hypervisor extension is not there, so its fences (3 to 6) are not. */
static int rfence(struct call *c)
{
	uint64_t vcpus;

	if (c->fid > 2)
		return SBI_NOT_SUPPORTED;
	if (!hart_mask(c, c->a[0], c->a[1], &vcpus))
		return SBI_INVALID_PARAM;
	hull_vcpus_sync(c->vcpu->vm, vcpus, c->fid == 0 ? HULL_REQ_FLUSH_CODE : HULL_REQ_FLUSH_TLB);
	return SBI_SUCCESS;
}

unsigned hull_sbi_start_regs(const struct hull_vcpu *vcpu, hull_gpa entry, uint64_t opaque,
                             struct hull_reg_value regs[HULL_SBI_MAX_REGS])
{
	/*
	 * What firmware leaves behind: every trap that S-mode can handle is its
	 * own, all counters may be read, the extensions that menvcfg gates are on.
	 */
	const struct hull_reg_value all[] = {
		{ HULL_RV_REG_PC, entry },
		{ HULL_RV_REG_CSR + CSR_MEDELEG, 0xb3ff & ~(BIT(RV_ECALL_S) | BIT(RV_ECALL_M)) },
		{ HULL_RV_REG_CSR + CSR_MIDELEG,
		  BIT(RV_IRQ_SSI) | BIT(RV_IRQ_STI) | BIT(RV_IRQ_SEI) },
		{ HULL_RV_REG_CSR + CSR_MCOUNTEREN, 7 },
		{ HULL_RV_REG_CSR + CSR_MENVCFG, ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE |
		                                         ENVCFG_ADUE | ENVCFG_PBMTE | ENVCFG_STCE },
		{ HULL_RV_REG_CSR + CSR_STIMECMP, UINT64_MAX },
		{ HULL_RV_REG_SBI, 1 },
		{ HULL_RV_REG_PRIV, RV_PRIV_S },
		{ REG_A0, vcpu->phys_id },
		{ REG_A1, opaque },
	};

	_Static_assert(ARRAY_LEN(all) <= HULL_SBI_MAX_REGS, "room for the start registers");
	memcpy(regs, all, sizeof(all));
	return ARRAY_LEN(all);
}

/* 9.1 */
static int hart_start(struct call *c)
{
	struct hull_vcpu *target = find_hart(c->vcpu->vm, c->a[0]);
	struct hull_reg_value regs[HULL_SBI_MAX_REGS];
	struct hull_ram_page page;
	unsigned n;

	if (!target)
		return SBI_INVALID_PARAM;
	if (c->a[1] & 1 || !hull_aspace_page(c->vcpu->vm, c->a[1], &page) ||
	    !(page.attr & HULL_MEM_X))
		return SBI_INVALID_ADDRESS;
	if (hull_vcpu_state(target) != HULL_VCPU_OFF)
		return SBI_ALREADY_AVAILABLE;
	n = hull_sbi_start_regs(target, c->a[1], c->a[2], regs);
	switch (hull_vcpu_start(target, regs, n)) {
	case 0: return SBI_SUCCESS;
	case HULL_ESTATE: return SBI_ALREADY_AVAILABLE; /* another hart was faster */
	default: return SBI_FAILED;
	}
}

/* 9.3: 0 started, 1 stopped.  A suspended hart is started as far as anybody can tell. */
static int hart_status(struct call *c)
{
	const struct hull_vcpu *target = find_hart(c->vcpu->vm, c->a[0]);

	if (!target)
		return SBI_INVALID_PARAM;
	c->value = hull_vcpu_state(target) == HULL_VCPU_OFF;
	return SBI_SUCCESS;
}

/* 9.4.  Type 0 keeps all state and ends like wfi; the one that loses state is optional. */
static int hart_suspend(struct call *c)
{
	uint32_t type = (uint32_t)c->a[0];

	if (type == 0) {
		/* What is pending already will not wake it: a hart's thread waits for changes. */
		if (!(read_csr(c, CSR_MIP) & read_csr(c, CSR_MIE)))
			c->exit->kind = HULL_EXIT_HALT;
		return SBI_SUCCESS;
	}
	if (type == 0x80000000 || (type >= 0x10000000 && type <= 0x7fffffff) || type >= 0x90000000)
		return SBI_NOT_SUPPORTED;
	return SBI_INVALID_PARAM;
}

static int hsm(struct call *c)
{
	switch (c->fid) {
	case 0: return hart_start(c);
	case 1: c->exit->kind = HULL_EXIT_CPU_OFF; return SBI_SUCCESS;
	case 2: return hart_status(c);
	case 3: return hart_suspend(c);
	default: return SBI_NOT_SUPPORTED;
	}
}

static int system_off(struct call *c, enum hull_system_event event)
{
	c->exit->kind = HULL_EXIT_SYSTEM;
	c->exit->system.event = event;
	c->exit->system.code = 0;
	return SBI_SUCCESS;
}

/* Chapter 10. */
static int srst(struct call *c)
{
	uint32_t type = (uint32_t)c->a[0], reason = (uint32_t)c->a[1];

	if (c->fid != 0 || type >= 0xf0000000)
		return SBI_NOT_SUPPORTED;
	if (type > 2 || (reason > 1 && reason < 0xe0000000))
		return SBI_INVALID_PARAM;
	if (type != 0)
		return system_off(c, HULL_SYSTEM_RESET);
	return system_off(c, reason == 1 ? HULL_SYSTEM_CRASH : HULL_SYSTEM_OFF);
}

/*
 * Input comes through the port's registers, as firmware on hardware takes it:
 * a character may already have left the backend for the port's FIFO.
 */
static size_t console_read(const struct call *c, uint8_t *buf, size_t len)
{
	enum { RBR = 0, LSR = 5, LSR_DR = 1 };
	const struct hull_dev *d = c->sbi->console;
	uint64_t status, byte;
	size_t n = 0;

	while (d && n < len) {
		if (!hull_bus_read(c->vcpu->vm, HULL_SPACE_MMIO, d->gpa + LSR, 1, &status) ||
		    !(status & LSR_DR) ||
		    !hull_bus_read(c->vcpu->vm, HULL_SPACE_MMIO, d->gpa + RBR, 1, &byte))
			break;
		buf[n++] = (uint8_t)byte;
	}
	return n;
}

/*
 * Output goes to the port's backend in one piece.  Without a console everything
 * is accepted: the guest has no better place for it.
 */
static size_t console_write(const struct call *c, const void *buf, size_t len)
{
	struct hull_dev *d = c->sbi->console;
	struct hull_char *chr = d ? d->backend : NULL;
	size_t n = len;

	if (chr) {
		hull_dev_enter(d);
		n = chr->write(chr, buf, len);
		hull_dev_leave(d);
	}
	return n;
}

/* The range {num_bytes, base_lo, base_hi} of 12.1 and 12.2, cut to what one call moves. */
static bool console_range(const struct call *c, uint64_t *ret_len)
{
	if (c->a[2] || !hull_range_valid(c->a[1], c->a[0]))
		return false;
	*ret_len = MIN(c->a[0], (uint64_t)CONSOLE_MAX);
	return true;
}

static int dbcn_write(struct call *c)
{
	uint8_t buf[CONSOLE_CHUNK];
	uint64_t len, done = 0;

	if (!console_range(c, &len))
		return SBI_INVALID_PARAM;
	while (done < len) {
		size_t n = (size_t)MIN(len - done, (uint64_t)sizeof(buf)), taken;

		if (!hull_mem_read(c->vcpu->vm, c->a[1] + done, buf, n))
			return SBI_INVALID_PARAM;
		taken = console_write(c, buf, n);
		done += taken;
		if (taken < n)
			break;
	}
	c->value = done;
	return SBI_SUCCESS;
}

static int dbcn_read(struct call *c)
{
	uint8_t buf[CONSOLE_CHUNK];
	uint64_t len, done = 0;

	if (!console_range(c, &len))
		return SBI_INVALID_PARAM;
	while (done < len) {
		size_t n = (size_t)MIN(len - done, (uint64_t)sizeof(buf));

		/* Only then take characters: none may be lost to a bad address. */
		if (!hull_mem_read(c->vcpu->vm, c->a[1] + done, buf, n))
			return SBI_INVALID_PARAM;
		n = console_read(c, buf, n);
		if (!n)
			break;
		if (!hull_mem_write(c->vcpu->vm, c->a[1] + done, buf, n))
			return SBI_INVALID_PARAM;
		done += n;
	}
	c->value = done;
	return SBI_SUCCESS;
}

/* Chapter 12. */
static int dbcn(struct call *c)
{
	uint8_t byte = (uint8_t)c->a[0];

	switch (c->fid) {
	case 0: return dbcn_write(c);
	case 1: return dbcn_read(c);
	case 2: return console_write(c, &byte, 1) == 1 ? SBI_SUCCESS : SBI_FAILED;
	default: return SBI_NOT_SUPPORTED;
	}
}

/*
 * Chapter 5: one answer, in a0.  Masks are behind guest-virtual pointers;
 * instead of walking the guest's tables, all harts are meant, which is more
 * than was asked for but never wrong.
 */
static int64_t legacy(struct call *c, uint64_t nr)
{
	uint8_t byte = (uint8_t)c->a[0];

	switch (nr) {
	case 0: return set_timer(c);
	case 1: console_write(c, &byte, 1); return 0;
	case 2: return console_read(c, &byte, 1) ? byte : -1;
	case 3: return 0; /* clear_ipi: the guest clears sip.SSIP itself */
	case 4: send_ipi(c, all_harts(c)); return 0;
	case 5: hull_vcpus_sync(c->vcpu->vm, all_harts(c), HULL_REQ_FLUSH_CODE); return 0;
	case 6:
	case 7: hull_vcpus_sync(c->vcpu->vm, all_harts(c), HULL_REQ_FLUSH_TLB); return 0;
	default: return system_off(c, HULL_SYSTEM_OFF);
	}
}

static int dispatch(struct call *c, uint64_t ext)
{
	switch (ext) {
	case EXT_BASE: return base(c);
	case EXT_TIME: return c->fid == 0 ? set_timer(c) : SBI_NOT_SUPPORTED;
	case EXT_IPI: return ipi(c);
	case EXT_RFENCE: return rfence(c);
	case EXT_HSM: return hsm(c);
	case EXT_SRST: return srst(c);
	case EXT_DBCN: return dbcn(c);
	default: return SBI_NOT_SUPPORTED;
	}
}

bool hull_sbi_call(struct hull_vcpu *vcpu, struct hull_exit *exit, void *arg)
{
	struct call c = { .vcpu = vcpu, .exit = exit, .sbi = arg };
	uint64_t nr = exit->call.nr;
	int64_t error;

	memcpy(c.a, exit->call.args, sizeof(c.a));
	if (exit->kind != HULL_EXIT_HYPERCALL || hull_vcpu_reg_get(vcpu, REG_A6, &c.fid))
		return false;
	exit->kind = HULL_EXIT_NONE;
	error = nr <= EXT_LEGACY_LAST ? legacy(&c, nr) : dispatch(&c, nr);
	if (hull_vcpu_reg_set(vcpu, REG_A0, (uint64_t)error))
		return false;
	if (nr > EXT_LEGACY_LAST)
		hull_vcpu_reg_set(vcpu, REG_A1, c.value);
	return true;
}
