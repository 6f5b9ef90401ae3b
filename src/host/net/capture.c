/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/capture.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/net/wrap.h"
#include "host/os/os.h"

/* Blocks and options of pcapng, in the byte order of the file: little-endian. */
enum { SECTION = 0x0a0d0d0a, INTERFACE = 1, PACKET = 6, STATISTICS = 5 };
enum { IF_NAME = 2, IF_TSRESOL = 9, FLAGS = 2, ISB_IFRECV = 4, ISB_IFDROP = 5 };
enum { TO_GUEST = 1, FROM_GUEST = 2 }; /* inbound and outbound, seen from the card */
enum { HALF = HULL_CAPTURE_BYTES / 2, FRAMING = 12, PACKET_HEAD = 28, PACKET_TAIL = 16 };

struct capture {
	struct hull_net_wrap wrap;
	int fd;
	uint32_t snap;
	uint64_t max, size; /* bytes of the file */
	pthread_t thread;
	bool running, closing;
	pthread_mutex_t mutex;
	pthread_cond_t work;
	uint8_t *fill, *drain; /* half of the memory each */
	uint32_t used;         /* of `fill` */
	bool waiting;          /* the thread */
	uint64_t seen, dropped;
	uint32_t over; /* atomic: 0, or the recording has ended: `why` is set */
	char why[160];
};

static struct capture *of(struct hull_net_wrap *w)
{
	return (struct capture *)w;
}

static uint64_t wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

/* Begin a block whose body has `len` bytes, a multiple of 4; returns where that goes. */
static uint8_t *block(uint8_t *p, uint32_t type, uint32_t len)
{
	store_le32(p, type);
	store_le32(p + 4, len + FRAMING);
	store_le32(p + 8 + len, len + FRAMING);
	return p + 8;
}

static uint8_t *option(uint8_t *p, uint16_t code, const void *data, uint16_t len)
{
	store_le16(p, code);
	store_le16(p + 2, len);
	memset(p + 4, 0, align_up(len, 4));
	memcpy(p + 4, data, len);
	return p + 4 + align_up(len, 4);
}

static void header(struct capture *c, const char *name)
{
	static const uint8_t nanoseconds = 9;
	uint16_t len = (uint16_t)MIN(name ? strlen(name) : 0, (size_t)64);
	uint32_t names = len ? 4 + (uint32_t)align_up(len, 4) : 0;
	uint8_t *p = block(c->fill, SECTION, 16);

	store_le32(p, 0x1a2b3c4d);
	store_le16(p + 4, 1);
	store_le16(p + 6, 0);
	store_le64(p + 8, UINT64_MAX); /* length of the section: unknown */
	c->used = 16 + FRAMING;
	p = block(c->fill + c->used, INTERFACE, 8 + names + 8 + 4);
	store_le32(p, 1); /* Ethernet */
	store_le32(p + 4, c->snap);
	p += 8;
	if (len)
		p = option(p, IF_NAME, name, len);
	p = option(p, IF_TSRESOL, &nanoseconds, 1);
	store_le32(p, 0);
	c->used += 8 + names + 8 + 4 + FRAMING;
}

static uint32_t copy(uint8_t *to, const struct hull_net_frame *f, uint32_t len)
{
	uint32_t done = 0;

	for (unsigned i = 0; i < f->nsegs && done < len; i++) {
		uint32_t n = (uint32_t)MIN(f->segs[i].len, (uint64_t)(len - done));

		memcpy(to + done, f->segs[i].hva, n);
		done += n;
	}
	return done;
}

static void record(struct capture *c, const struct hull_net_frame *f, uint32_t direction)
{
	uint32_t len = MIN(f->len, c->snap), padded = (uint32_t)align_up(len, 4);
	uint32_t flags, need = PACKET_HEAD + padded + PACKET_TAIL;
	uint64_t now = wall_ns();
	uint8_t *p;

	if (hull_load_relaxed(&c->over))
		return;
	pthread_mutex_lock(&c->mutex);
	c->seen++;
	if (HALF - c->used < need) {
		c->dropped++;
	} else {
		p = block(c->fill + c->used, PACKET, need - FRAMING);
		store_le32(p, 0);
		store_le32(p + 4, (uint32_t)(now >> 32));
		store_le32(p + 8, (uint32_t)now);
		store_le32(p + 12, len);
		store_le32(p + 16, f->len);
		memset(p + 20 + len, 0, padded - len);
		copy(p + 20, f, len);
		store_le32((uint8_t *)&flags, direction);
		store_le32(option(p + 20 + padded, FLAGS, &flags, 4), 0);
		c->used += need;
	}
	if (c->waiting)
		pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->mutex);
}

static bool capture_send(struct hull_net *n, const struct hull_net_frame *f)
{
	struct hull_net_wrap *w = hull_net_wrap_of(n);

	hull_net_wrap_gives(w);
	if (!w->inner->net.send(&w->inner->net, f))
		return false;
	record(of(w), f, FROM_GUEST);
	return true;
}

static bool capture_receive(void *arg, const struct hull_net_frame *f)
{
	struct hull_net_wrap *w = arg;

	hull_net_wrap_gives(w);
	if (w->end.net.receive && !w->end.net.receive(w->end.net.arg, f))
		return false;
	record(of(w), f, TO_GUEST);
	return true;
}

