/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An NBD server for one image; see nbd.h.
 *
 * One thread accepts.  Each client has LANES threads that do the same: take
 * the next request from the socket (one at a time), perform it, send the reply (one at a time).  So
 * requests of one client run side by side without a queue, and memory is bounded by the threads.
 *
 * Spec: proto.md.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/image.h"
#include "host/block/nbd.h"
#include "host/os/os.h"
#include "host/socket.h"

enum { CLIENTS = 16, LANES = 4, SHAKE_MS = 10000, SEND_MS = 30000 };
enum { OPTION_DATA = 4096, OPTIONS_MAX = 64, CONTEXT_ID = 1, EXTENTS = 256 };

static const char map_context[] = "base:allocation";

struct client {
	struct hull_nbd_server *server;
	int fd; /* -1: the place is free */
	bool structured, has_map;
	bool over; /* its last thread has ended; under the server's lock */
	unsigned running;
	pthread_t thread; /* does the negotiation, then is a lane */
	pthread_mutex_t receiving, sending;
};

struct hull_nbd_server {
	struct hull_image *image;
	char name[HULL_NBD_NAME_MAX + 1];
	char path[300]; /* of a Unix socket, to remove */
	bool read_only;
	int listener, wake;
	pthread_t thread;
	pthread_mutex_t lock;
	unsigned nclients;
	bool stopping;
	void (*idle)(void *arg);
	void *arg;
	struct client client[CLIENTS];
};

static unsigned export_flags(const struct hull_nbd_server *s)
{
	return NBD_HAS_FLAGS | NBD_SEND_FLUSH | NBD_CAN_MULTI_CONN |
	       (s->read_only ? (unsigned)NBD_READ_ONLY
	                     : NBD_SEND_FUA | NBD_SEND_TRIM | NBD_SEND_WRITE_ZEROES);
}

/* Negotiation. */

static bool put(struct client *c, const void *buf, size_t len)
{
	return hull_socket_write(c->fd, buf, len, SEND_MS);
}

static bool option_reply(struct client *c, uint32_t option, uint32_t type, const void *data,
                         size_t len)
{
	uint8_t head[20];

	store_be64(head, NBD_OPT_REPLY_MAGIC);
	store_be32(head + 8, option);
	store_be32(head + 12, type);
	store_be32(head + 16, (uint32_t)len);
	return put(c, head, sizeof(head)) && put(c, data, len);
}

/* Does a counted name at *at of the option's data name our export?  Moves *at behind it. */
static bool our_name(const struct client *c, const uint8_t *data, uint32_t len, uint32_t *at,
                     bool *ret_ours)
{
	uint32_t n;

	if (len - *at < 4)
		return false;
	n = load_be32(data + *at);
	if (n > len - *at - 4)
		return false;
	*ret_ours = n == strlen(c->server->name) && !memcmp(data + *at + 4, c->server->name, n);
	*at += 4 + n;
	return true;
}

static bool reply_export(struct client *c, uint32_t option, const uint8_t *data, uint32_t len,
                         bool *ret_done)
{
	const struct hull_nbd_server *s = c->server;
	uint8_t info[14];
	uint32_t at = 0;
	bool ours;

	if (!our_name(c, data, len, &at, &ours) || len - at < 2 ||
	    len - at != 2 + 2u * load_be16(data + at))
		return option_reply(c, option, NBD_REP_ERR_INVALID, NULL, 0);
	if (!ours)
		return option_reply(c, option, NBD_REP_ERR_UNKNOWN, NULL, 0);
	store_be16(info, NBD_INFO_EXPORT);
	store_be64(info + 2, s->image->size);
	store_be16(info + 10, (uint16_t)export_flags(s));
	if (!option_reply(c, option, NBD_REP_INFO, info, 12))
		return false;
	store_be16(info, NBD_INFO_BLOCK_SIZE);
	/* Two clients must not change parts of one sector: that is read, changed and written. */
	store_be32(info + 2, 512);
	store_be32(info + 6, 4096);
	store_be32(info + 10, NBD_DATA_MAX);
	if (!option_reply(c, option, NBD_REP_INFO, info, 14) ||
	    !option_reply(c, option, NBD_REP_ACK, NULL, 0))
		return false;
	*ret_done = option == NBD_OPT_GO;
	return true;
}

