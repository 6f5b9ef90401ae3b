/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The riscv64 engine where it meets the host and the privileged architecture:
 * caches that must not outlive or overrun what they cache, protection, traps.
 * The meaning of single instructions is test_rv_rows.c and test_rv_judge.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/prng.h"
#include "core/vcpu.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/lift.h"
#include "support/rvasm.h"
#include "support/rvrig.h"

/* RAM begins on a multiple of 512 MiB. */
#define BASE UINT64_C(0xa0000000)
enum { PAGES = 16, DATA = 8 * 4096, HANDLER = 4 * 4096 };

static struct rvrig rig;
static struct hull_rv_decoder decoder;
static uint64_t cursor; /* where asm_at() goes on, offset in RAM */

static int setup(void **state)
{
	if (!hull_rv_decoder_init(&decoder) || !rvrig_init(&rig, BASE, PAGES * HULL_PAGE_SIZE))
		return -1;
	rig.hart->csr.mtvec = BASE + HANDLER;
	store_le32(rig.ram + HANDLER, 0x0000006f);
	rig.hart->pc = BASE;
	cursor = 0;
	return 0;
}

static int teardown(void **state)
{
	rvrig_fini(&rig);
	return 0;
}

/* Append an instruction at `cursor`. */
static void put(const char *text)
{
	uint32_t bits;

	if (sscanf(text, ".word %x", &bits) != 1 && !rvasm(&decoder, text, BASE + cursor, &bits))
		fail_msg("cannot assemble '%s'", text);
	store_le16(rig.ram + cursor, (uint16_t)bits);
	cursor += 2;
	if (hull_rv_length((uint16_t)bits) == 4) {
		store_le16(rig.ram + cursor, (uint16_t)(bits >> 16));
		cursor += 2;
	}
}

/* `insns` instructions as blocks, not stepped through: what is counted may be a little more. */
static void run_blocks(uint64_t insns)
{
	assert_int_equal(rvrig_run(&rig, insns + 2 * RV_BLOCK_INSNS), HULL_EXIT_BUDGET);
}

static void expect_trap(uint64_t cause, uint64_t tval)
{
	assert_int_equal(rig.hart->csr.mcause, cause);
	assert_int_equal(rig.hart->csr.mtval, tval);
	assert_int_equal(rig.hart->pc, BASE + HANDLER);
}

/* Adjacent pages must not share an entry: an access that spans them would hit the second one. */
static void tlb_entries_of_neighbours_differ(void **state)
{
	for (unsigned bit = 12; bit < 64; bit++) {
		uint64_t va = UINT64_C(1) << bit;

		assert_int_not_equal(engine_tlb_index(va), engine_tlb_index(va - HULL_PAGE_SIZE));
		assert_int_not_equal(engine_tlb_index(0 - va),
		                     engine_tlb_index(0 - va - HULL_PAGE_SIZE));
	}
	assert_int_not_equal(engine_tlb_index(0), engine_tlb_index(UINT64_MAX));
}

static void access_that_begins_below_ram_faults(void **state)
{
	put("sd a1,0(a0)");  /* a0 = BASE: the page is in the TLB now, for writing */
	put("sd a1,-4(a0)"); /* begins in the page below, which does not exist */
	rig.hart->x[10] = BASE;
	rig.hart->x[11] = load_le64(rig.ram);
	run_blocks(4);
	expect_trap(RV_STORE_ACCESS, BASE - 4);
}

static void longest_block_fits_the_cache(void **state)
{
	struct rv_cache *c = rig.hart->cache;

	c->profile = true;
	c->hot_limit = UINT32_MAX;
	for (unsigned i = 0; i < RV_BLOCK_INSNS; i++)
		put(".word 0x00001463"); /* bne zero, zero, . + 8 */
	put(".word 0x0000006f");
	/* As little room as lets a block in without dropping the others. */
	c->next = c->end -
	          align_up(sizeof(struct rv_block) + RV_BLOCK_OPS * sizeof(struct rv_op), 16);
	run_blocks(2 * RV_BLOCK_INSNS);
	assert_true(c->next <= c->end);
	assert_int_equal(rig.hart->csr.mcause, 0);
}

