/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Random programs of many blocks, interpreted and as generated code: after every slice both harts
 * and memories are the same.  Loops, calls through registers, traps and their handler, groups of
 * accesses that end up in missing pages, code that is patched, changes of the address space.
 *
 * HULL_TEST_CASES: programs of each kind; HULL_TEST_SEED repeats a run.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"
#include "isa/riscv64/disasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

#define BASE  UINT64_C(0x80000000)
#define ALIAS UINT64_C(0x40000000) /* of BASE, if there is paging */
enum {
	CODE = 0, /* pages; all offsets below are from BASE */
	CODE_END = 7 * 4096,
	HANDLER = 7 * 4096,
	TABLE = HANDLER + 2048, /* where the handler goes on, by its count */
	PATCH = 8 * 4096,       /* the only code that changes */
	DATA = 12 * 4096,       /* middle of four pages; the one behind it is swapped in SATP_B */
	ROOTS = 16 * 4096,
	PAGES = 32,
	BLOCKS = 160,
	TARGETS = 64,
	UNIT_BYTES = 60,
	INSNS = 100000, /* of a run */
};
enum { GP = 3, TP = 4, SATP_A = 24, SATP_B = 25, AT_BASE = 28, AT_ALIAS = 29, H1 = 30, H2 = 31 };

/* What a program may do. */
enum { PAGED = 1, IN_M = 2, IN_U = 4, SPLIT = 8, PATCHES = 16, KINDS = 6 };

static struct rvrig left, right; /* interpreted, translated */
static struct hull_rv_decoder decoder;
static struct hull_prng prng;
static uint64_t seed;
static unsigned kind;
static unsigned at; /* where the next instruction goes */
static unsigned blocks[BLOCKS];

static uint64_t from_env(const char *name, uint64_t usual)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : usual;
}

static unsigned below(unsigned bound)
{
	return (unsigned)hull_prng_below(&prng, bound);
}

static void put(uint32_t bits)
{
	unsigned len = hull_rv_length((uint16_t)bits);

	store_le16(left.ram + at, (uint16_t)bits);
	if (len == 4)
		store_le16(left.ram + at + 2, (uint16_t)(bits >> 16));
	at += len;
}

static void insn(enum hull_rv_id id, unsigned rd, unsigned rs1, unsigned rs2, int imm)
{
	struct hull_rv_insn i = { .id = (uint16_t)id,
		                  .rd = (uint8_t)rd,
		                  .rs1 = (uint8_t)rs1,
		                  .rs2 = (uint8_t)rs2,
		                  .imm = imm };

	put(hull_rv_encode(&decoder, &i));
}

/* Registers that hold addresses, and those of the handler, stay. */
static bool kept(unsigned reg)
{
	return reg == GP || reg == TP || reg == SATP_A || reg == SATP_B || reg >= AT_BASE;
}

static unsigned any_register(void)
{
	unsigned reg;

	do {
		reg = 5 + below(25);
	} while (kept(reg));
	return reg;
}

static bool keeps_pointers(const struct hull_rv_insn *i)
{
	return !(i->has_rd && kept(i->rd)) && !(i->id == HULL_RV_c_addi16sp);
}

static bool excluded(const char *name)
{
	static const char *const names[] = { "reserved_", "ecall", "ebreak",    "c_ebreak",
		                             "mret",      "sret",  "wfi",       "sfence_",
		                             "sinval_",   "csr",   "wrs_",      "fence_i",
		                             "jal",       "c_j",   "c_addi16sp" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strncmp(name, names[i], strlen(names[i])))
			return true;
	return false;
}

/* A register for the base: pinned ones, one in memory, and the stack pointer. */
static unsigned base_register(void)
{
	static const uint8_t some[] = { 2, 8, 9, 15, 21, 26, 27 };

	return some[below(ARRAY_LEN(some))];
}

/* `reg` = about where data is; now and then at the end of memory. */
static void aim(unsigned reg, int off)
{
	insn(HULL_RV_addi, reg, below(12) ? GP : TP, 0, off);
}

