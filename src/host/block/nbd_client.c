/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The image format "nbd": a disk behind an NBD server.  See nbd.h.
 *
 * Callers send their requests themselves and sleep; one thread per connection
 * reads the replies, puts data where the caller wants them and wakes him.  A
 * server that breaks the protocol, goes away, or is silent for NBD_REPLY_MS while something
 * is asked fails what is in flight; the next request connects again, at most
 * once a second.  What had been written but not flushed may then be lost in the server, so that the
 * first flush after it fails.
 *
 * Spec: proto.md, "Transmission phase".
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "base/text.h"
#include "host/block/image.h"
#include "host/block/nbd_client.h"
#include "host/os/os.h"
#include "host/socket.h"

enum { SLOTS = 32, TICK_MS = 1000, VECTORS = 64, CHUNK_SKIP_MAX = 1 << 20 };
enum slot_state { FREE, SENT, DONE };

struct slot {
	enum slot_state state;
	uint32_t generation; /* of the connection that it was sent on */
	unsigned cmd;
	uint64_t off, len;
	const struct iovec *iov; /* READ: where data go */
	int n;
	uint64_t covered;                  /* bytes of a READ that have come, from the start */
	uint32_t extent_len, extent_flags; /* BLOCK_STATUS; len 0: nothing came */
	int status;
};

struct nbd {
	struct hull_image img;
	struct hull_nbd_address address;
	struct nbd_export export;

	/* Taken before `lock`: whoever sends, or makes a new connection. */
	pthread_mutex_t sending;
	pthread_mutex_t lock; /* for all below */
	pthread_cond_t changed;
	int fd;
	bool alive, has_thread;
	uint64_t writes, flushed; /* changes begun, and those before the last good flush */
	bool lost;                /* the connection broke while not all were flushed */
	pthread_t thread;
	uint32_t generation;
	int64_t tried_ms; /* when it was last tried to connect again */
	int64_t heard_ms; /* when the server last said something, or was first asked */
	unsigned in_flight;
	struct slot slot[SLOTS];
};

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int code_of(uint32_t error)
{
	switch (error) {
	case 0: return 0;
	case NBD_EPERM: return HULL_EPERM;
	case NBD_ENOMEM: return HULL_ENOMEM;
	case NBD_ENOSPC: return HULL_ENOSPC;
	case NBD_EINVAL: return HULL_EINVAL;
	case NBD_ENOTSUP: return HULL_ENOTSUP;
	}
	return HULL_EIO;
}

/* Replies: on the receiving thread. */

static bool get(struct nbd *d, void *buf, size_t len)
{
	return hull_socket_read(d->fd, buf, len, NBD_REPLY_MS);
}

static void finish(struct nbd *d, struct slot *s, int status)
{
	pthread_mutex_lock(&d->lock);
	s->status = status;
	s->state = DONE;
	d->in_flight--;
	d->heard_ms = now_ms();
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
}

/* The slot that a reply is for, or NULL: nothing like it was asked on this connection. */
static struct slot *find(struct nbd *d, uint64_t cookie)
{
	struct slot *s = &d->slot[cookie % SLOTS];
	bool good;

	pthread_mutex_lock(&d->lock);
	good = s->state == SENT && cookie / SLOTS == s->generation &&
	       s->generation == d->generation;
	d->heard_ms = now_ms();
	pthread_mutex_unlock(&d->lock);
	return good ? s : NULL;
}

/* Put the next `len` bytes of a READ where they belong: from the socket, or zeroes. */
static bool fill(struct nbd *d, struct slot *s, uint64_t len, bool zero)
{
	uint64_t skip = s->covered;

	for (int i = 0; i < s->n && len; i++) {
		char *p = s->iov[i].iov_base;
		uint64_t room = s->iov[i].iov_len;

		if (skip >= room) {
			skip -= room;
			continue;
		}
		room = MIN(room - skip, len);
		if (zero)
			memset(p + skip, 0, room);
		else if (!get(d, p + skip, room))
			return false;
		skip = 0;
		s->covered += room;
		len -= room;
	}
	return !len;
}

/* A piece of a READ: `len` bytes, at the place that is due. */
static bool take_piece(struct nbd *d, struct slot *s, uint64_t off, uint64_t len, bool zero)
{
	return s->cmd == NBD_CMD_READ && len && off == s->off + s->covered &&
	       len <= s->len - s->covered && fill(d, s, len, zero);
}

