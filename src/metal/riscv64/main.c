/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* From head.S to the first VM. */
#include "base/bits.h"
#include "core/package.h"
#include "metal/common/console.h"
#include "metal/common/frames.h"
#include "metal/common/random.h"
#include "metal/common/start.h"
#include "metal/riscv64/cpu.h"
#include "metal/riscv64/csr.h"

extern const char image_start[], image_end[];
void metal_main(uint64_t hart, hull_hpa dtb);

static struct metal_board board;
/* Of the memory: firmware's, the image, the tree. */
static struct hull_fdt_range taken[METAL_MAX_RESERVED + 2];
static uint32_t ntaken;

/* Add what is free of [from, to); taken[n] and on are still to be looked at. */
static void add_free(hull_hpa from, hull_hpa to, uint32_t n)
{
	for (; n < ntaken && from < to; n++) {
		hull_hpa start = align_down(taken[n].start, HULL_PAGE_SIZE);
		hull_hpa end = align_up(taken[n].start + taken[n].length, HULL_PAGE_SIZE);

		if (start >= to || end <= from)
			continue;
		if (start > from)
			add_free(from, start, n + 1);
		from = end;
	}
	if (from < to)
		metal_frames_add(from, to - from);
}

static void memory(struct hull_fdt_range tree, uint64_t package_bytes)
{
	hull_hpa image = (uintptr_t)image_start;

	for (uint32_t i = 0; i < board.memory.nreserved; i++)
		taken[ntaken++] = board.memory.reserved[i];
	taken[ntaken++] = tree;
	taken[ntaken++] =
		(struct hull_fdt_range){ image, (uintptr_t)image_end - image + package_bytes };
	for (uint32_t i = 0; i < board.memory.nram; i++)
		add_free(board.memory.ram[i].start,
		         board.memory.ram[i].start + board.memory.ram[i].length, 0);
}

/* How much the boot loader has put behind the image; the package's own header says the same. */
static uint64_t find_package(void)
{
	struct hull_package p;

	for (uint32_t i = 0; i < board.memory.nram; i++) {
		uint64_t behind = (uintptr_t)image_end - board.memory.ram[i].start;

		if (behind >= board.memory.ram[i].length)
			continue;
		if (hull_package_open(image_end, board.memory.ram[i].length - behind, &p, NULL))
			return 0;
		return align_up(p.bytes, HULL_PAGE_SIZE);
	}
	return 0;
}

void metal_main(uint64_t hart, hull_hpa dtb)
{
	struct metal_cpu *cpu = &metal_cpus[0];
	struct hull_err err = { 0 };
	uint64_t package_bytes;
	struct hull_fdt t;
	int r;

	metal_cpu_init(cpu, &board);
	metal_console_set(metal_sbi_write);
	/* The largest that is allowed: its header says how much of it there is. */
	r = hull_fdt_check((const void *)(uintptr_t)dtb, HULL_FDT_MAX_SIZE, &t, &err);
	if (!r)
		r = metal_board_read(&t, &board, &err);
	if (r) {
		metal_say("hull: cannot start: %s", err.text);
		metal_sbi_off();
	}
	package_bytes = find_package();
	memory((struct hull_fdt_range){ dtb, t.size }, package_bytes);
	cpu->phys_id = hart;
	metal_cpu_init(cpu, &board);
	if (board.memory.seed)
		metal_random_seed(board.memory.seed, board.memory.seed_bytes);
	metal_thread_adopt(cpu);
	metal_say("hull: 1 of %u CPUs, %llu MiB free, in HS-mode", board.ncpus,
	          (unsigned long long)(metal_frames_left() >> 20));
	metal_start(image_end, package_bytes);
	metal_sbi_off();
}
