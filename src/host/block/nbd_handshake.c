/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The NBD client's negotiation; see nbd_client.h.  Spec: proto.md, "Handshake phase". */
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/nbd_client.h"
#include "host/socket.h"

enum { REPLY_BYTES = 20, REPLY_DATA = 4096, REPLIES_MAX = 64, ZEROES = 124 };

static const char map_context[] = "base:allocation";

struct shake {
	int fd;
	const struct hull_nbd_address *address;
	struct nbd_export *out;
	bool no_zeroes;
	uint32_t type, len; /* of the last reply */
	uint8_t data[REPLY_DATA + 1];
};

static int broken(const struct shake *s, const char *why, struct hull_err *err)
{
	return hull_fail(err, HULL_EIO, 341, "the NBD server at %.100s %s", s->address->socket,
	                 why);
}

static bool get(struct shake *s, void *buf, size_t len)
{
	return hull_socket_read(s->fd, buf, len, NBD_SHAKE_MS);
}

static bool put(struct shake *s, const void *buf, size_t len)
{
	return hull_socket_write(s->fd, buf, len, NBD_SHAKE_MS);
}

static bool put_option(struct shake *s, uint32_t option, const void *data, size_t len)
{
	uint8_t head[16];

	store_be64(head, NBD_OPTION_MAGIC);
	store_be32(head + 8, option);
	store_be32(head + 12, (uint32_t)len);
	return put(s, head, sizeof(head)) && put(s, data, len);
}

/* One reply to `option`; its data are cut to REPLY_DATA. */
static int get_reply(struct shake *s, uint32_t option, struct hull_err *err)
{
	uint8_t head[REPLY_BYTES];
	uint32_t len;

	if (!get(s, head, sizeof(head)))
		return broken(s, "ended the connection, or is silent", err);
	if (load_be64(head) != NBD_OPT_REPLY_MAGIC || load_be32(head + 8) != option)
		return broken(s, "answers what was not asked", err);
	s->type = load_be32(head + 12);
	len = load_be32(head + 16);
	if (len > (1 << 20))
		return broken(s, "sends an answer that is too long", err);
	s->len = MIN(len, (uint32_t)REPLY_DATA);
	if (!get(s, s->data, s->len) || !hull_socket_skip(s->fd, len - s->len, NBD_SHAKE_MS))
		return broken(s, "ended the connection, or is silent", err);
	s->data[s->len] = 0;
	return 0;
}

static int refused(struct shake *s, struct hull_err *err)
{
	if (s->type == NBD_REP_ERR_TLS) {
		hull_fail(err, HULL_ENOTSUP, 342, "the NBD server at %.100s wants TLS",
		          s->address->socket);
		hull_err_fix(err, "use a Unix socket, or a tunnel");
		return HULL_ENOTSUP;
	}
	for (uint32_t i = 0; i < s->len; i++)
		if (s->data[i] < ' ' || s->data[i] > '~')
			s->data[i] = '?';
	hull_fail(err, s->type == NBD_REP_ERR_UNKNOWN ? HULL_ENOENT : HULL_EPERM, 341,
	          "the NBD server at %.80s refuses the export \"%.40s\"%s%.80s", s->address->socket,
	          s->address->name, s->len ? ": " : "", (const char *)s->data);
	hull_err_fix(err, "nbdinfo --list URI shows what it exports");
	return s->type == NBD_REP_ERR_UNKNOWN ? HULL_ENOENT : HULL_EPERM;
}

static int greet(struct shake *s, struct hull_err *err)
{
	uint8_t head[18], answer[4];
	uint16_t flags;

	if (!get(s, head, sizeof(head)))
		return broken(s, "ended the connection, or is silent", err);
	if (load_be64(head) != NBD_MAGIC)
		return broken(s, "is something else: its greeting is not NBD's", err);
	flags = load_be16(head + 16);
	if (load_be64(head + 8) != NBD_OPTION_MAGIC || !(flags & NBD_FIXED_NEWSTYLE))
		return broken(s, "speaks only the old protocol", err);
	s->no_zeroes = flags & NBD_NO_ZEROES;
	store_be32(answer, NBD_FIXED_NEWSTYLE | (s->no_zeroes ? NBD_NO_ZEROES : 0));
	return put(s, answer, sizeof(answer)) ? 0 : broken(s, "ended the connection", err);
}

static int ask_structured(struct shake *s, struct hull_err *err)
{
	int r;

	if (!put_option(s, NBD_OPT_STRUCTURED_REPLY, NULL, 0))
		return broken(s, "ended the connection", err);
	r = get_reply(s, NBD_OPT_STRUCTURED_REPLY, err);
	s->out->structured = !r && s->type == NBD_REP_ACK;
	return r;
}