/* The end of the recording; the file keeps what was written whole. */
static void end(struct capture *c, const char *why)
{
	hull_format(c->why, sizeof(c->why), "the capture ended early: %s", why);
	if (ftruncate(c->fd, (off_t)c->size)) {
		/* What follows the last whole block is then for the reader to notice. */
	}
	hull_store_release(&c->over, 1);
}

/* How many bytes of whole blocks fit. */
static uint32_t fitting(const uint8_t *p, uint32_t len, uint64_t room)
{
	uint32_t at = 0;

	while (at < len && load_le32(p + at + 4) <= room - at)
		at += load_le32(p + at + 4);
	return at;
}

static void put(struct capture *c, const uint8_t *p, uint32_t len)
{
	uint32_t fit = c->max ? fitting(p, len, c->max - MIN(c->max, c->size)) : len;
	uint32_t done = 0;
	char reason[64];

	while (done < fit) {
		ssize_t n = write(c->fd, p + done, fit - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			int error = n < 0 ? errno : EIO;

			c->size += fitting(p, done, done);
			end(c, hull_os_reason(error, reason, sizeof(reason)));
			return;
		}
		done += (uint32_t)n;
	}
	c->size += fit;
	if (fit < len)
		end(c, "the file has its largest size");
}

static void *run(void *arg)
{
	struct capture *c = arg;
	uint8_t *full;
	uint32_t n;
	bool closing;

	do {
		pthread_mutex_lock(&c->mutex);
		c->waiting = true;
		while (!c->used && !c->closing)
			pthread_cond_wait(&c->work, &c->mutex);
		c->waiting = false;
		full = c->fill;
		n = c->used;
		c->fill = c->drain;
		c->drain = full;
		c->used = 0;
		closing = c->closing;
		pthread_mutex_unlock(&c->mutex);
		if (n && !hull_load_relaxed(&c->over))
			put(c, full, n);
	} while (!closing || n);
	return NULL;
}

static int capture_start(struct hull_net_end *e, struct hull_err *err)
{
	struct capture *c = of(hull_net_wrap_of(&e->net));
	int r;

	hull_net_wrap_gives(&c->wrap);
	if (!c->running) {
		r = hull_os_thread(&c->thread, "hull-capture", run, c, err);
		if (r)
			return r;
		c->running = true;
	}
	return hull_net_start(c->wrap.inner, err);
}

static void capture_stop(struct hull_net_end *e)
{
	hull_net_stop(hull_net_wrap_of(&e->net)->inner);
}

/* The last block says how much was seen and left out. */
static void statistics(struct capture *c)
{
	uint8_t b[64], seen[8], dropped[8], *p = block(b, STATISTICS, 12 + 12 + 12 + 4);
	uint64_t now = wall_ns();

	store_le64(seen, c->seen);
	store_le64(dropped, c->dropped);
	store_le32(p, 0);
	store_le32(p + 4, (uint32_t)(now >> 32));
	store_le32(p + 8, (uint32_t)now);
	p = option(p + 12, ISB_IFRECV, seen, 8);
	store_le32(option(p, ISB_IFDROP, dropped, 8), 0);
	if (!hull_load_relaxed(&c->over))
		put(c, b, 12 + 12 + 12 + 4 + FRAMING);
}

static void capture_close(struct hull_net_end *e)
{
	struct capture *c = of(hull_net_wrap_of(&e->net));

	hull_net_close(c->wrap.inner);
	pthread_mutex_lock(&c->mutex);
	c->closing = true;
	pthread_cond_signal(&c->work);
	pthread_mutex_unlock(&c->mutex);
	if (c->running)
		pthread_join(c->thread, NULL);
	else
		put(c, c->fill, c->used);
	statistics(c);
	close(c->fd);
	pthread_mutex_destroy(&c->mutex);
	pthread_cond_destroy(&c->work);
	free(MIN(c->fill, c->drain));
	free(c);
}

static const struct hull_net_kind kind = { "capture", capture_start, capture_stop, capture_close };

int hull_capture_open(const struct hull_capture_options *o, struct hull_net_end *inner,
                      struct hull_net_end **ret, struct hull_err *err)
{
	struct capture *c = calloc(1, sizeof(*c));
	uint8_t *memory = malloc(HULL_CAPTURE_BYTES);
	char reason[64];

	if (!c || !memory) {
		free(c);
		free(memory);
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for a capture");
	}
	c->fd = open(o->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (c->fd < 0) {
		int error = errno;

		free(c);
		free(memory);
		hull_fail(err, hull_os_error(error), 515, "cannot make the capture file \"%s\": %s",
		          o->path, hull_os_reason(error, reason, sizeof(reason)));
		return hull_os_error(error);
	}
	c->fill = memory;
	c->drain = memory + HALF;
	c->max = o->max_bytes;
	c->snap = o->snap ? MIN(o->snap, (uint32_t)HULL_CAPTURE_SNAP) : HULL_CAPTURE_SNAP;
	pthread_mutex_init(&c->mutex, NULL);
	pthread_cond_init(&c->work, NULL);
	header(c, o->interface);
	hull_net_wrap_init(&c->wrap, inner, &kind);
	c->wrap.end.net.send = capture_send;
	inner->net.receive = capture_receive;
	*ret = &c->wrap.end;
	return 0;
}

const char *hull_capture_ended(const struct hull_net_end *e)
{
	const struct capture *c = (const struct capture *)e;

	return e->kind == &kind && hull_load_acquire(&c->over) ? c->why : NULL;
}