static void hot_blocks_are_reported(void **state)
{
	struct rv_hart *h = rig.hart;
	uint64_t loop, retired;
	struct rv_block *b;

	h->cache->profile = true;
	h->cache->hot_limit = 5;
	put("addi a0,zero,0");
	loop = BASE + cursor;
	put("addi a0,a0,1");
	put(".word 0xffdff06f"); /* j . - 4 */
	assert_int_equal(rvrig_run(&rig, 1000), RV_EXIT_HOT);
	assert_int_equal(h->pc, loop);
	assert_int_equal(h->x[10], 6); /* the first time it was no block of its own */
	assert_int_equal(h->retired, 1 + 2 * 6);
	for (unsigned i = 0; i < 3; i++) /* stays hot */
		assert_int_equal(rvrig_run(&rig, 1000), RV_EXIT_HOT);
	assert_int_equal(h->retired, 1 + 2 * 6);
	b = rv_block_at(h, loop, false);
	b->heat = 0;
	assert_int_equal(rvrig_run(&rig, 1000), RV_EXIT_HOT);
	assert_int_equal(h->retired, 1 + 2 * 11);
	assert_int_equal(h->x[10], 11);
	retired = h->retired; /* what does not fit into the time slice is stepped through */
	assert_int_equal(rvrig_run(&rig, 3), HULL_EXIT_BUDGET);
	assert_int_equal(h->retired, retired + 3);
}

/* Every kind of jump to a place that has code ends in RV_EXIT_HOT, with the state exact. */
static void jumps_to_generated_code_are_reported(void **state)
{
	static const char *const jumps[] = { "jalr ra,0(s0)", ".word 0x100000ef",
		                             ".word 0x00000863" };
	struct rv_hart *h = rig.hart;
	uint64_t from, to;

	h->cache->profile = true;
	h->cache->hot_limit = UINT32_MAX;
	for (unsigned i = 0; i < ARRAY_LEN(jumps); i++) {
		from = BASE + cursor;
		put(jumps[i]); /* jalr, jal . + 256, beq zero, zero, . + 16 */
		to = from + (i == 1 ? 256 : 16);
		h->x[8] = to;
		cursor = to - BASE;
		put(".word 0x0000006f");
		h->pc = to;
		run_blocks(1);
		h->cpu.jumps[engine_jump_index(to)] =
			(struct engine_jump_entry){ to, h->cpu.jump_key, rig.ram,
			                            rv_jump_find(h, to)->block };
		h->pc = from;
		h->retired = 0;
		assert_int_equal(rvrig_run(&rig, 1000), RV_EXIT_HOT);
		assert_int_equal(h->pc, to);
		assert_int_equal(h->retired, 1);
		rv_flush_jumps(h);
	}
}

static atomic_bool stop_writing, writing;

static void *flip_code(void *arg)
{
	volatile uint32_t *p = arg;

	while (!atomic_load(&stop_writing)) {
		for (unsigned i = 0; i < RV_BLOCK_INSNS; i++)
			p[i] = 0x00150513; /* addi a0,a0,1 */
		for (unsigned i = 0; i < RV_BLOCK_INSNS; i++)
			p[i] = 0x40b50533; /* sub a0,a0,a1 */
		atomic_store(&writing, true);
	}
	return NULL;
}

/* What a block keeps of its code, to compare with later, is what was decoded. */
HULL_GUEST_RACES static void code_written_while_it_is_decoded(void **state)
{
	struct rv_hart *h = rig.hart;
	pthread_t thread;

	atomic_store(&stop_writing, false);
	assert_int_equal(pthread_create(&thread, NULL, flip_code, rig.ram), 0);
	while (!atomic_load(&writing))
		;
	for (unsigned n = 0; n < 10000; n++) {
		struct rv_block *b;

		rv_suspect_code(h);
		b = rv_block_at(h, BASE, false);
		assert_non_null(b);
		for (unsigned i = 0; i < b->insns; i++) {
			struct hull_rv_insn insn;

			if (b->ops[i].go == h->cache->label_end)
				break;
			hull_rv_decode(&decoder, load_le32(rv_block_code(b) + 2 * b->ops[i].at),
			               &insn);
			if (b->ops[i].go != h->cache->labels[insn.id]) {
				atomic_store(&stop_writing, true);
				pthread_join(thread, NULL);
				fail_msg("round %u: op %u is not its code", n, i);
			}
		}
	}
	atomic_store(&stop_writing, true);
	pthread_join(thread, NULL);
}

