/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The pc board: devices and their places, ACPI as iasl reads it, how a kernel starts, SMP. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <hull/regs.h>
#include "accel/fake/fake.h"
#include "base/bits.h"
#include "board/board.h"
#include "core/bus.h"
#include "core/dev_impl.h"
#include "core/vcpu.h"
#include "fw/acpi.h"
#include "support/fake_hal.h"

#define MIB (UINT64_C(1) << 20)
#define RAM (64 * MIB)

struct fixture {
	struct fake_hal hal;
	struct hull_vm_config config;
	struct hull_machine m;
	struct hull_err err;
};

static const uint8_t image[64] = { 0xeb, 0xfe, 'k' };
static const uint8_t ramdisk[100] = { 'i', 'n', 'i', 't' };

static void begin(struct fixture *f, uint32_t cpus, uint64_t ram)
{
	memset(f, 0, sizeof(*f));
	fake_hal_init(&f->hal);
	hull_config_init(&f->config, HULL_ISA_X86_64, "test");
	f->config.cpu_num = cpus;
	f->m.board = hull_board_find(HULL_ISA_X86_64, "virt");
	assert_non_null(f->m.board);
	assert_string_equal(f->m.board->name, "pc");
	assert_int_equal(f->m.board->configure(&f->config, ram, NULL), 0);
	f->m.boot.kernel = (struct hull_blob){ .data = image, .size = sizeof(image) };
}

