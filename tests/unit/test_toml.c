/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/bits.h"
#include "base/text.h"
#include "base/toml.h"

static uint64_t memory[16384];

static int parse(const char *text, size_t size, const struct hull_toml **root, struct hull_err *err)
{
	struct hull_toml_input in = { .name = "vm.toml", .text = text, .size = size };

	return hull_toml_parse(&in, memory, sizeof(memory), root, err);
}

static const struct hull_toml *good(const char *text)
{
	const struct hull_toml *root = NULL;
	struct hull_err err;

	if (parse(text, strlen(text), &root, &err))
		fail_msg("%s\n%s: %s", text, err.where, err.text);
	return root;
}

/* Print a tree in one line; the order is that of the source. */
static size_t print(char *dst, size_t size, const struct hull_toml *n)
{
	const struct hull_toml *c;
	size_t at = 0;

#define PUT(...) at += hull_format(dst + at, size - at, __VA_ARGS__), assert_true(at < size)
	switch (n->kind) {
	case HULL_TOML_STRING: PUT("'%s'", n->text); break;
	case HULL_TOML_INTEGER:
		if (n->negative)
			PUT("%lld", (long long)n->integer);
		else
			PUT("%llu", (unsigned long long)n->integer);
		break;
	case HULL_TOML_BOOL: PUT("%s", n->integer ? "yes" : "no"); break;
	case HULL_TOML_FLOAT: PUT("f%s", n->text); break;
	case HULL_TOML_DATETIME: PUT("d%s", n->text); break;
	default:
		PUT("%c", n->kind == HULL_TOML_ARRAY ? '[' : '{');
		for (c = n->first; c; c = c->next) {
			if (n->kind == HULL_TOML_TABLE)
				PUT("%s:", c->key);
			at += print(dst + at, size - at, c);
			if (c->next)
				PUT(" ");
		}
		PUT("%c", n->kind == HULL_TOML_ARRAY ? ']' : '}');
	}
#undef PUT
	return at;
}

static void documents(void **state)
{
	static const struct {
		const char *toml;
		const char *tree;
	} rows[] = {
		{ "", "{}" },
		{ "# only a comment", "{}" },
		{ "\xef\xbb\xbf"
		  "a=1",
		  "{a:1}" },
		{ "a = 1\r\nb = 2\r\n", "{a:1 b:2}" },
		{ "a=0x8a00_0000\nb=0o17\nc=0b11\nd=-17\ne=+0\nf=1_000",
		  "{a:2315255808 b:15 c:3 d:-17 e:0 f:1000}" },
		{ "a=18446744073709551615\nb=-9223372036854775808",
		  "{a:18446744073709551615 b:-9223372036854775808}" },
		{ "a=1.5\nb=-1e10\nc=6.02_2e-2_3\nd=inf\ne=-nan\nf=0.0",
		  "{a:f1.5 b:f-1e10 c:f6.02_2e-2_3 d:finf e:f-nan f:f0.0}" },
		{ "a=true\nb=false", "{a:yes b:no}" },
		{ "a=1979-05-27T07:32:00Z\nb=1979-05-27 07:32:00.999-07:00\nc=1979-05-27\n"
		  "d=07:32:00\ne=2000-02-29t23:59:60",
		  "{a:d1979-05-27T07:32:00Z b:d1979-05-27 07:32:00.999-07:00 c:d1979-05-27 "
		  "d:d07:32:00 e:d2000-02-29t23:59:60}" },
		{ "a=\"x\\t\\\"\\\\\\u00e9\\U0001F600\"", "{a:'x\t\"\\\xc3\xa9\xf0\x9f\x98\x80'}" },
		{ "a='C:\\x'\nb=''\nc=\"\"", "{a:'C:\\x' b:'' c:''}" },
		{ "a=\"\"\"\nx\r\n  y\\\n   \n  z\"\"\"\"\"", "{a:'x\n  yz\"\"'}" },
		{ "a='''\nit''s\\'''", "{a:'it''s\\'}" },
		{ "a=[]\nb=[1,2,]\nc=[[1],['x', {y=2}]] # mixed\nd=[ # c\n 1 # d\n , # e\n]",
		  "{a:[] b:[1 2] c:[[1] ['x' {y:2}]] d:[1]}" },
		{ "a={}\nb={x=1, y.z=2, \"q r\"='s'}", "{a:{} b:{x:1 y:{z:2} q r:'s'}}" },
		{ "a.b.c=1\na.b.d=2\n 'x y' . z = 3\n1.2=4",
		  "{a:{b:{c:1 d:2}} x y:{z:3} 1:{2:4}}" },
		{ "[a]\nx=1\n[a.b]\ny=2\n[ c . 'd' ] # e\n", "{a:{x:1 b:{y:2}} c:{d:{}}}" },
		{ "[a.b]\nx=1\n[a]\ny=2", "{a:{b:{x:1} y:2}}" },
		{ "[[disk]]\nid=1\n[disk.sub]\nx=1\n[[disk.more]]\n[[disk.more]]\n[[disk]]\nid=2",
		  "{disk:[{id:1 sub:{x:1} more:[{} {}]} {id:2}]}" },
		{ "[a]\nb.c=1\n[a.b.d]\nx=1", "{a:{b:{c:1 d:{x:1}}}}" },
		{ "\"\" = 1", "{:1}" },
		{ "a=\"\xf4\x8f\xbf\xbf\xef\xbf\xbf\"", "{a:'\xf4\x8f\xbf\xbf\xef\xbf\xbf'}" },
	};
	char tree[512];
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		print(tree, sizeof(tree), good(rows[i].toml));
		assert_string_equal(tree, rows[i].tree);
	}
}