/* Sv39 tables in RAM: `va` (page) to `pa` with the given flags, in tables at pages 10..12. */
static void map_page(uint64_t va, uint64_t pa, uint64_t flags)
{
	uint64_t root = 10 * HULL_PAGE_SIZE, mid = 11 * HULL_PAGE_SIZE, low = 12 * HULL_PAGE_SIZE;

	store_le64(rig.ram + root + (va >> 30 & 511) * 8, (BASE + mid) >> 2 | PTE_V);
	store_le64(rig.ram + mid + (va >> 21 & 511) * 8, (BASE + low) >> 2 | PTE_V);
	store_le64(rig.ram + low + (va >> 12 & 511) * 8, pa >> 2 | flags | PTE_V);
	rv_csr_poke(rig.hart, 0x180, UINT64_C(8) << 60 | (BASE + root) >> 12);
}

static void enter_supervisor(uint64_t pc)
{
	rig.hart->csr.menvcfg = ENVCFG_ADUE;
	rv_pmp_write_addr(rig.hart, 15, low_mask(54)); /* everything to everybody */
	rv_pmp_write_cfg(rig.hart, 2, UINT64_C(0x1f) << 56);
	rig.hart->csr.medeleg = 0;
	rig.hart->priv = RV_PRIV_S;
	rig.hart->pc = pc;
	rv_update_contexts(rig.hart);
}

/* Between a change of a PTE and its sfence.vma both may be used, but not remembered. */
static void links_stay_in_their_physical_page(void **state)
{
	const uint64_t va = 0x40000000, flags = PTE_R | PTE_X;
	struct rv_hart *h = rig.hart;

	/* Pages 1 and 2: the first instruction skips the second; the third differs. */
	for (unsigned page = 1; page <= 2; page++) {
		cursor = page * HULL_PAGE_SIZE;
		put(".word 0x00050463"); /* beqz a0, . + 8 */
		put(".word 0x0000006f");
		put(page == 1 ? "addi a1,zero,1" : "addi a1,zero,2");
		put(".word 0x0000006f");
	}
	map_page(va, BASE + 1 * HULL_PAGE_SIZE, flags);
	enter_supervisor(va);
	h->x[10] = 1;
	run_blocks(4); /* the block at va is known, its branch is not taken and not linked */
	map_page(va, BASE + 2 * HULL_PAGE_SIZE, flags);
	memset(h->fetch_tlb, 0, sizeof(h->fetch_tlb)); /* as if others had pushed it out */
	h->x[10] = 0;
	h->pc = va;
	run_blocks(4);
	map_page(va, BASE + 1 * HULL_PAGE_SIZE, flags);
	rv_sfence(h, true, 0, true, 0);
	h->pc = va;
	run_blocks(4);
	assert_int_equal(h->x[11], 1);
}

static void (*on_write)(uint64_t value);

static void dev_write(void *opaque, uint64_t offset, uint64_t value, unsigned size)
{
	on_write(value);
}

#define DEV UINT64_C(0x10000000)

static void add_device(void (*fn)(uint64_t value))
{
	static const struct hull_callback_device dev = {
		.name = "probe",
		.gpa = DEV,
		.size = HULL_PAGE_SIZE,
		.write = dev_write,
	};

	on_write = fn;
	assert_int_equal(hull_vm_register_device(rig.vm, &dev, NULL), 0);
}

static void flush_request(uint64_t value)
{
	hull_vcpu_post(rig.hart->vcpu, HULL_REQ_FLUSH_TLB);
}