static void add_device(struct fixture *f, const char *type)
{
	struct hull_device_config d = { 0 };

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

static uint64_t word(struct fixture *f, hull_gpa at, unsigned bytes)
{
	uint8_t b[8] = { 0 };

	assert_int_equal(hull_vm_read(f->m.vm, at, b, bytes), 0);
	return load_le64(b);
}

static void out(struct fixture *f, uint16_t port, unsigned size, uint64_t val)
{
	assert_true(hull_bus_write(f->m.vm, HULL_SPACE_PIO, port, size, val));
}

static uint64_t in(struct fixture *f, uint16_t port, unsigned size)
{
	uint64_t v = 0;

	assert_true(hull_bus_read(f->m.vm, HULL_SPACE_PIO, port, size, &v));
	return v;
}

static void mmio(struct fixture *f, hull_gpa at, uint32_t val)
{
	assert_true(hull_bus_write(f->m.vm, HULL_SPACE_MMIO, at, 4, val));
}

static uint8_t sum(const uint8_t *p, size_t n)
{
	uint8_t s = 0;

	while (n--)
		s = (uint8_t)(s + *p++);
	return s;
}

/* A table from guest memory, its checksum checked; NULL if the XSDT has none. */
static uint8_t *table(struct fixture *f, const char *signature, uint32_t *ret_len)
{
	uint64_t xsdt = word(f, 0xe0000 + 24, 8), n = (word(f, xsdt + 4, 4) - 36) / 8;
	uint64_t dsdt = 0;

	for (uint64_t i = 0; i <= n; i++) {
		uint64_t at = i < n ? word(f, xsdt + 36 + 8 * i, 8) : dsdt;
		uint32_t len = (uint32_t)word(f, at + 4, 4);
		uint8_t *t = malloc(len);

		assert_int_equal(hull_vm_read(f->m.vm, at, t, len), 0);
		assert_int_equal(sum(t, len), 0);
		if (!memcmp(t, "FACP", 4))
			dsdt = load_le64(t + 140);
		if (!memcmp(t, signature, 4)) {
			*ret_len = len;
			return t;
		}
		free(t);
	}
	return NULL;
}

/* The compiler that everybody uses takes the table apart and puts it together again. */
static void iasl_accepts(struct fixture *f, const char *signature, const char *wanted)
{
	char dir[] = "/tmp/hull-acpi-XXXXXX", path[64], command[600];
	uint32_t len = 0;
	uint8_t *t = table(f, signature, &len);
	FILE *out;

	assert_non_null(t);
	if (system("command -v iasl >/dev/null")) {
		free(t);
		return;
	}
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/t.aml", dir);
	out = fopen(path, "w");
	assert_int_equal(fwrite(t, 1, len, out), len);
	fclose(out);
	free(t);
	snprintf(command, sizeof(command),
	         "cd %s && iasl -d t.aml >log 2>&1 && cp t.dsl u.dsl && iasl -we u.dsl >log2 2>&1 "
	         "&& "
	         "grep -q '%s' t.dsl && ! grep -iE 'error|warning' log && "
	         "grep -q '0 Errors' log2 || { cat log log2 t.dsl; exit 1; }",
	         dir, wanted);
	assert_int_equal(system(command), 0);
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static void tables_say_what_there_is(void **state)
{
	struct fixture f;
	uint8_t rsdp[36], *t;
	uint32_t len;

	(void)state;
	begin(&f, 3, RAM);
	add_device(&f, "uart16550");
	add_device(&f, "uart16550");
	for (int i = 0; i < 10; i++)
		add_device(&f, "virtio-rng");
	boot(&f);
	assert_int_equal(hull_vm_read(f.m.vm, 0xe0000, rsdp, sizeof(rsdp)), 0);
	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	iasl_accepts(&f, "DSDT", "LNRO0005");
	iasl_accepts(&f, "FACP", "SCI Interrupt : 0009");
	iasl_accepts(&f, "APIC", "I/O APIC");
	t = table(&f, "APIC", &len);
	assert_int_equal(load_le32(t + 36), 0xfee00000);
	assert_int_equal(load_le32(t + 40), 0); /* no 8259s */
	assert_int_equal(t[44 + 2 * 8 + 3], 2); /* the third processor */
	free(t);
	/* Two serial ports where PCs have them, the clock, ten devices at GSIs of their own. */
	t = table(&f, "DSDT", &len);
	assert_non_null(memmem(t, len, "\x47\x01\xf8\x03\xf8\x03\x01\x08\x22\x10\x00", 11));
	assert_non_null(memmem(t, len, "\x47\x01\xf8\x02\xf8\x02\x01\x08\x22\x08\x00", 11));
	assert_non_null(memmem(t, len, "\x86\x09\x00\x01\x00\x00\x00\xd0\x00\x02", 10));
	for (unsigned i = 0; i < 10; i++) {
		const uint8_t gsi[] = { 0x89, 6, 0, 1, 1, (uint8_t)(i < 8 ? 16 + i : i - 3) };

		assert_non_null(memmem(t, len, gsi, sizeof(gsi)));
	}
	free(t);
	assert_int_equal(in(&f, 0x3f8 + 5, 1), 0x60);
	assert_int_equal(in(&f, 0x2f8 + 5, 1), 0x60);
	end(&f);
}

/* What a kernel learns of the bridge, and that it is where that says; messages come from there. */
static void pci_is_described(void **state)
{
	static const hull_gpa ecam = 0xe0000000;
	struct fixture f;
	uint64_t id = 0;
	uint8_t *t;
	uint32_t len;

	(void)state;
	begin(&f, 1, RAM);
	add_device(&f, "virtio-rng");
	add_device(&f, "virtio-rng");
	f.config.devices[0].bus = HULL_BUS_PCI;
	boot(&f);
	iasl_accepts(&f, "DSDT", "PNP0A08");
	iasl_accepts(&f, "DSDT", "_PRT");
	iasl_accepts(&f, "DSDT", "_OSC");
	iasl_accepts(&f, "MCFG", "Base Address : 00000000E0000000");
	t = table(&f, "MCFG", &len);
	assert_int_equal(load_le64(t + 44), ecam);
	assert_int_equal(t[54] | t[55], 0); /* one bus */
	free(t);
	t = table(&f, "DSDT", &len);
	assert_non_null(memmem(t, len, "PNP0C02", 8)); /* with configuration space: */
	assert_non_null(memmem(t, len, "\x86\x09\x00\x01\x00\x00\x00\xe0\x00\x00\x10\x00", 12));
	/* INTB of device 3 is the same input as INTA of device 0. */
	assert_non_null(memmem(t, len, "\x12\x09\x04\x0b\xff\xff\x00\x00\x0a\x10", 10));
	assert_non_null(memmem(t, len, "\x12\x0b\x04\x0c\xff\xff\x03\x00\x01\x00\x0a\x10", 12));
	/* The device that is not behind the bridge has an input of its own. */
	assert_non_null(memmem(t, len, "\x89\x06\x00\x01\x01\x14", 6));
	free(t);
	assert_true(hull_bus_read(f.m.vm, HULL_SPACE_MMIO, ecam + (1 << 15), 4, &id));
	assert_int_equal(id, 0x10441af4);
	assert_true(hull_bus_read(f.m.vm, HULL_SPACE_MMIO, ecam + (31 << 15), 4, &id));
	assert_int_equal((uint32_t)id, UINT32_MAX);
	end(&f);
}

static void kernel_starts_in_long_mode(void **state)
{
	struct fixture f;
	uint8_t back[sizeof(image)];

	(void)state;
	begin(&f, 2, RAM);
	f.m.boot.initrd = (struct hull_blob){ .data = ramdisk, .size = sizeof(ramdisk) };
	f.m.boot.cmdline = "console=ttyS0";
	boot(&f);
	assert_int_equal(f.m.placed.entry, MIB);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_RIP), MIB);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_RSI), 0x7000);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_CR0), 0x80000031);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_CR4), 0x20);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_MSR_C + 0x80), 0x500);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_SEG + 4 * HULL_X86_CS), 0x10);
	assert_int_equal(reg(&f, 0, HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_ATTR), 0xa09b);
	assert_int_equal(word(&f, 0x500 + 0x10, 8), UINT64_C(0x00af9b000000ffff));
	/* Our own local APICs hold the second vCPU back. */
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_OFF);
	assert_int_equal(hull_vm_read(f.m.vm, MIB, back, sizeof(back)), 0);
	assert_memory_equal(back, image, sizeof(image));
	assert_int_equal(word(&f, 0x7000 + 0x218, 4), f.m.placed.initrd);
	assert_int_equal(word(&f, 0x7000 + 0x21c, 4), sizeof(ramdisk));
	assert_int_equal(hull_vm_read(f.m.vm, f.m.placed.initrd, back, 4), 0);
	assert_memory_equal(back, "init", 4);
	assert_int_equal(hull_vm_read(f.m.vm, word(&f, 0x7000 + 0x228, 4), back, 14), 0);
	assert_memory_equal(back, "console=ttyS0", 14);
	/* RAM, reserved, reserved, RAM. */
	assert_int_equal(word(&f, 0x7000 + 0x1e8, 1), 4);
	assert_int_equal(word(&f, 0x7000 + 0x2d0 + 3 * 20, 8), MIB);
	assert_int_equal(word(&f, 0x7000 + 0x2d0 + 3 * 20 + 8, 8), RAM - MIB);
	/* Again after a reset. */
	assert_int_equal(hull_vm_write(f.m.vm, 0x7000, back, 8), 0);
	assert_int_equal(hull_vm_reset(f.m.vm, NULL), 0);
	assert_int_equal(word(&f, 0x7000, 8), 0);
	end(&f);
}

