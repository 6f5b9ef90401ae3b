/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/rvasm.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "isa/riscv64/disasm.h"

enum hull_rv_id rvasm_find(const char *name)
{
	for (unsigned i = 0; i < HULL_RV_COUNT; i++) {
		char mnemonic[32];

		hull_rv_mnemonic((enum hull_rv_id)i, mnemonic, sizeof(mnemonic));
		if (!strcmp(mnemonic, name))
			return (enum hull_rv_id)i;
	}
	return HULL_RV_INVALID;
}

/* Letters and digits at *s as a word; *s moves behind it. */
static void take_word(const char **s, char *word, size_t size)
{
	size_t n = 0;

	while ((isalnum((unsigned char)**s) || strchr("-+_.", **s)) && **s && n < size - 1)
		word[n++] = *(*s)++;
	word[n] = 0;
}

static bool find_name(const char *const *names, const char *word, uint8_t *ret)
{
	for (unsigned i = 0; i < 32; i++)
		if (!strcmp(names[i], word)) {
			*ret = (uint8_t)i;
			return true;
		}
	return false;
}

static bool find_rounding(const char *word, uint8_t *ret)
{
	static const char names[] = "rnertzrdnruprmmrm5rm6dyn";
	const char *at = strlen(word) == 3 ? strstr(names, word) : NULL;

	*ret = at ? (uint8_t)((at - names) / 3) : 0;
	return at && (at - names) % 3 == 0;
}

static bool take_immediate(char letter, const char *word, uint64_t pc, int32_t *ret)
{
	char *end, name[32];
	long long v;

	if (letter == 'c') {
		for (int csr = 0; csr < 4096; csr++) {
			hull_rv_csr_name((unsigned)csr, name, sizeof(name));
			if (!strcmp(name, word)) {
				*ret = csr;
				return true;
			}
		}
	}
	v = (long long)strtoull(word, &end, 0);
	if (strchr("bjBJ", letter))
		v -= (long long)pc;
	if (letter == 'u' || letter == 'v')
		v = (int32_t)((uint32_t)v << 12);
	*ret = (int32_t)v;
	return *word && !*end;
}

static bool take_operand(char letter, const char **s, uint64_t pc, struct hull_rv_insn *i)
{
	char word[40];

	take_word(s, word, sizeof(word));
	switch (letter) {
	case 'd':
	case 'e': return find_name(hull_rv_x_names, word, &i->rd);
	case 's':
	case 'f': return find_name(hull_rv_x_names, word, &i->rs1);
	case 't':
	case 'g': return find_name(hull_rv_x_names, word, &i->rs2);
	case 'D':
	case 'E': return find_name(hull_rv_f_names, word, &i->rd);
	case 'S':
	case 'F': return find_name(hull_rv_f_names, word, &i->rs1);
	case 'T':
	case 'G': return find_name(hull_rv_f_names, word, &i->rs2);
	case 'R': return find_name(hull_rv_f_names, word, &i->rs3);
	case 'm': return find_rounding(word, &i->rm);
	case '#': i->rs1 = (uint8_t)strtoul(word, NULL, 10); return true;
	default: return take_immediate(letter, word, pc, &i->imm);
	}
}

static bool take_operands(const char *syntax, const char *s, uint64_t pc, struct hull_rv_insn *i)
{
	for (; *syntax; syntax++) {
		if (!strcmp(syntax, ",m") && !*s) {
			i->rm = 7;
			return true;
		}
		if (*syntax == '#') {
			syntax++;
			if (!take_operand('#', &s, pc, i))
				return false;
		} else if (isalpha((unsigned char)*syntax) && !isalpha((unsigned char)syntax[1])) {
			if (!take_operand(*syntax, &s, pc, i))
				return false;
		} else { /* punctuation, or a word: letter by letter */
			bool word = isalpha((unsigned char)*syntax);

			do {
				if (*s++ != *syntax)
					return false;
			} while (word && isalpha((unsigned char)syntax[1]) && *++syntax);
		}
	}
	return !*s;
}

static unsigned fence_set(const char **s)
{
	unsigned set = 0;
	const char *at;

	for (; **s && (at = strchr("wroi", **s)); ++*s)
		set |= 1u << (at - "wroi");
	if (**s == '0')
		++*s;
	return set;
}

static bool fence(const char *text, uint32_t *ret)
{
	unsigned pred, succ;

	if (!strcmp(text, "pause") || !strcmp(text, "fence.tso")) {
		*ret = *text == 'p' ? 0x0100000f : 0x8330000f;
		return true;
	}
	if (strncmp(text, "fence ", 6))
		return false;
	text += 6;
	pred = fence_set(&text);
	if (*text++ != ',')
		return false;
	succ = fence_set(&text);
	*ret = 0x0f | succ << 20 | pred << 24;
	return !*text;
}

bool rvasm(const struct hull_rv_decoder *d, const char *text, uint64_t pc, uint32_t *ret)
{
	static const char *const suffixes[] = { "", ".rl", ".aq", ".aqrl" };
	struct hull_rv_insn i = { 0 };
	enum hull_rv_id id;
	char name[32];

	if (fence(text, ret))
		return true;
	take_word(&text, name, sizeof(name));
	if (*text == ' ')
		text++;
	for (unsigned n = 0; n < 4; n++) {
		size_t len = strlen(name), cut = strlen(suffixes[n]);
		char stem[32];

		if (cut >= len || strcmp(name + len - cut, suffixes[n]))
			continue;
		memcpy(stem, name, len - cut);
		stem[len - cut] = 0;
		id = rvasm_find(stem);
		if (id == HULL_RV_INVALID)
			continue;
		i.id = (uint16_t)id;
		if (!take_operands(hull_rv_rows[id].syntax, text, pc, &i))
			return false;
		*ret = hull_rv_encode(d, &i) | n << 25;
		return true;
	}
	return false;
}
