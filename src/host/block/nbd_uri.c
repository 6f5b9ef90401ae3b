/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where an NBD server is; see nbd.h. */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "host/block/nbd.h"

static int refuse(const char *path, const char *why, struct hull_err *err)
{
	hull_fail(err, HULL_EINVAL, 340, "\"%.120s\" is no NBD address: %s", path, why);
	hull_err_fix(err, "write nbd://HOST:PORT/EXPORT or nbd+unix:///EXPORT?socket=PATH");
	return HULL_EINVAL;
}

static int hex(char c)
{
	return c >= '0' && c <= '9'                 ? c - '0'
	       : (c | 32) >= 'a' && (c | 32) <= 'f' ? (c | 32) - 'a' + 10
	                                            : -1;
}

/* Copy `len` characters with %XX decoded; false: malformed, a NUL, or too long. */
static bool unescape(char *dst, size_t size, const char *src, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = src[i];

		if (c == '%') {
			if (len - i < 3 || hex(src[i + 1]) < 0 || hex(src[i + 2]) < 0)
				return false;
			c = (char)(hex(src[i + 1]) << 4 | hex(src[i + 2]));
			i += 2;
		}
		if (!c || n + 1 >= size)
			return false;
		dst[n++] = c;
	}
	dst[n] = 0;
	return true;
}

/* nbd+unix:///EXPORT?socket=PATH */
static int parse_unix_uri(const char *path, const char *rest, struct hull_nbd_address *a,
                          struct hull_err *err)
{
	const char *query = strstr(rest, "?socket=");

	if (*rest != '/' || !query)
		return refuse(path, "?socket=PATH is missing", err);
	memcpy(a->socket, "unix:", 5);
	if (!unescape(a->name, sizeof(a->name), rest + 1, (size_t)(query - rest - 1)) ||
	    !unescape(a->socket + 5, sizeof(a->socket) - 5, query + 8, strlen(query + 8)))
		return refuse(path, "a name is too long, or has a wrong %", err);
	return 0;
}

/* nbd://HOST[:PORT]/EXPORT */
static int parse_tcp_uri(const char *path, const char *rest, struct hull_nbd_address *a,
                         struct hull_err *err)
{
	size_t len = strcspn(rest, "/");
	const char *name = rest[len] ? rest + len + 1 : "";
	const char *bracket = rest[0] == '[' ? memchr(rest, ']', len) : NULL;
	const char *from = bracket ? bracket : rest;
	bool has_port = memchr(from, ':', len - (size_t)(from - rest));
	int host = (int)len;

	if (!len || len > 260)
		return refuse(path, "it has no host, or too long a name", err);
	if (has_port)
		hull_format(a->socket, sizeof(a->socket), "tcp:%.*s", host, rest);
	else
		hull_format(a->socket, sizeof(a->socket), "tcp:%.*s:%d", host, rest, HULL_NBD_PORT);
	if (strchr(name, '?') || !unescape(a->name, sizeof(a->name), name, strlen(name)))
		return refuse(path, "the name of the export is too long or malformed", err);
	return 0;
}

/* nbd:HOST:PORT[:exportname=NAME], nbd:unix:PATH[:exportname=NAME] */
static int parse_plain(const char *path, const char *rest, struct hull_nbd_address *a,
                       struct hull_err *err)
{
	const char *name = strstr(rest, ":exportname=");
	size_t len = name ? (size_t)(name - rest) : strlen(rest);
	bool is_unix = !strncmp(rest, "unix:", 5);

	if (len + 5 > sizeof(a->socket))
		return refuse(path, "the address is too long", err);
	hull_format(a->socket, sizeof(a->socket), "%s%.*s", is_unix ? "" : "tcp:", (int)len, rest);
	if (name && !hull_text_copy(a->name, sizeof(a->name), name + 12))
		return refuse(path, "the name of the export is too long", err);
	return 0;
}

int hull_nbd_parse(const char *path, struct hull_nbd_address *ret, struct hull_err *err)
{
	struct hull_nbd_address a = { 0 };
	int r;

	if (!strncmp(path, "nbd+unix://", 11))
		r = parse_unix_uri(path, path + 11, &a, err);
	else if (!strncmp(path, "nbd://", 6))
		r = parse_tcp_uri(path, path + 6, &a, err);
	else if (!strncmp(path, "nbd:", 4))
		r = parse_plain(path, path + 4, &a, err);
	else
		r = refuse(path, "it does not begin with nbd: or nbd+unix:", err);
	if (!r)
		*ret = a;
	return r;
}

static size_t append(char *dst, size_t size, size_t at, const char *text, const char *plain)
{
	for (; *text && at + 4 < size; text++) {
		bool letter = (*text | 32) >= 'a' && (*text | 32) <= 'z';
		bool as_is = letter || (*text >= '0' && *text <= '9') || strchr(plain, *text);

		at += hull_format(dst + at, size - at, as_is ? "%c" : "%%%02X",
		                  as_is ? *text : (unsigned char)*text);
	}
	return at;
}

void hull_nbd_uri(char *dst, size_t size, const char *address, unsigned port, const char *name)
{
	const char *colon = strrchr(address, ':');
	bool is_unix = !strncmp(address, "unix:", 5);
	size_t n;

	if (is_unix)
		n = hull_format(dst, size, "nbd+unix:///");
	else
		n = hull_format(dst, size, "nbd://%.*s:%u/", (int)(colon - address - 4),
		                address + 4, port);
	n = append(dst, size, n, name, "-._~/");
	if (is_unix && n + 8 < size)
		append(dst, size, n + hull_format(dst + n, size - n, "?socket="), address + 5,
		       "-._~/");
}