static void memory_has_a_hole(void **state)
{
	struct fixture f;

	(void)state;
	begin(&f, 1, UINT64_C(5) << 30);
	assert_int_equal(f.config.nregions, 2);
	assert_int_equal(f.config.regions[0].size, UINT64_C(3) << 30);
	assert_int_equal(f.config.regions[1].gpa, UINT64_C(4) << 30);
	assert_int_equal(f.config.regions[1].size, UINT64_C(2) << 30);
	fake_hal_fini(&f.hal);
}

/* Through I/O APIC and local APIC to INTR of the vCPU, and back by the end of the interrupt. */
static void interrupts_arrive(void **state)
{
	struct fixture f;
	struct hull_vcpu *vcpu;

	(void)state;
	begin(&f, 2, RAM);
	boot(&f);
	vcpu = hull_vm_vcpu(f.m.vm, 0);
	mmio(&f, 0xfee000f0, 0x1ff);
	mmio(&f, 0xfec00000, 0x10 + 2 * 9);
	mmio(&f, 0xfec00010, 0x8051);
	out(&f, 0x602, 2, 0x100);
	assert_false(hull_vcpu_lines(vcpu) & BIT(HULL_X86_INPUT_INTR));
	hull_irq_set(hull_dev_input(hull_dev_find(f.m.vm, "acpi-pm"), 0), true);
	assert_true(hull_vcpu_lines(vcpu) & BIT(HULL_X86_INPUT_INTR));
	assert_int_equal(hull_vcpu_intack(vcpu), 0x51);
	assert_int_equal(hull_vcpu_intack(vcpu), -1);
	assert_false(hull_vcpu_lines(vcpu) & BIT(HULL_X86_INPUT_INTR));
	/* The status is still set: the end of the interrupt brings the next. */
	mmio(&f, 0xfee000b0, 0);
	assert_int_equal(hull_vcpu_intack(vcpu), 0x51);
	out(&f, 0x600, 2, 0x100);
	mmio(&f, 0xfee000b0, 0);
	assert_int_equal(hull_vcpu_intack(vcpu), -1);
	end(&f);
}

