/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An independent judge: the same random user-mode program on qemu-riscv64
 * and on the engine, interpreted and as generated code, leaves the same registers, flags and
 * memory.
 *
 * HULL_TEST_CASES: how many instructions in all; HULL_TEST_SEED repeats a
 * run.  A difference is narrowed down to the first instruction that shows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "isa/riscv64/disasm.h"
#include "support/rvasm.h"
#include "support/rvgen.h"
#include "support/rvrig.h"

/*
 * Memory: what is written out at the end (registers, then a page of operands and
 * a page that stores go to, gp between them), the first register values, code.
 */
#define BASE UINT64_C(0x10000000)
enum {
	DUMP = 0,
	MIDDLE = 0x2000,
	RESULT_SIZE = 0x3000,
	INITIAL = 0x3000,
	CODE = 0x4000,
	IMAGE_SIZE = 0x40000,
	UNITS = 5000, /* of a program; a unit is an instruction and what prepares it */
	GP = 3,
};

/* "max" came with QEMU 8.2. */
static const char *cpu = "max";

static struct hull_rv_decoder decoder;
static uint64_t seed;

struct program {
	struct hull_prng prng;
	uint8_t image[IMAGE_SIZE];
	unsigned at;    /* where the next instruction goes */
	unsigned count; /* instructions */
	unsigned end;   /* offset of the first ecall */
};

static void emit(struct program *p, uint32_t bits)
{
	unsigned len = hull_rv_length((uint16_t)bits);

	store_le16(p->image + p->at, (uint16_t)bits);
	if (len == 4)
		store_le16(p->image + p->at + 2, (uint16_t)(bits >> 16));
	p->at += len;
	p->count++;
}

static void emit_insn(struct program *p, enum hull_rv_id id, unsigned rd, unsigned rs1, int imm)
{
	struct hull_rv_insn i = {
		.id = (uint16_t)id, .rd = (uint8_t)rd, .rs1 = (uint8_t)rs1, .imm = imm
	};

	emit(p, hull_rv_encode(&decoder, &i));
}

static void emit_text(struct program *p, const char *format, unsigned a, unsigned b)
{
	char text[80];
	uint32_t bits;

	snprintf(text, sizeof(text), format, hull_rv_x_names[a], b);
	assert_true(rvasm(&decoder, text, BASE + p->at, &bits));
	emit(p, bits);
}

static unsigned below(struct program *p, unsigned bound)
{
	return (unsigned)hull_prng_below(&p->prng, bound);
}

static bool has(enum hull_rv_id id, const char *letters)
{
	return strpbrk(hull_rv_rows[id].syntax, letters);
}

/*
 * Rows that a user program may not use, that QEMU 7.2 does not know, or that are made elsewhere;
 * and ctzw, which counts on into the upper half there (mended in QEMU 8.0).
 */
static bool excluded(enum hull_rv_id id)
{
	static const char *const names[] = {
		"reserved_", "ecall", "ebreak", "c_ebreak", "mret",   "sret", "wfi", "sfence_",
		"sinval_",   "cbo_",  "csr",    "wrs_",     "czero_", "sc_",  "lr_", "ctzw",
	};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (!strncmp(hull_rv_rows[id].name, names[i], strlen(names[i])))
			return true;
	return false;
}

static enum hull_rv_id random_row(struct program *p)
{
	enum hull_rv_id id;

	do {
		id = (enum hull_rv_id)below(p, HULL_RV_COUNT);
	} while (excluded(id));
	return id;
}

/* An instruction of the row that leaves gp alone and asks for no reserved rounding. */
static struct hull_rv_insn random_insn(struct program *p, enum hull_rv_id id)
{
	struct hull_rv_insn i;

	do {
		hull_rv_decode(&decoder, rvgen_bits(&p->prng, &decoder, id), &i);
	} while ((i.rd == GP && !has(id, "DE")) || i.rm == 5 || i.rm == 6);
	return i;
}