/* vcpu.h, hull_vcpus_sync(): a look at `attention` before guest code goes on. */
static void requests_are_heeded_after_a_device_access(void **state)
{
	struct rv_hart *h = rig.hart;

	add_device(flush_request);
	put("ld a2,0(a1)");
	put("sw a0,0(a0)");
	put("ld a2,0(a1)"); /* the same block */
	put(".word 0x0000006f");
	h->x[10] = DEV;
	h->x[11] = BASE + DATA;
	run_blocks(4);
	/* The entry that the first load made is of an old context, unless the last one made it. */
	assert_int_equal(h->cpu.tlb[engine_tlb_index(BASE + DATA)].read,
	                 (BASE + DATA) | h->cpu.data_context);
}

static void shorten_run(uint64_t value)
{
	rig.hart->vcpu->budget = (int64_t)value;
}

/* Code that has made an access and is told to stop leaves the rest of the load to this. */
static void loads_are_finished_as_they_began(void **state)
{
	static const struct {
		uint32_t insn;
		uint64_t want;
	} rows[] = {
		{ 0x00058603, (uint64_t)-127 },               /* lb a2,0(a1) */
		{ 0x0005c603, 0x81 },                         /* lbu */
		{ 0x0005a603, UINT64_C(0xffffffff80000081) }, /* lw */
		{ 0x0005e603, 0x80000081 },                   /* lwu */
		{ 0x0005b603, 0x80000081 },                   /* ld */
	};
	static struct rv_eval eval;
	struct rv_hart *h = rig.hart;

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t pc = h->pc, retired = h->retired;

		rv_finish_access(h, &eval, rows[i].insn, 0x80000081);
		assert_int_equal(h->x[12], rows[i].want);
		assert_int_equal(h->pc, pc + 4);
		assert_int_equal(h->retired, retired + 1);
	}
}

/* A timer that is set through a device's registers ends the quantum in time. */
static void budget_cut_by_a_device_is_kept(void **state)
{
	struct rv_hart *h = rig.hart;
	uint64_t start;

	add_device(shorten_run);
	put("sw a2,0(a1)");
	put("addi a0,a0,1");
	put(".word 0xffdff06f");
	h->x[11] = DEV;
	h->x[12] = 11;
	start = h->retired;
	assert_int_equal(rvrig_run(&rig, 1000), HULL_EXIT_BUDGET);
	assert_int_equal(h->retired - start, 11);
}

/* Entry 0 of PMP: the four bytes at `at` without rights, locked, so that M-mode obeys. */
static void forbid_word(uint64_t at)
{
	rv_pmp_write_addr(rig.hart, 0, at >> 2);
	rv_pmp_write_cfg(rig.hart, 0, 0x90);
}

static void code_in_a_page_that_pmp_splits(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		put("addi a0,a0,1");
	forbid_word(BASE + 8);
	run_blocks(8);
	assert_int_equal(rig.hart->x[10], 2);
	assert_int_equal(rig.hart->csr.mepc, BASE + 8);
	expect_trap(RV_INSN_ACCESS, BASE + 8);
}

/* 3.7.1: entries are there, none matches: only M-mode may. */
static void no_pmp_entry_is_no_permission(void **state)
{
	bool whole;

	for (unsigned priv = RV_PRIV_U; priv <= RV_PRIV_S; priv++) {
		assert_false(rv_pmp_check(rig.hart, BASE, 8, RV_READ, priv, &whole));
		assert_true(rv_pmp_check(rig.hart, BASE, 8, RV_READ, RV_PRIV_M, &whole));
	}
	assert_int_equal(rv_reg_set(rig.hart, HULL_RV_REG_SBI, 1), 0);
	assert_true(rv_pmp_check(rig.hart, BASE, 8, RV_READ, RV_PRIV_S, &whole));
}