static void startup_ipi_starts(void **state)
{
	struct fixture f;
	const uint32_t cs = HULL_X86_REG_SEG + 4 * HULL_X86_CS;

	(void)state;
	begin(&f, 3, RAM);
	boot(&f);
	mmio(&f, 0xfee000f0, 0x1ff);
	mmio(&f, 0xfee00310, 1 << 24);
	mmio(&f, 0xfee00300, 0x4500);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_OFF);
	mmio(&f, 0xfee00300, 0x4612);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_READY);
	assert_int_equal(reg(&f, 1, HULL_X86_REG_RIP), 0);
	assert_int_equal(reg(&f, 1, cs + HULL_X86_SELECTOR), 0x1200);
	assert_int_equal(reg(&f, 1, cs + HULL_X86_BASE), 0x12000);
	/* The second one of the pair that software sends is ignored, and so are those to nobody. */
	mmio(&f, 0xfee00300, 0x4634);
	assert_int_equal(reg(&f, 1, cs + HULL_X86_BASE), 0x12000);
	mmio(&f, 0xfee00310, 77 << 24);
	mmio(&f, 0xfee00300, 0x4634);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 2)), HULL_VCPU_OFF);
	/* INIT asks a vCPU that runs to stop. */
	mmio(&f, 0xfee00310, 1 << 24);
	mmio(&f, 0xfee00300, 0x4500);
	assert_true(hull_vm_vcpu(f.m.vm, 1)->irq_edges & BIT(HULL_X86_INPUT_INIT));
	end(&f);
}

/* A vCPU that takes INIT is off; a start-up IPI that came before that is not lost. */
static void init_then_startup(void **state)
{
	static const struct hull_fake_op off[] = {
		{ .kind = HULL_FAKE_EXIT, .exit = { .kind = HULL_EXIT_CPU_OFF } },
		{ .kind = HULL_FAKE_SPIN },
	};
	struct hull_exit exit;
	struct fixture f;

	(void)state;
	begin(&f, 2, RAM);
	boot(&f);
	mmio(&f, 0xfee00310, 1 << 24);
	mmio(&f, 0xfee00300, 0x4612);
	hull_fake_script(hull_vm_vcpu(f.m.vm, 1), off, ARRAY_LEN(off));
	mmio(&f, 0xfee00300, 0x4500);
	mmio(&f, 0xfee00300, 0x4634);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_READY);
	assert_int_equal(hull_vm_run_vcpu(f.m.vm, 1, &exit), 0);
	assert_int_equal(exit.kind, HULL_EXIT_CPU_OFF);
	assert_int_equal(hull_vcpu_state(hull_vm_vcpu(f.m.vm, 1)), HULL_VCPU_READY);
	assert_int_equal(reg(&f, 1, HULL_X86_REG_SEG + 4 * HULL_X86_CS + HULL_X86_BASE), 0x34000);
	end(&f);
}