/* Make `reg` point `off` bytes from the middle, less `imm`. */
static void aim(struct program *p, unsigned reg, int off, int imm)
{
	int d = off - imm;

	emit_insn(p, HULL_RV_addi, reg, GP, d / 2);
	emit_insn(p, HULL_RV_addi, reg, reg, d - d / 2);
}

static void memory_unit(struct program *p, struct hull_rv_insn i)
{
	bool atomic = hull_rv_rows[i.id].name[0] == 'a';
	bool is_store = atomic || decoder.formats[i.id].rd < 0;
	unsigned base = strstr(hull_rv_rows[i.id].syntax, "(sp)") ? 2 : i.rs1;
	int off = (int)below(p, is_store ? 2041 : 4089) - (is_store ? 0 : 2048);

	if (base == 0 || base == GP)
		return;
	aim(p, base, atomic ? off & ~7 : off, i.imm);
	emit(p, hull_rv_encode(&decoder, &i));
}

static void reservation_unit(struct program *p)
{
	bool wide = below(p, 2), matching = below(p, 4);
	struct hull_rv_insn lr = random_insn(p, wide ? HULL_RV_lr_d : HULL_RV_lr_w);
	struct hull_rv_insn sc = random_insn(p, wide ? HULL_RV_sc_d : HULL_RV_sc_w);
	int off = (int)below(p, 2041) & ~7;

	sc.rs1 = lr.rs1;
	if (lr.rs1 == 0 || lr.rs1 == GP || lr.rd == lr.rs1)
		return;
	aim(p, lr.rs1, off, 0);
	emit(p, hull_rv_encode(&decoder, &lr));
	if (!matching)
		emit_insn(p, HULL_RV_addi, lr.rs1, lr.rs1, off >= 8 ? -8 : 8);
	emit(p, hull_rv_encode(&decoder, &sc));
}

/* Flags and modes; frm stays one of the five that exist. */
static void csr_unit(struct program *p)
{
	static const uint16_t ids[] = { HULL_RV_csrrw,  HULL_RV_csrrs,  HULL_RV_csrrc,
		                        HULL_RV_csrrwi, HULL_RV_csrrsi, HULL_RV_csrrci };
	struct hull_rv_insn i = random_insn(p, ids[below(p, 6)]);

	switch (below(p, 4)) {
	case 0: i.imm = 1; break;
	case 1:
		i.imm = 2;
		i.id = HULL_RV_csrrwi;
		i.rs1 = (uint8_t)below(p, 5);
		break;
	case 2:
		i.imm = 3;
		i.id = HULL_RV_csrrs;
		i.rs1 = 0;
		break;
	default: i.imm = 3; i.id = HULL_RV_csrrwi;
	}
	emit(p, hull_rv_encode(&decoder, &i));
}

static void plain_unit(struct program *p)
{
	for (;;) {
		struct hull_rv_insn i = random_insn(p, random_row(p));

		if (has((enum hull_rv_id)i.id, "(bjBJ") || i.id == HULL_RV_c_jr ||
		    i.id == HULL_RV_c_jalr)
			continue;
		emit(p, hull_rv_encode(&decoder, &i));
		return;
	}
}

/* Branches go forward over one unit. */
static void branch_unit(struct program *p, struct hull_rv_insn i)
{
	unsigned from = p->at, end;

	emit(p, hull_rv_encode(&decoder, &i));
	plain_unit(p);
	end = p->at;
	i.imm = (int32_t)(end - from);
	p->at = from;
	p->count--;
	emit(p, hull_rv_encode(&decoder, &i));
	p->at = end;
}

