/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The riscv64 rows: decoding, encoding, text, and the disassembly of real programs by others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "isa/riscv64/disasm.h"
#include "support/rvasm.h"
#include "support/rvgen.h"

static struct hull_rv_decoder decoder;

static int setup(void **state)
{
	return hull_rv_decoder_init(&decoder) ? 0 : -1;
}

static void rows_are_complete(void **state)
{
	for (unsigned i = 0; i < HULL_RV_COUNT; i++) {
		const struct hull_rv_row *r = &hull_rv_rows[i];
		bool bare = decoder.formats[i].fixed == 8 * decoder.formats[i].len ||
		            strchr(r->pattern, '.');

		assert_true(r->name[0] && r->pattern[0]);
		assert_true(r->syntax[0] || bare);
		for (unsigned k = 0; k < i; k++)
			assert_string_not_equal(r->name, hull_rv_rows[k].name);
	}
}

/* Where two rows match one word, one is a special case of the other or a third row is just that. */
static void overlaps_are_settled(void **state)
{
	for (unsigned i = 0; i < HULL_RV_COUNT; i++) {
		const struct hull_rv_format *a = &decoder.formats[i];

		for (unsigned k = 0; k < i; k++) {
			const struct hull_rv_format *b = &decoder.formats[k];
			uint32_t both = a->mask & b->mask, all = a->mask | b->mask;
			bool settled = both == a->mask || both == b->mask;

			if (a->len != b->len || ((a->match ^ b->match) & both))
				continue;
			for (unsigned m = 0; m < HULL_RV_COUNT; m++)
				settled |= decoder.formats[m].len == a->len &&
				           decoder.formats[m].mask == all &&
				           decoder.formats[m].match == (a->match | b->match);
			if (!settled || a->mask == b->mask)
				fail_msg("%s overlaps %s", hull_rv_rows[i].name,
				         hull_rv_rows[k].name);
		}
	}
}

static void encoding_reverses_decoding(void **state)
{
	struct hull_prng p;

	hull_prng_seed(&p, 1);
	for (unsigned i = 0; i < HULL_RV_COUNT * 200; i++) {
		enum hull_rv_id id = (enum hull_rv_id)(i % HULL_RV_COUNT);
		uint32_t bits = rvgen_bits(&p, &decoder, id), again;
		struct hull_rv_insn a, b;

		hull_rv_decode(&decoder, bits, &a);
		again = hull_rv_encode(&decoder, &a);
		hull_rv_decode(&decoder, again, &b);
		assert_int_equal(a.id, id);
		assert_memory_equal(&a, &b, sizeof(a));
		if (!strchr(hull_rv_rows[id].pattern, '.'))
			assert_int_equal(again, bits);
	}
}

static void text_assembles_to_the_same(void **state)
{
	struct hull_prng p;

	hull_prng_seed(&p, 2);
	for (unsigned i = 0; i < HULL_RV_COUNT * 100; i++) {
		enum hull_rv_id id = (enum hull_rv_id)(i % HULL_RV_COUNT);
		uint32_t bits = rvgen_bits(&p, &decoder, id), again = 0;
		uint64_t pc = hull_prng_next(&p) & ~UINT64_C(1);
		char text[HULL_RV_TEXT_MAX], retold[HULL_RV_TEXT_MAX];

		if (!strncmp(hull_rv_rows[id].name, "reserved_", 9))
			continue;
		assert_true(hull_rv_disasm(&decoder, bits, pc, text, sizeof(text)) < sizeof(text));
		if (!rvasm(&decoder, text, pc, &again))
			fail_msg("%s (%08x) does not assemble", text, bits);
		hull_rv_disasm(&decoder, again, pc, retold, sizeof(retold));
		assert_string_equal(text, retold);
		if (!strchr(hull_rv_rows[id].pattern, '.'))
			assert_int_equal(again, bits);
	}
}

