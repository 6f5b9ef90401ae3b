/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ACPI Machine Language of fw/aml.h. */
#include "fw/aml.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"

enum { /* 20.3 */
       OP_ZERO = 0x00,
       OP_ONE = 0x01,
       OP_NAME = 0x08,
       OP_BYTE = 0x0a,
       OP_WORD = 0x0b,
       OP_DWORD = 0x0c,
       OP_STRING = 0x0d,
       OP_QWORD = 0x0e,
       OP_SCOPE = 0x10,
       OP_BUFFER = 0x11,
       OP_PACKAGE = 0x12,
       OP_METHOD = 0x14,
       OP_DUAL_NAME = 0x2e,
       OP_MULTI_NAME = 0x2f,
       OP_EXT = 0x5b,
       OP_DEVICE = 0x82,
       OP_ROOT = 0x5c,
       OP_ARG0 = 0x68,
       OP_RETURN = 0xa4
};
enum { MAX_SEGMENTS = 8, SEGMENT = 4 };

static void put(struct hull_aml *a, const void *bytes, size_t n)
{
	if (a->broken || n > a->size - a->len) {
		a->broken = true;
		return;
	}
	memcpy(a->buf + a->len, bytes, n);
	a->len += n;
}

static void byte(struct hull_aml *a, unsigned v)
{
	const uint8_t b = (uint8_t)v;

	put(a, &b, 1);
}

/* The low `n` bytes of v. */
static void number(struct hull_aml *a, uint64_t v, unsigned n)
{
	uint8_t b[8];

	store_le64(b, v);
	put(a, b, n);
}

void hull_aml_begin(struct hull_aml *a, void *buf, size_t size)
{
	*a = (struct hull_aml){ .buf = buf, .size = size };
}

int hull_aml_finish(const struct hull_aml *a, size_t *ret_len)
{
	if (a->broken || a->depth)
		return HULL_EOVERFLOW;
	*ret_len = a->len;
	return 0;
}

static bool is_name_char(char c, bool first)
{
	return c == '_' || (c >= 'A' && c <= 'Z') || (!first && c >= '0' && c <= '9');
}

/* One segment of a path, filled up with underscores; where it ends, or NULL. */
static const char *segment(const char *p, char out[SEGMENT])
{
	unsigned n = 0;

	memset(out, '_', SEGMENT);
	for (; *p && *p != '.'; p++) {
		if (n == SEGMENT || !is_name_char(*p, !n))
			return NULL;
		out[n++] = *p;
	}
	return n ? p : NULL;
}

static void path(struct hull_aml *a, const char *p)
{
	char segments[MAX_SEGMENTS][SEGMENT];
	unsigned n = 0;

	if (*p == '\\') {
		byte(a, OP_ROOT);
		p++;
	}
	for (; *p && n < MAX_SEGMENTS; n++) {
		p = segment(p, segments[n]);
		if (!p) {
			a->broken = true;
			return;
		}
		if (*p)
			p++;
	}
	a->broken |= *p != 0;
	if (!n)
		byte(a, 0);
	else if (n == 2)
		byte(a, OP_DUAL_NAME);
	else if (n > 2)
		byte(a, OP_MULTI_NAME);
	if (n > 2)
		byte(a, n);
	put(a, segments, (size_t)n * SEGMENT);
}

static void open(struct hull_aml *a, bool resources)
{
	if (a->depth == HULL_AML_DEPTH) {
		a->broken = true;
		return;
	}
	a->open[a->depth].at = a->len;
	a->open[a->depth++].resources = resources;
	byte(a, 0); /* at least that much is the package length */
}

/* Package lengths (20.2.4) count themselves, so their size depends on what they say. */
static void close(struct hull_aml *a, size_t at)
{
	size_t content = a->len - at - 1;
	unsigned n = content + 1 < 0x40       ? 1
	             : content + 2 < 0x1000   ? 2
	             : content + 3 < 0x100000 ? 3
	                                      : 4;
	size_t total = content + n;
	uint8_t head[4] = { (uint8_t)total };

	if (total > 0xfffffff || n - 1 > a->size - a->len) {
		a->broken = true;
		return;
	}
	if (n > 1) {
		head[0] = (uint8_t)((n - 1) << 6 | (total & 15));
		for (unsigned i = 1; i < n; i++)
			head[i] = (uint8_t)(total >> (8 * i - 4));
	}
	memmove(a->buf + at + n, a->buf + at + 1, content);
	memcpy(a->buf + at, head, n);
	a->len += n - 1;
}

void hull_aml_end(struct hull_aml *a)
{
	enum { SIZE = 3 }; /* of the number that says how long the buffer is */
	size_t at;

	if (a->broken || !a->depth) {
		a->broken = true;
		return;
	}
	at = a->open[--a->depth].at;
	if (a->open[a->depth].resources) {
		number(a, 0x79, 2); /* end tag, no checksum */
		if (a->broken)
			return;
		store_le16(a->buf + at + 2, (uint16_t)(a->len - at - 1 - SIZE));
	}
	close(a, at);
}

