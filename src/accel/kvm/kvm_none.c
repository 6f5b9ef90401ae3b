/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Hosts whose KVM this build does not use: every machine is refused before anything else runs. */
#include "accel/kvm/kvm_impl.h"

#if !HULL_KVM_HAS_ARCH

const uint32_t hull_kvm_arch_isas = 0;
const int hull_kvm_arch_needs[] = { 0 };
const struct hull_kvm_payload hull_kvm_arch_payload = { 0 };

unsigned long hull_kvm_arch_vm_type(struct hull_kvm_vm *k)
{
	return 0;
}

unsigned long hull_kvm_arch_vcpu_id(const struct hull_vcpu *vcpu)
{
	return vcpu->id;
}

int hull_kvm_arch_vm_init(struct hull_kvm_vm *k, struct hull_err *err)
{
	return hull_fail(err, HULL_ENOTSUP, 201, "this build does not use KVM on such a host");
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
	(void)k;
	return 0;
}

int hull_kvm_arch_vcpu_init(struct hull_kvm_vcpu *v, struct hull_err *err)
{
	return HULL_ENOTSUP;
}

void hull_kvm_arch_vcpu_fini(struct hull_kvm_vcpu *v)
{
}

void hull_kvm_arch_vcpu_reset(struct hull_kvm_vcpu *v)
{
}

bool hull_kvm_arch_enter(struct hull_kvm_vcpu *v, uint64_t edges, struct hull_exit *exit)
{
	return false;
}

void hull_kvm_arch_left(struct hull_kvm_vcpu *v)
{
}

bool hull_kvm_arch_exit(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
	hull_kvm_fail(v, exit, v->run->exit_reason, "KVM stopped");
	return true;
}

void hull_kvm_arch_unanswered(struct hull_kvm_vcpu *v, struct hull_exit *exit)
{
}

uint64_t hull_kvm_arch_debug_pc(struct hull_kvm_vcpu *v)
{
	return 0;
}

void hull_kvm_arch_irq_update(struct hull_kvm_vcpu *v)
{
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

int hull_kvm_arch_reg_get(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t *ret)
{
	return HULL_ENOENT;
}

int hull_kvm_arch_reg_set(struct hull_kvm_vcpu *v, uint32_t reg, uint64_t value)
{
	return HULL_ENOENT;
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
	return HULL_ENOTSUP;
}

void hull_kvm_arch_clock(struct hull_kvm_vm *k, bool running)
{
}

void hull_kvm_arch_dump(struct hull_kvm_vcpu *v, char *dst, size_t size)
{
	dst[0] = '\0';
}

int hull_kvm_arch_payload_load(struct hull_vm *vm)
{
	return HULL_ENOTSUP;
}

int hull_kvm_arch_payload_start(struct hull_vcpu *vcpu, uint32_t loops)
{
	return HULL_ENOTSUP;
}

const char *hull_kvm_arch_payload_result(struct hull_vm *vm)
{
	return NULL;
}

uint8_t hull_kvm_arch_gpa_bits(struct hull_kvm_vm *k)
{
	return 0;
}

#endif