/* An INIT that comes while the vCPU is going off for another is not there for the next start. */
static void init_twice(void **state)
{
	static const struct hull_fake_op off[] = {
		{ .kind = HULL_FAKE_EXIT, .exit = { .kind = HULL_EXIT_CPU_OFF } },
		{ .kind = HULL_FAKE_SPIN },
	};
	struct hull_vcpu *vcpu;
	struct hull_exit exit;
	struct fixture f;

	(void)state;
	begin(&f, 2, RAM);
	boot(&f);
	vcpu = hull_vm_vcpu(f.m.vm, 1);
	mmio(&f, 0xfee00310, 1 << 24);
	mmio(&f, 0xfee00300, 0x4612);
	hull_fake_script(vcpu, off, ARRAY_LEN(off));
	mmio(&f, 0xfee00300, 0x4500);
	assert_int_equal(hull_vm_run_vcpu(f.m.vm, 1, &exit), 0);
	assert_int_equal(exit.kind, HULL_EXIT_CPU_OFF);
	hull_vcpu_raise(vcpu, BIT(HULL_X86_INPUT_INIT)); /* as if off() had been a little later */
	mmio(&f, 0xfee00300, 0x4634);
	assert_int_equal(hull_vcpu_state(vcpu), HULL_VCPU_READY);
	assert_int_equal(vcpu->irq_edges, 0);
	end(&f);
}

/* What a guest writes to end or restart the machine, and what must not. */
static void power(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t size;
		uint32_t val;
		bool event;
		enum hull_system_event kind;
	} cases[] = {
		{ 0x604, 2, 0x2000 | 5 << 10, true, HULL_SYSTEM_OFF },
		{ 0x605, 1, 0x20 | 5 << 2, true, HULL_SYSTEM_OFF },
		{ 0x604, 2, 5 << 10, false, 0 },
		{ 0x60c, 1, 1, true, HULL_SYSTEM_RESET },
		{ 0x60c, 1, 2, false, 0 },
		{ 0x64, 1, 0xfe, true, HULL_SYSTEM_RESET },
		{ 0x64, 1, 0xff, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const struct hull_fake_op ops[] = {
			{ .kind = HULL_FAKE_EXIT,
			  .exit = { .kind = HULL_EXIT_PIO,
			            .io = { .addr = cases[i].port,
			                    .data = cases[i].val,
			                    .size = cases[i].size,
			                    .write = true } } },
			{ .kind = HULL_FAKE_EXIT, .exit = { .kind = HULL_EXIT_HALT } },
		};
		struct hull_exit exit;
		struct fixture f;

		begin(&f, 1, RAM);
		boot(&f);
		hull_fake_script(hull_vm_vcpu(f.m.vm, 0), ops, ARRAY_LEN(ops));
		assert_int_equal(hull_vm_run_vcpu(f.m.vm, 0, &exit), 0);
		assert_int_equal(exit.kind, cases[i].event ? HULL_EXIT_SYSTEM : HULL_EXIT_HALT);
		if (cases[i].event)
			assert_int_equal(exit.system.event, cases[i].kind);
		end(&f);
	}
}