static bool reply_contexts(struct client *c, uint32_t option, const uint8_t *data, uint32_t len)
{
	uint8_t answer[4 + sizeof(map_context)];
	uint32_t at = 0, queries, n;
	bool ours, wanted = false;

	if (!c->structured || !our_name(c, data, len, &at, &ours) || len - at < 4)
		return option_reply(c, option, NBD_REP_ERR_INVALID, NULL, 0);
	if (!ours)
		return option_reply(c, option, NBD_REP_ERR_UNKNOWN, NULL, 0);
	queries = load_be32(data + at);
	at += 4;
	wanted = option == NBD_OPT_LIST_META_CONTEXT && !queries;
	for (uint32_t i = 0; i < queries; i++, at += n) {
		if (len - at < 4)
			return option_reply(c, option, NBD_REP_ERR_INVALID, NULL, 0);
		n = load_be32(data + at);
		at += 4;
		if (n > len - at)
			return option_reply(c, option, NBD_REP_ERR_INVALID, NULL, 0);
		wanted |= n == sizeof(map_context) - 1 && !memcmp(data + at, map_context, n);
		wanted |= option == NBD_OPT_LIST_META_CONTEXT && n == 5 &&
		          !memcmp(data + at, "base:", 5);
	}
	if (option == NBD_OPT_SET_META_CONTEXT)
		c->has_map = wanted;
	store_be32(answer, CONTEXT_ID);
	memcpy(answer + 4, map_context, sizeof(map_context) - 1);
	return (!wanted || option_reply(c, option, NBD_REP_META_CONTEXT, answer,
	                                4 + sizeof(map_context) - 1)) &&
	       option_reply(c, option, NBD_REP_ACK, NULL, 0);
}

static bool reply_list(struct client *c, uint32_t option, uint32_t len)
{
	uint8_t answer[4 + HULL_NBD_NAME_MAX];
	size_t n = strlen(c->server->name);

	if (len)
		return option_reply(c, option, NBD_REP_ERR_INVALID, NULL, 0);
	store_be32(answer, (uint32_t)n);
	memcpy(answer + 4, c->server->name, n);
	return option_reply(c, option, NBD_REP_SERVER, answer, 4 + n) &&
	       option_reply(c, option, NBD_REP_ACK, NULL, 0);
}

/* The old last option: no reply but the export itself, or the end of the connection. */
static bool reply_plainly(struct client *c, const uint8_t *data, uint32_t len, bool zeroes)
{
	const struct hull_nbd_server *s = c->server;
	uint8_t answer[10 + 124] = { 0 };

	if (len != strlen(s->name) || memcmp(data, s->name, len))
		return false;
	store_be64(answer, s->image->size);
	store_be16(answer + 8, (uint16_t)export_flags(s));
	return put(c, answer, zeroes ? sizeof(answer) : 10);
}

/* One option; *ret_done when the negotiation is over.  False: end the connection. */
static bool option(struct client *c, bool zeroes, bool *ret_done)
{
	uint8_t head[16], data[OPTION_DATA];
	uint32_t what, len;

	if (!hull_socket_read(c->fd, head, sizeof(head), SHAKE_MS) ||
	    load_be64(head) != NBD_OPTION_MAGIC)
		return false;
	what = load_be32(head + 8);
	len = load_be32(head + 12);
	if (len > sizeof(data))
		return len <= NBD_DATA_MAX && hull_socket_skip(c->fd, len, SHAKE_MS) &&
		       option_reply(c, what, NBD_REP_ERR_TOO_BIG, NULL, 0);
	if (!hull_socket_read(c->fd, data, len, SHAKE_MS))
		return false;
	switch (what) {
	case NBD_OPT_EXPORT_NAME: return *ret_done = reply_plainly(c, data, len, zeroes);
	case NBD_OPT_ABORT: option_reply(c, what, NBD_REP_ACK, NULL, 0); return false;
	case NBD_OPT_LIST: return reply_list(c, what, len);
	case NBD_OPT_INFO:
	case NBD_OPT_GO: return reply_export(c, what, data, len, ret_done);
	case NBD_OPT_STRUCTURED_REPLY:
		c->structured |= !len;
		return option_reply(c, what, len ? NBD_REP_ERR_INVALID : NBD_REP_ACK, NULL, 0);
	case NBD_OPT_LIST_META_CONTEXT:
	case NBD_OPT_SET_META_CONTEXT: return reply_contexts(c, what, data, len);
	}
	return option_reply(c, what, NBD_REP_ERR_UNSUP, NULL, 0);
}

static bool negotiate(struct client *c)
{
	bool done = false;
	uint8_t head[18];
	uint32_t flags;

	store_be64(head, NBD_MAGIC);
	store_be64(head + 8, NBD_OPTION_MAGIC);
	store_be16(head + 16, NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES);
	if (!put(c, head, sizeof(head)) || !hull_socket_read(c->fd, head, 4, SHAKE_MS))
		return false;
	flags = load_be32(head);
	if (flags & ~(uint32_t)(NBD_FIXED_NEWSTYLE | NBD_NO_ZEROES))
		return false;
	for (unsigned i = 0; i < OPTIONS_MAX && !done; i++)
		if (!option(c, !(flags & NBD_NO_ZEROES), &done))
			return false;
	return done;
}

