/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The field codec: round trips, old and new tables, every cut and every flipped bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "base/bits.h"
#include "core/field.h"

struct thing {
	uint8_t a;
	uint16_t b;
	uint32_t c;
	uint64_t d;
	int32_t minus;
	bool flag;
	uint16_t list[5];
};

static const struct hull_field fields[] = {
	HULL_FIELD(struct thing, a),          HULL_FIELD(struct thing, b),
	HULL_FIELD(struct thing, c),          HULL_FIELD(struct thing, d),
	HULL_FIELD(struct thing, minus),      HULL_FIELD(struct thing, flag),
	HULL_FIELD_ARRAY(struct thing, list),
};

static struct thing example(void)
{
	struct thing t;

	memset(&t, 0, sizeof(t));
	t.a = 0x12;
	t.b = 0x3456;
	t.c = 0x789abcde;
	t.d = 0x123456789abcdef0;
	t.minus = -7;
	t.flag = true;
	for (int i = 0; i < 5; i++)
		t.list[i] = (uint16_t)(1000 + i);
	return t;
}

static void test_round_trip(void **state)
{
	struct thing in = example(), out;
	uint8_t buf[512];
	size_t pos = 3, at = 3;

	(void)state;
	memset(&out, 0, sizeof(out));
	assert_int_equal(hull_fields_save("thing", fields, 7, &in, buf, sizeof(buf), &pos), 0);
	assert_int_equal(hull_fields_save("none", fields, 0, &in, buf, sizeof(buf), &pos), 0);
	assert_int_equal(hull_fields_load("thing", fields, 7, &out, buf, pos, &at, NULL), 0);
	assert_int_equal(hull_fields_load("none", fields, 0, &out, buf, pos, &at, NULL), 0);
	assert_int_equal(at, pos);
	assert_memory_equal(&in, &out, sizeof(in));
	/* Little-endian, whatever the host: magic "HFS1". */
	assert_memory_equal(buf + 3, "HFS1", 4);
}

static void test_no_room(void **state)
{
	struct thing in = example();
	uint8_t buf[512];
	size_t pos = 0, full;

	(void)state;
	assert_int_equal(hull_fields_save("thing", fields, 7, &in, buf, sizeof(buf), &pos), 0);
	full = pos;
	for (size_t size = 0; size < full; size++) {
		pos = 0;
		assert_int_equal(hull_fields_save("thing", fields, 7, &in, buf, size, &pos),
		                 HULL_EOVERFLOW);
		assert_int_equal(pos, 0);
	}
	pos = SIZE_MAX;
	assert_int_equal(hull_fields_save("thing", fields, 7, &in, buf, sizeof(buf), &pos),
	                 HULL_EOVERFLOW);
}

/* Fields come, go and change their order: names decide. */
static void test_old_and_new(void **state)
{
	static const struct hull_field newer[] = {
		HULL_FIELD_ARRAY(struct thing, list),
		HULL_FIELD(struct thing, d),
		{ "added", offsetof(struct thing, c), 4, 1 },
	};
	static const struct hull_field shorter[] = { { "list", offsetof(struct thing, list), 2,
		                                       3 } };
	static const struct hull_field wider[] = { { "a", offsetof(struct thing, d), 8, 1 } };
	struct thing in = example(), out;
	uint8_t buf[512];
	size_t pos = 0, at = 0, keep;
	struct hull_err err;

	(void)state;
	assert_int_equal(hull_fields_save("t", fields, 7, &in, buf, sizeof(buf), &pos), 0);
	memset(&out, 0xee, sizeof(out));
	assert_int_equal(hull_fields_load("t", newer, 3, &out, buf, pos, &at, NULL), 0);
	assert_int_equal(out.d, in.d);
	assert_int_equal(out.list[4], 1004);
	assert_int_equal(out.c, 0xeeeeeeee); /* missing: keeps its value */
	assert_int_equal(out.a, 0xee);       /* unknown: skipped */
	/* A list that was shorter then fills its beginning; one that was longer does not fit. */
	keep = pos;
	assert_int_equal(hull_fields_save("t", shorter, 1, &in, buf, sizeof(buf), &pos), 0);
	memset(&out, 0, sizeof(out));
	assert_int_equal(hull_fields_load("t", fields, 7, &out, buf, pos, &at, NULL), 0);
	assert_int_equal(out.list[2], 1002);
	assert_int_equal(out.list[3], 0);
	at = 0;
	assert_int_equal(hull_fields_load("t", shorter, 1, &out, buf, keep, &at, &err),
	                 HULL_EFORMAT);
	assert_non_null(strstr(err.text, "'list'"));
	assert_int_equal(hull_fields_load("t", wider, 1, &out, buf, keep, &at, &err), HULL_EFORMAT);
	assert_int_equal(at, 0);
	assert_int_equal(hull_fields_load("u", fields, 7, &out, buf, keep, &at, &err),
	                 HULL_EFORMAT);
}

static void test_damage(void **state)
{
	struct thing in = example(), out, before;
	uint8_t buf[512];
	size_t size = 0, at;

	(void)state;
	assert_int_equal(hull_fields_save("thing", fields, 7, &in, buf, sizeof(buf), &size), 0);
	memset(&before, 0x77, sizeof(before));
	out = before;
	for (size_t cut = 0; cut < size; cut++) {
		at = 0;
		assert_int_equal(hull_fields_load("thing", fields, 7, &out, buf, cut, &at, NULL),
		                 HULL_EFORMAT);
		assert_int_equal(at, 0);
	}
	for (size_t bit = 0; bit < size * 8; bit++) {
		buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
		at = 0;
		assert_int_equal(hull_fields_load("thing", fields, 7, &out, buf, size, &at, NULL),
		                 HULL_EFORMAT);
		buf[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
	assert_memory_equal(&out, &before, sizeof(out));
	at = size + 1;
	assert_int_equal(hull_fields_load("thing", fields, 7, &out, buf, size, &at, NULL),
	                 HULL_EFORMAT);
}

/* One row for a member of every struct in an array. */
static void test_each(void **state)
{
	struct group {
		uint8_t before;
		struct thing each[3];
	};
	static const struct hull_field rows[] = {
		HULL_FIELD_EACH(struct group, each, c),
		HULL_FIELD_EACH(struct group, each, a),
	};
	struct group in, out;
	uint8_t buf[512];
	size_t pos = 0, at = 0;

	(void)state;
	memset(&out, 0xee, sizeof(out));
	for (int i = 0; i < 3; i++) {
		in.each[i] = example();
		in.each[i].c = 0x1000u + (unsigned)i;
		in.each[i].a = (uint8_t)i;
	}
	assert_int_equal(hull_fields_save("g", rows, 2, &in, buf, sizeof(buf), &pos), 0);
	assert_int_equal(hull_fields_load("g", rows, 2, &out, buf, pos, &at, NULL), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(out.each[i].c, 0x1000 + i);
		assert_int_equal(out.each[i].a, i);
		assert_int_equal(out.each[i].b, 0xeeee);
	}
	assert_int_equal(out.before, 0xee);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_old_and_new), cmocka_unit_test(test_damage),
		cmocka_unit_test(test_each),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
