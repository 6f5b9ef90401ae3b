/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* virt-riscv64: placing devices, the device tree, and what the harts start with. */
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
#include "board/board.h"
#include "core/bus.h"
#include "core/dev_impl.h"
#include "fw/fdt.h"
#include "isa/riscv64/regs.h"
#include "support/fake_hal.h"

#define RAM       UINT64_C(0x80000000)
#define RAM_BYTES (UINT64_C(64) << 20)

struct fixture {
	struct fake_hal hal;
	struct hull_vm_config config;
	struct hull_machine m;
	struct hull_err err;
};

static const uint8_t image[64] = { 0x6f, 0, 0, 0, 'k' };
static const uint8_t ramdisk[100] = { 'i', 'n', 'i', 't' };

static void begin(struct fixture *f, uint32_t cpus)
{
	memset(f, 0, sizeof(*f));
	fake_hal_init(&f->hal);
	hull_config_init(&f->config, HULL_ISA_RISCV64, "test");
	f->config.cpu_num = cpus;
	f->m.board = hull_board_find(HULL_ISA_RISCV64, "virt");
	assert_non_null(f->m.board);
	assert_int_equal(f->m.board->configure(&f->config, RAM_BYTES, NULL), 0);
}

static void add_device(struct fixture *f, const char *type, hull_gpa gpa, uint32_t irq)
{
	struct hull_device_config d = { .gpa = gpa, .irq = irq };

	snprintf(d.type, sizeof(d.type), "%s", type);
	assert_int_equal(hull_config_add_device(&f->config, &d, &f->err), 0);
}

static int build(struct fixture *f)
{
	assert_int_equal(
		hull_vm_create(&f->config, &f->hal.hal, hull_accel_find("fake"), &f->m.vm, &f->err),
		0);
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

/* The guest's own view of its device tree. */
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

/* The tree must satisfy the compiler that everybody uses, too. */
static void dtc_accepts(const void *blob, size_t size)
{
	char path[] = "/tmp/hull-board-XXXXXX", command[200];
	int fd = mkstemp(path);

	assert_int_equal(write(fd, blob, size), (ssize_t)size);
	close(fd);
	snprintf(command, sizeof(command),
	         "command -v dtc >/dev/null || exit 0; w=$(dtc -I dtb -O dts -o /dev/null "
	         "%s 2>&1); test -z \"$w\"",
	         path);
	assert_int_equal(system(command), 0);
	unlink(path);
}

static void kernel_starts_in_s_mode(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	uint8_t back[sizeof(image)];
	void *blob;

	(void)state;
	begin(&f, 2);
	add_device(&f, "uart16550", 0, 0);
	add_device(&f, "virtio-rng", 0, 0);
	add_device(&f, "virtio-rng", 0x10008000, 0);
	add_device(&f, "pl031", 0, 0);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	f.m.boot.initrd = (struct hull_blob){ .data = ramdisk, .size = sizeof(ramdisk) };
	f.m.boot.cmdline = "console=ttyS0";
	boot(&f);
	assert_int_equal(reg(&f, 0, HULL_RV_REG_PC), RAM);
	assert_int_equal(reg(&f, 0, HULL_RV_REG_PRIV), RV_PRIV_S);
	assert_int_equal(reg(&f, 0, HULL_RV_REG_SBI), 1);
	assert_int_equal(reg(&f, 0, 10), 0);
	assert_int_equal(reg(&f, 0, 11), f.m.placed.dtb);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_OFF);
	assert_int_equal(hull_vm_read(f.m.vm, RAM, back, sizeof(back)), 0);
	assert_memory_equal(back, image, sizeof(image));
	assert_int_equal(hull_vm_read(f.m.vm, f.m.placed.initrd, back, 4), 0);
	assert_memory_equal(back, "init", 4);

	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_string_equal(string(&t, "/chosen", "bootargs"), "console=ttyS0");
	assert_string_equal(string(&t, "/chosen", "stdout-path"), "/soc/serial@10000000");
	assert_int_equal(cell(&t, "/chosen", "linux,initrd-start", 1), (uint32_t)f.m.placed.initrd);
	assert_int_equal(cell(&t, "/memory@80000000", "reg", 3), RAM_BYTES);
	assert_int_equal(cell(&t, "/cpus", "timebase-frequency", 0), 10000000);
	assert_string_equal(string(&t, "/cpus/cpu@1", "mmu-type"), "riscv,sv57");
	assert_int_equal(cell(&t, "/soc/serial@10000000", "interrupts", 0), 10);
	assert_int_equal(cell(&t, "/soc/rtc@101000", "interrupts", 0), 11);
	/* The free virtio slot is the first; the one with a place of its own has its interrupt. */
	assert_int_equal(cell(&t, "/soc/virtio_mmio@10001000", "interrupts", 0), 1);
	assert_int_equal(cell(&t, "/soc/virtio_mmio@10008000", "interrupts", 0), 8);
	assert_int_equal(cell(&t, "/soc/rtc@10010000", "interrupts", 0), 12);
	assert_int_equal(cell(&t, "/soc/plic@c000000", "riscv,ndev", 0), 95);
	assert_int_equal(cell(&t, "/soc/plic@c000000", "interrupts-extended", 1), UINT32_MAX);
	assert_int_equal(cell(&t, "/soc/plic@c000000", "interrupts-extended", 7), RV_IRQ_SEI);
	assert_int_equal(hull_fdt_find(&t, "/soc/clint@2000000"), HULL_FDT_NONE);
	assert_int_equal(cell(&t, "/poweroff", "value", 0), 0x5555);
	free(blob);
	end(&f);
}