/* Requests. */

struct request {
	unsigned flags, cmd;
	uint8_t cookie[8];
	uint64_t off;
	uint32_t len;
	uint8_t *data; /* of a write, or for a read */
	size_t room;
};

static uint32_t error_of(int code)
{
	switch (code) {
	case 0: return 0;
	case HULL_EPERM: return NBD_EPERM;
	case HULL_ENOMEM: return NBD_ENOMEM;
	case HULL_ENOSPC: return NBD_ENOSPC;
	case HULL_EINVAL: return NBD_EINVAL;
	case HULL_ENOTSUP: return NBD_ENOTSUP;
	}
	return NBD_EIO;
}

static bool reply_simple(struct client *c, const struct request *q, int status, size_t data)
{
	uint8_t head[NBD_SIMPLE_BYTES];
	struct iovec iov[2] = { { head, sizeof(head) }, { q->data, data } };
	bool good;

	store_be32(head, NBD_SIMPLE_MAGIC);
	store_be32(head + 4, error_of(status));
	memcpy(head + 8, q->cookie, 8);
	pthread_mutex_lock(&c->sending);
	good = hull_socket_writev(c->fd, iov, status || !data ? 1 : 2, SEND_MS);
	pthread_mutex_unlock(&c->sending);
	return good;
}

/* One chunk, which is the last: `first` are its own fields, then data. */
static bool reply_chunk(struct client *c, const struct request *q, unsigned type,
                        struct iovec first, struct iovec data)
{
	uint8_t head[NBD_CHUNK_BYTES];
	struct iovec iov[3] = { { head, sizeof(head) }, first, data };
	bool good;

	store_be32(head, NBD_CHUNK_MAGIC);
	store_be16(head + 4, NBD_CHUNK_DONE);
	store_be16(head + 6, (uint16_t)type);
	memcpy(head + 8, q->cookie, 8);
	store_be32(head + 16, (uint32_t)(first.iov_len + data.iov_len));
	pthread_mutex_lock(&c->sending);
	good = hull_socket_writev(c->fd, iov, 3, SEND_MS);
	pthread_mutex_unlock(&c->sending);
	return good;
}

static bool reply_error(struct client *c, const struct request *q, int status)
{
	uint8_t body[6] = { 0 };

	if (!c->structured)
		return reply_simple(c, q, status, 0);
	store_be32(body, error_of(status));
	return reply_chunk(c, q, NBD_CHUNK_ERROR, (struct iovec){ body, sizeof(body) },
	                   (struct iovec){ 0 });
}

static bool do_read(struct client *c, const struct request *q)
{
	int r = hull_image_read(c->server->image, q->off, q->data, q->len);
	uint8_t at[8];

	if (r)
		return reply_error(c, q, r);
	if (!c->structured)
		return reply_simple(c, q, 0, q->len);
	store_be64(at, q->off);
	return reply_chunk(c, q, NBD_CHUNK_DATA, (struct iovec){ at, sizeof(at) },
	                   (struct iovec){ q->data, q->len });
}

/* From `off` on: extents of sectors, merged while they are alike. */
static int describe(struct hull_image *img, const struct request *q, uint8_t *out, size_t *ret_len)
{
	uint64_t off = align_down(q->off, 512), end = q->off + q->len, skip = q->off - off;
	size_t n = 0, most = q->flags & NBD_CMD_REQ_ONE ? 1 : EXTENTS;

	while (off < end) {
		struct hull_image_extent e;
		uint32_t flags, len;
		int r = hull_image_map(img, off, align_up(end, 512) - off, &e);

		if (r)
			return r;
		flags = (e.flags & HULL_IMAGE_DATA ? 0 : NBD_STATE_ZERO | NBD_STATE_HOLE);
		len = (uint32_t)MIN(e.len - skip, end - off - skip);
		skip = 0;
		off += e.len;
		if (n && load_be32(out + 8 * n - 4) == flags)
			store_be32(out + 8 * n - 8, load_be32(out + 8 * n - 8) + len);
		else if (n == most)
			break;
		else
			store_be32(out + 8 * n, len), store_be32(out + 8 * n + 4, flags), n++;
	}
	*ret_len = 8 * n;
	return 0;
}

