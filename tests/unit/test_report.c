/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/text.h"
#include "manage/json.h"
#include "manage/report.h"

static char *printed(unsigned style, const struct hull_err *err)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	hull_report_error(f, style, err);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void text_form(void **state)
{
	struct hull_err err;
	char *text;

	hull_fail(&err, HULL_EINVAL, 101, "unknown key \"memory.siez\"");
	hull_err_where(&err, "vm.toml line 8");
	hull_err_fix(&err, "did you mean \"memory.size\"?");
	text = printed(0, &err);
	assert_string_equal(text, "error E0101: unknown key \"memory.siez\"\n"
	                          "  in vm.toml line 8\n"
	                          "  fix: did you mean \"memory.size\"?\n"
	                          "  more: hull explain E0101\n");
	free(text);
	hull_fail(&err, HULL_EBUSY, 0, "it is busy");
	text = printed(HULL_REPORT_COLOR, &err);
	assert_string_equal(text, "\033[1;31merror\033[0m: it is busy\n");
	free(text);
}

static void json_form(void **state)
{
	struct hull_err err;
	char *text;

	hull_fail(&err, HULL_EINVAL, 3, "--memory \"\\x\xff\" is not a size");
	hull_err_fix(&err, "write 4G");
	text = printed(HULL_REPORT_JSON, &err);
	assert_string_equal(text,
	                    "{\"schema\":\"hull.error/1\",\"code\":\"E0003\",\"title\":"
	                    "\"not a size\",\"detail\":\"--memory \\\"\\\\x\\ufffd\\\" is not "
	                    "a size\",\"exit\":2,\"fix\":[\"write 4G\"],\"where\":{}}\n");
	free(text);
}

static void exit_codes(void **state)
{
	static const int codes[][2] = {
		{ HULL_EINVAL, 1 },   { HULL_ENOMEM, 8 },    { HULL_ESTATE, 4 },
		{ HULL_ENOTSUP, 13 }, { HULL_EEXIST, 4 },    { HULL_ENOENT, 3 },
		{ HULL_EBUSY, 4 },    { HULL_EPERM, 5 },     { HULL_ETIMEDOUT, 9 },
		{ HULL_EIO, 1 },      { HULL_EOVERFLOW, 1 }, { 0, 0 },
	};
	struct hull_err err;
	size_t i;

	for (i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		hull_fail(&err, codes[i][0], 0, "x");
		assert_int_equal(hull_report_exit_code(&err), codes[i][1]);
	}
	hull_fail(&err, HULL_EINVAL, 3, "x");
	assert_int_equal(hull_report_exit_code(&err), 2);
	hull_fail(&err, HULL_EPERM, 302, "x"); /* this row leaves it to the code */
	assert_int_equal(hull_report_exit_code(&err), 5);
}

static void catalogue_is_in_order(void **state)
{
	const struct hull_error_entry *e;
	unsigned last = 0;
	size_t i;

	for (i = 0; (e = hull_report_entry(i)); i++) {
		assert_true(e->id > last);
		last = e->id;
		assert_true(e->exit <= 13);
		assert_true(strlen(e->title) > 5 && strlen(e->explanation) > 20);
		assert_ptr_equal(hull_report_find(e->id), e);
	}
	assert_null(hull_report_find(0));
	assert_null(hull_report_find(9999));
}

/* Numbers that follow a HULL_E code in calls: all of them must have a row. */
static unsigned check_source(const char *path)
{
	static char text[1 << 18];
	unsigned found = 0;
	FILE *f = fopen(path, "r");
	char *p;

	assert_non_null(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = 0;
	fclose(f);
	for (p = text; (p = strstr(p, "HULL_E"));) {
		char *end;
		unsigned long id;

		p += 6 + strspn(p + 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
		if (*p != ',')
			continue;
		p += 1 + strspn(p + 1, " \t\n");
		id = strtoul(p, &end, 10);
		if (end == p || *end != ',' || !id)
			continue;
		if (!hull_report_find((unsigned)id))
			fail_msg("%s uses E%04lu, which src/manage/errors.def lacks", path, id);
		found++;
	}
	return found;
}

static unsigned check_folder(const char *path, unsigned depth)
{
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned found = 0;
	char name[1024];
	size_t len;

	if (!d)
		return check_source(path);
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		len = strlen(e->d_name);
		hull_format(name, sizeof(name), "%s/%s", path, e->d_name);
		if (!strchr(e->d_name, '.') ? depth < 8 : !strcmp(e->d_name + len - 2, ".c"))
			found += check_folder(name, depth + 1);
	}
	closedir(d);
	return found;
}

static void every_used_error_is_explained(void **state)
{
	const char *root = getenv("HULL_SOURCE");
	char path[512];

	if (!root)
		skip();
	hull_format(path, sizeof(path), "%s/src", root);
	assert_true(check_folder(path, 0) > 40);
}

static void colour(void **state)
{
	FILE *f = tmpfile();

	assert_non_null(f);
	assert_false(hull_report_wants_color(f, "auto"));
	assert_true(hull_report_wants_color(f, "always"));
	assert_false(hull_report_wants_color(f, "never"));
	fclose(f);
}

static void notes(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	hull_report_note(f, 0, "a %d%s", 5, "\n\033[m");
	hull_report_note(f, HULL_REPORT_QUIET, "b");
	hull_report_note(f, HULL_REPORT_JSON, "c");
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "note: a 5??[m\n{\"schema\":\"hull.note/1\",\"note\":\"c\"}\n");
	free(text);
}

static void json_values(void **state)
{
	struct hull_json j;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	hull_json_init(&j, f);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "t\"", "\x01\xc3\xa9\xed\xa0\x80");
	hull_json_text(&j, "n", NULL);
	hull_json_array(&j, "a");
	hull_json_u64(&j, NULL, UINT64_MAX);
	hull_json_bool(&j, NULL, true);
	hull_json_object(&j, NULL);
	hull_json_end(&j);
	hull_json_end(&j);
	hull_json_bool(&j, "b", false);
	hull_json_end(&j);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, "{\"t\\\"\":\"\\u0001\xc3\xa9\\ufffd\\ufffd\\ufffd\",\"n\":null,"
	                          "\"a\":[18446744073709551615,true,{}],\"b\":false}\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_form),
		cmocka_unit_test(json_form),
		cmocka_unit_test(exit_codes),
		cmocka_unit_test(catalogue_is_in_order),
		cmocka_unit_test(every_used_error_is_explained),
		cmocka_unit_test(colour),
		cmocka_unit_test(notes),
		cmocka_unit_test(json_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