/* Each must fail, there (line:column) and with this in the message. */
static void broken_documents(void **state)
{
	static const struct {
		const char *toml;
		const char *where;
		const char *text;
		uint16_t id;
	} rows[] = {
		{ "a", "1 column 2", "expected =", 102 },
		{ "a = ", "1 column 5", "expected a value", 102 },
		{ "a = 1 b = 2", "1 column 7", "end of the line", 102 },
		{ "\n\n = 1", "3 column 2", "expected a key", 102 },
		{ "a = b", "1 column 5", "\"b\" is not a value; text needs \"quotes\"", 102 },
		{ "a = 012", "1 column 5", "\"012\" is not a number", 102 },
		{ "a = 1__0", "1 column 5", "not a number", 102 },
		{ "a = +0x1", "1 column 5", "not a number", 102 },
		{ "a = 0X1", "1 column 5", "not a number", 102 },
		{ "a = 18446744073709551616", "1 column 5", "not a number", 102 },
		{ "a = -9223372036854775809", "1 column 5", "not a number", 102 },
		{ "a = 1.", "1 column 5", "not a number", 102 },
		{ "a = .5", "1 column 5", "not a value", 102 },
		{ "a = 00.5", "1 column 5", "not a number", 102 },
		{ "a = 1e", "1 column 5", "not a number", 102 },
		{ "a = 2021-02-29", "1 column 5", "date", 102 },
		{ "a = 2021-13-01", "1 column 5", "date", 102 },
		{ "a = 24:00:00", "1 column 5", "time", 102 },
		{ "a = 2021-01-01T1:00:00", "1 column 5", "time", 102 },
		{ "a = \"x", "1 column 5", "does not end", 102 },
		{ "a = \"x\nb = 1", "1 column 7", "does not end before the line", 102 },
		{ "a = \"\"\"x", "1 column 5", "does not end", 102 },
		{ "a = \"\\q\"", "1 column 6", "unknown escape", 102 },
		{ "a = \"\\u12\"", "1 column 8", "hexadecimal", 102 },
		{ "a = \"\\ud800\"", "1 column 8", "not a Unicode character", 102 },
		{ "a = \"\\U00110000\"", "1 column 8", "not a Unicode character", 102 },
		{ "a = \"\x01\"", "1 column 6", "control character 0x01", 102 },
		{ "# \x7f", "1 column 3", "control character 0x7f", 102 },
		{ "a = 1\rb = 2", "1 column 6", "end of the line", 102 },
		{ "'''a''' = 1", "1 column 1", "several lines", 102 },
		{ "a = [1 2]", "1 column 8", "array of line 1", 102 },
		{ "a = [1,\n,]", "2 column 1", "expected a value", 102 },
		{ "a = {x=1,}", "1 column 10", "expected a key", 102 },
		{ "a = {x=1\n}", "1 column 9", "inline table of line 1", 102 },
		{ "[a", "1 column 3", "expected ]", 102 },
		{ "[[a]", "1 column 4", "expected ]]", 102 },
		{ "[]", "1 column 2", "expected a key", 102 },
		{ "[a] x=1", "1 column 5", "end of the line", 102 },
		{ "\xc3\xa9 = \"\xc3\xa9\" x", "1 column 1", "expected a key", 102 },
		{ "a = \"\xc3\xa9\" x", "1 column 9", "end of the line", 102 },
		{ "a = \"\xc3\"", "1 column 6", "not UTF-8", 102 },
		{ "a = \"\xc0\x80\"", "1 column 6", "not UTF-8", 102 },
		{ "a = \"\xed\xa0\x80\"", "1 column 6", "not UTF-8", 102 },
		{ "a = \"\xf4\x90\x80\x80\"", "1 column 6", "not UTF-8", 102 },
		{ "a = 1\na = 2", "2 column 3", "\"a\" is already defined in line 1", 103 },
		{ "a = 1\na.b = 2", "2 column 5", "line 1", 103 },
		{ "a.b = 1\na = 2", "2 column 3", "line 1", 103 },
		{ "[a]\n[a]", "2 column 3", "line 1", 103 },
		{ "[a]\nb.c=1\n[a.b]", "3 column 5", "line 2", 103 },
		{ "[a.b.c]\nz=9\n[a]\nb.c.t=1", "4 column 6", "line 1", 103 },
		{ "a={x=1}\n[a.y]", "2 column 5", "line 1", 103 },
		{ "a={x=1}\na.y=1", "2 column 4", "line 1", 103 },
		{ "a={x={}, x.y=1}", "1 column 13", "line 1", 103 },
		{ "a=[{x=1}]\n[[a]]", "2 column 4", "line 1", 103 },
		{ "a=[{x=1}]\n[a.b]", "2 column 5", "line 1", 103 },
		{ "[a]\n[[a]]", "2 column 4", "line 1", 103 },
		{ "[[a]]\n[a]", "2 column 3", "line 1", 103 },
	};
	size_t i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		const struct hull_toml *root = NULL;
		struct hull_err err;
		char where[64];
		int ret = parse(rows[i].toml, strlen(rows[i].toml), &root, &err);

		snprintf(where, sizeof(where), "vm.toml line %s", rows[i].where);
		if (ret != HULL_EFORMAT || root || err.id != rows[i].id ||
		    strcmp(err.where, where) != 0 || !strstr(err.text, rows[i].text))
			fail_msg("%s\n  %d E%04u %s: %s", rows[i].toml, ret, ret ? err.id : 0,
			         ret ? err.where : "", ret ? err.text : "");
	}
}

