/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Exceptions of a guest that are the hypervisor's.
 *
 * Spec: Privileged ISA 20240411, "H" extension, "Traps".
 */
#include "base/bits.h"
#include "isa/riscv64/regs.h"
#include "metal/riscv64/csr.h"
#include "metal/riscv64/hs.h"

enum { ECALL_VS = 10, GUEST_INSN = 20, GUEST_LOAD = 21, VIRTUAL_INSN = 22, GUEST_STORE = 23 };
enum { WFI = 0x10500073, REG_A0 = 10, REG_A7 = 17 };

/* The halfword at an address of the resident guest, as it would fetch it; false: it cannot. */
bool hs_fetch(hull_va at, uint16_t *ret);

static struct hull_rv_decoder decoder;
static bool decoder_ready;

void hs_inject(struct hs_vcpu *v, uint64_t cause, uint64_t value)
{
	uint64_t status;

	hs_load(v);
	status = csr_read(vsstatus);
	status = (status & ~(MSTATUS_SPP | MSTATUS_SPIE | MSTATUS_SIE)) |
	         (v->user ? 0 : MSTATUS_SPP) | (status & MSTATUS_SIE ? MSTATUS_SPIE : 0);
	csr_write(vsstatus, status);
	csr_write(vsepc, v->regs.pc);
	csr_write(vscause, cause);
	csr_write(vstval, value);
	v->regs.pc = csr_read(vstvec) & ~UINT64_C(3);
	v->user = false;
}

static bool call(struct hs_vcpu *v, struct hull_exit *exit)
{
	*exit = (struct hull_exit){ .kind = HULL_EXIT_HYPERCALL };
	exit->call.nr = v->regs.x[REG_A7];
	for (unsigned i = 0; i < ARRAY_LEN(exit->call.args); i++)
		exit->call.args[i] = v->regs.x[REG_A0 + i];
	v->regs.pc += 4;
	return false;
}

/* WFI (hstatus.VTW), and what VS-mode may not have. */
static bool virtual_insn(struct hs_vcpu *v, struct hull_exit *exit)
{
	uint64_t insn = csr_read(stval);

	if (insn != WFI || v->user) {
		hs_inject(v, RV_ILLEGAL, insn);
		return true;
	}
	v->regs.pc += 4;
	if (hs_wakes(v))
		return true;
	exit->kind = HULL_EXIT_HALT;
	return false;
}

/* A pseudoinstruction: nothing is where the guest's page tables are. */
static bool is_walk(uint64_t htinst)
{
	return (htinst & ~UINT64_C(0x20)) == 0x3000;
}

/* Of the instruction itself QEMU says nothing in htinst, so it is fetched as the guest did. */
static bool access(struct hs_vcpu *v, bool write, struct hull_exit *exit)
{
	hull_va at = csr_read(stval);
	hull_gpa gpa = csr_read(htval) << 2 | (at & 3);
	bool walk = is_walk(csr_read(htinst));
	uint16_t half[2] = { 0 };

	/* Whoever changes the code while it runs sees the new one fault. */
	if (!walk && (!hs_fetch(v->regs.pc, &half[0]) ||
	              (hull_rv_length(half[0]) == 4 && !hs_fetch(v->regs.pc + 2, &half[1]))))
		return true;
	if (!decoder_ready)
		decoder_ready = hull_rv_decoder_init(&decoder);
	if (walk ||
	    !hull_rv_access_decode(&decoder, half[0] | (uint32_t)half[1] << 16, &v->access) ||
	    v->access.write != write) {
		v->access.bytes = 0;
		hs_inject(v, write ? RV_STORE_ACCESS : RV_LOAD_ACCESS, at);
		return true;
	}
	v->access_at = at;
	*exit = (struct hull_exit){ .kind = HULL_EXIT_MMIO };
	exit->io.addr = gpa;
	exit->io.size = v->access.bytes;
	exit->io.write = write;
	if (write)
		exit->io.data = v->access.reg ? v->regs.x[v->access.reg] : 0;
	return false;
}

void hs_complete(struct hs_vcpu *v, const struct hull_exit *exit)
{
	const struct hull_rv_access a = v->access;

	v->access.bytes = 0;
	if (!a.bytes)
		return;
	if (exit->io.failed) {
		hs_inject(v, a.write ? RV_STORE_ACCESS : RV_LOAD_ACCESS, v->access_at);
		return;
	}
	v->regs.pc += a.insn_bytes;
	if (!a.write)
		v->regs.x[a.reg] = hull_rv_access_value(&a, exit->io.data);
}

bool hs_handle(struct hs_vcpu *v, uint64_t cause, struct hull_exit *exit)
{
	switch (cause) {
	case ECALL_VS: return call(v, exit);
	case VIRTUAL_INSN: return virtual_insn(v, exit);
	case GUEST_LOAD: return access(v, false, exit);
	case GUEST_STORE: return access(v, true, exit);
	case GUEST_INSN: hs_inject(v, RV_INSN_ACCESS, csr_read(stval)); return true;
	default:
		exit->kind = HULL_EXIT_FAIL;
		exit->fail.code = (int64_t)cause;
		exit->fail.why = "the machine has an exception that no guest makes";
		return false;
	}
}
