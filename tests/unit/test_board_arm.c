/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virt-aarch64 over an accelerator with a GIC: places, device tree, start; PSCI by Hull. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "accel/fake/fake.h"
#include "base/bits.h"
#include "board/arm_psci.h"
#include "board/board.h"
#include "core/bus.h"
#include "core/dev.h"
#include "core/dev_impl.h"
#include "fw/fdt.h"
#include "isa/aarch64/regs.h"
#include "support/fake_hal.h"

#define RAM       UINT64_C(0x40000000)
#define RAM_BYTES (UINT64_C(64) << 20)

enum {
	VERSION = 0x84000000,
	SUSPEND = 0xc4000001,
	CPU_OFF = 0x84000002,
	CPU_ON = 0xc4000003,
	AFFINITY = 0xc4000004,
	MIGRATE_TYPE = 0x84000006,
	OFF = 0x84000008,
	RESET = 0x84000009,
	FEATURES = 0x8400000a,
	RESET2 = 0x84000012
};

static struct {
	uint32_t below, line;
	bool level;
} accel_state;

struct fixture {
	struct fake_hal hal;
	struct hull_accel accel;
	struct hull_vm_config config;
	struct hull_machine m;
	struct hull_err err;
	struct hull_exit exit;
};

static const uint8_t image[64] = { 0x00, 0x00, 0x00, 0x14, 'k' };

static uint32_t below(struct hull_vm *vm)
{
	(void)vm;
	return accel_state.below;
}

static int irq_line(struct hull_vm *vm, uint32_t line, bool level)
{
	(void)vm;
	accel_state.line = line;
	accel_state.level = level;
	return 0;
}

static void begin(struct fixture *f, uint32_t cpus, uint32_t has)
{
	memset(f, 0, sizeof(*f));
	fake_hal_init(&f->hal);
	f->accel = *hull_accel_find("fake");
	f->accel.below = below;
	f->accel.irq_line = irq_line;
	accel_state.below = has;
	hull_config_init(&f->config, HULL_ISA_AARCH64, "test");
	f->config.cpu_num = cpus;
	f->m.board = hull_board_find(HULL_ISA_AARCH64, "virt");
	assert_non_null(f->m.board);
	assert_int_equal(f->m.board->configure(&f->config, RAM_BYTES, NULL), 0);
	f->m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
}

static void add_device(struct fixture *f, const char *type, uint32_t irq)
{
	struct hull_device_config d = { .irq = irq };

	snprintf(d.type, sizeof(d.type), "%s", type);
	assert_int_equal(hull_config_add_device(&f->config, &d, &f->err), 0);
}

static int build(struct fixture *f)
{
	assert_int_equal(hull_vm_create(&f->config, &f->hal.hal, &f->accel, &f->m.vm, &f->err), 0);
	f->m.state = calloc(1, f->m.board->state_size);
	return f->m.board->build(&f->m, NULL, &f->err);
}

static void boot(struct fixture *f)
{
	if (build(f) || hull_vm_seal(f->m.vm, &f->err) || hull_vm_boot(f->m.vm, &f->err))
		fail_msg("%s", f->err.text);
}

static void end(struct fixture *f)
{
	(void)hull_vm_shutdown(f->m.vm, HULL_STOP_FORCED, NULL);
	assert_int_equal(hull_vm_destroy(f->m.vm, NULL), 0);
	free(f->m.state);
	assert_int_equal(f->hal.live_bytes, 0);
	fake_hal_fini(&f->hal);
}

static uint64_t reg(struct fixture *f, uint32_t vcpu, uint32_t number)
{
	uint64_t v = UINT64_MAX;

	(void)hull_vcpu_reg_get(hull_vm_vcpu(f->m.vm, vcpu), number, &v);
	return v;
}

static void *tree_of(struct fixture *f, struct hull_fdt *t)
{
	void *blob = malloc(f->m.placed.dtb_bytes);

	assert_int_equal(hull_vm_read(f->m.vm, f->m.placed.dtb, blob, f->m.placed.dtb_bytes), 0);
	if (hull_fdt_check(blob, f->m.placed.dtb_bytes, t, &f->err))
		fail_msg("%s", f->err.text);
	return blob;
}

static uint32_t cell(const struct hull_fdt *t, const char *path, const char *name, uint32_t index)
{
	struct hull_fdt_prop p;
	uint32_t v = UINT32_MAX;

	if (!hull_fdt_get(t, hull_fdt_find(t, path), name, &p) || !hull_fdt_get_u32(&p, index, &v))
		fail_msg("%s has no %s[%u]", path, name, index);
	return v;
}