static int some_offset(void)
{
	static const int near[] = { 0, -4, -8, -16, -64, -2, -1, 8, 16, 1 };

	return below(2) ? (int)below(4000) - 2000 : near[below(ARRAY_LEN(near))];
}

/* A prologue, an epilogue, a copy of a structure: accesses off one register. */
static void group_unit(void)
{
	static const uint16_t loads[] = { HULL_RV_ld, HULL_RV_lw,  HULL_RV_lwu, HULL_RV_lhu,
		                          HULL_RV_lb, HULL_RV_fld, HULL_RV_flw, HULL_RV_flh };
	static const uint16_t stores[] = { HULL_RV_sd, HULL_RV_sw,  HULL_RV_sh,
		                           HULL_RV_sb, HULL_RV_fsd, HULL_RV_fsw };
	unsigned base = base_register(), count = 2 + below(9);
	bool write = below(2);
	int off = (int)below(64) * 4 - 128;

	aim(base, below(4) ? some_offset() & ~7 : some_offset());
	for (unsigned i = 0; i < count; i++, off += (int)below(5) * 4) {
		unsigned reg = any_register();

		if (write) {
			insn((enum hull_rv_id)stores[below(ARRAY_LEN(stores))], 0, base, reg, off);
			continue;
		}
		if (reg == base && i + 1 < count && below(3))
			reg = 0;
		insn((enum hull_rv_id)loads[below(ARRAY_LEN(loads))], reg, base, 0, off);
	}
	if (!write && below(3) == 0) /* the base goes last */
		insn(HULL_RV_ld, base, base, 0, off);
}

static void row_unit(void)
{
	struct hull_rv_insn i;
	enum hull_rv_id id;
	uint32_t bits;

	do {
		id = (enum hull_rv_id)below(HULL_RV_COUNT);
		bits = rvgen_bits(&prng, &decoder, id);
		hull_rv_decode(&decoder, bits, &i);
	} while (excluded(hull_rv_rows[id].name) || !keeps_pointers(&i) ||
	         strpbrk(hull_rv_rows[id].syntax, "bB") || ((i.rm == 5 || i.rm == 6) && below(20)));
	if (strchr(hull_rv_rows[id].syntax, '(')) {
		unsigned base = strstr(hull_rv_rows[id].syntax, "(sp)") ? 2 : i.rs1;
		int off = some_offset();

		if (base == 0 || kept(base))
			return;
		if ((bits & 0x7f) == 0x2f && below(8))
			off &= ~7;
		aim(base, i.imm > 0 && off - i.imm >= -2048 ? off - i.imm : off);
	}
	put(bits);
}

static void reservation_unit(void)
{
	unsigned base = base_register(), rd = any_register();
	bool wide = below(2);

	aim(base, some_offset() & (below(6) ? ~7 : ~0));
	insn(wide ? HULL_RV_lr_d : HULL_RV_lr_w, rd == base ? 0 : rd, base, 0, 0);
	if (below(3) == 0)
		row_unit();
	if (below(4) == 0)
		insn(HULL_RV_addi, base, base, 0, 8);
	insn(wide ? HULL_RV_sc_d : HULL_RV_sc_w, any_register(), base, any_register(), 0);
}

static void branch_unit(void)
{
	static const uint16_t ids[] = { HULL_RV_beq, HULL_RV_bne,  HULL_RV_blt,
		                        HULL_RV_bge, HULL_RV_bltu, HULL_RV_bgeu };
	int to = (int)blocks[below(BLOCKS)] - (int)at;

	if (!(kind & PATCHES) && !below(100))
		to += 2; /* into the middle of an instruction, perhaps */
	if (to < -4000 || to > 4000)
		to = 4 + 2 * (int)below(8);
	insn((enum hull_rv_id)ids[below(6)], 0, any_register(), below(4) ? any_register() : 0, to);
}