static void known_texts(void **state)
{
	static const struct {
		uint32_t bits;
		const char *text;
	} known[] = {
		{ 0xffc58513, "addi a0,a1,-4" },
		{ 0x00000013, "addi zero,zero,0" },
		{ 0x00b50863, "beq a0,a1,0x80000010" },
		{ 0xfffff0b7, "lui ra,0xfffff" },
		{ 0x14202573, "csrrs a0,scause,zero" },
		{ 0x30046073, "csrrsi zero,mstatus,8" },
		{ 0xb1f02573, "csrrs a0,mhpmcounter31,zero" },
		{ 0x7c002573, "csrrs a0,0x7c0,zero" },
		{ 0x0ff0000f, "fence iorw,iorw" },
		{ 0x8330000f, "fence.tso" },
		{ 0x0100000f, "pause" },
		{ 0x06c5a52f, "amoadd.w.aqrl a0,a2,(a1)" },
		{ 0x1405a52f, "lr.w.aq a0,(a1)" },
		{ 0x02b57553, "fadd.d fa0,fa0,fa1" },
		{ 0x02b51553, "fadd.d fa0,fa0,fa1,rtz" },
		{ 0x12c58073, "sfence.vma a1,a2" },
		{ 0x0045200f, "cbo.zero (a0)" },
		{ 0x6119, "c.addi16sp sp,384" },
		{ 0x8082, "c.jr ra" },
		{ 0x0000, ".half 0x0000" },
		{ 0xffffffff, ".word 0xffffffff" },
	};
	char text[HULL_RV_TEXT_MAX];

	for (unsigned i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		hull_rv_disasm(&decoder, known[i].bits, 0x80000000, text, sizeof(text));
		assert_string_equal(text, known[i].text);
	}
	assert_int_equal(hull_rv_disasm(&decoder, 0xffc58513, 0, text, 6), 13);
	assert_string_equal(text, "addi ");
}

/*
 * The text in the form that disassemblers are compared in: no blanks, numbers in decimal,
 * nothing from a comment or symbol on.
 */
static void normalize(const char *text, char *dst, size_t size)
{
	size_t n = 0;

	while (*text == ' ' || *text == '\t')
		text++;
	while (*text && !strchr("#<\n", *text) && n < size - 24) {
		bool starts = n == 0 || strchr(", (", dst[n - 1]);
		char *end;

		if (starts && (isdigit((unsigned char)*text) || *text == '-')) {
			int64_t v = *text == '-' ? -(int64_t)strtoull(text + 1, &end, 0)
			                         : (int64_t)strtoull(text, &end, 0);

			n += (size_t)snprintf(dst + n, size - n, "%lld", (long long)v);
			text = end;
		} else if (*text == ' ' || *text == '\t') {
			if (!memchr(dst, ' ', n))
				dst[n++] = ' ';
			text++;
		} else {
			dst[n++] = *text++;
		}
	}
	while (n && dst[n - 1] == ' ')
		n--;
	if (n > 4 && !memcmp(dst + n - 4, ",dyn", 4))
		n -= 4;
	dst[n] = 0;
}

/* Operands that the judges leave out: a rounding mode where no rounding happens. */
static bool exact_conversion(enum hull_rv_id id)
{
	switch (id) {
	case HULL_RV_fcvt_d_w:
	case HULL_RV_fcvt_d_wu:
	case HULL_RV_fcvt_d_s:
	case HULL_RV_fcvt_s_h:
	case HULL_RV_fcvt_d_h: return true;
	default: return false;
	}
}

/* Does the judge know another spelling? */
static bool other_spelling(uint32_t bits)
{
	struct hull_rv_insn i;

	hull_rv_decode(&decoder, bits, &i);
	switch (i.id) {
	case HULL_RV_INVALID:
	case HULL_RV_fence_i: /* ignored bits set */
	case HULL_RV_fence: return true;
	case HULL_RV_csrrw ... HULL_RV_csrrci: /* registers that Hull does not have */ return true;
	case HULL_RV_c_nop: return bits != 1; /* hints */
	case HULL_RV_c_slli:
	case HULL_RV_c_srli:
	case HULL_RV_c_srai: return i.imm == 0;
	default: return i.rm == 5 || i.rm == 6 || exact_conversion((enum hull_rv_id)i.id);
	}
}

static bool has_target(uint32_t bits)
{
	struct hull_rv_insn i;

	hull_rv_decode(&decoder, bits, &i);
	return decoder.formats[i.id].imm && strchr("bjBJ", decoder.formats[i.id].imm);
}