static const char *string(const struct hull_fdt *t, const char *path, const char *name)
{
	struct hull_fdt_prop p;

	if (!hull_fdt_get(t, hull_fdt_find(t, path), name, &p))
		return NULL;
	return hull_fdt_get_string(&p, 0);
}

static void dtc_accepts(const void *blob, size_t size)
{
	char path[] = "/tmp/hull-board-XXXXXX", command[200];
	int fd = mkstemp(path);

	assert_int_equal(write(fd, blob, size), (ssize_t)size);
	close(fd);
	snprintf(command, sizeof(command),
	         "command -v dtc >/dev/null || exit 0; w=$(dtc -I dtb -O dts -o /dev/null "
	         "%s 2>&1); test -z \"$w\" || { echo \"$w\"; exit 1; }",
	         path);
	assert_int_equal(system(command), 0);
	unlink(path);
}

static void kernel_starts_in_el1(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	(void)state;
	begin(&f, 3, HULL_BELOW_GICV3 | HULL_BELOW_ITS | HULL_BELOW_POWER);
	add_device(&f, "pl011", 0);
	add_device(&f, "virtio-rng", 0);
	add_device(&f, "virtio-rng", 0);
	add_device(&f, "pl031", 0);
	f.m.boot.cmdline = "console=ttyAMA0";
	boot(&f);
	assert_int_equal(reg(&f, 0, HULL_A64_REG_PC), RAM);
	assert_int_equal(reg(&f, 0, HULL_A64_REG_PSTATE), A64_PSTATE_EL1H_MASKED);
	assert_int_equal(reg(&f, 0, HULL_A64_REG_X0), f.m.placed.dtb);
	assert_int_equal(reg(&f, 0, HULL_A64_REG_X0 + 1), 0);
	/* They are off below, where only their threads can wait for that to change. */
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_READY);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 2)), HULL_VCPU_READY);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_string_equal(string(&t, "/chosen", "stdout-path"), "/soc/serial@9000000");
	assert_int_equal(cell(&t, "/memory@40000000", "reg", 3), RAM_BYTES);
	assert_string_equal(string(&t, "/psci", "method"), "hvc");
	assert_string_equal(string(&t, "/cpus/cpu@2", "enable-method"), "psci");
	assert_int_equal(cell(&t, "/soc/serial@9000000", "interrupts", 0), 0);
	assert_int_equal(cell(&t, "/soc/serial@9000000", "interrupts", 1), 1);
	assert_int_equal(cell(&t, "/soc/serial@9000000", "interrupts", 2), 4);
	assert_int_equal(cell(&t, "/soc/rtc@9010000", "interrupts", 1), 2);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@a000000", "interrupts", 1), 16);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@a001000", "interrupts", 1), 17);
	assert_int_equal(cell(&t, "/soc/rtc@a100000", "interrupts", 1), 48);
	assert_string_equal(string(&t, "/interrupt-controller@8000000", "compatible"),
	                    "arm,gic-v3");
	assert_int_equal(cell(&t, "/interrupt-controller@8000000", "reg", 7), 3 * 0x20000);
	assert_int_equal(cell(&t, "/interrupt-controller@8000000/its@8080000", "reg", 1),
	                 0x8080000);
	free(blob);
	/* The wires: characters for a serial port that has its interrupt on. */
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x9000000 + 0x38, 4, 0x20));
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x9000000, 1, 'x'));
	assert_int_equal(accel_state.line, 1);
	assert_true(accel_state.level);
	end(&f);
}

/* What the host's tree says of a device goes into the guest's, and its interrupt is no other's. */
static void devices_of_the_host_are_in_the_tree(void **state)
{
	static const char compatible[] = "arm,pl031\0arm,primecell";
	static const struct hull_passed passed[] = {
		{ "pl031@9010000", compatible, sizeof(compatible), 0xb200000, 0x1000, 34, false,
		  false },
		{ "virtio_mmio@a003e00", "virtio,mmio", 12, 0xb100e00, 0x200, 79, true, true },
	};
	struct hull_fdt_prop p;
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	begin(&f, 1, HULL_BELOW_VGIC);
	assert_int_equal(hull_config_add_spi(&f.config, 34, NULL), 0);
	f.m.passed = passed;
	f.m.npassed = 2;
	boot(&f);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_string_equal(string(&t, "/soc/pl031@b200000", "compatible"), "arm,pl031");
	assert_string_equal(string(&t, "/soc/pl031@b200000", "clock-names"), "apb_pclk");
	assert_int_equal(cell(&t, "/soc/pl031@b200000", "interrupts", 1), 2);
	assert_int_equal(cell(&t, "/soc/pl031@b200000", "interrupts", 2), 4);
	assert_int_equal(cell(&t, "/soc/rtc@9010000", "interrupts", 1), 3);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@b100e00", "interrupts", 1), 47);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@b100e00", "interrupts", 2), 1);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@b100e00", "reg", 3), 0x200);
	assert_true(hull_fdt_get(&t, hull_fdt_find(&t, "/soc/virtio_mmio@b100e00"), "dma-coherent",
	                         &p));
	free(blob);
	end(&f);
}