/* 12.3.2, step 9: a PTE that may not be written is an access fault of the original type. */
static void accessed_bit_in_read_only_tables(void **state)
{
	const uint64_t va = 0x40000000;
	struct rv_hart *h = rig.hart;

	cursor = HULL_PAGE_SIZE;
	put("ld a0,0(a1)");
	map_page(va + HULL_PAGE_SIZE, BASE + DATA, PTE_R);
	map_page(va, BASE + HULL_PAGE_SIZE, PTE_R | PTE_X | PTE_A);
	enter_supervisor(va);
	rv_pmp_write_addr(h, 0, (BASE + 12 * HULL_PAGE_SIZE) >> 2 | 511);
	rv_pmp_write_cfg(h, 0, 0x19);
	h->x[11] = va + HULL_PAGE_SIZE;
	run_blocks(4);
	expect_trap(RV_LOAD_ACCESS, va + HULL_PAGE_SIZE);
}

static uint64_t read_ones(void *opaque, uint64_t offset, unsigned size)
{
	++*(unsigned *)opaque;
	return UINT64_MAX;
}

/* Nobody may be tempted to emulate them, nor may parts of them reach the device. */
static void devices_take_no_misaligned_accesses(void **state)
{
	static const struct {
		const char *text;
		uint64_t va, tval;
		unsigned cause;
	} cases[] = {
		{ "lw a0,0(a1)", DEV + 1, DEV + 1, RV_LOAD_ACCESS },
		{ "sh a0,0(a1)", DEV + 1, DEV + 1, RV_STORE_ACCESS },
		{ "ld a0,0(a1)", BASE - 4, BASE - 4, RV_LOAD_ACCESS },
		{ "sd a0,0(a1)", BASE - 4, BASE - 4, RV_STORE_ACCESS },
		{ "ld a0,0(a1)", BASE + PAGES * HULL_PAGE_SIZE - 4, BASE + PAGES * HULL_PAGE_SIZE,
		  RV_LOAD_ACCESS },
		{ "sd a0,0(a1)", BASE + PAGES * HULL_PAGE_SIZE - 4, BASE + PAGES * HULL_PAGE_SIZE,
		  RV_STORE_ACCESS },
	};
	unsigned reads = 0;
	struct hull_callback_device dev = {
		.name = "below", .size = HULL_PAGE_SIZE, .opaque = &reads, .read = read_ones
	};

	dev.gpa = BASE - HULL_PAGE_SIZE;
	assert_int_equal(hull_vm_register_device(rig.vm, &dev, NULL), 0);
	dev.name = "device";
	dev.gpa = DEV;
	assert_int_equal(hull_vm_register_device(rig.vm, &dev, NULL), 0);
	dev.name = "above";
	dev.gpa = BASE + PAGES * HULL_PAGE_SIZE;
	assert_int_equal(hull_vm_register_device(rig.vm, &dev, NULL), 0);
	for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
		cursor = 0;
		put(cases[i].text);
		rv_suspect_code(rig.hart);
		rig.hart->x[11] = cases[i].va;
		rig.hart->pc = BASE;
		run_blocks(4);
		expect_trap(cases[i].cause, cases[i].tval);
	}
	assert_int_equal(reads, 0);
}

/* CMO 2.5.2: tval is the value of rs1; what no access reaches, no cbo reaches. */
static void cache_block_faults(void **state)
{
	static const char *const text[] = { "cbo.zero (a1)", "cbo.clean (a1)", "cbo.flush (a1)",
		                            "cbo.inval (a1)" };

	for (unsigned i = 0; i < ARRAY_LEN(text); i++) {
		cursor = 0;
		put(text[i]);
		rv_suspect_code(rig.hart);
		rig.hart->x[11] = DEV + 0x123;
		rig.hart->pc = BASE;
		run_blocks(4);
		expect_trap(RV_STORE_ACCESS, DEV + 0x123);
	}
}

/* accel.h, vcpu_run: no HALT before edges were looked at. */
static void edge_that_comes_before_wfi(void **state)
{
	struct rv_hart *h = rig.hart;
	enum rv_after after = RV_AFTER_HALT;

	h->csr.mie = BIT(RV_IRQ_SSI);
	hull_vcpu_raise(h->vcpu, BIT(RV_IRQ_SSI));
	assert_true(rv_sys_wfi(h, &after));
	assert_int_equal(after, RV_AFTER_GO);
}