void hull_aml_scope(struct hull_aml *a, const char *p)
{
	byte(a, OP_SCOPE);
	open(a, false);
	path(a, p);
}

void hull_aml_device(struct hull_aml *a, const char *name)
{
	byte(a, OP_EXT);
	byte(a, OP_DEVICE);
	open(a, false);
	path(a, name);
}

void hull_aml_method(struct hull_aml *a, const char *name, unsigned nargs)
{
	byte(a, OP_METHOD);
	open(a, false);
	path(a, name);
	byte(a, nargs & 7);
}

void hull_aml_package(struct hull_aml *a, uint8_t elements)
{
	byte(a, OP_PACKAGE);
	open(a, false);
	byte(a, elements);
}

void hull_aml_resources(struct hull_aml *a)
{
	byte(a, OP_BUFFER);
	open(a, true);
	byte(a, OP_WORD);
	number(a, 0, 2);
}

void hull_aml_name(struct hull_aml *a, const char *name)
{
	byte(a, OP_NAME);
	path(a, name);
}

void hull_aml_return(struct hull_aml *a)
{
	byte(a, OP_RETURN);
}

void hull_aml_int(struct hull_aml *a, uint64_t v)
{
	static const struct {
		uint8_t op, bytes;
	} forms[] = { { OP_BYTE, 1 }, { OP_WORD, 2 }, { OP_DWORD, 4 }, { OP_QWORD, 8 } };
	unsigned i = 0;

	if (v < 2) {
		byte(a, v ? OP_ONE : OP_ZERO);
		return;
	}
	while (v & ~low_mask(8u * forms[i].bytes))
		i++;
	byte(a, forms[i].op);
	number(a, v, forms[i].bytes);
}

void hull_aml_string(struct hull_aml *a, const char *text)
{
	byte(a, OP_STRING);
	put(a, text, hull_text_len(text) + 1);
}

void hull_aml_ref(struct hull_aml *a, const char *p)
{
	path(a, p);
}

void hull_aml_arg(struct hull_aml *a, unsigned n)
{
	byte(a, OP_ARG0 + n % 7);
}

/* 6.4.3.4 */
void hull_aml_memory32(struct hull_aml *a, uint32_t base, uint32_t length)
{
	byte(a, 0x86);
	number(a, 9, 2);
	byte(a, 1); /* may be written */
	number(a, base, 4);
	number(a, length, 4);
}

/* 6.4.2.5 */
void hull_aml_io(struct hull_aml *a, uint16_t base, uint8_t length)
{
	byte(a, 0x47);
	byte(a, 1); /* decodes 16 bits */
	number(a, base, 2);
	number(a, base, 2);
	byte(a, 1);
	byte(a, length);
}

/* 6.4.2.1 */
void hull_aml_isa_irq(struct hull_aml *a, unsigned irq)
{
	byte(a, 0x22);
	number(a, BIT(irq & 15), 2);
}

/* 6.4.3.6 */
void hull_aml_interrupt(struct hull_aml *a, uint32_t gsi, bool level, bool shared)
{
	byte(a, 0x89);
	number(a, 6, 2);
	byte(a, 1u | (level ? 0 : 2u) | (shared ? 8u : 0)); /* a consumer, active high */
	byte(a, 1);
	number(a, gsi, 4);
}

/* 6.4.3.5: the smallest form that holds the addresses of both sides. */
void hull_aml_window(struct hull_aml *a, enum hull_aml_window kind, uint64_t base, uint64_t length,
                     uint64_t shift)
{
	static const struct {
		uint8_t tag, bytes;
	} forms[] = { { 0x88, 2 }, { 0x87, 4 }, { 0x8a, 8 } };
	static const uint8_t flags[] = { 0x01, 0x03, 0x00 }; /* memory: writable; ports: all */
	uint64_t last = base + (length - 1);
	unsigned i = kind == HULL_AML_MEMORY ? 1 : 0;

	if (!length || last < base) {
		a->broken = true;
		return;
	}
	while ((last | length | shift) & ~low_mask(8u * forms[i].bytes))
		i++;
	byte(a, forms[i].tag);
	number(a, 3u + 5u * forms[i].bytes, 2);
	byte(a, (unsigned)kind);
	byte(a, 0x0c); /* both ends fixed, a producer */
	byte(a, flags[kind]);
	number(a, 0, forms[i].bytes);
	number(a, base, forms[i].bytes);
	number(a, last, forms[i].bytes);
	number(a, shift, forms[i].bytes);
	number(a, length, forms[i].bytes);
}