static void a_machine_may_be_without_interrupts(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	begin(&f, 1, HULL_BELOW_VGIC);
	f.config.irq_mode = HULL_IRQ_NONE;
	add_device(&f, "pl011", 0);
	boot(&f);
	assert_null(hull_dev_find(f.m.vm, "gic"));
	blob = tree_of(&f, &t);
	assert_int_equal(hull_fdt_find(&t, "/interrupt-controller@8000000"), HULL_FDT_NONE);
	free(blob);
	/* An interrupt that leads nowhere. */
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x9000000 + 0x38, 4, 0x20));
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x9000000, 1, 'x'));
	end(&f);
}

/* The window for channels is made from their device. */
static void channels_have_a_window(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	begin(&f, 1, HULL_BELOW_VGIC);
	add_device(&f, "ivc", 0);
	f.config.devices[0].size = 5000;
	f.config.nregions = 0;
	assert_int_equal(f.m.board->configure(&f.config, RAM_BYTES, NULL), 0);
	assert_int_equal(f.config.ivc_size, 8192);
	boot(&f);
	blob = tree_of(&f, &t);
	assert_string_equal(string(&t, "/soc/ivc@a100000", "compatible"), "hull,ivc");
	free(blob);
	end(&f);
	begin(&f, 1, HULL_BELOW_VGIC);
	add_device(&f, "ivc", 0);
	f.config.devices[0].size = UINT64_C(1) << 40;
	assert_int_equal(f.m.board->configure(&f.config, RAM_BYTES, NULL), HULL_EINVAL);
	fake_hal_fini(&f.hal);
}

static void gicv2_has_its_own_tree(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	(void)state;
	begin(&f, 2, HULL_BELOW_GICV2);
	boot(&f);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_OFF);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_string_equal(string(&t, "/interrupt-controller@8000000", "compatible"),
	                    "arm,cortex-a15-gic");
	assert_int_equal(cell(&t, "/timer", "interrupts", 2), 0x308);
	assert_int_equal(hull_fdt_find(&t, "/interrupt-controller@8000000/its@8080000"),
	                 HULL_FDT_NONE);
	free(blob);
	end(&f);
}

static void what_cannot_be_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 1, 0);
	assert_int_equal(build(&f), HULL_ENOTSUP);
	assert_int_equal(f.err.id, 1301);
	end(&f);
	begin(&f, 1, HULL_BELOW_GICV3);
	f.m.boot.firmware = f.m.boot.kernel;
	assert_int_equal(build(&f), HULL_ENOTSUP);
	assert_int_equal(f.err.id, 1301);
	end(&f);
	begin(&f, 1, HULL_BELOW_GICV3);
	f.m.boot.kernel.data = NULL;
	assert_int_equal(build(&f), HULL_EINVAL);
	assert_int_equal(f.err.id, 750);
	end(&f);
	begin(&f, 1, HULL_BELOW_GICV3);
	add_device(&f, "pl011", 224);
	assert_int_equal(build(&f), HULL_EINVAL);
	assert_int_equal(f.err.id, 906);
	end(&f);
}

static int64_t call(struct fixture *f, uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
	struct hull_vcpu *v = hull_vm_vcpu(f->m.vm, 0);

	f->exit = (struct hull_exit){ .kind = HULL_EXIT_HYPERCALL,
		                      .call = { .nr = nr, .args = { a0, a1, a2 } } };
	assert_true(hull_psci_call(v, &f->exit, NULL));
	return (int64_t)reg(f, 0, HULL_A64_REG_X0);
}

