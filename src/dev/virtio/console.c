/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-console: one port onto a byte stream.
 *
 * Spec: VIRTIO 1.3, 5.3.
 *
 * Not modelled: more than one port (serial.c has them).
 */
#include "dev/virtio/mmio.h"
#include "dev/virtio/port.h"

enum { ID = 3, RX = 0, TX = 1, QUEUES = 2 };
enum { F_SIZE = 0, F_EMERG_WRITE = 2 };
enum { C_COLS = 0, C_ROWS = 2, C_MAX_NR_PORTS = 4, C_EMERG_WR = 8, C_SIZE = 12 }; /* 5.3.4 */
struct console {
	struct hull_virtio v;
	struct hull_virtq queue[QUEUES];
	struct hull_port port;
	struct hull_virtq_chain chain;
};

static uint64_t console_features(struct hull_virtio *v)
{
	const struct hull_char *c = v->dev.backend;

	return BIT(F_EMERG_WRITE) | (c && c->size ? BIT(F_SIZE) : 0);
}

static void console_config(struct hull_virtio *v, uint8_t *buf)
{
	struct hull_char *c = v->dev.backend;
	uint16_t cols = 0, rows = 0;

	if (c && c->size)
		c->size(c, &cols, &rows);
	store_le16(buf + C_COLS, cols);
	store_le16(buf + C_ROWS, rows);
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
		((struct console *)v)->port.dropped++;
}

static void console_notify(struct hull_virtio *v, unsigned q)
{
	struct console *s = (struct console *)v;

	if (q == RX)
		hull_port_receive(&s->port);
	else
		hull_port_transmit(&s->port);
}

static void console_reset(struct hull_virtio *v)
{
	hull_port_reset(&((struct console *)v)->port);
}

static void console_queue_reset(struct hull_virtio *v, unsigned q)
{
	hull_port_queue_reset(&((struct console *)v)->port, q);
}

static const struct hull_virtio_ops console_ops = {
	.device_id = ID,
	.queue_max = HULL_PORT_QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = console_features,
	.config = console_config,
	.config_write = console_config_write,
	.notify = console_notify,
	.reset = console_reset,
	.queue_reset = console_queue_reset,
};

static void console_readable(void *arg)
{
	struct console *s = arg;

	hull_dev_enter(&s->v.dev);
	hull_virtio_notify(&s->v, RX);
	hull_dev_leave(&s->v.dev);
}

static void console_resized(void *arg)
{
	struct console *s = arg;

	hull_dev_enter(&s->v.dev);
	hull_virtio_config_changed(&s->v);
	hull_dev_leave(&s->v.dev);
}

static int console_init(struct hull_dev *d, struct hull_err *err)
{
	struct console *s = (struct console *)d;
	struct hull_char *c = d->backend;
	int r;

	(void)err;
	s->port = (struct hull_port){
		.v = &s->v, .chr = c, .chain = &s->chain, .rx = RX, .tx = TX, .tx_since = HULL_NEVER
	};
	r = hull_virtio_init(&s->v, &console_ops, s->queue, QUEUES);
	if (c && !r) {
		c->readable_arg = d;
		c->readable = console_readable;
		c->resized = console_resized;
	}
	return r;
}

static const struct hull_field console_fields[] = {
	HULL_VIRTIO_FIELDS(struct console),       HULL_VIRTQ_FIELDS(struct console, queue),
	HULL_FIELD(struct console, port.tx_done), HULL_FIELD(struct console, port.tx_since),
	HULL_FIELD(struct console, port.dropped),
};

static const struct hull_prop console_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_console) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-console",
	.summary = "virtio console with one port",
	.state_size = sizeof(struct console),
	.backend = HULL_BACKEND_CHAR,
	.init = console_init,
	.restored = hull_virtio_restored,
	.fields = console_fields,
	.nfields = ARRAY_LEN(console_fields),
	.props = console_props,
	.nprops = ARRAY_LEN(console_props),
};