/* By its address, which may be the other one. */
static void jump_unit(void)
{
	unsigned reg = any_register(), target = blocks[below(BLOCKS)];

	if (below(2)) {
		insn(HULL_RV_jal, below(2) ? 1 : 0, 0, 0, (int)target - (int)at);
		return;
	}
	insn(HULL_RV_lui, reg, 0, 0, (int)(target + 0x800) & ~0xfff);
	insn(HULL_RV_addi, reg, reg, 0, ((int)target & 0xfff) - (target & 0x800 ? 0x1000 : 0));
	insn(HULL_RV_add, reg, reg, below(2) ? AT_BASE : AT_ALIAS, 0); /* BASE or ALIAS */
	insn(HULL_RV_jalr, below(2), reg, 0, (int)below(2));
}

static void csr(enum hull_rv_id id, unsigned rd, unsigned nr, unsigned rs1)
{
	insn(id, rd, rs1, 0, (int)nr);
}

static void system_unit(void)
{
	unsigned reg = any_register();

	switch (below(12)) {
	case 0: csr(HULL_RV_csrrwi, reg, 2, below(4) ? 0 : below(8)); return; /* frm */
	case 1: csr(HULL_RV_csrrs, reg, 1 + below(3), 0); return;
	case 2: csr(HULL_RV_csrrwi, reg, 1, below(32)); return;           /* fflags */
	case 3: csr(HULL_RV_csrrs, reg, 0xc00 + 2 * below(2), 0); return; /* cycle, instret */
	case 4: csr(HULL_RV_csrrs, reg, 0xc01, 0); return;                /* time */
	case 5:
		insn(HULL_RV_lui, reg, 0, 0, 0x6000); /* FS off or initial */
		csr(HULL_RV_csrrc, 0, kind & IN_M ? 0x300 : 0x100, reg);
		return;
	case 6: insn(HULL_RV_fence_i, 0, 0, 0, 0); return;
	case 7: insn(HULL_RV_sfence_vma, 0, below(2) ? reg : 0, below(2) ? reg : 0, 0); return;
	case 8: insn(below(2) ? HULL_RV_ecall : HULL_RV_wfi, 0, 0, 0, 0); return;
	case 9: csr(HULL_RV_csrrsi, 0, kind & IN_M ? 0x344 : 0x144, 2); return; /* SSIP */
	case 10: csr(HULL_RV_csrrw, 0, 0x180, SATP_A + below(2)); return;       /* satp */
	default: put(below(2) ? 0x9002 : 0); return; /* c.ebreak, nothing */
	}
}

/* Put one of two instructions somewhere into the patched page. */
static void patch_unit(void)
{
	unsigned slot = below(60);

	if (!(kind & PATCHES))
		return;
	insn(HULL_RV_lui, 5, 0, 0, PATCH);
	insn(HULL_RV_add, 5, 5, AT_BASE, 0);
	insn(HULL_RV_lw, 6, 5, 0, (int)(1024 + 4 * below(2)));
	insn(HULL_RV_sw, 0, 5, 6, (int)(16 * slot));
	insn(HULL_RV_fence_i, 0, 0, 0, 0);
	insn(HULL_RV_jalr, 1, 5, 0, (int)(16 * below(60)));
}

static void unit(void)
{
	switch (below(32)) {
	case 0:
	case 1:
	case 2:
	case 3: group_unit(); return;
	case 4: reservation_unit(); return;
	case 5:
	case 6: branch_unit(); return;
	case 7: system_unit(); return;
	case 8: patch_unit(); return;
	case 9: insn(HULL_RV_fld, below(32), GP, 0, (int)below(250) * 8 - 1000); return;
	default: row_unit(); return;
	}
}

