/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <hull/error.h>
#include "base/bits.h"
#include "base/text.h"

/* Format with ours and with libc's: text and length must agree. */
#define SAME(...)                                                        \
	do {                                                             \
		char ours[128], theirs[128];                             \
		size_t n = hull_format(ours, sizeof(ours), __VA_ARGS__); \
		int m = snprintf(theirs, sizeof(theirs), __VA_ARGS__);   \
		assert_string_equal(ours, theirs);                       \
		assert_int_equal(n, m);                                  \
	} while (0)

static void format_matches_libc(void **state)
{
	SAME("plain");
	SAME("%s|%5s|%-5s|%.2s|%5.1s", "abc", "abc", "abc", "abc", "abc");
	SAME("%c%3c%-3c|", 'a', 'b', 'c');
	SAME("%d %i %5d %-5d| %05d %05d", 0, -1, 42, -42, 42, -42);
	SAME("%d %d %u", INT_MAX, INT_MIN, UINT_MAX);
	SAME("%hhd %hhu %hd %hu", (signed char)-3, (unsigned char)250, (short)-3,
	     (unsigned short)65530);
	SAME("%ld %lu %lld %llu", LONG_MIN, ULONG_MAX, LLONG_MIN, ULLONG_MAX);
	SAME("%zu %jd %td", (size_t)-1, INTMAX_MIN, (ptrdiff_t)-5);
	SAME("%x %X %08x %016lx %lx", 0xbeefu, 0xBEEFu, 0xbeefu, 0x8000000000000001ul, 0ul);
	SAME("%.*s|%*d|%-*s|", 2, "abc", 5, 42, 4, "x");
	SAME("100%% %s", "done");
	SAME("%p", (void *)0x1234);
}

static void format_cuts(void **state)
{
	const char *volatile nothing = NULL; /* volatile: gcc would warn that it is NULL */
	char s[6];

	assert_int_equal(hull_format(s, sizeof(s), "%s", "12345678"), 8);
	assert_string_equal(s, "12345");
	assert_int_equal(hull_format(s, 1, "x%d", 123), 4);
	assert_string_equal(s, "");
	hull_format(s, sizeof(s), "%s", nothing);
	assert_string_equal(s, "(null");
}

static void precision_bounds_the_read(void **state)
{
	char unterminated[3] = { 'a', 'b', 'c' };
	char s[8];

	hull_format(s, sizeof(s), "%.3s", unterminated);
	assert_string_equal(s, "abc");
}

struct row {
	const char *text;
	bool ok;
	uint64_t value;
};

static void check_rows(const struct row *rows, size_t count,
                       bool (*parse)(const char *text, uint64_t *ret))
{
	size_t i;

	for (i = 0; i < count; i++) {
		uint64_t v = 0xdead;
		bool ok = parse(rows[i].text, &v);

		if (ok != rows[i].ok || v != (ok ? rows[i].value : 0xdead))
			fail_msg("\"%s\" gives %d, 0x%llx", rows[i].text, ok,
			         (unsigned long long)v);
	}
}

static void u64(void **state)
{
	static const struct row rows[] = {
		{ "0", true, 0 },
		{ "42", true, 42 },
		{ "1_000", true, 1000 },
		{ "0x8a00_0000", true, 0x8a000000 },
		{ "0xAbC", true, 0xabc },
		{ "0o755", true, 0755 },
		{ "0b1010", true, 10 },
		{ "18446744073709551615", true, UINT64_MAX },
		{ "0xffffffffffffffff", true, UINT64_MAX },
		{ "18446744073709551616", false, 0 },
		{ "0x10000000000000000", false, 0 },
		{ "", false, 0 },
		{ "0x", false, 0 },
		{ "0b2", false, 0 },
		{ "_1", false, 0 },
		{ "1_", false, 0 },
		{ "1__0", false, 0 },
		{ "0x_1", false, 0 },
		{ " 1", false, 0 },
		{ "1 ", false, 0 },
		{ "-1", false, 0 },
		{ "+1", false, 0 },
		{ "1a", false, 0 },
	};

	check_rows(rows, ARRAY_LEN(rows), hull_parse_u64);
}

