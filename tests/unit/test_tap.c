/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Finding texts in what a guest prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "host/char/tap.h"

static unsigned seen[HULL_TAP_PATTERNS];

static void on_seen(void *arg, unsigned pattern)
{
	(void)arg;
	seen[pattern]++;
}

static void say(struct hull_tap *t, const char *text)
{
	assert_int_equal(t->chr.write(&t->chr, text, strlen(text)), strlen(text));
}

static void texts_are_found_across_writes(void **state)
{
	struct hull_tap t;

	(void)state;
	memset(seen, 0, sizeof(seen));
	hull_tap_init(&t, NULL);
	assert_int_equal(hull_tap_watch(&t, "aab"), 0);
	assert_int_equal(hull_tap_watch(&t, "login:"), 1);
	assert_int_equal(hull_tap_watch(&t, "abab"), 2);
	assert_int_equal(hull_tap_watch(&t, ""), HULL_EINVAL);
	t.seen = on_seen;
	say(&t, "aa");
	assert_int_equal(hull_tap_seen(&t, 0), 0);
	say(&t, "ab"); /* aaab holds aab: the automaton must fall back by one */
	assert_true(hull_tap_seen(&t, 0) > 0);
	say(&t, "log");
	say(&t, "in");
	assert_int_equal(hull_tap_seen(&t, 1), 0);
	say(&t, ": ababab");
	assert_true(hull_tap_seen(&t, 1) > 0);
	assert_int_equal(t.patterns[2].count, 2);
	assert_int_equal(seen[0], 1);
	assert_int_equal(seen[1], 1);
	assert_int_equal(seen[2], 1);
	assert_int_equal(hull_tap_seen(&t, 7), 0);
	assert_int_equal(t.bytes, 17);
}

static void tail_is_the_last_text(void **state)
{
	struct hull_tap t;
	char buf[16];

	(void)state;
	hull_tap_init(&t, NULL);
	assert_int_equal(hull_tap_tail(&t, buf, sizeof(buf)), 0);
	say(&t, "a\033b\n");
	assert_int_equal(hull_tap_tail(&t, buf, sizeof(buf)), 4);
	assert_string_equal(buf, "a b\n");
	for (int i = 0; i < 3000; i++)
		say(&t, "0123456789");
	assert_int_equal(hull_tap_tail(&t, buf, sizeof(buf)), 15);
	assert_string_equal(buf, "567890123456789");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts_are_found_across_writes),
		cmocka_unit_test(tail_is_the_last_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