/* Count, turn the FP unit and interrupts on, go on where the table says. */
static void make_handler(void)
{
	at = HANDLER;
	csr(HULL_RV_csrrci, 0, 0x344, 2);
	csr(HULL_RV_csrrs, H2, 0x340, 0);
	insn(HULL_RV_addi, H2, H2, 0, 1);
	csr(HULL_RV_csrrw, 0, 0x340, H2);
	insn(HULL_RV_andi, H2, H2, 0, TARGETS - 1);
	insn(HULL_RV_slli, H2, H2, 0, 3);
	insn(HULL_RV_auipc, H1, 0, 0, 0);
	insn(HULL_RV_add, H1, H1, H2, 0);
	insn(HULL_RV_ld, H2, H1, 0, TABLE - HANDLER - 24);
	csr(HULL_RV_csrrw, 0, 0x341, H2);
	insn(HULL_RV_lui, H2, 0, 0, 0x6000);
	insn(HULL_RV_addi, H2, H2, 0, 0x82); /* interrupts as well */
	csr(HULL_RV_csrrs, 0, 0x300, H2);
	insn(HULL_RV_mret, 0, 0, 0, 0);
	for (unsigned i = 0; i < TARGETS; i++) {
		bool alias = (kind & PAGED) && below(2);

		store_le64(left.ram + TABLE + 8 * i,
		           (alias ? ALIAS : BASE) + blocks[below(BLOCKS)]);
	}
}

static void make_code(void)
{
	for (unsigned i = 0; i < BLOCKS; i++) /* targets first: branches go forward, too */
		blocks[i] = below(CODE_END - 64) & ~1u;
	for (unsigned i = 1; i < BLOCKS; i++) /* in order, so that they can be placed */
		for (unsigned k = i; k && blocks[k] < blocks[k - 1]; k--) {
			unsigned t = blocks[k];

			blocks[k] = blocks[k - 1];
			blocks[k - 1] = t;
		}
	at = CODE;
	for (unsigned next = 0; at < CODE_END - 64;) {
		while (next < BLOCKS && blocks[next] < at)
			next++;
		while (next < BLOCKS && at < blocks[next] && blocks[next] - at < UNIT_BYTES)
			put(0x0001); /* a target is the start of a unit */
		unit();
		if (below(12) == 0)
			jump_unit();
	}
	while (at < CODE_END)
		put(0x9002);
	for (unsigned i = 0; i < 64; i++) { /* slots that return */
		at = PATCH + 16 * i;
		insn(HULL_RV_addi, 10, 10, 0, 1);
		insn(HULL_RV_jalr, 0, 1, 0, 0);
	}
	at = PATCH + 1024;
	insn(HULL_RV_xori, 10, 10, 0, 0x55);
	insn(HULL_RV_addi, 11, 11, 0, 3);
}

/* Two roots: pages where they are, the second with two of them swapped. */
static void make_tables(void)
{
	uint64_t flags = PTE_V | PTE_R | PTE_W | PTE_X | PTE_A | PTE_D | (kind & IN_U ? PTE_U : 0);

	for (unsigned b = 0; b < 2; b++) {
		uint64_t root = BASE + ROOTS + b * 3 * 4096;
		uint8_t *t = left.ram + (root - BASE);

		store_le64(t + 8, BASE >> 2 | flags);
		store_le64(t + 16, (root + 4096) >> 2 | PTE_V);
		store_le64(t + 4096, (root + 8192) >> 2 | PTE_V);
		for (uint64_t i = 0; i < PAGES; i++) {
			uint64_t to = b && (i == 12 || i == 13) ? 25 - i : i;

			store_le64(t + 8192 + 8 * i, (BASE + to * 4096) >> 2 | flags);
		}
	}
}