static void jump_unit(struct program *p, struct hull_rv_insn i)
{
	unsigned from = p->at, end, len = 8u + i.len;

	if (i.rs1 == 0 || i.rs1 == GP)
		return;
	if (i.id == HULL_RV_jalr)
		i.imm = i.imm % 64 & ~1;
	emit_insn(p, HULL_RV_auipc, i.rs1, 0, 0);
	p->at += len - 4;
	plain_unit(p);
	end = p->at;
	p->at = from + 4;
	/* Bit 0 of the target is dropped. */
	emit_insn(p, HULL_RV_addi, i.rs1, i.rs1,
	          (int)(end - from) - i.imm + (i.id == HULL_RV_jalr && below(p, 2)));
	emit(p, hull_rv_encode(&decoder, &i));
	p->at = end;
}

/* Results degenerate: bring in fresh operands. */
static void operand_unit(struct program *p)
{
	static const uint16_t ids[] = { HULL_RV_ld,  HULL_RV_ld,  HULL_RV_fld,
		                        HULL_RV_fld, HULL_RV_flw, HULL_RV_flh };
	struct hull_rv_insn i = random_insn(p, ids[below(p, 6)]);

	i.rs1 = GP;
	i.imm = (int)below(p, 255) * 8 - 2048;
	emit(p, hull_rv_encode(&decoder, &i));
}

static void random_unit(struct program *p)
{
	struct hull_rv_insn i;

	switch (below(p, 24)) {
	case 0: reservation_unit(p); return;
	case 1: csr_unit(p); return;
	case 2:
	case 3:
	case 4:
	case 5:
	case 6: operand_unit(p); return;
	}
	i = random_insn(p, random_row(p));
	if (i.id == HULL_RV_jalr || i.id == HULL_RV_c_jr || i.id == HULL_RV_c_jalr)
		jump_unit(p, i);
	else if (has((enum hull_rv_id)i.id, "("))
		memory_unit(p, i);
	else if (has((enum hull_rv_id)i.id, "bjBJ"))
		branch_unit(p, i);
	else
		emit(p, hull_rv_encode(&decoder, &i));
}

/* Program number `nr` of the seed, cut after `units`. */
static void generate(struct program *p, uint64_t nr, unsigned units)
{
	memset(p, 0, sizeof(*p));
	hull_prng_seed(&p->prng, seed * 1000003 + nr);
	for (unsigned i = 0; i < 64; i++)
		store_le64(p->image + INITIAL + 8 * i, rvgen_operand(&p->prng));
	for (unsigned at = 0x1000; at < RESULT_SIZE; at += 8)
		store_le64(p->image + at, rvgen_operand(&p->prng));
	p->at = CODE;
	emit_text(p, "lui %s,0x%x", GP, 0x10002);
	emit_text(p, "lui %s,0x%x", 31, 0x10003);
	for (unsigned i = 0; i < 32; i++)
		emit_insn(p, HULL_RV_fld, i, 31, (int)(256 + 8 * i));
	for (unsigned i = 1; i < 32; i++)
		if (i != GP)
			emit_insn(p, HULL_RV_ld, i, 31, (int)(8 * i));
	for (unsigned i = 0; i < units && p->at < IMAGE_SIZE - 0x400; i++)
		random_unit(p);
	emit_text(p, "lui %s,0x%x", GP, 0x10000);
	for (unsigned i = 1; i < 32; i++)
		emit_text(p, "sd %s,%u(gp)", i, 8 * i);
	for (unsigned i = 0; i < 32; i++) {
		struct hull_rv_insn fsd = {
			.id = HULL_RV_fsd, .rs1 = GP, .rs2 = (uint8_t)i, .imm = (int)(256 + 8 * i)
		};

		emit(p, hull_rv_encode(&decoder, &fsd));
	}
	emit_text(p, "csrrs %s,fcsr,zero", 1, 0);
	emit_text(p, "sd %s,%u(gp)", 1, 512);
	emit_text(p, "addi %s,zero,%u", 17, 64); /* write(1, BASE, RESULT_SIZE) */
	emit_text(p, "addi %s,zero,%u", 10, 1);
	emit_text(p, "lui %s,0x%x", 11, 0x10000);
	emit_text(p, "lui %s,0x%x", 12, RESULT_SIZE >> 12);
	p->end = p->at;
	emit_text(p, "ecall", 0, 0);
	emit_text(p, "addi %s,zero,%u", 17, 93); /* exit(0) */
	emit_text(p, "addi %s,zero,%u", 10, 0);
	emit_text(p, "ecall", 0, 0);
	if (p->at & 2) /* the engine's trap handler must be aligned */
		emit_text(p, "c.nop", 0, 0);
	emit_text(p, "jal %s,0x%x", 0, (unsigned)BASE + p->at);
}