static void registers_read_back_as_set(void **state)
{
	static const unsigned csrs[] = { 0xb00, 0xb02, 0x340, 0x140 };
	uint64_t v;

	rig.hart->retired = 1000;
	for (unsigned i = 0; i < ARRAY_LEN(csrs); i++) {
		assert_int_equal(rv_reg_set(rig.hart, HULL_RV_REG_CSR + csrs[i], 77), 0);
		assert_int_equal(rv_reg_get(rig.hart, HULL_RV_REG_CSR + csrs[i], &v), 0);
		assert_int_equal(v, 77);
	}
}

static void reserved_cbie_is_not_kept(void **state)
{
	static const unsigned csrs[] = { 0x30a, 0x10a };
	uint64_t v;

	for (unsigned i = 0; i < ARRAY_LEN(csrs); i++) {
		assert_true(rv_csr_poke(rig.hart, csrs[i], BIT(4) | ENVCFG_CBZE));
		assert_true(rv_csr_poke(rig.hart, csrs[i], BIT(5)));
		assert_true(rv_csr_peek(rig.hart, csrs[i], &v));
		assert_int_equal(v, BIT(4));
	}
}

/* What the TLBs say about the 16 pages at `va` is what the tables say. */
static void expect_no_stale_translation(uint64_t va, unsigned round)
{
	struct rv_hart *h = rig.hart;

	for (unsigned i = 0; i < 16; i++, va += HULL_PAGE_SIZE) {
		const struct engine_tlb_entry *e = &h->cpu.tlb[engine_tlb_index(va)];
		const struct rv_fetch_entry *f = &h->fetch_tlb[(va >> 12) % RV_FETCH_TLB_SIZE];
		bool mapped;
		uint64_t gpa;

		if (e->read == (va | h->cpu.data_context) ||
		    e->write == (va | h->cpu.data_context)) {
			mapped = rv_translate(h, va, RV_READ, &gpa);
			if (!mapped || gpa != e->gpa)
				fail_msg("round %u: stale data translation of page %u", round, i);
		}
		if (f->tag == (va | h->fetch_context)) {
			mapped = rv_translate(h, va, RV_FETCH, &gpa);
			if (!mapped || gpa != f->gpa)
				fail_msg("round %u: stale fetch translation of page %u", round, i);
		}
	}
}

/* Pages, 64 KiB NAPOT groups and 2 MiB pages come and go in the same place, in three ASIDs. */
static void fences_leave_nothing_stale(void **state)
{
	const uint64_t base = 0x40000000, flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D;
	uint8_t *mid = rig.ram + 11 * HULL_PAGE_SIZE, *low = rig.ram + 12 * HULL_PAGE_SIZE;
	struct rv_hart *h = rig.hart;
	uint64_t satp, pointer, old;
	struct hull_prng prng;

	hull_prng_seed(&prng, 1);
	map_page(base, BASE, PTE_R);
	satp = h->csr.satp;
	pointer = load_le64(mid);
	enter_supervisor(base);
	for (unsigned round = 0; round < 20000; round++) {
		uint64_t page = hull_prng_below(&prng, 16), va = base + page * HULL_PAGE_SIZE;
		uint64_t asid = hull_prng_below(&prng, 3);
		bool whole = true; /* more than one page changed */
		bool was_super = load_le64(mid) != pointer;

		rv_csr_poke(h, 0x180, satp | asid << 44);
		for (unsigned i = 0; i < 8; i++) {
			uint64_t at = base + hull_prng_below(&prng, 16) * HULL_PAGE_SIZE;

			(void)rv_load_slow(h, at, 64, &old);
			(void)rv_fetch_page(h, at);
		}
		switch (hull_prng_below(&prng, 5)) {
		case 0: store_le64(mid, BASE >> 2 | flags); break;
		case 1:
			for (unsigned i = 0; i < 16; i++)
				store_le64(low + 8 * i, PTE_N | (BASE + 0x8000) >> 2 | flags);
			store_le64(mid, pointer);
			break;
		default:
			whole = load_le64(mid) != pointer || load_le64(low + 8 * page) & PTE_N;
			store_le64(mid, pointer);
			old = BASE + hull_prng_below(&prng, 16) * HULL_PAGE_SIZE;
			store_le64(low + 8 * page,
			           old >> 2 | (hull_prng_below(&prng, 4) ? flags : 0));
		}
		/* For what one leaf had mapped, one address in it is enough. */
		if (was_super && hull_prng_below(&prng, 2))
			rv_sfence(h, false, va, true, 0);
		else if (whole && hull_prng_below(&prng, 2))
			for (unsigned i = 0; i < 16; i++)
				rv_sfence(h, false, base + i * HULL_PAGE_SIZE, true, 0);
		else if (whole)
			rv_sfence(h, true, va, true, 0);
		else if (hull_prng_below(&prng, 2))
			rv_sfence(h, false, va, true, 0);
		else
			for (unsigned i = 0; i < 3; i++)
				rv_sfence(h, hull_prng_below(&prng, 2), va, false, i | 0x70000);
		expect_no_stale_translation(base, round);
		rv_csr_poke(h, 0x180, satp | hull_prng_below(&prng, 3) << 44);
		expect_no_stale_translation(base, round);
	}
}

