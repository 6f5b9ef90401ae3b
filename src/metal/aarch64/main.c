/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From head.S to the first VM. */
#include <hull/vm.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "core/package.h"
#include "fw/fdt.h"
#include "metal/aarch64/cpu.h"
#include "metal/aarch64/gic.h"
#include "metal/aarch64/mmu.h"
#include "metal/aarch64/pass.h"
#include "metal/aarch64/sysreg.h"
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/hal.h"
#include "metal/common/random.h"
#include "metal/common/spin.h"
#include "metal/common/start.h"
#include "metal/drivers/pl011.h"

extern const char image_start[], text_end[], rodata_end[], image_end[];
void metal_main(hull_hpa dtb, hull_hpa image);
void metal_main_secondary(struct metal_cpu *cpu);

static struct metal_board board;
static uint64_t package_bytes; /* behind the image; 0: there is none */

static void uart(const char *text, size_t len)
{
	metal_pl011_write(board.uart.start, text, len);
}

static hull_hpa at(const char *symbol)
{
	return (hull_hpa)(uintptr_t)symbol;
}

/* Memory but for [from, to), which is taken. */
static void add_around(struct hull_fdt_range r, hull_hpa from, hull_hpa to)
{
	hull_hpa end = r.start + r.length;

	if (to <= r.start || from >= end) {
		metal_frames_add(r.start, r.length);
		return;
	}
	if (from > r.start)
		metal_frames_add(r.start, from - r.start);
	if (to < end)
		metal_frames_add(to, end - to);
}

/* All memory as data, but for the image, which has its own kinds. */
static bool map_ram(struct hull_fdt_range r)
{
	hull_hpa end = r.start + r.length, from = at(image_start), to = at(image_end);

	if (from < r.start || from >= end)
		return metal_map(r.start, r.length, METAL_DATA);
	return (from == r.start || metal_map(r.start, from - r.start, METAL_DATA)) &&
	       metal_map(from, at(text_end) - from, METAL_CODE) &&
	       metal_map(at(text_end), at(rodata_end) - at(text_end), METAL_CONST) &&
	       metal_map(at(rodata_end), to - at(rodata_end), METAL_DATA) &&
	       metal_map(to, end - to, METAL_DATA);
}

static bool map_device(struct hull_fdt_range r)
{
	return !r.length || metal_map(align_down(r.start, HULL_PAGE_SIZE),
	                              align_up(r.length, HULL_PAGE_SIZE), METAL_DEVICE);
}

/* Memory that the tree gives to somebody else, page by page: parts may be taken already. */
static void claim_reserved(void)
{
	for (uint32_t i = 0; i < board.memory.nreserved; i++) {
		hull_hpa from = align_down(board.memory.reserved[i].start, HULL_PAGE_SIZE);
		hull_hpa to = board.memory.reserved[i].start + board.memory.reserved[i].length;

		if (metal_frames_claim(from, align_up(to, HULL_PAGE_SIZE) - from))
			continue;
		for (; from < to; from += HULL_PAGE_SIZE)
			(void)metal_frames_claim(from, HULL_PAGE_SIZE);
	}
}

/* Free: [from, to) of a bank, but for the tree. */
static void add_part(struct hull_fdt_range bank, hull_hpa from, hull_hpa to,
                     struct hull_fdt_range tree)
{
	from = MAX(from, bank.start);
	to = MIN(to, bank.start + bank.length);
	if (from < to)
		add_around((struct hull_fdt_range){ from, to - from }, tree.start,
		           tree.start + tree.length);
}

/*
 * What is behind the image in its bank is free at once.  The first tables show the GiB of the image
 * and the next only: the rest follows when the own ones are there.
 */
static int memory(struct hull_fdt_range tree, struct hull_err *err)
{
	hull_hpa image = at(image_start), behind = at(image_end) + package_bytes;
	bool ok = true;

	for (uint32_t i = 0; i < board.memory.nram; i++)
		if (image - board.memory.ram[i].start < board.memory.ram[i].length &&
		    behind - board.memory.ram[i].start > board.memory.ram[i].length)
			return hull_fail(err, HULL_EFORMAT, 1110,
			                 "the package of VMs is larger than the memory");
	for (uint32_t i = 0; i < board.memory.nram; i++)
		if (behind - board.memory.ram[i].start < board.memory.ram[i].length)
			add_part(board.memory.ram[i], behind, UINT64_MAX, tree);
	claim_reserved();
	for (uint32_t i = 0; i < board.memory.nram; i++)
		ok = ok && map_ram(board.memory.ram[i]);
	ok = ok && map_device(board.uart) && map_device(board.rtc) && map_device(board.gicd) &&
	     map_device(board.gicr);
	if (!ok)
		return hull_fail(err, HULL_ENOMEM, 0, "the machine's memory cannot be mapped");
	metal_mmu_switch();
	for (uint32_t i = 0; i < board.memory.nram; i++) {
		add_part(board.memory.ram[i], 0, image, tree);
		if (behind - board.memory.ram[i].start >= board.memory.ram[i].length)
			add_part(board.memory.ram[i], behind, UINT64_MAX, tree);
	}
	claim_reserved();
	return 0;
}

