/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-console: one port onto a byte stream.
 *
 * Spec: VIRTIO 1.3, 5.3.
 *
 * Input is taken from the backend only when the guest has a buffer.  Output
 * that the backend does not take is offered again every millisecond; a backend
 * that has taken nothing for two seconds loses everything until it takes
 * something again.  A request stays in the ring until it is finished; `tx_done`
 * says how much of it went out.
 *
 * Not modelled: multiple ports, terminal size.
 */
#include "base/mem.h"
#include "dev/virtio/mmio.h"

enum { ID = 3, RX = 0, TX = 1, QUEUES = 2, QUEUE_SIZE = 64 };
enum { F_EMERG_WRITE = 2 };
enum { C_MAX_NR_PORTS = 4, C_EMERG_WR = 8, C_SIZE = 12 }; /* 5.3.4 */
enum { PIECE = 256, TX_BUDGET = 65536 };

static const uint64_t retry_ns = 1000000, give_up_ns = 2000000000;

struct console {
	struct hull_virtio v;
	struct hull_virtq queue[QUEUES];
	uint64_t tx_done;  /* bytes of the first transmit request that went out */
	uint64_t tx_since; /* guest time when the backend first refused; HULL_NEVER: it did not */
	uint64_t dropped;  /* bytes that the backend never took */
	uint8_t rx[PIECE]; /* input that waits for a buffer */
	uint16_t rx_len;
	struct hull_virtq_chain chain;
};

static uint64_t console_features(struct hull_virtio *v)
{
	(void)v;
	return BIT(F_EMERG_WRITE);
}

static void console_config(struct hull_virtio *v, uint8_t *buf)
{
	(void)v;
	store_le32(buf + C_MAX_NR_PORTS, 1);
}

static void console_config_write(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size)
{
	struct hull_char *c = v->dev.backend;
	uint8_t byte = (uint8_t)val;

	(void)size;
	if (off != C_EMERG_WR)
		hull_guest_error(&v->dev, "write to read-only configuration space", off);
	else if (c && !c->write(c, &byte, 1))
		((struct console *)v)->dropped++;
}

static void refill(struct console *s)
{
	struct hull_char *c = s->v.dev.backend;

	if (c && !s->rx_len)
		s->rx_len = (uint16_t)MIN(c->read(c, s->rx, PIECE), (size_t)PIECE);
}

static void receive(struct console *s)
{
	struct hull_virtq *q = &s->v.queue[RX];
	unsigned budget = QUEUE_SIZE;

	for (; budget && hull_virtio_next(&s->v, RX, &s->chain); budget--) {
		uint16_t n;

		refill(s);
		if (!s->rx_len)
			break;
		n = (uint16_t)MIN(s->chain.write_len, (uint64_t)s->rx_len);
		hull_virtq_take(q);
		if (!hull_virtq_copy_out(q, &s->chain, 0, s->rx, n)) {
			hull_virtio_broken(&s->v, RX, "buffer is not memory");
			break;
		}
		s->rx_len -= n;
		memmove(s->rx, s->rx + n, s->rx_len);
		hull_virtio_push(&s->v, RX, s->chain.head, n);
	}
	hull_virtio_signal(&s->v, RX);
	if (!budget)
		hull_virtio_later(&s->v, RX, 0);
}

/* Offer `n` bytes; how many are done with. */
static size_t offer(struct console *s, const uint8_t *buf, size_t n)
{
	struct hull_char *c = s->v.dev.backend;
	uint64_t now = hull_dev_now(&s->v.dev);
	size_t taken = c ? MIN(c->write(c, buf, n), n) : n;

	if (taken) {
		s->tx_since = HULL_NEVER;
		return taken;
	}
	if (s->tx_since > now)
		s->tx_since = now;
	if (now - s->tx_since < give_up_ns)
		return 0;
	s->dropped += n;
	return n;
}

/* Send the rest of the request in `chain`; false: not finished. */
static bool send(struct console *s, uint64_t *budget)
{
	struct hull_virtq *q = &s->v.queue[TX];
	uint8_t buf[PIECE];

	while (s->tx_done < s->chain.read_len && *budget) {
		uint64_t n = MIN(s->chain.read_len - s->tx_done, (uint64_t)PIECE), taken;

		if (!hull_virtq_copy_in(q, &s->chain, s->tx_done, buf, n)) {
			hull_virtio_broken(&s->v, TX, "buffer is not memory");
			return false;
		}
		taken = offer(s, buf, n);
		if (!taken) {
			hull_virtio_later(&s->v, TX, retry_ns);
			return false;
		}
		s->tx_done += taken;
		*budget -= MIN(taken, *budget);
	}
	return s->tx_done >= s->chain.read_len;
}

static void transmit(struct console *s)
{
	unsigned requests = QUEUE_SIZE;
	uint64_t budget = TX_BUDGET;

	while (requests && budget && hull_virtio_next(&s->v, TX, &s->chain)) {
		if (!send(s, &budget))
			break;
		s->tx_done = 0;
		hull_virtq_take(&s->v.queue[TX]);
		hull_virtio_push(&s->v, TX, s->chain.head, 0);
		requests--;
	}
	hull_virtio_signal(&s->v, TX);
	if (!requests || !budget)
		hull_virtio_later(&s->v, TX, 0);
}

static void console_notify(struct hull_virtio *v, unsigned q)
{
	if (q == RX)
		receive((struct console *)v);
	else
		transmit((struct console *)v);
}

static void console_reset(struct hull_virtio *v)
{
	struct console *s = (struct console *)v;

	s->tx_since = HULL_NEVER;
	s->tx_done = s->dropped = 0;
	s->rx_len = 0;
	memset(s->rx, 0, sizeof(s->rx));
}

static const struct hull_virtio_ops console_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = console_features,
	.config = console_config,
	.config_write = console_config_write,
	.notify = console_notify,
	.reset = console_reset,
};

static void console_readable(void *arg)
{
	struct console *s = arg;

	hull_dev_enter(&s->v.dev);
	hull_virtio_notify(&s->v, RX);
	hull_dev_leave(&s->v.dev);
}

static int console_init(struct hull_dev *d, struct hull_err *err)
{
	struct console *s = (struct console *)d;
	struct hull_char *c = d->backend;
	int r;

	(void)err;
	r = hull_virtio_init(&s->v, &console_ops, s->queue, QUEUES);
	if (c && !r) {
		c->readable_arg = d;
		c->readable = console_readable;
	}
	return r;
}

/* A snapshot may hold anything. */
static void console_restored(struct hull_dev *d)
{
	struct console *s = (struct console *)d;

	s->rx_len = (uint16_t)MIN((unsigned)s->rx_len, (unsigned)PIECE);
	hull_virtio_restored(d);
}

static const struct hull_field console_fields[] = {
	HULL_VIRTIO_FIELDS(struct console),  HULL_VIRTQ_FIELDS(struct console, queue),
	HULL_FIELD(struct console, tx_done), HULL_FIELD(struct console, tx_since),
	HULL_FIELD(struct console, dropped), HULL_FIELD_ARRAY(struct console, rx),
	HULL_FIELD(struct console, rx_len),
};

static const struct hull_prop console_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_console) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-console",
	.summary = "virtio console with one port",
	.state_size = sizeof(struct console),
	.backend = HULL_BACKEND_CHAR,
	.init = console_init,
	.restored = console_restored,
	.fields = console_fields,
	.nfields = ARRAY_LEN(console_fields),
	.props = console_props,
	.nprops = ARRAY_LEN(console_props),
};