/* The environment of the thread that runs a vCPU is the embedder's, and stays it. */
static void floating_point_environment_of_the_host(void **state)
{
	const int traps = FE_DIVBYZERO | FE_OVERFLOW | FE_INVALID;
	struct rv_hart *h = rig.hart;
	struct hull_exit exit;
	int rc, after, traps_now;

	put("fdiv.d fa0,fa1,fa2,rne");
	put("fdiv.d fa3,fa1,fa4,rne"); /* by zero */
	put("wfi");
	rv_set_mstatus(h, MSTATUS_FS | MSTATUS_MPP);
	h->fp.flags = HULL_FP_NX; /* so that the host may compute */
	h->f[11] = UINT64_C(0x3ff0000000000000);
	h->f[12] = UINT64_C(0x4008000000000000);
	assert_int_equal(fesetround(FE_UPWARD), 0);
	/* Most aarch64 processors have no traps. */
	traps_now = feenableexcept(traps) == -1 ? 0 : traps;
	rc = hull_vm_run_vcpu(rig.vm, 0, &exit);
	after = fegetround();
	(void)fesetround(FE_TONEAREST);
	assert_int_equal(fedisableexcept(FE_ALL_EXCEPT), traps_now);
	assert_int_equal(after, FE_UPWARD);
	assert_int_equal(rc, 0);
	assert_int_equal(exit.kind, HULL_EXIT_HALT);
	assert_int_equal(h->f[10], UINT64_C(0x3fd5555555555555));
	assert_int_equal(h->f[13], UINT64_C(0x7ff0000000000000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tlb_entries_of_neighbours_differ),
		cmocka_unit_test_setup_teardown(access_that_begins_below_ram_faults, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(longest_block_fits_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(hot_blocks_are_reported, setup, teardown),
		cmocka_unit_test_setup_teardown(jumps_to_generated_code_are_reported, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(code_written_while_it_is_decoded, setup, teardown),
		cmocka_unit_test_setup_teardown(links_stay_in_their_physical_page, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_are_heeded_after_a_device_access, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(loads_are_finished_as_they_began, setup, teardown),
		cmocka_unit_test_setup_teardown(budget_cut_by_a_device_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(code_in_a_page_that_pmp_splits, setup, teardown),
		cmocka_unit_test_setup_teardown(no_pmp_entry_is_no_permission, setup, teardown),
		cmocka_unit_test_setup_teardown(accessed_bit_in_read_only_tables, setup, teardown),
		cmocka_unit_test_setup_teardown(devices_take_no_misaligned_accesses, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(cache_block_faults, setup, teardown),
		cmocka_unit_test_setup_teardown(edge_that_comes_before_wfi, setup, teardown),
		cmocka_unit_test_setup_teardown(fences_leave_nothing_stale, setup, teardown),
		cmocka_unit_test_setup_teardown(floating_point_environment_of_the_host, setup,
		                                teardown),
		cmocka_unit_test_setup_teardown(registers_read_back_as_set, setup, teardown),
		cmocka_unit_test_setup_teardown(reserved_cbie_is_not_kept, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
