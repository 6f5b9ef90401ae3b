/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/tar.h"

#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

#define BLOCK    512
#define PAX_MAX  ((size_t)64 << 10)
#define SIZE_TOP (UINT64_C(1) << 40)

static int bad(struct hull_err *err, const char *what)
{
	return hull_fail(err, HULL_EFORMAT, 608, "a package is damaged: %s", what);
}

/* Octal digits, or GNU's base 256 with the top bit set. */
static bool number(const uint8_t *field, size_t len, uint64_t *ret)
{
	uint64_t v = 0;
	size_t i = 0;

	if (field[0] & 0x80) {
		v = field[0] & 0x7f;
		for (i = 1; i < len; i++) {
			if (v >> 55)
				return false;
			v = v << 8 | field[i];
		}
		*ret = v;
		return true;
	}
	while (i < len && field[i] == ' ')
		i++;
	for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
		if (v >> 60)
			return false;
		v = v << 3 | (uint64_t)(field[i] - '0');
	}
	*ret = v;
	return i == len || !field[i] || field[i] == ' ';
}

static bool sum_is_right(const uint8_t *h)
{
	uint64_t want, sum = 0;

	for (unsigned i = 0; i < BLOCK; i++)
		sum += i >= 148 && i < 156 ? ' ' : h[i];
	return number(h + 148, 8, &want) && want == sum;
}

static int skip(struct hull_tar *t, uint64_t n, struct hull_err *err)
{
	uint8_t buf[4096];
	int r = 0;

	while (n && !r) {
		size_t part = (size_t)MIN(n, (uint64_t)sizeof(buf));

		r = t->read(t->arg, buf, part, err);
		n -= part;
	}
	return r == HULL_EAGAIN ? bad(err, "it ends too early") : r;
}

/* A name that stands in a member of its own (types L and K). */
static int long_name(struct hull_tar *t, uint64_t size, char *dst, struct hull_err *err)
{
	int r;

	if (!size || size > HULL_TAR_NAME_MAX)
		return bad(err, "a name is too long");
	r = t->read(t->arg, dst, (size_t)size, err);
	if (r)
		return r == HULL_EAGAIN ? bad(err, "it ends too early") : r;
	dst[MIN((size_t)size, (size_t)HULL_TAR_NAME_MAX - 1)] = '\0';
	return skip(t, align_up(size, BLOCK) - size, err);
}

struct overrides {
	char name[HULL_TAR_NAME_MAX], target[HULL_TAR_NAME_MAX];
	uint64_t size;
	bool has_size;
};

static int pax_value(const char *key, const char *value, size_t len, struct overrides *o,
                     struct hull_err *err)
{
	char *dst = NULL;

	if (!strncmp(key, "path=", 5))
		dst = o->name;
	else if (!strncmp(key, "linkpath=", 9))
		dst = o->target;
	if (dst) {
		if (len >= HULL_TAR_NAME_MAX)
			return bad(err, "a name is too long");
		memcpy(dst, value, len);
		dst[len] = '\0';
	} else if (!strncmp(key, "size=", 5)) {
		o->size = strtoull(value, NULL, 10);
		o->has_size = true;
	}
	return 0;
}

/* Records "LENGTH KEY=VALUE\n" (POSIX.1-2008, pax). */
static int pax(struct hull_tar *t, uint64_t size, struct overrides *o, bool use,
               struct hull_err *err)
{
	char *text, *at;
	int r;

	if (size > PAX_MAX)
		return bad(err, "an extended header is too long");
	text = calloc(1, (size_t)size + 1);
	if (!text)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
	r = t->read(t->arg, text, (size_t)size, err);
	if (!r)
		r = skip(t, align_up(size, BLOCK) - size, err);
	for (at = text; !r && use && at < text + size;) {
		char *key, *value;
		unsigned long len = strtoul(at, &key, 10);

		if (len < 5 || len > (size_t)(text + size - at) || *key != ' ') {
			r = bad(err, "an extended header is malformed");
			break;
		}
		at[len - 1] = '\0';
		value = strchr(++key, '=');
		if (value)
			r = pax_value(key, value + 1, strlen(value + 1), o, err);
		at += len;
	}
	free(text);
	return r == HULL_EAGAIN ? bad(err, "it ends too early") : r;
}