static void make_hart(void)
{
	struct rv_hart *h = left.hart;

	rv_hart_reset(h);
	for (unsigned i = 1; i < 32; i++)
		h->x[i] = rvgen_operand(&prng);
	for (unsigned i = 0; i < 32; i++)
		h->f[i] = rvgen_operand(&prng);
	h->x[GP] = BASE + DATA;
	h->x[TP] = BASE + PAGES * 4096;
	h->pc = BASE;
	h->priv = kind & IN_M ? RV_PRIV_M : kind & IN_U ? RV_PRIV_U : RV_PRIV_S;
	h->csr.mtvec = h->csr.stvec = BASE + HANDLER;
	h->csr.menvcfg = ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE | ENVCFG_ADUE;
	h->csr.senvcfg = ENVCFG_CBIE | ENVCFG_CBCFE | ENVCFG_CBZE;
	h->csr.mcounteren = h->csr.scounteren = 7;
	h->csr.mie = BIT(RV_IRQ_SSI);
	h->csr.mideleg = kind & IN_M ? 0 : BIT(RV_IRQ_SSI);
	/* Even for M, code is read-only and data no code: none changes behind the engine's back. */
	h->csr.pmpaddr[1] = (BASE >> 2) | (0x8000 / 8 - 1);
	h->csr.pmpcfg[1] = 0x9d;
	h->csr.pmpaddr[3] = (BASE + PATCH) >> 2 | (0x1000 / 8 - 1);
	h->csr.pmpcfg[3] = kind & PATCHES ? 0x9f : 0x9b;
	h->csr.pmpaddr[4] = (BASE >> 2) | (PAGES * 4096 / 8 - 1);
	h->csr.pmpcfg[4] = 0x9b;
	if (kind & SPLIT) { /* four bytes of a page of code, and of one with data */
		h->csr.pmpaddr[0] = (BASE + 0x2800) >> 2;
		h->csr.pmpcfg[0] = 0x15;
		h->csr.pmpaddr[2] = (BASE + DATA + 0x800) >> 2;
		h->csr.pmpcfg[2] = 0x91;
	}
	h->csr.pmpaddr[15] = low_mask(54);
	h->csr.pmpcfg[15] = 0x1f;
	h->pmp_active = true;
	rv_set_mstatus(h, MSTATUS_FS);
	if (kind & PAGED) {
		h->csr.satp = (uint64_t)SATP_SV39 << 60 | (BASE + ROOTS) >> 12;
		h->x[SATP_A] = h->csr.satp;
		h->x[SATP_B] = (uint64_t)SATP_SV39 << 60 | UINT64_C(1) << 44 |
		               (BASE + ROOTS + 3 * 4096) >> 12;
	}
	h->x[AT_BASE] = BASE;
	h->x[AT_ALIAS] = kind & PAGED ? ALIAS : BASE;
}

/* From now on, the code that there is has been kept by an earlier run. */
static void keep(void)
{
#ifdef KEEPS
	assert_true(rvrig_keep(&right));
#endif
}

static void make_program(uint64_t nr)
{
	keep();
	hull_prng_seed(&prng, seed * 1000003 + nr * KINDS + kind);
	for (unsigned i = 0; i < PAGES * 4096; i += 8)
		store_le64(left.ram + i, rvgen_operand(&prng));
	make_code();
	make_handler();
	make_tables();
	make_hart();
	rv_flush_tlb(left.hart);
	rv_suspect_code(left.hart);
	rvrig_copy(&left, &right);
}

/* Both for `insns` more; what the caller would answer is answered by nobody. */
static void run_both(uint64_t nr, uint64_t insns)
{
	struct rv_hart *h = left.hart, *g = right.hart;
	uint64_t end = h->retired + insns, from = h->pc;

	while (h->retired < end) {
		struct hull_exit a = { 0 }, b = { 0 };

		h->retire_limit = g->retire_limit = end;
		rv_interpret(h, &a);
		rv_jit_run(g, &b);
		if (a.kind != b.kind || rvrig_differ(&left, &right))
			fail_msg("seed %llu, kind %u, program %llu: from %llx to %llx, exits %u "
			         "and %u",
			         (unsigned long long)seed, kind, (unsigned long long)nr,
			         (unsigned long long)from, (unsigned long long)h->pc, a.kind,
			         b.kind);
		if (a.kind == HULL_EXIT_BUDGET)
			return;
	}
}

static void programs(unsigned heat)
{
	static const uint8_t kinds[KINDS] = { 0,
		                              IN_M | PATCHES,
		                              PAGED | PATCHES,
		                              PAGED | IN_U,
		                              IN_M | SPLIT | PATCHES,
		                              PAGED | SPLIT };
	uint64_t cases = from_env("HULL_TEST_CASES", 2);

	if (!right.vm)
		skip();
	right.hart->cache->hot_limit = heat;
	for (uint64_t nr = 0; nr < cases; nr++)
		for (unsigned k = 0; k < KINDS; k++) {
			kind = kinds[k];
			make_program(nr);
			for (unsigned done = 0; done < INSNS;) {
				unsigned slice = 1 + below(below(4) ? 3000 : 20000);

				run_both(nr, slice);
				done += slice;
			}
		}
}