static void text_holds_no_nul(void **state)
{
	const struct hull_toml *root = NULL;
	struct hull_err err;

	assert_int_equal(parse("a = \"\0\"", 7, &root, &err), HULL_EFORMAT);
	assert_int_equal(parse("\0", 1, &root, &err), HULL_EFORMAT);
	root = good("a = \"x\\u0000y\"\nb = 'z'");
	assert_null(hull_toml_text(hull_toml_get(root, "a")));
	assert_int_equal(hull_toml_get(root, "a")->len, 3);
	assert_string_equal(hull_toml_text(hull_toml_get(root, "b")), "z");
	assert_null(hull_toml_text(root));
	assert_null(hull_toml_text(NULL));
}

static void lookup(void **state)
{
	const struct hull_toml *root = good("a = 5\nb = -5\n[c]\nd = 'x'");
	uint64_t v = 0;

	assert_true(hull_toml_u64(hull_toml_get(root, "a"), &v));
	assert_int_equal(v, 5);
	assert_false(hull_toml_u64(hull_toml_get(root, "b"), &v));
	assert_false(hull_toml_u64(hull_toml_get(root, "none"), &v));
	assert_string_equal(hull_toml_text(hull_toml_get(hull_toml_get(root, "c"), "d")), "x");
	assert_null(hull_toml_get(hull_toml_get(root, "a"), "d"));
	assert_null(hull_toml_get(NULL, "d"));
	assert_string_equal(hull_toml_kind_name(HULL_TOML_INTEGER), "an integer");
	assert_string_equal(hull_toml_kind_name(99), "?");
}