static void firmware_starts_all_harts(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	uint8_t info[48];
	void *blob;

	(void)state;
	begin(&f, 3);
	add_device(&f, "uart16550", 0, 0);
	f.m.boot.firmware = (struct hull_blob){ .data = image, .size = sizeof(image) };
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	boot(&f);
	for (uint32_t i = 0; i < 3; i++) {
		assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, i)), HULL_VCPU_READY);
		assert_int_equal(reg(&f, i, HULL_RV_REG_PC), RAM);
		assert_int_equal(reg(&f, i, 10), i);
		assert_int_equal(reg(&f, i, 11), f.m.placed.dtb);
		assert_int_equal(reg(&f, i, 12), reg(&f, 0, 12));
	}
	assert_int_equal(hull_vm_read(f.m.vm, reg(&f, 0, 12), info, sizeof(info)), 0);
	assert_int_equal(load_le64(info), 0x4942534f);
	assert_int_equal(load_le64(info + 16), RAM + (2 << 20));
	assert_int_equal(load_le64(info + 24), RV_PRIV_S);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_int_equal(cell(&t, "/soc/clint@2000000", "interrupts-extended", 1), RV_IRQ_MSI);
	assert_int_equal(cell(&t, "/soc/plic@c000000", "interrupts-extended", 1), RV_IRQ_MEI);
	free(blob);
	/* The wires: a machine software interrupt of hart 2. */
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x2000000 + 4 * 2, 4, 1));
	assert_int_equal(hull_vcpu_lines(hull_vm_vcpu(f.m.vm, 2)), BIT(RV_IRQ_MSI));
	end(&f);
}

static void sswi_raises_once(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 2);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	boot(&f);
	assert_true(hull_bus_write(f.m.vm, HULL_SPACE_MMIO, 0x2f00000 + 4, 4, 1));
	assert_int_equal(hull_vm_vcpu(f.m.vm, 1)->irq_edges, BIT(RV_IRQ_SSI));
	assert_int_equal(hull_vm_vcpu(f.m.vm, 0)->irq_edges, 0);
	end(&f);
}

static void reset_loads_again(void **state)
{
	struct fixture f;
	uint8_t byte = 0xff;

	(void)state;
	begin(&f, 1);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	boot(&f);
	assert_int_equal(hull_vm_write(f.m.vm, RAM, &byte, 1), 0);
	assert_int_equal(hull_vm_reset(f.m.vm, NULL), 0);
	assert_int_equal(hull_vm_read(f.m.vm, RAM, &byte, 1), 0);
	assert_int_equal(byte, image[0]);
	end(&f);
}