/* ELF-64 with one segment; System V ABI, chapters 4 and 5. */
static bool write_elf(const struct program *p, const char *path)
{
	static const uint8_t ident[16] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };
	uint8_t head[0x1000] = { 0 };
	FILE *f = fopen(path, "wb");
	bool ok;

	memcpy(head, ident, sizeof(ident));
	store_le16(head + 16, 2);   /* ET_EXEC */
	store_le16(head + 18, 243); /* EM_RISCV */
	store_le32(head + 20, 1);
	store_le64(head + 24, BASE + CODE);
	store_le64(head + 32, 64);
	store_le32(head + 48, 5); /* RVC, double-float ABI */
	store_le16(head + 52, 64);
	store_le16(head + 54, 56);
	store_le16(head + 56, 1);
	store_le32(head + 64, 1); /* PT_LOAD, RWX */
	store_le32(head + 68, 7);
	store_le64(head + 72, sizeof(head));
	store_le64(head + 80, BASE);
	store_le64(head + 88, BASE);
	store_le64(head + 96, p->at);
	store_le64(head + 104, IMAGE_SIZE);
	store_le64(head + 112, 0x1000);
	if (!f)
		return false;
	ok = fwrite(head, sizeof(head), 1, f) == 1 && fwrite(p->image, p->at, 1, f) == 1;
	return !fclose(f) && ok;
}

/* False: the judge did not answer. */
static bool ask_judge(const struct program *p, uint8_t result[RESULT_SIZE])
{
	char folder[] = "/tmp/hull-judge-XXXXXX", path[64], command[200];
	bool ok = false;
	FILE *f;

	if (!mkdtemp(folder))
		return false;
	snprintf(path, sizeof(path), "%s/program", folder);
	snprintf(command, sizeof(command), "timeout 60 qemu-riscv64 -cpu %s %s", cpu, path);
	if (write_elf(p, path) && !chmod(path, 0700) && (f = popen(command, "r"))) {
		ok = fread(result, RESULT_SIZE, 1, f) == 1;
		ok = pclose(f) == 0 && ok;
	}
	unlink(path);
	rmdir(folder);
	return ok;
}

static struct rvrig interpreted, translated, *rig;

/* False: it did not end with its ecall. */
static bool run_engine(const struct program *p, uint8_t result[RESULT_SIZE])
{
	struct rv_hart *h = rig->hart;

	memcpy(rig->ram, p->image, IMAGE_SIZE);
	rv_hart_reset(h);
	rv_set_mstatus(h, MSTATUS_FS);
	h->csr.mtvec = BASE + p->at - 4; /* j . */
	h->pc = BASE + CODE;
	rvrig_run(rig, p->count + 100);
	memcpy(result, rig->ram, RESULT_SIZE);
	if (h->csr.mepc == BASE + p->end && h->csr.mcause == RV_ECALL_M)
		return true;
	print_message("trap %llu at %llx, tval %llx\n", (unsigned long long)h->csr.mcause,
	              (unsigned long long)h->csr.mepc, (unsigned long long)h->csr.mtval);
	return false;
}

