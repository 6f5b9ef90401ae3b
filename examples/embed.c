/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A program that embeds Hull: a riscv64 machine with one vCPU, one page of
 * memory and two devices that are functions of this program.  The guest, a
 * dozen instructions, writes a text to the first device and powers the
 * machine off through the second.
 *
 *	cc embed.c $(pkg-config --cflags --libs hull) && ./a.out
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <hull/host.h>
#include <hull/regs.h>
#include <hull/vm.h>

enum { RAM = 0x80000000, CONSOLE = 0x10000000, POWER = 0x100000, SKIPPED = 77 };

static const char text[] = "hello from the guest\n";

/* The guest, with its text behind it. */
static const uint32_t program[] = {
	0x100002b7, /*       lui   t0, 0x10000      CONSOLE                */
	0x00000317, /*       auipc t1, 0                                   */
	0x02c30313, /*       addi  t1, t1, 44       the text               */
	0x00034383, /* next: lbu   t2, 0(t1)                               */
	0x00038863, /*       beq   t2, zero, done                          */
	0x00728023, /*       sb    t2, 0(t0)        print it               */
	0x00130313, /*       addi  t1, t1, 1                               */
	0xff1ff06f, /*       j     next                                    */
	0x001002b7, /* done: lui   t0, 0x100        POWER                  */
	0x02a00393, /*       addi  t2, zero, 42                            */
	0x0072a023, /*       sw    t2, 0(t0)        power off with code 42 */
	0x0000006f, /*       j     .                                       */
};

/* What the guest has printed. */
struct console {
	char text[64];
	size_t len;
};

static void console_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct console *c = opaque;

	(void)size;
	if (offset == 0 && c->len < sizeof(c->text) - 1)
		c->text[c->len++] = (char)value;
}

static void power_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	struct hull_vm *vm = opaque;

	(void)size;
	if (offset == 0)
		hull_vm_system_event(vm, HULL_SYSTEM_OFF, value);
}

/* Called at boot and at every reset. */
static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	int ret = hull_vm_write(vm, RAM, program, sizeof(program));

	(void)arg;
	if (!ret)
		ret = hull_vm_write(vm, RAM + sizeof(program), text, sizeof(text));
	if (ret)
		return hull_fail(err, ret, 0, "the program does not fit into memory");
	return hull_vcpu_reg_set(hull_vm_vcpu(vm, 0), HULL_RV_REG_PC, RAM);
}

static int build(struct hull_vm *vm, struct console *console, struct hull_err *err)
{
	const struct hull_callback_device devices[] = {
		{ .name = "console",
		  .gpa = CONSOLE,
		  .size = 8,
		  .opaque = console,
		  .write = console_write },
		{ .name = "power", .gpa = POWER, .size = 8, .opaque = vm, .write = power_write },
	};
	int ret = 0;

	for (size_t i = 0; !ret && i < sizeof(devices) / sizeof(devices[0]); i++)
		ret = hull_vm_register_device(vm, &devices[i], err);
	if (ret)
		return ret;
	hull_vm_set_loader(vm, load, NULL);
	return hull_vm_seal(vm, err);
}

static int complain(const struct hull_err *err)
{
	fprintf(stderr, "embed: %s%s%s\n", err->text, *err->fix ? ": " : "", err->fix);
	return 1;
}

int main(void)
{
	const struct hull_accel *accel = hull_accel_find("engine");
	const struct hull_region_config ram = { .gpa = RAM,
		                                .size = HULL_PAGE_SIZE,
		                                .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config config;
	struct console console = { .len = 0 };
	struct hull_vm *vm;
	struct hull_err err = { 0 };
	uint64_t code;

	if (!accel)
		return SKIPPED; /* a build without the CPU engine */
	hull_config_init(&config, HULL_ISA_RISCV64, "embedded");
	if (hull_config_add_region(&config, &ram, &err) ||
	    hull_vm_create(&config, hull_host_hal(), accel, &vm, &err))
		return complain(&err);
	if (build(vm, &console, &err) || hull_vm_boot(vm, &err)) {
		hull_vm_destroy(vm, NULL);
		return complain(&err);
	}
	/* One vCPU: its loop may as well be this thread's.  It returns when the guest is done. */
	hull_vm_vcpu_loop(vm, 0);
	code = hull_vm_stop_code(vm);
	printf("%sthe guest powered off with code %llu\n", console.text, (unsigned long long)code);
	if (hull_vm_destroy(vm, &err))
		return complain(&err);
	return code == 42 && !strcmp(console.text, text) ? 0 : 1;
}