static bool take_data(struct nbd *d, struct slot *s, uint32_t len)
{
	uint8_t at[8];

	return len > sizeof(at) && get(d, at, sizeof(at)) &&
	       take_piece(d, s, load_be64(at), len - sizeof(at), false);
}

static bool take_hole(struct nbd *d, struct slot *s, uint32_t len)
{
	uint8_t at[12];

	return len == sizeof(at) && get(d, at, sizeof(at)) &&
	       take_piece(d, s, load_be64(at), load_be32(at + 8), true);
}

static bool take_status(struct nbd *d, struct slot *s, uint32_t len)
{
	uint8_t first[12];

	if (s->cmd != NBD_CMD_BLOCK_STATUS || len < sizeof(first) || (len - 4) % 8 ||
	    len > CHUNK_SKIP_MAX || !get(d, first, sizeof(first)))
		return false;
	if (load_be32(first) == d->export.context_id) {
		s->extent_len = load_be32(first + 4);
		s->extent_flags = load_be32(first + 8);
	}
	return hull_socket_skip(d->fd, len - sizeof(first), NBD_REPLY_MS);
}

static bool take_error(struct nbd *d, struct slot *s, uint32_t len)
{
	uint8_t error[4];

	if (len < 6 || len > CHUNK_SKIP_MAX || !get(d, error, sizeof(error)))
		return false;
	s->status = code_of(load_be32(error));
	if (!s->status)
		s->status = HULL_EIO;
	return hull_socket_skip(d->fd, len - sizeof(error), NBD_REPLY_MS);
}

static bool chunk(struct nbd *d)
{
	uint8_t head[NBD_CHUNK_BYTES - 4];
	unsigned flags, type;
	struct slot *s;
	uint32_t len;
	bool good;

	if (!d->export.structured || !get(d, head, sizeof(head)))
		return false;
	flags = load_be16(head);
	type = load_be16(head + 2);
	len = load_be32(head + 12);
	s = find(d, load_be64(head + 4));
	if (!s)
		return false;
	switch (type) {
	case NBD_CHUNK_NONE: good = !len && (flags & NBD_CHUNK_DONE); break;
	case NBD_CHUNK_DATA: good = take_data(d, s, len); break;
	case NBD_CHUNK_HOLE: good = take_hole(d, s, len); break;
	case NBD_CHUNK_STATUS: good = take_status(d, s, len); break;
	default: good = (type & 0x8000) && take_error(d, s, len); break;
	}
	if (!good || !(flags & NBD_CHUNK_DONE))
		return good;
	if (s->cmd == NBD_CMD_READ && !s->status && s->covered != s->len)
		return false;
	finish(d, s, s->status);
	return true;
}

static bool simple(struct nbd *d)
{
	uint8_t head[NBD_SIMPLE_BYTES - 4];
	struct slot *s;
	int status;

	if (!get(d, head, sizeof(head)))
		return false;
	s = find(d, load_be64(head + 4));
	status = code_of(load_be32(head));
	if (!s || (s->cmd == NBD_CMD_READ && d->export.structured))
		return false;
	if (s->cmd == NBD_CMD_READ && !status && !fill(d, s, s->len, false))
		return false;
	finish(d, s, status);
	return true;
}

/* Wait for the beginning of a reply; false: the server is silent though it was asked. */
static bool wait_reply(struct nbd *d)
{
	struct pollfd p = { .fd = d->fd, .events = POLLIN };
	bool silent;
	int r;

	for (;;) {
		r = poll(&p, 1, TICK_MS);
		if (r > 0)
			return true;
		if (r < 0 && errno != EINTR)
			return false;
		pthread_mutex_lock(&d->lock);
		silent = d->in_flight && now_ms() - d->heard_ms > NBD_REPLY_MS;
		pthread_mutex_unlock(&d->lock);
		if (silent)
			return false;
	}
}

static bool reply(struct nbd *d)
{
	uint8_t magic[4];

	if (!wait_reply(d) || !get(d, magic, sizeof(magic)))
		return false;
	if (load_be32(magic) == NBD_SIMPLE_MAGIC)
		return simple(d);
	return load_be32(magic) == NBD_CHUNK_MAGIC && chunk(d);
}