static void show_differences(const uint8_t *mine, const uint8_t *theirs)
{
	for (unsigned at = 0; at < RESULT_SIZE; at += 8) {
		uint64_t a = load_le64(mine + at), b = load_le64(theirs + at);
		char name[16] = "fcsr";

		if (a == b)
			continue;
		if (at < 256)
			snprintf(name, sizeof(name), "%s", hull_rv_x_names[at / 8]);
		else if (at < 512)
			snprintf(name, sizeof(name), "%s", hull_rv_f_names[at / 8 - 32]);
		else if (at >= 0x1000)
			snprintf(name, sizeof(name), "memory %x", at);
		print_message("  %s: Hull %llx, judge %llx\n", name, (unsigned long long)a,
		              (unsigned long long)b);
	}
}

static bool agree(struct program *p, uint64_t nr, unsigned units, bool show)
{
	static uint8_t mine[RESULT_SIZE], theirs[RESULT_SIZE];
	bool ok;

	generate(p, nr, units);
	ok = run_engine(p, mine);
	if (!ask_judge(p, theirs)) {
		print_message("no answer from the judge\n");
		return false;
	}
	if (show)
		show_differences(mine, theirs);
	return ok && !memcmp(mine, theirs, RESULT_SIZE);
}

/* The shortest program that differs, and its last unit. */
static void narrow(struct program *p, uint64_t nr)
{
	unsigned good = 0, bad = UNITS, from;

	while (bad - good > 1) {
		unsigned middle = (good + bad) / 2;

		if (agree(p, nr, middle, false))
			good = middle;
		else
			bad = middle;
	}
	generate(p, nr, good);
	from = p->end - 4 * (1 + 31 + 32 + 6);
	print_message("program %llu, unit %u:\n", (unsigned long long)nr, bad);
	agree(p, nr, bad, true);
	for (unsigned at = CODE; at < p->at;) {
		unsigned len = hull_rv_length(load_le16(p->image + at));
		char text[HULL_RV_TEXT_MAX];

		hull_rv_disasm(&decoder, load_le32(p->image + at), BASE + at, text, sizeof(text));
		if (at + 16 >= from && at < p->end - 4 * (1 + 31 + 32 + 6))
			print_message("  %llx: %s\n", (unsigned long long)(BASE + at), text);
		at += len;
	}
}

static void random_programs(void)
{
	const char *cases = getenv("HULL_TEST_CASES"), *text = getenv("HULL_TEST_SEED");
	uint64_t want = cases ? strtoull(cases, NULL, 0) : 20000, done = 0;
	struct program *p = malloc(sizeof(*p));

	if (system("qemu-riscv64 --version >/dev/null 2>&1")) {
		print_message("qemu-riscv64 is missing\n");
		free(p);
		skip();
	}
	assert_non_null(p);
	if (system("qemu-riscv64 --version | grep -q 'version 7'") == 0)
		cpu = "rv64,zba=true,zbb=true,zbc=true,zbs=true,Zfh=true";
	seed = text ? strtoull(text, NULL, 0) : 1;
	print_message("HULL_TEST_SEED=%llu\n", (unsigned long long)seed);
	for (uint64_t nr = 0; done < want; nr++) {
		if (!agree(p, nr, UNITS, false)) {
			narrow(p, nr);
			free(p);
			fail_msg("program %llu of seed %llu differs", (unsigned long long)nr,
			         (unsigned long long)seed);
		}
		done += p->count;
	}
	print_message("%llu instructions agree\n", (unsigned long long)done);
	free(p);
}

static void interpreter(void **state)
{
	rig = &interpreted;
	random_programs();
}

static void generated_code(void **state)
{
	rig = &translated;
	if (!rig->vm)
		skip();
	random_programs();
	assert_true(rig->hart->stats.entries > 0);
}

static int setup(void **state)
{
	return hull_rv_decoder_init(&decoder) && rvrig_init(&interpreted, BASE, IMAGE_SIZE) &&
	                       (rvrig_init_jit(&translated, BASE, IMAGE_SIZE, 0, 0) ||
	                        !translated.vm)
	               ? 0
	               : -1;
}

static int teardown(void **state)
{
	rvrig_fini(&interpreted);
	rvrig_fini(&translated);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interpreter),
		cmocka_unit_test(generated_code),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
