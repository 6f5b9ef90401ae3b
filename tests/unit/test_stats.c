/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Counters of the engine: how those of several vCPUs become one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "engine/stats.h"

static void sums_and_maxima(void **state)
{
	struct hull_engine_stats sum = { .traps = 1, .pause_max_ns = 7 };
	struct hull_engine_stats a = { .traps = 10, .pause_max_ns = 5 };
	struct hull_engine_stats b = { .traps = UINT64_C(1) << 40, .pause_max_ns = 9 };

	hull_engine_stats_add(&sum, &a);
	assert_int_equal(sum.pause_max_ns, 7);
	hull_engine_stats_add(&sum, &b);
	assert_int_equal(sum.traps, 11 + (UINT64_C(1) << 40));
	assert_int_equal(sum.pause_max_ns, 9);
}

static void each_has_a_row(void **state)
{
	struct hull_engine_stats s;
	const char *name, *other, *text;
	uint64_t value;
	unsigned n;

	for (size_t i = 0; i < sizeof(s) / sizeof(uint64_t); i++)
		((uint64_t *)&s)[i] = i + 1;
	for (n = 0; (name = hull_engine_stats_get(&s, n, &text, &value)); n++) {
		assert_int_equal(value, n + 1);
		assert_true(strlen(text) > 5);
		for (unsigned k = 0; k < n; k++) {
			other = hull_engine_stats_get(&s, k, &text, &value);
			assert_string_not_equal(name, other);
		}
	}
	assert_int_equal(n, sizeof(s) / sizeof(uint64_t));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(sums_and_maxima),
		cmocka_unit_test(each_has_a_row),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