static bool do_status(struct client *c, const struct request *q)
{
	uint8_t id[4], extents[8 * EXTENTS];
	size_t len = 0;
	int r = c->has_map && q->len ? describe(c->server->image, q, extents, &len) : HULL_EINVAL;

	if (r)
		return reply_error(c, q, r);
	store_be32(id, CONTEXT_ID);
	return reply_chunk(c, q, NBD_CHUNK_STATUS, (struct iovec){ id, sizeof(id) },
	                   (struct iovec){ extents, len });
}

/* What changes the disk, or nothing: 0 or HULL_E.... */
static int change(struct hull_nbd_server *s, const struct request *q)
{
	struct hull_image *img = s->image;
	bool fua = q->flags & NBD_CMD_FUA;
	struct iovec iov = { q->data, q->len };
	uint64_t from;

	if (q->cmd == NBD_CMD_FLUSH)
		return hull_image_flush(img);
	if (s->read_only)
		return HULL_EPERM;
	switch (q->cmd) {
	case NBD_CMD_WRITE: return hull_image_writev(img, q->off, &iov, 1, q->len, fua);
	case NBD_CMD_WRITE_ZEROES:
		return hull_image_write_zeroes(img, q->off, q->len, !(q->flags & NBD_CMD_NO_HOLE),
		                               fua);
	case NBD_CMD_TRIM: /* a hint: whole sectors only */
		from = align_up(q->off, 512);
		return from >= align_down(q->off + q->len, 512)
		               ? 0
		               : hull_image_discard(img, from,
		                                    align_down(q->off + q->len, 512) - from);
	}
	return HULL_EINVAL;
}

static bool perform(struct client *c, const struct request *q)
{
	const struct hull_nbd_server *s = c->server;
	int r;

	if (q->cmd != NBD_CMD_FLUSH && !hull_range_within(q->off, q->len, 0, s->image->size))
		return reply_error(c, q, HULL_EINVAL);
	if (q->cmd == NBD_CMD_READ)
		return q->len > NBD_DATA_MAX ? reply_error(c, q, HULL_EINVAL) : do_read(c, q);
	if (q->cmd == NBD_CMD_BLOCK_STATUS)
		return do_status(c, q);
	r = change(c->server, q);
	return r ? reply_error(c, q, r) : reply_simple(c, q, 0, 0);
}

static bool make_room(struct request *q)
{
	void *p;

	if (q->len <= q->room)
		return true;
	p = realloc(q->data, q->len);
	if (!p)
		return false;
	q->data = p;
	q->room = q->len;
	return true;
}

/* The next request, with its data.  Under `receiving`.  False: the client is gone. */
static bool next(struct client *c, struct request *q)
{
	uint8_t head[NBD_REQUEST_BYTES];
	bool carries;

	if (!hull_socket_read(c->fd, head, sizeof(head), -1) ||
	    load_be32(head) != NBD_REQUEST_MAGIC)
		return false;
	q->flags = load_be16(head + 4);
	q->cmd = load_be16(head + 6);
	memcpy(q->cookie, head + 8, 8);
	q->off = load_be64(head + 16);
	q->len = load_be32(head + 24);
	if (q->cmd == NBD_CMD_DISC)
		return false;
	carries = q->cmd == NBD_CMD_WRITE;
	if ((carries || q->cmd == NBD_CMD_READ) && (q->len > NBD_DATA_MAX || !make_room(q)))
		return !carries && q->len > NBD_DATA_MAX; /* perform() refuses it */
	return !carries || hull_socket_read(c->fd, q->data, q->len, SEND_MS);
}

static void *lane(void *arg)
{
	struct client *c = arg;
	struct request q = { 0 };
	bool good = true;

	while (good) {
		pthread_mutex_lock(&c->receiving);
		good = next(c, &q);
		if (!good)
			shutdown(c->fd, SHUT_RD);
		pthread_mutex_unlock(&c->receiving);
		if (good)
			good = perform(c, &q);
		if (!good)
			shutdown(c->fd, SHUT_RD);
	}
	free(q.data);
	return NULL;
}

/* Clients come and go. */

static void *serve(void *arg)
{
	struct client *c = arg;
	struct hull_nbd_server *s = c->server;
	pthread_t more[LANES - 1];
	bool last;
	unsigned n = 0;

	if (negotiate(c)) {
		while (n < LANES - 1 && !hull_os_thread(&more[n], "hull-nbd", lane, c, NULL))
			n++;
		lane(c);
		while (n)
			pthread_join(more[--n], NULL);
		(void)!hull_image_flush(s->image);
	}
	pthread_mutex_lock(&s->lock);
	c->over = true; /* first, so that who sees the end of the connection finds the place free */
	last = !--s->nclients && !s->stopping;
	pthread_mutex_unlock(&s->lock);
	shutdown(c->fd, SHUT_RDWR);
	if (last && s->idle)
		s->idle(s->arg);
	return NULL;
}