static void at_once(void **state)
{
	programs(0);
}

static void when_hot(void **state)
{
	programs(5);
}

/* Code comes and goes at random: --engine-chaos. */
static void in_chaos(void **state)
{
	if (!right.vm)
		skip();
	hull_prng_seed(&right.hart->jit->chaos, seed);
	right.hart->jit->chaotic = true;
	programs(0);
	right.hart->jit->chaotic = false;
}

/* A budget ends the run after exactly so many instructions, wherever that is. */
static void budgets(void **state)
{
	if (!right.vm)
		skip();
	right.hart->cache->hot_limit = 0;
	for (kind = 0; kind <= IN_M; kind++)
		for (unsigned budget = 1; budget <= 200; budget++) {
			make_program(budget % 10);
			run_both(budget % 10, budget);
			run_both(budget % 10, budget);
		}
}

/*
 * Two loops whose way back is a jump that spans two pages.  Page 2 has the second half of a jump to
 * one of them, page 3 to the other; nothing else in these pages is run.
 */
enum { LOOP = 0x1f00, SPAN = 0x1ffe };

static void make_spanning(void)
{
	memset(left.ram, 0, PAGES * 4096);
	kind = PAGED;
	make_tables();
	make_hart();
	for (unsigned page = 2; page <= 3; page++) {
		struct hull_rv_insn i = { .id = HULL_RV_jal };
		unsigned loop = LOOP + 64 * (page - 2);
		uint32_t bits;

		i.imm = (int)loop - SPAN;
		bits = hull_rv_encode(&decoder, &i);
		store_le16(left.ram + SPAN, (uint16_t)bits);
		store_le16(left.ram + page * 4096, (uint16_t)(bits >> 16));
		at = loop;
		insn(HULL_RV_addi, 5, 5, 0, (int)page);
		insn(HULL_RV_jal, 0, 0, 0, SPAN - (int)at);
	}
	/* SATP_B: page 3 in the place of page 2. */
	store_le64(left.ram + ROOTS + 5 * 4096 + 16, load_le64(left.ram + ROOTS + 5 * 4096 + 24));
	left.hart->pc = BASE + LOOP;
	rv_flush_tlb(left.hart);
	rv_suspect_code(left.hart);
	rvrig_copy(&left, &right);
	right.hart->cache->hot_limit = 0;
}

static void other_half_by_satp(void **state)
{
	if (!right.vm)
		skip();
	make_spanning();
	for (unsigned n = 0; n < 10; n++) {
		run_both(0, 400 + n);
		if (n % 4 == 1)
			keep();
		for (unsigned k = 0; k < 2; k++) {
			struct rv_hart *h = k ? right.hart : left.hart;

			h->csr.satp = h->x[n % 2 ? SATP_A : SATP_B];
			rv_update_contexts(h);
		}
	}
}

static void other_half_by_table(void **state)
{
	if (!right.vm)
		skip();
	make_spanning();
	for (unsigned n = 0; n < 10; n++) {
		run_both(0, 400 + n);
		if (n % 4 == 1)
			keep();
		for (unsigned k = 0; k < 2; k++) {
			struct rvrig *r = k ? &right : &left;
			uint8_t *entries = r->ram + ROOTS + 2 * 4096;

			store_le64(entries + 16,
			           load_le64(r->ram + ROOTS + (n % 2 ? 2 : 5) * 4096 + 24) -
			                   (n % 2 ? 0x400 : 0));
			rv_sfence(r->hart, false, BASE + 0x2000, true, 0);
		}
	}
}

/*
 * A loop that calls functions of four pages, which call others, return elsewhere, and do anything.
 * Between slices one of the pages is mapped elsewhere, or a function changes.
 */
enum { LOOP_AT = 0x400, FUNCTIONS = 24, FUNCTION_BYTES = 0x200, CALL_PAGES = 4 };

static unsigned function(unsigned nr)
{
	return 0xb00 + nr * FUNCTION_BYTES;
}