static unsigned compare_text(uint32_t bits, uint64_t pc, const char *theirs)
{
	char text[HULL_RV_TEXT_MAX], a[96], b[96];

	hull_rv_disasm(&decoder, bits, pc, text, sizeof(text));
	normalize(text, a, sizeof(a));
	normalize(theirs, b, sizeof(b));
	if (pc && has_target(bits)) { /* GNU writes targets without 0x */
		char *last = strrchr(b, strchr(b, ',') ? ',' : ' ') + 1;

		snprintf(last, 24, "%llu", strtoull(last, NULL, 16));
	}
	if (!strcmp(a, b))
		return 0;
	print_message("%08x: \"%s\", judge \"%s\"\n", bits, a, b);
	return 1;
}

/* Every row, random operands, against llvm-mc. */
static void llvm_agrees(void **state)
{
	enum { N = HULL_RV_COUNT * 20 };
	static uint32_t sent[N];
	char path[] = "/tmp/hull-rv-XXXXXX", command[400], line[200];
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w"), *judge;
	struct hull_prng p;
	unsigned n = 0, got = 0, bad = 0;

	hull_prng_seed(&p, 3);
	for (unsigned k = 0; k < N; k++) {
		enum hull_rv_id id = (enum hull_rv_id)(k % HULL_RV_COUNT);
		uint32_t bits = rvgen_bits(&p, &decoder, id);
		struct hull_rv_insn i;

		hull_rv_decode(&decoder, bits, &i);
		if (!strncmp(hull_rv_rows[id].name, "reserved_", 9) || other_spelling(bits))
			continue;
		sent[n++] = bits;
		for (unsigned b = 0; b < i.len; b++)
			fprintf(f, "0x%02x ", bits >> (8 * b) & 255);
		fputc('\n', f);
	}
	fclose(f);
	snprintf(command, sizeof(command),
	         "llvm-mc-19 --disassemble --triple=riscv64 -M no-aliases --mattr=+m,+a,+f,+d,+c,"
	         "+zicsr,+zifencei,+zicbom,+zicboz,+zicond,+zawrs,+zfh,+zba,+zbb,+zbc,+zbs,"
	         "+svinval %s 2>&1",
	         path);
	judge = popen(command, "r");
	while (judge && fgets(line, sizeof(line), judge)) {
		if (strstr(line, "warning:") || strstr(line, "error:")) {
			print_message("%s", line);
			bad++;
		}
		if (line[0] == '\t' && line[1] != '.' && got < n) {
			bad += compare_text(sent[got], 0, line);
			got++;
		}
	}
	if (judge && pclose(judge) == 127 << 8)
		got = 0;
	unlink(path);
	if (!got)
		skip();
	assert_int_equal(got, n);
	assert_int_equal(bad, 0);
}

/* A whole program, as the GNU disassembler reads it. */
static void objdump_agrees(void **state)
{
	static const char command[] =
		"riscv64-linux-gnu-objdump -d -M no-aliases /usr/riscv64-linux-gnu/lib/libm.so.6 "
		"2>/dev/null";
	FILE *judge = popen(command, "r");
	char line[300];
	unsigned n = 0, bad = 0;

	while (judge && fgets(line, sizeof(line), judge)) {
		unsigned long long pc;
		unsigned bits;
		int at = 0;

		if (sscanf(line, " %llx: %x %n", &pc, &bits, &at) != 2 || !at)
			continue;
		n++;
		if (strstr(line, "unimp") || other_spelling(bits))
			continue;
		bad += compare_text(bits, pc, line + at);
	}
	if (judge)
		pclose(judge);
	if (!n)
		skip();
	print_message("%u instructions of libm\n", n);
	assert_int_equal(bad, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rows_are_complete),
		cmocka_unit_test(overlaps_are_settled),
		cmocka_unit_test(encoding_reverses_decoding),
		cmocka_unit_test(text_assembles_to_the_same),
		cmocka_unit_test(known_texts),
		cmocka_unit_test(llvm_agrees),
		cmocka_unit_test(objdump_agrees),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