static int ask_map(struct shake *s, struct hull_err *err)
{
	size_t name = strlen(s->address->name), query = sizeof(map_context) - 1;
	uint8_t buf[HULL_NBD_NAME_MAX + sizeof(map_context) + 12];
	int r;

	store_be32(buf, (uint32_t)name);
	memcpy(buf + 4, s->address->name, name);
	store_be32(buf + 4 + name, 1);
	store_be32(buf + 8 + name, (uint32_t)query);
	memcpy(buf + 12 + name, map_context, query);
	if (!put_option(s, NBD_OPT_SET_META_CONTEXT, buf, 12 + name + query))
		return broken(s, "ended the connection", err);
	for (unsigned i = 0; i < REPLIES_MAX; i++) {
		r = get_reply(s, NBD_OPT_SET_META_CONTEXT, err);
		if (r)
			return r;
		if (s->type != NBD_REP_META_CONTEXT)
			return 0;
		if (s->len == 4 + query && !memcmp(s->data + 4, map_context, query)) {
			s->out->has_map = true;
			s->out->context_id = load_be32(s->data);
		}
	}
	return broken(s, "answers without end", err);
}

static int take_info(struct shake *s, struct hull_err *err)
{
	uint32_t least, most;
	unsigned what = s->len >= 2 ? load_be16(s->data) : 0xffff;

	if (what == NBD_INFO_EXPORT && s->len == 12) {
		s->out->size = load_be64(s->data + 2);
		s->out->flags = load_be16(s->data + 10);
	} else if (what == NBD_INFO_BLOCK_SIZE && s->len == 14) {
		least = load_be32(s->data + 2);
		most = load_be32(s->data + 10);
		if (least > 512)
			return hull_fail(
				err, HULL_ENOTSUP, 342,
				"the NBD server at %.100s wants blocks of %u bytes, more than 512",
				s->address->socket, least);
		if (most < 4096)
			return broken(s, "takes no blocks of a useful size", err);
		s->out->data_max = MIN(most / 512 * 512, NBD_DATA_MAX);
	}
	return 0;
}

/* The last option for servers that do not know NBD_OPT_GO: it has no way to refuse. */
static int ask_plainly(struct shake *s, struct hull_err *err)
{
	uint8_t answer[10 + ZEROES];

	if (!put_option(s, NBD_OPT_EXPORT_NAME, s->address->name, strlen(s->address->name)) ||
	    !get(s, answer, s->no_zeroes ? 10 : sizeof(answer)))
		return broken(s, "does not have the export, or ended the connection", err);
	s->out->size = load_be64(answer);
	s->out->flags = load_be16(answer + 8);
	return 0;
}

static int ask_export(struct shake *s, struct hull_err *err)
{
	size_t name = strlen(s->address->name);
	uint8_t buf[HULL_NBD_NAME_MAX + 8];
	int r;

	store_be32(buf, (uint32_t)name);
	memcpy(buf + 4, s->address->name, name);
	store_be16(buf + 4 + name, 1);
	store_be16(buf + 6 + name, NBD_INFO_BLOCK_SIZE);
	if (!put_option(s, NBD_OPT_GO, buf, 8 + name))
		return broken(s, "ended the connection", err);
	for (unsigned i = 0; i < REPLIES_MAX; i++) {
		r = get_reply(s, NBD_OPT_GO, err);
		if (!r && s->type == NBD_REP_INFO)
			r = take_info(s, err);
		if (r)
			return r;
		if (s->type == NBD_REP_ACK)
			return s->out->flags & NBD_HAS_FLAGS
			               ? 0
			               : broken(s, "says nothing about the export", err);
		if (s->type == NBD_REP_ERR_UNSUP)
			return ask_plainly(s, err);
		if (s->type & NBD_REP_ERROR)
			return refused(s, err);
	}
	return broken(s, "answers without end", err);
}

int nbd_connect(const struct hull_nbd_address *a, struct nbd_export *ret, struct hull_err *err)
{
	struct nbd_export out = { .data_max = NBD_DATA_MAX };
	struct shake s = { .address = a, .out = &out };
	int r;

	s.fd = hull_socket_connect(a->socket, NBD_SHAKE_MS, err);
	if (s.fd < 0)
		return s.fd;
	r = greet(&s, err);
	if (!r)
		r = ask_structured(&s, err);
	if (!r && out.structured)
		r = ask_map(&s, err);
	if (!r)
		r = ask_export(&s, err);
	if (!r && out.size > INT64_MAX - 511)
		r = broken(&s, "claims an impossible size", err);
	if (r) {
		close(s.fd);
		return r;
	}
	*ret = out;
	return s.fd;
}