static void psci_calls(void **state)
{
	struct fixture f;
	struct hull_exit other = { .kind = HULL_EXIT_MMIO };

	(void)state;
	begin(&f, 3, HULL_BELOW_GICV3);
	boot(&f);
	assert_int_equal(call(&f, VERSION, 0, 0, 0), 0x10001);
	assert_int_equal(call(&f, VERSION | UINT64_C(1) << 32, 0, 0, 0), 0x10001);
	assert_int_equal(call(&f, FEATURES, CPU_ON, 0, 0), 0);
	assert_int_equal(call(&f, FEATURES, 0x84000005, 0, 0), -1);
	assert_int_equal(call(&f, MIGRATE_TYPE, 0, 0, 0), 2);
	assert_int_equal(call(&f, 0xc400ffff, 0, 0, 0), -1);
	assert_int_equal(call(&f, AFFINITY, 1, 0, 0), 1);
	assert_int_equal(call(&f, AFFINITY, 3, 0, 0), -2);
	assert_int_equal(call(&f, AFFINITY, 0, 1, 0), -2);
	/* Starting: to memory that is there, once. */
	assert_int_equal(call(&f, CPU_ON, 3, RAM, 0), -2);
	assert_int_equal(call(&f, CPU_ON, 1, RAM + 2, 0), -9);
	assert_int_equal(call(&f, CPU_ON, 1, RAM + RAM_BYTES, 0), -9);
	assert_int_equal(call(&f, CPU_ON, 1, RAM + 16, 0x1234), 0);
	assert_int_equal(call(&f, CPU_ON, 1, RAM + 16, 0), -4);
	assert_int_equal(call(&f, CPU_ON, 0, RAM, 0), -4);
	assert_int_equal(call(&f, AFFINITY, 1, 0, 0), 0);
	assert_int_equal(reg(&f, 1, HULL_A64_REG_PC), RAM + 16);
	assert_int_equal(reg(&f, 1, HULL_A64_REG_X0), 0x1234);
	assert_int_equal(reg(&f, 1, HULL_A64_REG_PSTATE), A64_PSTATE_EL1H_MASKED);
	assert_int_equal(f.exit.kind, HULL_EXIT_NONE);
	/* Ends. */
	assert_int_equal(call(&f, SUSPEND, 0, 0, 0), 0);
	assert_int_equal(f.exit.kind, HULL_EXIT_HALT);
	hull_vcpu_line_set(hull_vm_vcpu(f.m.vm, 0), 0, true);
	assert_int_equal(call(&f, SUSPEND, 0, 0, 0), 0);
	assert_int_equal(f.exit.kind, HULL_EXIT_NONE);
	(void)call(&f, CPU_OFF, 0, 0, 0);
	assert_int_equal(f.exit.kind, HULL_EXIT_CPU_OFF);
	(void)call(&f, OFF, 0, 0, 0);
	assert_int_equal(f.exit.kind, HULL_EXIT_SYSTEM);
	assert_int_equal(f.exit.system.event, HULL_SYSTEM_OFF);
	(void)call(&f, RESET, 0, 0, 0);
	assert_int_equal(f.exit.system.event, HULL_SYSTEM_RESET);
	assert_int_equal(call(&f, RESET2, 1, 0, 0), -2);
	assert_int_equal(f.exit.kind, HULL_EXIT_NONE);
	(void)call(&f, RESET2, 0, 0, 0);
	assert_int_equal(f.exit.kind, HULL_EXIT_SYSTEM);
	assert_false(hull_psci_call(hull_vm_vcpu(f.m.vm, 0), &other, NULL));
	end(&f);
}

static void registers_have_names(void **state)
{
	char name[A64_REG_NAME_MAX], other[A64_REG_NAME_MAX];
	unsigned n = 0;

	(void)state;
	while (hull_a64_reg_at(n) != UINT32_MAX) {
		hull_a64_reg_name(hull_a64_reg_at(n), name);
		assert_string_not_equal(name, "?");
		assert_true(hull_a64_reg_bits(hull_a64_reg_at(n)) != 0);
		for (unsigned i = 0; i < n; i++) {
			assert_int_not_equal(hull_a64_reg_at(i), hull_a64_reg_at(n));
			hull_a64_reg_name(hull_a64_reg_at(i), other);
			assert_string_not_equal(name, other);
		}
		n++;
	}
	assert_true(n > 31 + 64 + 8);
	hull_a64_reg_name(A64_SYS_REG(3, 0, 1, 0, 0), name);
	assert_string_equal(name, "sctlr_el1");
	hull_a64_reg_name(A64_SYS_REG(3, 7, 15, 15, 7), name);
	assert_string_equal(name, "s3_7_c15_c15_7");
	hull_a64_reg_name(HULL_A64_REG_V0 + 7, name);
	assert_string_equal(name, "v3_hi");
	assert_int_equal(hull_a64_reg_bits(HULL_A64_REG_FPCR), 32);
	assert_int_equal(hull_a64_reg_bits(HULL_A64_REG_SYS), 0);
	assert_int_equal(hull_a64_reg_bits(HULL_A64_REG_SYS + (1 << 16)), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_starts_in_el1),
		cmocka_unit_test(gicv2_has_its_own_tree),
		cmocka_unit_test(devices_of_the_host_are_in_the_tree),
		cmocka_unit_test(a_machine_may_be_without_interrupts),
		cmocka_unit_test(channels_have_a_window),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(psci_calls),
		cmocka_unit_test(registers_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
