/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See kvmrig.h. */
#include "support/kvmrig.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"

/* Devices have no other way to the rig: there is one at a time. */
static struct kvmrig *rig;

bool kvmrig_usable(void)
{
	int fd;

	if (!hull_accel_find("kvm") || !hull_accel_find("kvm")->isas)
		return false;
	fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static uint64_t rig_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	if (rig->n < KVMRIG_LOG)
		rig->log[rig->n] = (struct kvmrig_access){ off, size, false, rig->answer };
	rig->n++;
	return rig->answer;
}

static void rig_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	if (rig->n < KVMRIG_LOG)
		rig->log[rig->n] = (struct kvmrig_access){ off, size, true, val };
	rig->n++;
	if (off == KVMRIG_END - KVMRIG_WIDE && size == 1)
		hull_vm_system_event(rig->vm, HULL_SYSTEM_OFF, val);
}

static const struct hull_dev_type wide_type = { .name = "rig",
	                                        .summary = "writes down accesses",
	                                        .state_size = sizeof(struct hull_dev),
	                                        .region_size = 0x1000,
	                                        .access_sizes = 15,
	                                        .read = rig_read,
	                                        .write = rig_write };
static const struct hull_dev_type narrow_type = { .name = "rig8",
	                                          .summary = "the same, bytes only",
	                                          .state_size = sizeof(struct hull_dev),
	                                          .region_size = 0x1000,
	                                          .access_sizes = 1,
	                                          .read = rig_read,
	                                          .write = rig_write };

struct hull_vm_config kvmrig_config(uint32_t cpus)
{
	struct hull_region_config ram = { .gpa = 0,
		                          .size = KVMRIG_RAM,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config c;

	hull_config_init(&c, HULL_ISA_X86_64, "kvm");
	c.cpu_num = cpus;
	assert_int_equal(hull_config_add_region(&c, &ram, NULL), 0);
	return c;
}

#define SEG(seg, field) HULL_X86_REG_SEG + 4 * HULL_X86_##seg + HULL_X86_##field

static void set_flat(struct hull_vcpu *vcpu)
{
	static const struct hull_reg_value regs[] = {
		{ HULL_X86_REG_CR0, 0x11 }, /* ET, PE */
		{ SEG(CS, LIMIT), UINT32_MAX }, { SEG(CS, ATTR), 0xc09b },
		{ SEG(DS, LIMIT), UINT32_MAX }, { SEG(DS, ATTR), 0xc093 },
		{ SEG(ES, LIMIT), UINT32_MAX }, { SEG(ES, ATTR), 0xc093 },
		{ SEG(SS, LIMIT), UINT32_MAX }, { SEG(SS, ATTR), 0xc093 },
	};

	for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
		assert_int_equal(hull_vcpu_reg_set(vcpu, regs[i].reg, regs[i].value), 0);
}

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	static const struct hull_reg_value regs[] = {
		{ HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_SELECTOR, 0 },
		{ HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_BASE, 0 },
		{ HULL_X86_REG_RSP, 0x8000 },
		{ HULL_X86_REG_RIP, KVMRIG_CODE },
	};
	struct kvmrig *r = arg;

	assert_int_equal(hull_vm_write(vm, KVMRIG_CODE, r->code, r->code_bytes), 0);
	if (r->flat)
		set_flat(hull_vm_vcpu(vm, 0));
	for (unsigned i = 0; i < ARRAY_LEN(regs); i++)
		assert_int_equal(hull_vcpu_reg_set(hull_vm_vcpu(vm, 0), regs[i].reg, regs[i].value),
		                 0);
	return 0;
}

static struct hull_dev *add(struct hull_vm *vm, const struct hull_dev_type *t, const char *name,
                            hull_gpa gpa)
{
	struct hull_dev_setup s = { .type = t, .name = name, .gpa = gpa };
	struct hull_dev *d = NULL;

	assert_int_equal(hull_dev_create(vm, &s, &d, NULL), 0);
	return d;
}

void kvmrig_make(struct kvmrig *r, const struct hull_vm_config *c, const void *code, size_t bytes)
{
	struct hull_err err = { 0 };
	struct hull_dev *wide, *narrow;

	memset(r, 0, sizeof(*r));
	rig = r;
	r->code = code;
	r->code_bytes = bytes;
	r->answer = UINT64_C(0x8877665544332211);
	if (hull_vm_create(c, hull_host_hal(), hull_accel_find("kvm"), &r->vm, &err))
		fail_msg("E%04u %s", err.id, err.text);
	r->vcpu = hull_vm_vcpu(r->vm, 0);
	wide = add(r->vm, &wide_type, "wide", KVMRIG_MMIO);
	narrow = add(r->vm, &narrow_type, "narrow", KVMRIG_MMIO + 0x1000);
	assert_int_equal(hull_bus_attach(r->vm, HULL_SPACE_PIO, KVMRIG_WIDE, 16, wide, NULL), 0);
	assert_int_equal(hull_bus_attach(r->vm, HULL_SPACE_PIO, KVMRIG_NARROW, 16, narrow, NULL),
	                 0);
	hull_vm_set_loader(r->vm, load, r);
	assert_int_equal(hull_vm_seal(r->vm, NULL), 0);
}

void kvmrig_make_flat(struct kvmrig *r, const struct hull_vm_config *c, const void *code,
                      size_t bytes)
{
	kvmrig_make(r, c, code, bytes);
	r->flat = true;
}

void kvmrig_unmake(struct kvmrig *r)
{
	if (hull_vm_state(r->vm) == HULL_VM_RUNNING || hull_vm_state(r->vm) == HULL_VM_PAUSED)
		assert_int_equal(hull_vm_shutdown(r->vm, HULL_STOP_FORCED, NULL), 0);
	assert_int_equal(hull_vm_destroy(r->vm, NULL), 0);
}

void kvmrig_boot(struct kvmrig *r)
{
	struct hull_err err = { 0 };

	if (hull_vm_boot(r->vm, &err))
		fail_msg("%s", err.text);
}

enum hull_exit_kind kvmrig_run(struct kvmrig *r)
{
	struct hull_exit e = { 0 };

	assert_int_equal(hull_vm_run_vcpu(r->vm, 0, &e), 0);
	return e.kind;
}

uint64_t kvmrig_reg(struct kvmrig *r, uint32_t reg)
{
	uint64_t v = 0;

	assert_int_equal(hull_vcpu_reg_get(r->vcpu, reg, &v), 0);
	return v;
}