static uint32_t power_below(struct hull_vm *vm)
{
	(void)vm;
	return HULL_BELOW_POWER;
}

/* A host's hart: letters only, and a faster clock. */
static int host_reg_get(struct hull_vcpu *vcpu, uint32_t number, uint64_t *ret)
{
	if (number >= HULL_RV_REG_EXT || number == HULL_RV_REG_TIMEBASE) {
		*ret = number == HULL_RV_REG_TIMEBASE ? 24000000 : number < HULL_RV_REG_EXT + 6;
		return 0;
	}
	return hull_accel_find("fake")->reg_get(vcpu, number, ret);
}

static void harts_of_the_host(void **state)
{
	struct hull_accel host = *hull_accel_find("fake");
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	(void)state;
	host.below = power_below;
	host.reg_get = host_reg_get;
	begin(&f, 2);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_int_equal(hull_vm_create(&f.config, &f.hal.hal, &host, &f.m.vm, &f.err), 0);
	f.m.state = calloc(1, f.m.board->state_size);
	assert_int_equal(f.m.board->build(&f.m, NULL, &f.err), 0);
	assert_int_equal(hull_vm_seal(f.m.vm, &f.err), 0);
	assert_int_equal(hull_vm_boot(f.m.vm, &f.err), 0);
	assert_int_equal(reg(&f, 0, HULL_RV_REG_PC), RAM);
	assert_int_equal(reg(&f, 0, 11), f.m.placed.dtb);
	assert_int_equal(reg(&f, 0, HULL_RV_REG_CSR + 0x302), UINT64_MAX); /* no M-mode */
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_READY);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_int_equal(cell(&t, "/cpus", "timebase-frequency", 0), 24000000);
	assert_string_equal(string(&t, "/cpus/cpu@1", "riscv,isa"), "rv64imafdc");
	assert_string_equal(string(&t, "/cpus/cpu@1", "riscv,isa-extensions"), "i");
	free(blob);
	end(&f);
	begin(&f, 1);
	f.m.boot.firmware = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_int_equal(hull_vm_create(&f.config, &f.hal.hal, &host, &f.m.vm, &f.err), 0);
	f.m.state = calloc(1, f.m.board->state_size);
	assert_int_equal(f.m.board->build(&f.m, NULL, &f.err), HULL_ENOTSUP);
	assert_int_equal(f.err.id, 1301);
	end(&f);
}

static void what_cannot_be_is_refused(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 1);
	assert_int_equal(build(&f), HULL_EINVAL);
	assert_int_equal(f.err.id, 750);
	end(&f);
	begin(&f, 1);
	add_device(&f, "no-such-thing", 0, 0);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_int_equal(build(&f), HULL_EINVAL);
	assert_int_equal(f.err.id, 903);
	end(&f);
	begin(&f, 1);
	add_device(&f, "uart16550", 0, 96);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_int_equal(build(&f), HULL_EINVAL);
	assert_int_equal(f.err.id, 906);
	end(&f);
	begin(&f, 1);
	add_device(&f, "uart16550", RAM + 0x1000, 0);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_true(build(&f) < 0);
	end(&f);
}

static void many_devices_find_a_place(void **state)
{
	struct fixture f;
	struct hull_fdt t;
	void *blob;

	(void)state;
	begin(&f, HULL_MAX_VCPUS);
	for (int i = 0; i < HULL_MAX_DEVICES; i++)
		add_device(&f, i % 2 ? "virtio-rng" : "uart16550", 0, 0);
	f.m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
	boot(&f);
	blob = tree_of(&f, &t);
	dtc_accepts(blob, f.m.placed.dtb_bytes);
	assert_string_equal(string(&t, "/cpus/cpu@3f", "compatible"), "riscv");
	free(blob);
	end(&f);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(kernel_starts_in_s_mode),
		cmocka_unit_test(firmware_starts_all_harts),
		cmocka_unit_test(sswi_raises_once),
		cmocka_unit_test(reset_loads_again),
		cmocka_unit_test(harts_of_the_host),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(many_devices_find_a_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