static void positions(void **state)
{
	const struct hull_toml *root =
		good("# x\n[a]\n\"\xc3\xa9\" = [1,\n  2]\n\n[[b]]\ny = '''\n\n'''"
	             "\nz = 1");
	const struct hull_toml *e = hull_toml_get(hull_toml_get(root, "a"), "\xc3\xa9");
	const struct hull_toml *b = hull_toml_get(root, "b")->first;

	assert_int_equal(hull_toml_get(root, "a")->line, 2);
	assert_int_equal(hull_toml_get(root, "a")->column, 2);
	assert_int_equal(e->line, 3);
	assert_int_equal(e->first->line, 3);
	assert_int_equal(e->first->column, 8);
	assert_int_equal(e->last->line, 4);
	assert_int_equal(e->last->column, 3);
	assert_int_equal(b->line, 6);
	assert_int_equal(hull_toml_get(b, "z")->line, 10);
}

static void limits(void **state)
{
	enum { SIZE = 64 << 10 };
	const struct hull_toml *root = NULL;
	struct hull_toml_input in = { .text = "a = [1, 2, 3]", .size = 13 };
	char *text = malloc(SIZE);
	struct hull_err err;
	size_t i, n;

	assert_non_null(text);
	memset(text, '[', SIZE);
	text[0] = 'a';
	text[1] = '=';
	assert_int_equal(parse(text, SIZE, &root, &err), HULL_EOVERFLOW);
	assert_int_equal(err.id, 105);
	for (i = n = 0; i < 33; i++)
		n += hull_format(text + n, SIZE - n, "%sa", i ? "." : "");
	n += hull_format(text + n, SIZE - n, "=1");
	assert_int_equal(parse(text, n, &root, &err), HULL_EOVERFLOW);
	for (i = n = 0; i <= HULL_TOML_MAX_KEYS; i++)
		n += hull_format(text + n, SIZE - n, "k%zu=1\n", i);
	assert_int_equal(parse(text, n, &root, &err), HULL_EOVERFLOW);
	/* Memory of every size: fails until it suffices, and never writes outside. */
	for (i = 0; i < 1024; i++) {
		char *small = malloc(i + 1);
		int ret = hull_toml_parse(&in, small + (i & 1), i + 1 - (i & 1), &root, &err);

		if (ret)
			assert_int_equal(ret, HULL_ENOMEM);
		else
			assert_int_equal(root->first->count, 3);
		free(small);
	}
	assert_int_equal(parse("", 0, &root, NULL), 0);
	assert_int_equal(parse("a", 1, &root, NULL), HULL_EFORMAT);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(documents),         cmocka_unit_test(broken_documents),
		cmocka_unit_test(text_holds_no_nul), cmocka_unit_test(lookup),
		cmocka_unit_test(positions),         cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