/* What does not trap. */
static void calm_unit(void)
{
	static const uint16_t ids[] = { HULL_RV_add, HULL_RV_sub,  HULL_RV_xor,  HULL_RV_and,
		                        HULL_RV_mul, HULL_RV_addw, HULL_RV_sltu, HULL_RV_sll,
		                        HULL_RV_srl, HULL_RV_div,  HULL_RV_remu, HULL_RV_mulhu };
	unsigned a = any_register(), b = any_register(), d = 16 + below(8), off = 8 * below(60);

	switch (below(8)) {
	case 0: insn(HULL_RV_addi, d, a, 0, (int)below(4096) - 2048); return;
	case 1: insn(HULL_RV_lui, d, 0, 0, (int)(below(1 << 20) << 12)); return;
	case 2: insn(HULL_RV_auipc, d, 0, 0, (int)(below(16) << 12)); return;
	case 3: insn(HULL_RV_ld, d, GP, 0, (int)off); return;
	case 4: insn(HULL_RV_sd, 0, GP, a, (int)off); return;
	case 5: insn(HULL_RV_slli, d, a, 0, (int)below(64)); return;
	default: insn((enum hull_rv_id)ids[below(ARRAY_LEN(ids))], d, a, b, 0); return;
	}
}

static void short_units(unsigned most)
{
	for (unsigned n = below(most + 1); n; n--) {
		unsigned what = below(200);

		if (what == 0)
			row_unit();
		else if (what == 1)
			group_unit();
		else
			calm_unit();
	}
}

/* Mostly what a compiler makes: a leaf, or one that keeps its return address. */
static void make_function(unsigned nr)
{
	unsigned end = function(nr) + FUNCTION_BYTES, next = function(below(FUNCTIONS));
	unsigned style = below(8);

	at = function(nr);
	short_units(8);
	if (below(2)) /* over a little code */
		insn(below(2) ? HULL_RV_beq : HULL_RV_bltu, 0, any_register(), any_register(), 8);
	insn(HULL_RV_addi, 11, 11, 0, (int)nr);
	if (style < 2) { /* a loop */
		unsigned from = at;

		insn(HULL_RV_addi, 13, 12, 0, (int)below(40));
		insn(HULL_RV_andi, 13, 13, 0, 7);
		short_units(5);
		insn(HULL_RV_addi, 12, 12, 0, -1);
		insn(HULL_RV_bne, 0, 13, 0, (int)from - (int)at);
	} else if (style < 4) { /* a call */
		insn(HULL_RV_addi, TP + 1, 1, 0, 0);
		insn(HULL_RV_jal, 1, 0, 0, (int)next - (int)at);
		short_units(5);
		insn(HULL_RV_addi, 1, TP + 1, 0, 0);
	} else if (style == 4) { /* the last thing that it does */
		insn(HULL_RV_jal, 0, 0, 0, (int)next - (int)at);
	}
	if (!below(8))
		insn(HULL_RV_addi, 1, 1, 0, 4);
	insn(HULL_RV_jalr, 0, 1, 0, below(12) ? 0 : 4);
	if (at > end)
		fail_msg("a function of %u bytes", at - function(nr));
}

static void make_calls(uint64_t nr)
{
	hull_prng_seed(&prng, seed * 999983 + nr);
	kind = nr % 2 ? PAGED : PAGED | IN_U;
	for (unsigned i = 0; i < PAGES * 4096; i += 8)
		store_le64(left.ram + i, rvgen_operand(&prng));
	for (unsigned i = 0; i < FUNCTIONS; i++)
		make_function(i);
	at = LOOP_AT;
	for (unsigned i = 0; i < 6; i++)
		blocks[i] = at;
	for (unsigned i = 0, n = 1 + below(5); i < n; i++) {
		blocks[i] = at;
		short_units(5);
		insn(HULL_RV_jal, 1, 0, 0, (int)function(below(FUNCTIONS)) - (int)at);
		insn(HULL_RV_addi, 10, 10, 0, 1);
	}
	insn(HULL_RV_andi, 14, 10, 0, 3);
	insn(HULL_RV_bne, 0, 14, 0, 8);
	insn(HULL_RV_addi, 15, 15, 0, 1);
	insn(HULL_RV_jal, 0, 0, 0, LOOP_AT - (int)at);
	for (unsigned i = 6; i < BLOCKS; i++)
		blocks[i] = below(2) ? LOOP_AT : blocks[i % 6];
	make_handler();
	make_tables();
	make_hart();
	left.hart->pc = BASE + LOOP_AT;
	left.hart->csr.pmpcfg[3] = 0x9f;
	rv_flush_tlb(left.hart);
	rv_suspect_code(left.hart);
	rvrig_copy(&left, &right);
}