static void sizes(void **state)
{
	static const struct row rows[] = {
		{ "0", true, 0 },
		{ "512", true, 512 },
		{ "512M", true, UINT64_C(512) << 20 },
		{ "4G", true, UINT64_C(4) << 30 },
		{ "1.5G", true, UINT64_C(3) << 29 },
		{ "1.50000000000000000000000G", true, UINT64_C(3) << 29 },
		{ "2GiB", true, UINT64_C(2) << 30 },
		{ "64KiB", true, 65536 },
		{ "1kB", true, 1000 },
		{ "1.25MB", true, 1250000 },
		{ "0x1000", true, 4096 },
		{ "0x10K", true, 16384 },
		{ "0.5K", true, 512 },
		{ "1T", true, UINT64_C(1) << 40 },
		{ "1TB", true, UINT64_C(1000000000000) },
		{ "16777215T", true, UINT64_C(16777215) << 40 },
		{ "16777216T", false, 0 },
		{ "1.1K", false, 0 },
		{ "0.0000000000000000001T", false, 0 },
		{ "1.5", false, 0 },
		{ "1.0", true, 1 },
		{ "0x1.8K", false, 0 },
		{ "12Q", false, 0 },
		{ "1k", false, 0 },
		{ "1KB", false, 0 },
		{ "1mb", false, 0 },
		{ ".5G", false, 0 },
		{ "1.G", false, 0 },
		{ "G", false, 0 },
		{ "", false, 0 },
		{ "1 G", false, 0 },
		{ "-1G", false, 0 },
	};

	check_rows(rows, ARRAY_LEN(rows), hull_parse_size);
}

static void durations(void **state)
{
	static const struct row rows[] = {
		{ "10ns", true, 10 },
		{ "5us", true, 5000 },
		{ "500ms", true, 500000000 },
		{ "5s", true, UINT64_C(5000000000) },
		{ "1.5s", true, UINT64_C(1500000000) },
		{ "0.1m", true, UINT64_C(6000000000) },
		{ "2m", true, UINT64_C(120000000000) },
		{ "1h", true, UINT64_C(3600000000000) },
		{ "5", false, 0 },
		{ "0.1ns", false, 0 },
		{ "5 s", false, 0 },
		{ "9999999999h", false, 0 },
		{ "", false, 0 },
	};

	check_rows(rows, ARRAY_LEN(rows), hull_parse_duration);
}

static void nearest(void **state)
{
	static const char *const words[] = { "size", "region", "name", "deterministic", "cmdline" };
	char word[80];

	assert_string_equal(hull_nearest("siez", words, ARRAY_LEN(words)), "size");
	assert_string_equal(hull_nearest("size", words, ARRAY_LEN(words)), "size");
	assert_string_equal(hull_nearest("nam", words, ARRAY_LEN(words)), "name");
	assert_string_equal(hull_nearest("determinstc", words, ARRAY_LEN(words)), "deterministic");
	assert_string_equal(hull_nearest("comandline", words, ARRAY_LEN(words)), "cmdline");
	assert_null(hull_nearest("banana", words, ARRAY_LEN(words)));
	assert_null(hull_nearest("", words, ARRAY_LEN(words)));
	assert_null(hull_nearest("x", words, ARRAY_LEN(words)));
	assert_null(hull_nearest("size", words, 0));
	memset(word, 'a', sizeof(word));
	word[65] = 0;
	assert_null(hull_nearest(word, words, ARRAY_LEN(words)));
	word[64] = 0;
	assert_null(hull_nearest(word, words, ARRAY_LEN(words)));
}

static void errors_are_filled(void **state)
{
	struct hull_err err;

	assert_int_equal(hull_fail(NULL, HULL_EINVAL, 3, "x"), HULL_EINVAL);
	assert_int_equal(hull_fail(&err, HULL_EFORMAT, 101, "bad \"%s\"", "a\n\xc2\x9b\xc3\xa9: b"),
	                 HULL_EFORMAT);
	hull_err_where(&err, "vm.toml line %u", 8u);
	hull_err_fix(&err, "write %s", "512M");
	assert_string_equal(err.text, "bad \"a???\xc3\xa9: b\"");
	assert_string_equal(err.where, "vm.toml line 8");
	assert_string_equal(err.fix, "write 512M");
	assert_int_equal(err.id, 101);
	assert_string_equal(hull_error_text(HULL_ENOMEM), "out of memory");
	assert_string_equal(hull_error_name(HULL_EBUSY), "EBUSY");
	assert_string_equal(hull_error_text(-999), "unknown error code");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(format_matches_libc),
		cmocka_unit_test(format_cuts),
		cmocka_unit_test(precision_bounds_the_read),
		cmocka_unit_test(u64),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(nearest),
		cmocka_unit_test(errors_are_filled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