static void *receive(void *arg)
{
	struct nbd *d = arg;

	while (reply(d))
		;
	shutdown(d->fd, SHUT_RDWR);
	pthread_mutex_lock(&d->lock);
	d->alive = false;
	d->lost |= d->writes != d->flushed;
	for (unsigned i = 0; i < SLOTS; i++)
		if (d->slot[i].state == SENT) {
			d->slot[i].status = HULL_EIO;
			d->slot[i].state = DONE;
		}
	d->in_flight = 0;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* Connections. */

/* End the thread of a dead connection.  Under `sending`, or alone. */
static void bury(struct nbd *d)
{
	if (d->has_thread) {
		shutdown(d->fd, SHUT_RDWR);
		pthread_join(d->thread, NULL);
	}
	d->has_thread = false;
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static int attach(struct nbd *d, struct hull_err *err)
{
	int r;

	pthread_mutex_lock(&d->lock);
	d->generation++;
	d->alive = true;
	pthread_mutex_unlock(&d->lock);
	r = hull_os_thread(&d->thread, "hull-nbd", receive, d, err);
	d->has_thread = !r;
	if (r)
		d->alive = false;
	return r;
}

static bool same_export(const struct nbd_export *a, const struct nbd_export *b)
{
	return a->size == b->size && a->flags == b->flags && a->data_max == b->data_max &&
	       a->structured == b->structured && a->has_map == b->has_map &&
	       a->context_id == b->context_id;
}

/* Under `sending`: is there a connection, if need be a new one? */
static bool connected(struct nbd *d)
{
	struct nbd_export e;
	bool alive;

	pthread_mutex_lock(&d->lock);
	alive = d->alive;
	pthread_mutex_unlock(&d->lock);
	if (alive || now_ms() - d->tried_ms < TICK_MS)
		return alive;
	bury(d);
	d->fd = nbd_connect(&d->address, &e, NULL);
	d->tried_ms = now_ms();
	if (d->fd < 0)
		return false;
	/* Another disk in its place would be filled with this one's data. */
	if (!same_export(&e, &d->export)) {
		bury(d);
		return false;
	}
	return !attach(d, NULL);
}

/* Requests: on the caller's thread. */

static struct slot *take_slot(struct nbd *d)
{
	for (;;) {
		for (unsigned i = 0; i < SLOTS; i++)
			if (d->slot[i].state == FREE)
				return &d->slot[i];
		pthread_cond_wait(&d->changed, &d->lock);
	}
}

static bool send_request(struct nbd *d, const struct slot *s, uint64_t cookie, unsigned flags)
{
	struct iovec iov[VECTORS + 1];
	uint8_t head[NBD_REQUEST_BYTES];
	bool write = s->cmd == NBD_CMD_WRITE;

	store_be32(head, NBD_REQUEST_MAGIC);
	store_be16(head + 4, (uint16_t)flags);
	store_be16(head + 6, (uint16_t)s->cmd);
	store_be64(head + 8, cookie);
	store_be64(head + 16, s->off);
	store_be32(head + 24, (uint32_t)s->len);
	iov[0] = (struct iovec){ head, sizeof(head) };
	for (int i = 0; write && i < s->n; i++)
		iov[i + 1] = s->iov[i];
	return hull_socket_writev(d->fd, iov, write ? s->n + 1 : 1, NBD_REPLY_MS);
}

/*
 * Ask and wait.  `want` says what; *want has the answer afterwards.  At most
 * VECTORS pieces and data_max bytes.
 */
static int ask(struct nbd *d, struct slot *want, unsigned flags)
{
	struct slot *s;
	uint64_t cookie;

	pthread_mutex_lock(&d->lock);
	s = take_slot(d);
	*s = *want;
	s->state = DONE; /* until it is sent, the receiving thread must not see it */
	pthread_mutex_unlock(&d->lock);

	pthread_mutex_lock(&d->sending);
	s->status = HULL_EIO;
	if (connected(d)) {
		pthread_mutex_lock(&d->lock);
		s->generation = d->generation;
		s->status = 0;
		if (d->alive)
			s->state = SENT;
		else
			s->status = HULL_EIO;
		if (!d->in_flight++)
			d->heard_ms = now_ms();
		if (s->state != SENT)
			d->in_flight--;
		pthread_mutex_unlock(&d->lock);
		cookie = (uint64_t)s->generation * SLOTS + (uint64_t)(s - d->slot);
		/* A slot that the receiving thread has given up in between is sent in vain. */
		if (!send_request(d, want, cookie, flags))
			shutdown(d->fd, SHUT_RDWR);
	}
	pthread_mutex_unlock(&d->sending);

	pthread_mutex_lock(&d->lock);
	while (s->state == SENT)
		pthread_cond_wait(&d->changed, &d->lock);
	*want = *s;
	s->state = FREE;
	pthread_cond_broadcast(&d->changed);
	pthread_mutex_unlock(&d->lock);
	return want->status;
}

static struct nbd *of(struct hull_image *img)
{
	return (struct nbd *)img;
}

static int transfer(struct nbd *d, struct slot *what, unsigned flags, const struct iovec *iov,
                    int n)
{
	uint64_t done = 0, skip = 0;

	while (done < what->len) {
		struct iovec part[VECTORS];
		struct slot s = { .cmd = what->cmd, .off = what->off + done, .iov = part };
		int r;

		for (; n && skip >= iov->iov_len; iov++, n--)
			skip -= iov->iov_len;
		s.n = hull_iov_slice(iov, MIN(n, (int)VECTORS), skip,
		                     MIN(what->len - done, (uint64_t)d->export.data_max), part);
		for (int i = 0; i < s.n; i++)
			s.len += part[i].iov_len;
		if (!s.len)
			return HULL_EINVAL;
		skip += s.len;
		done += s.len;
		r = ask(d, &s, flags);
		if (r)
			return r;
	}
	return 0;
}

static int nbd_read(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                    uint64_t len)
{
	struct slot s = { .cmd = NBD_CMD_READ, .off = off, .len = len };

	return transfer(of(img), &s, 0, iov, n);
}

static void wrote(struct nbd *d)
{
	pthread_mutex_lock(&d->lock);
	d->writes++;
	pthread_mutex_unlock(&d->lock);
}

static int nbd_flush(struct hull_image *img)
{
	struct nbd *d = of(img);
	struct slot s = { .cmd = NBD_CMD_FLUSH };
	uint64_t writes;
	bool lost = false;
	int r = 0;

	pthread_mutex_lock(&d->lock);
	writes = d->writes;
	pthread_mutex_unlock(&d->lock);
	if (d->export.flags & NBD_SEND_FLUSH)
		r = ask(d, &s, 0);
	pthread_mutex_lock(&d->lock);
	if (!r) {
		lost = d->lost;
		d->lost = false;
		d->flushed = MAX(d->flushed, writes);
	}
	pthread_mutex_unlock(&d->lock);
	return r ? r : lost ? HULL_EIO : 0;
}

static int nbd_write(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len, bool fua)
{
	struct nbd *d = of(img);
	struct slot s = { .cmd = NBD_CMD_WRITE, .off = off, .len = len };
	bool sends = d->export.flags & NBD_SEND_FUA;
	int r;

	wrote(d);
	r = transfer(d, &s, fua && sends ? NBD_CMD_FUA : 0, iov, n);
	return !r && fua && !sends ? nbd_flush(img) : r;
}

/* TRIM and WRITE_ZEROES: lengths of 32 bits. */
static int change_range(struct nbd *d, unsigned cmd, unsigned flags, uint64_t off, uint64_t len)
{
	while (len) {
		struct slot s = { .cmd = cmd, .off = off, .len = MIN(len, UINT64_C(1) << 30) };
		int r = ask(d, &s, flags);

		if (r)
			return r;
		off += s.len;
		len -= s.len;
	}
	return 0;
}

static int write_buffers(struct hull_image *img, uint64_t off, uint64_t len)
{
	static const char zeroes[65536];

	while (len) {
		struct iovec iov = { (void *)(uintptr_t)zeroes, MIN(len, sizeof(zeroes)) };
		int r = nbd_write(img, off, &iov, 1, iov.iov_len, false);

		if (r)
			return r;
		off += iov.iov_len;
		len -= iov.iov_len;
	}
	return 0;
}

static int nbd_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                            bool fua)
{
	struct nbd *d = of(img);
	int r;

	wrote(d);
	if (d->export.flags & NBD_SEND_WRITE_ZEROES)
		r = change_range(d, NBD_CMD_WRITE_ZEROES, unmap ? 0 : NBD_CMD_NO_HOLE, off, len);
	else
		r = write_buffers(img, off, len);
	return !r && fua ? nbd_flush(img) : r;
}

static int nbd_discard(struct hull_image *img, uint64_t off, uint64_t len)
{
	struct nbd *d = of(img);

	if (!(d->export.flags & NBD_SEND_TRIM))
		return 0;
	wrote(d);
	return change_range(d, NBD_CMD_TRIM, 0, off, len);
}

static int nbd_map(struct hull_image *img, uint64_t off, uint64_t len,
                   struct hull_image_extent *ret)
{
	struct nbd *d = of(img);
	struct slot s = { .cmd = NBD_CMD_BLOCK_STATUS, .off = off };
	int r = 0;

	s.len = MIN(len, UINT64_C(1) << 30);
	*ret = (struct hull_image_extent){ .offset = off,
		                           .len = len,
		                           .flags = HULL_IMAGE_DATA | HULL_IMAGE_ALLOCATED,
		                           .at = UINT64_MAX };
	if (!d->export.has_map)
		return 0;
	r = ask(d, &s, NBD_CMD_REQ_ONE);
	/* Sectors that are one thing and another are data. */
	if (r || s.extent_len < 512)
		return r;
	ret->len = MIN(len, (uint64_t)(s.extent_len & ~511u));
	if (s.extent_flags & NBD_STATE_ZERO)
		ret->flags = HULL_IMAGE_ZERO | HULL_IMAGE_ALLOCATED;
	return 0;
}

static int nbd_info(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err)
{
	(void)err;
	*ret = (struct hull_image_info){ .format = "nbd",
		                         .size = img->size,
		                         .file_bytes = img->size };
	return 0;
}

static void nbd_close(struct hull_image *img)
{
	struct nbd *d = of(img);
	uint8_t head[NBD_REQUEST_BYTES] = { 0 };

	if (d->has_thread && d->alive) {
		store_be32(head, NBD_REQUEST_MAGIC);
		store_be16(head + 6, NBD_CMD_DISC);
		(void)!hull_socket_write(d->fd, head, sizeof(head), TICK_MS);
	}
	bury(d);
	pthread_cond_destroy(&d->changed);
	pthread_mutex_destroy(&d->lock);
	pthread_mutex_destroy(&d->sending);
	free(d);
}

static int begin(struct nbd *d, const struct hull_image_options *o, struct hull_err *err)
{
	int r = hull_nbd_parse(o->path, &d->address, err);

	if (r)
		return r;
	d->fd = nbd_connect(&d->address, &d->export, err);
	if (d->fd < 0)
		return d->fd;
	if (!d->export.size || d->export.size % 512)
		return hull_fail(err, HULL_EINVAL, 304,
		                 "the disk \"%s\" has %llu bytes, which is no multiple of 512",
		                 o->path, (unsigned long long)d->export.size);
	if (d->export.flags & NBD_READ_ONLY && !o->read_only) {
		hull_fail(err, HULL_EPERM, 302, "the NBD server gives \"%s\" only for reading",
		          o->path);
		hull_err_fix(err, "attach it read-only");
		return HULL_EPERM;
	}
	d->img.size = d->export.size;
	d->img.read_only = o->read_only;
	return attach(d, err);
}

static int nbd_open(const struct hull_image_options *o, struct hull_image *file,
                    struct hull_image **ret, struct hull_err *err)
{
	struct nbd *d = calloc(1, sizeof(*d));
	int r;

	(void)file;
	if (!d)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a disk");
	pthread_mutex_init(&d->sending, NULL);
	pthread_mutex_init(&d->lock, NULL);
	pthread_cond_init(&d->changed, NULL);
	d->fd = -1;
	r = begin(d, o, err);
	if (r)
		nbd_close(&d->img);
	else
		*ret = &d->img;
	return r;
}

#define NBD_MEMBERS                                                                   \
	.protocol = true, .open = nbd_open, .close = nbd_close, .read = nbd_read,     \
	.write = nbd_write, .write_zeroes = nbd_write_zeroes, .discard = nbd_discard, \
	.flush = nbd_flush, .map = nbd_map, .info = nbd_info

HULL_IMAGE_FORMAT(nbd) = {
	NBD_MEMBERS,
	.name = "nbd",
	.summary = "a disk behind an NBD server",
	.prefix = "nbd:",
};

HULL_IMAGE_FORMAT(nbd_unix) = {
	NBD_MEMBERS,
	.name = "nbd+unix",
	.summary = "a disk behind an NBD server on a Unix socket",
	.prefix = "nbd+unix:",
};