static void copy_field(char *dst, const uint8_t *field, size_t len)
{
	size_t n = strnlen((const char *)field, len);

	memcpy(dst, field, n);
	dst[n] = '\0';
}

static void name_of(const uint8_t *h, char *dst)
{
	dst[0] = '\0';
	if (!memcmp(h + 257, "ustar\0", 6) && h[345]) {
		copy_field(dst, h + 345, 155);
		dst += strlen(dst);
		*dst++ = '/';
	}
	copy_field(dst, h, 100);
}

static int fields(const uint8_t *h, const struct overrides *o, struct hull_tar_member *m,
                  struct hull_err *err)
{
	uint64_t v[7] = { 0 };
	static const struct {
		unsigned at, len;
	} place[7] = { { 100, 8 },  { 108, 8 }, { 116, 8 }, { 124, 12 },
		       { 136, 12 }, { 329, 8 }, { 337, 8 } };

	m->type = h[156] ? (char)h[156] : '0';
	for (unsigned i = 0; i < 7; i++)
		if ((i < 5 || m->type == '3' || m->type == '4') &&
		    !number(h + place[i].at, place[i].len, &v[i]))
			return bad(err, "a number is malformed");
	m->mode = (uint32_t)v[0] & 07777;
	m->uid = (uint32_t)v[1];
	m->gid = (uint32_t)v[2];
	m->size = o->has_size ? o->size : v[3];
	m->mtime = (uint32_t)MIN(v[4], (uint64_t)INT32_MAX);
	m->major = (uint32_t)v[5];
	m->minor = (uint32_t)v[6];
	if (m->size > SIZE_TOP)
		return bad(err, "a file is too large");
	if (o->name[0])
		memcpy(m->name, o->name, sizeof(m->name));
	else
		name_of(h, m->name);
	if (o->target[0])
		memcpy(m->target, o->target, sizeof(m->target));
	else
		copy_field(m->target, h + 157, 100);
	return 0;
}

/* A member that says something about the next one: 1 if it was that. */
static int special(struct hull_tar *t, const uint8_t *h, struct overrides *o, struct hull_err *err)
{
	uint64_t size;
	int r;

	if (!strchr("LKxg", h[156]) || !h[156])
		return 0;
	if (!number(h + 124, 12, &size))
		return bad(err, "a number is malformed");
	if (h[156] == 'L')
		r = long_name(t, size, o->name, err);
	else if (h[156] == 'K')
		r = long_name(t, size, o->target, err);
	else
		r = pax(t, size, o, h[156] == 'x', err);
	return r ? r : 1;
}

int hull_tar_next(struct hull_tar *t, struct hull_tar_member *m, struct hull_err *err)
{
	static const uint8_t zeroes[BLOCK];
	struct overrides *o = calloc(1, sizeof(*o));
	uint8_t h[BLOCK];
	int r = o ? skip(t, t->left + t->padding, err)
	          : hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");

	t->left = t->padding = 0;
	while (!r) {
		r = t->read(t->arg, h, BLOCK, err);
		if (r || !memcmp(h, zeroes, BLOCK))
			break;
		if (!sum_is_right(h)) {
			r = bad(err, "a checksum in it is wrong");
			break;
		}
		r = special(t, h, o, err);
		if (r < 0)
			break;
		if (r) {
			r = 0;
			continue;
		}
		r = fields(h, o, m, err);
		if (r)
			break;
		if (m->type == '7')
			m->type = '0';
		t->left = strchr("123456", m->type) ? 0 : m->size;
		t->padding = align_up(t->left, BLOCK) - t->left;
		m->size = t->left;
		r = 1;
	}
	free(o);
	return r == HULL_EAGAIN ? 0 : r;
}

int hull_tar_data(struct hull_tar *t, void *buf, size_t len, size_t *ret, struct hull_err *err)
{
	size_t part = (size_t)MIN(t->left, (uint64_t)len);
	int r = part ? t->read(t->arg, buf, part, err) : 0;

	if (r)
		return r == HULL_EAGAIN ? bad(err, "it ends too early") : r;
	t->left -= part;
	*ret = part;
	return 0;
}