/* Another page in the place of one of code, or the same again. */
static void remap(unsigned page, unsigned to)
{
	for (unsigned k = 0; k < 2; k++) {
		struct rvrig *r = k ? &right : &left;
		uint8_t *entry = r->ram + ROOTS + 2 * 4096 + 8 * page;

		store_le64(entry, (load_le64(entry) & 0x3ff) | (BASE + to * 4096) >> 2);
		rv_sfence(r->hart, false, BASE + page * 4096, true, 0);
	}
}

/* An instruction of a function becomes another one. */
static void patch(unsigned nr)
{
	unsigned offset = function(nr) + 4 * below(8);
	struct hull_rv_insn i = { .id = HULL_RV_addi, .rd = 12, .rs1 = 12, .imm = (int)nr };

	for (unsigned k = 0; k < 2; k++) {
		struct rvrig *r = k ? &right : &left;
		uint32_t bits = hull_rv_encode(&decoder, &i);

		store_le32(r->ram + offset, bits);
		rv_suspect_code(r->hart);
	}
}

static void calls(void **state)
{
	uint64_t cases = 4 * from_env("HULL_TEST_CASES", 2);

	if (!right.vm)
		skip();
	right.hart->cache->hot_limit = 0;
	for (uint64_t nr = 0; nr < cases; nr++) {
		make_calls(nr);
		for (unsigned n = 0; n < 100; n++) {
			unsigned page = 1 + below(CALL_PAGES - 1);

			run_both(nr, 1 + below(20000));
			if (n % 16 == 6)
				keep();
			if (n % 8 == 3)
				remap(page, below(2) ? page : 1 + below(CALL_PAGES - 1));
			if (n % 8 == 7)
				patch(below(FUNCTIONS));
		}
	}
	if (right.hart->jit->regions)
		assert_int_not_equal(right.hart->stats.regions_of_pages, 0);
}

/* Of all the runs above. */
static void nothing_was_left_out(void **state)
{
	if (right.vm)
		assert_int_equal(right.hart->stats.bail_no_host_op, 0);
#ifdef KEEPS
	if (right.vm) {
		assert_int_not_equal(right.hart->stats.cache_loaded, 0);
		assert_int_not_equal(right.hart->stats.regions_loaded, 0);
		assert_int_equal(right.hart->stats.cache_rejected, 0);
	}
#endif
}

#ifndef INIT_RIGHT
#define INIT_RIGHT rvrig_init_jit(&right, BASE, PAGES * 4096, 0, 1 << 20)
#endif

static int setup(void **state)
{
	seed = from_env("HULL_TEST_SEED", 1);
	print_message("HULL_TEST_SEED=%llu\n", (unsigned long long)seed);
	return hull_rv_decoder_init(&decoder) && rvrig_init(&left, BASE, PAGES * 4096) &&
	                       (INIT_RIGHT || !right.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	if (right.vm && getenv("HULL_TEST_STATS")) {
#define STAT(name, how, text) \
	print_message(#name " %llu\n", (unsigned long long)right.hart->stats.name);
#include "engine/stats.def"
#undef STAT
	}
	rvrig_fini(&left);
	rvrig_fini(&right);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(budgets),
		cmocka_unit_test(at_once),
		cmocka_unit_test(when_hot),
		cmocka_unit_test(in_chaos),
		cmocka_unit_test(other_half_by_satp),
		cmocka_unit_test(other_half_by_table),
		cmocka_unit_test(calls),
		cmocka_unit_test(nothing_was_left_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
