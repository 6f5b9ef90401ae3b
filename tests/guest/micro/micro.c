/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* See micro.h. */
#include "micro.h"

static unsigned count;

void (*volatile handlers[SOURCES])(void);

void *memcpy(void *dst, const void *src, size_t n)
{
	char *d = dst;
	const char *s = src;

	while (n--)
		*d++ = *s++;
	return dst;
}

void *memset(void *dst, int c, size_t n)
{
	volatile char *d = dst;

	while (n--)
		*d++ = (char)c;
	return dst;
}

void print(const char *text)
{
	for (; *text; text++)
		arch_put(*text);
}

static void print_decimal(unsigned v)
{
	if (v > 9)
		print_decimal(v / 10);
	arch_put((char)('0' + v % 10));
}

void print_hex(uint64_t v)
{
	for (int shift = 60; shift >= 0; shift -= 4)
		arch_put("0123456789abcdef"[v >> shift & 15]);
}

void plan(unsigned n)
{
	print("1..");
	print_decimal(n);
	print("\n");
}

static void result(bool passed, const char *name)
{
	print(passed ? "ok " : "not ok ");
	print_decimal(++count);
	print(" - ");
	print(name);
}

void ok(bool passed, const char *name)
{
	result(passed, name);
	print("\n");
}

void skip(const char *name, const char *why)
{
	result(true, name);
	print(" # SKIP ");
	print(why);
	print("\n");
}

void micro_handle(enum source s)
{
	if (handlers[s])
		handlers[s]();
}

void micro_main(void)
{
	arch_init();
	test();
	print("# end\n");
	arch_off();
}