static void reap(struct hull_nbd_server *s, bool all)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &s->client[i];
		bool over;

		pthread_mutex_lock(&s->lock);
		over = c->over;
		pthread_mutex_unlock(&s->lock);
		if (c->fd < 0 || (!all && !over))
			continue;
		if (all)
			shutdown(c->fd, SHUT_RDWR);
		pthread_join(c->thread, NULL);
		close(c->fd);
		c->fd = -1;
		c->over = false;
	}
}

static void welcome(struct hull_nbd_server *s, int fd)
{
	struct client *c = NULL;

	reap(s, false);
	for (unsigned i = 0; i < CLIENTS && !c; i++)
		if (s->client[i].fd < 0)
			c = &s->client[i];
	if (!c) {
		close(fd);
		return;
	}
	c->fd = fd;
	c->structured = c->has_map = false;
	pthread_mutex_lock(&s->lock);
	s->nclients++;
	pthread_mutex_unlock(&s->lock);
	if (!hull_os_thread(&c->thread, "hull-nbd", serve, c, NULL))
		return;
	pthread_mutex_lock(&s->lock);
	s->nclients--;
	pthread_mutex_unlock(&s->lock);
	close(fd);
	c->fd = -1;
}

static void *accept_all(void *arg)
{
	struct hull_nbd_server *s = arg;
	struct pollfd p[2] = { { .fd = s->listener, .events = POLLIN },
		               { .fd = s->wake, .events = POLLIN } };

	for (;;) {
		int fd;

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			break;
		if (p[1].revents)
			break;
		if (!(p[0].revents & POLLIN))
			continue;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			welcome(s, fd);
		else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
			poll(&p[1], 1, 100); /* do not spin while the host is short of them */
	}
	reap(s, true);
	return NULL;
}

unsigned hull_nbd_server_port(const struct hull_nbd_server *s)
{
	return hull_socket_port(s->listener);
}

static void dispose(struct hull_nbd_server *s)
{
	if (s->wake >= 0)
		close(s->wake);
	if (s->listener >= 0)
		close(s->listener);
	if (s->listener >= 0 && s->path[0])
		unlink(s->path);
	for (unsigned i = 0; i < CLIENTS; i++) {
		pthread_mutex_destroy(&s->client[i].receiving);
		pthread_mutex_destroy(&s->client[i].sending);
	}
	pthread_mutex_destroy(&s->lock);
	free(s);
}

static int start(struct hull_nbd_server *s, const struct hull_nbd_serve *o, struct hull_err *err)
{
	if (!hull_text_copy(s->name, sizeof(s->name), o->name ? o->name : ""))
		return hull_fail(err, HULL_EINVAL, 340,
		                 "the name of the export has more than %d bytes",
		                 HULL_NBD_NAME_MAX);
	s->wake = eventfd(0, EFD_CLOEXEC);
	if (s->wake < 0)
		return hull_fail(err, hull_os_error(errno), 120, "no descriptor for the server");
	s->listener = hull_socket_listen(o->address, err);
	if (s->listener < 0)
		return s->listener;
	if (!strncmp(o->address, "unix:", 5))
		hull_text_copy(s->path, sizeof(s->path), o->address + 5);
	return hull_os_thread(&s->thread, "hull-nbd", accept_all, s, err);
}

int hull_nbd_serve(const struct hull_nbd_serve *o, struct hull_nbd_server **ret,
                   struct hull_err *err)
{
	struct hull_nbd_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the server");
	s->listener = s->wake = -1;
	s->idle = o->idle;
	s->arg = o->arg;
	s->image = o->image;
	s->read_only = o->read_only || o->image->read_only;
	pthread_mutex_init(&s->lock, NULL);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *c = &s->client[i];

		c->server = s;
		c->fd = -1;
		pthread_mutex_init(&c->receiving, NULL);
		pthread_mutex_init(&c->sending, NULL);
	}
	r = start(s, o, err);
	if (r) {
		dispose(s);
		return r;
	}
	hull_image_ref(s->image);
	*ret = s;
	return 0;
}

void hull_nbd_server_stop(struct hull_nbd_server *s)
{
	uint64_t one = 1;

	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stopping = true;
	pthread_mutex_unlock(&s->lock);
	(void)!write(s->wake, &one, sizeof(one));
	pthread_join(s->thread, NULL);
	hull_image_unref(s->image);
	dispose(s);
}