static void what_cannot_be_is_refused(void **state)
{
	static char cmdline[3000];
	struct fixture f;

	(void)state;
	begin(&f, 1, RAM);
	f.m.boot.kernel.data = NULL;
	f.m.boot.firmware = (struct hull_blob){ .data = image, .size = sizeof(image) };
	assert_int_equal(build(&f), HULL_ENOTSUP);
	assert_int_equal(f.err.id, 1301);
	end(&f);
	/* 17 devices want an interrupt each, 15 are free. */
	begin(&f, 1, RAM);
	for (int i = 0; i < 17; i++)
		add_device(&f, "virtio-rng");
	assert_int_equal(build(&f), HULL_ENOMEM);
	assert_int_equal(f.err.id, 906);
	end(&f);
	begin(&f, 1, RAM);
	memset(cmdline, 'x', sizeof(cmdline) - 1);
	f.m.boot.cmdline = cmdline;
	assert_int_equal(build(&f), 0);
	assert_int_equal(hull_vm_seal(f.m.vm, NULL), 0);
	assert_int_equal(hull_vm_boot(f.m.vm, &f.err), HULL_EINVAL);
	assert_int_equal(f.err.id, 736);
	end(&f);
	/* Over what the guest is told, and over the tables that it starts with. */
	for (unsigned i = 0; i < 3; i++) {
		begin(&f, 1, RAM);
		f.m.boot.kernel.has_at = true;
		f.m.boot.kernel.at = (const hull_gpa[]){ 0x7000, 0x9000, 0xe0000 }[i];
		assert_int_equal(build(&f), 0);
		assert_int_equal(hull_vm_seal(f.m.vm, NULL), 0);
		assert_int_not_equal(hull_vm_boot(f.m.vm, &f.err), 0);
		assert_in_range(f.err.id, 700, 799);
		end(&f);
	}
	/* No memory where everything begins. */
	begin(&f, 1, RAM);
	f.config.regions[0].gpa = 16 * MIB;
	assert_int_equal(build(&f), 0);
	assert_int_equal(hull_vm_seal(f.m.vm, NULL), 0);
	assert_int_equal(hull_vm_boot(f.m.vm, &f.err), HULL_EINVAL);
	assert_int_equal(f.err.id, 715);
	end(&f);
}

/* AML that does not fit, is nested wrongly or has bad names is never finished. */
static void aml_is_whole_or_nothing(void **state)
{
	uint8_t buf[256], small[8];
	struct hull_aml a;
	size_t len;

	(void)state;
	hull_aml_begin(&a, small, sizeof(small));
	hull_aml_name(&a, "ABCD");
	hull_aml_int(&a, UINT64_MAX);
	assert_int_equal(hull_aml_finish(&a, &len), HULL_EOVERFLOW);
	hull_aml_begin(&a, buf, sizeof(buf));
	hull_aml_end(&a);
	assert_int_equal(hull_aml_finish(&a, &len), HULL_EOVERFLOW);
	hull_aml_begin(&a, buf, sizeof(buf));
	hull_aml_scope(&a, "\\");
	assert_int_equal(hull_aml_finish(&a, &len), HULL_EOVERFLOW);
	static const char *const names[] = { "abcd", "ABCDE", "1ABC", "A..B", "A.B.C.D.E.F.G.H.I" };
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		hull_aml_begin(&a, buf, sizeof(buf));
		hull_aml_name(&a, names[i]);
		assert_int_equal(hull_aml_finish(&a, &len), HULL_EOVERFLOW);
	}
	/* Package lengths of one, two and three bytes. */
	for (unsigned n = 1; n < 3; n++) {
		hull_aml_begin(&a, buf, sizeof(buf));
		hull_aml_package(&a, 1);
		hull_aml_string(&a, n == 1 ? "short"
		                           : "a text that is so long that its package does not fit "
		                             "into the 63 bytes of the short form");
		hull_aml_end(&a);
		assert_int_equal(hull_aml_finish(&a, &len), 0);
		assert_int_equal(buf[1] >> 6, n - 1);
		assert_int_equal(n == 1 ? buf[1] : (buf[1] & 15u) + buf[2] * 16u, len - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_say_what_there_is),
		cmocka_unit_test(pci_is_described),
		cmocka_unit_test(kernel_starts_in_long_mode),
		cmocka_unit_test(memory_has_a_hole),
		cmocka_unit_test(interrupts_arrive),
		cmocka_unit_test(startup_ipi_starts),
		cmocka_unit_test(init_then_startup),
		cmocka_unit_test(init_twice),
		cmocka_unit_test(power),
		cmocka_unit_test(what_cannot_be_is_refused),
		cmocka_unit_test(aml_is_whole_or_nothing),
	};

	return cmocka_run_group_tests_name("pc", tests, NULL, NULL);
}