/* How much the boot loader has put behind the image; the package's own header says the same. */
static int find_package(struct hull_err *err)
{
	struct hull_package p;
	/* The first tables show so much. */
	int r = hull_package_open(image_end, UINT64_C(1) << 30, &p, err);

	if (!r)
		package_bytes = align_up(p.bytes, HULL_PAGE_SIZE);
	return r == HULL_ENOENT ? 0 : r;
}

/* The other CPUs, each after the last: they share what they are started with. */
static void start_cpus(void)
{
	uint64_t boot = sysreg_read(mpidr_el1) & UINT64_C(0xff00ffffff);

	for (uint32_t i = 0; i < board.ncpus; i++) {
		struct metal_cpu *cpu = &metal_cpus[metal_ncpus];
		char *stack;

		if (board.mpidr[i] == boot)
			continue;
		stack = metal_frames_alloc(METAL_STACK, METAL_STACK);
		if (!stack)
			return;
		cpu->index = metal_ncpus;
		cpu->stack_top = (uintptr_t)stack + METAL_STACK;
		if (metal_psci_cpu_on(board.mpidr[i], cpu)) {
			metal_frames_free(stack, METAL_STACK);
			continue;
		}
		while (!hull_load_acquire(&cpu->boot.id))
			metal_relax();
		metal_ncpus++;
	}
}

static int find_board(hull_hpa dtb, struct hull_fdt_range *ret_tree, struct hull_err *err)
{
	struct hull_fdt t;
	int r;

	/* The largest that is allowed: its header says how much of it there is. */
	r = hull_fdt_check((const void *)(uintptr_t)dtb, HULL_FDT_MAX_SIZE, &t, err);
	if (r)
		return r;
	*ret_tree = (struct hull_fdt_range){ dtb, t.size };
	metal_pass_init(&board, &t);
	return metal_board_read(&t, &board, err);
}

void metal_main(hull_hpa dtb, hull_hpa image)
{
	struct metal_cpu *cpu = &metal_cpus[0];
	struct hull_fdt_range tree = { 0 };
	struct hull_err err = { 0 };
	int r;

	metal_cpu_init(cpu, &board);
	r = find_board(dtb, &tree, &err);
	if (board.uart.length)
		metal_console_set(uart);
	if (!r)
		r = find_package(&err);
	if (!r)
		r = memory(tree, &err);
	if (!r) {
		metal_cpu_init(cpu, &board);
		r = metal_gic_init(&board, &err);
	}
	if (r) {
		metal_say("hull: cannot start: %s", err.text);
		metal_psci_off();
	}
	/* PL031, RTCDR (DDI 0224, 3.3.1): its count of seconds. */
	if (board.rtc.length)
		metal_clock_set(mmio_read32(board.rtc.start));
	if (board.memory.seed)
		metal_random_seed(board.memory.seed, board.memory.seed_bytes);
	metal_thread_adopt(cpu);
	metal_gic_enable_ppi(board.hyp_timer);
	metal_gic_enable_ppi(board.virtual_timer);
	metal_gic_enable_ppi(board.maintenance);
	metal_say("hull: %u CPU%s, %llu MiB free, at EL2", board.ncpus, board.ncpus == 1 ? "" : "s",
	          (unsigned long long)(metal_frames_left() >> 20));
	start_cpus();
	if (board.uart.length && board.uart_irq >= 32) {
		metal_gic_enable_spi(board.uart_irq, false);
		metal_pl011_listen(board.uart.start);
	}
	metal_start(image_end, package_bytes);
	metal_psci_off();
}

void metal_main_secondary(struct metal_cpu *cpu)
{
	static const uint32_t idle_word;
	struct hull_err err;

	metal_cpu_init(cpu, &board);
	if (metal_gic_init_cpu(&board, &err))
		return;
	metal_thread_adopt(cpu);
	metal_gic_enable_ppi(board.hyp_timer);
	metal_gic_enable_ppi(board.virtual_timer);
	metal_gic_enable_ppi(board.maintenance);
	/* Where the CPU idles when its threads have ended. */
	for (;;)
		metal_wait(&idle_word, 0, HULL_NEVER);
}
