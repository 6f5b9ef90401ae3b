/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-serial: named byte channels between programs in the guest and on the host.
 *
 * Spec: VIRTIO 1.3, 5.3, with VIRTIO_CONSOLE_F_MULTIPORT.
 *
 * It is the device of virtio-console (console.c) with several ports and a control queue each way.
 * Port 0, which drivers take for a console, is left out.  What must be said to the driver is noted
 * per port and said when it has a buffer.  The host's side counts as open all the time; input waits
 * in the backend until a program of the guest has opened the port.
 *
 * Not modelled: ports that come and go, ports that are consoles.
 */
#include "base/mem.h"
#include "dev/virtio/mmio.h"
#include "dev/virtio/port.h"

enum { ID = 3, PORTS = HULL_PORTS, CTRL_RX = 2, CTRL_TX = 3, QUEUES = 2 * PORTS + 4 };
enum { F_MULTIPORT = 1, C_MAX_NR_PORTS = 4, C_SIZE = 12 };

/* 5.3.6.2: struct virtio_console_control and its events. */
enum { CONTROL = 8 };
enum { DEVICE_READY = 0, PORT_ADD = 1, PORT_READY = 3, PORT_OPEN = 6, PORT_NAME = 7 };

enum { SAY_ADD = 1, SAY_NAME = 2, SAY_OPEN = 4 };

struct serial {
	struct hull_virtio v;
	struct hull_virtq queues[QUEUES];
	struct hull_port ports[PORTS]; /* number of each: index + 1 */
	uint8_t say[PORTS];            /* SAY_... */
	uint8_t open[PORTS];           /* 1: a program of the guest has it open */
	struct hull_virtq_chain *chain;
};

static struct hull_ports *backend(struct serial *s)
{
	return s->v.dev.backend;
}

/* 5.3.2: ports 0 and 1 have the control queues between them. */
static unsigned rx_of(unsigned number)
{
	return number ? 2 * number + 2 : 0;
}

static uint64_t serial_features(struct hull_virtio *v)
{
	(void)v;
	return BIT(F_MULTIPORT);
}

static void serial_config(struct hull_virtio *v, uint8_t *buf)
{
	store_le32(buf + C_MAX_NR_PORTS, backend((struct serial *)v)->n + 1);
}

/* Say one thing about port i; there is a buffer in s->chain.  False: the queue broke. */
static bool say(struct serial *s, unsigned i)
{
	const struct hull_named_port *ch = &backend(s)->port[i];
	size_t name = s->say[i] & SAY_ADD ? 0 : s->say[i] & SAY_NAME ? hull_text_len(ch->name) : 0;
	uint16_t event = s->say[i] & SAY_ADD ? PORT_ADD : name ? PORT_NAME : PORT_OPEN;
	uint8_t h[CONTROL];

	store_le32(h, i + 1);
	store_le16(h + 4, event);
	store_le16(h + 6, 1);
	s->say[i] &= (uint8_t)~(event == PORT_ADD    ? SAY_ADD
	                        : event == PORT_NAME ? SAY_NAME
	                                             : SAY_OPEN);
	hull_virtq_take(&s->queues[CTRL_RX]);
	if (!hull_virtq_copy_out(&s->queues[CTRL_RX], s->chain, 0, h, sizeof(h)) ||
	    !hull_virtq_copy_out(&s->queues[CTRL_RX], s->chain, sizeof(h), ch->name, name)) {
		hull_virtio_broken(&s->v, CTRL_RX, "buffer too small or not memory");
		return false;
	}
	hull_virtio_push(&s->v, CTRL_RX, s->chain->head, (uint32_t)(sizeof(h) + name));
	return true;
}

static void say_all(struct serial *s)
{
	bool fine = true;

	for (unsigned i = 0; i < backend(s)->n && fine; i++)
		while (fine && s->say[i]) {
			fine = hull_virtio_next(&s->v, CTRL_RX, s->chain) && say(s, i);
		}
	hull_virtio_signal(&s->v, CTRL_RX);
}

static void hear(struct serial *s, uint32_t number, uint16_t event, uint16_t value)
{
	unsigned n = backend(s)->n, i = number - 1;

	if (event == DEVICE_READY) {
		for (i = 0; i < n && value == 1; i++)
			s->say[i] = SAY_ADD;
		return;
	}
	if (!number || number > n || value > 1 || (event != PORT_READY && event != PORT_OPEN)) {
		hull_guest_error(&s->v.dev, "control message without sense", event);
		return;
	}
	if (event == PORT_READY) {
		s->say[i] |= value ? SAY_NAME | SAY_OPEN : 0;
		return;
	}
	s->open[i] = (uint8_t)value;
	if (value)
		hull_port_receive(&s->ports[i]);
}

static void control(struct serial *s)
{
	unsigned budget = HULL_PORT_QUEUE_SIZE;

	for (; budget && hull_virtio_next(&s->v, CTRL_TX, s->chain); budget--) {
		uint8_t h[CONTROL];
		uint16_t head = s->chain->head;
		bool whole = hull_virtq_copy_in(&s->queues[CTRL_TX], s->chain, 0, h, sizeof(h));

		hull_virtq_take(&s->queues[CTRL_TX]);
		if (whole)
			hear(s, load_le32(h), load_le16(h + 4), load_le16(h + 6));
		else
			hull_guest_error(&s->v.dev, "control message cut short", 0);
		hull_virtio_push(&s->v, CTRL_TX, head, 0);
	}
	hull_virtio_signal(&s->v, CTRL_TX);
	if (!budget)
		hull_virtio_later(&s->v, CTRL_TX, 0);
	say_all(s);
}

/* The port that queue `q` belongs to, or NULL. */
static struct hull_port *port_of(struct serial *s, unsigned q)
{
	return q < rx_of(1) || q / 2 - 2 >= backend(s)->n ? NULL : &s->ports[q / 2 - 2];
}

static void serial_notify(struct hull_virtio *v, unsigned q)
{
	struct serial *s = (struct serial *)v;
	struct hull_port *p = port_of(s, q);

	if (q == CTRL_RX)
		say_all(s);
	else if (q == CTRL_TX)
		control(s);
	else if (p && q == p->tx)
		hull_port_transmit(p);
	else if (p && s->open[p - s->ports])
		hull_port_receive(p);
}

static void serial_reset(struct hull_virtio *v)
{
	struct serial *s = (struct serial *)v;

	for (unsigned i = 0; i < PORTS; i++) {
		hull_port_reset(&s->ports[i]);
		s->say[i] = s->open[i] = 0;
	}
}

static void serial_queue_reset(struct hull_virtio *v, unsigned q)
{
	struct hull_port *p = port_of((struct serial *)v, q);

	if (p)
		hull_port_queue_reset(p, q);
}

static const struct hull_virtio_ops serial_ops = {
	.device_id = ID,
	.queue_max = HULL_PORT_QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = serial_features,
	.config = serial_config,
	.notify = serial_notify,
	.reset = serial_reset,
	.queue_reset = serial_queue_reset,
};

static void serial_readable(void *arg)
{
	struct hull_port *p = arg;

	hull_dev_enter(&p->v->dev);
	hull_virtio_notify(p->v, p->rx);
	hull_dev_leave(&p->v->dev);
}

static int serial_init(struct hull_dev *d, struct hull_err *err)
{
	struct serial *s = (struct serial *)d;
	struct hull_ports *b = d->backend;

	if (!b || !b->n || b->n > PORTS)
		return hull_fail(err, HULL_EINVAL, 0, "\"%s\" has no channels", d->name);
	s->chain = hull_dev_alloc(d, sizeof(*s->chain));
	if (!s->chain)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for \"%s\"", d->name);
	for (unsigned i = 0; i < b->n; i++) {
		struct hull_port *p = &s->ports[i];

		p->v = &s->v;
		p->chr = b->port[i].chr;
		p->chain = s->chain;
		p->rx = rx_of(i + 1);
		p->tx = p->rx + 1;
		p->chr->readable_arg = p;
		p->chr->readable = serial_readable;
	}
	return hull_virtio_init(&s->v, &serial_ops, s->queues, 2 * b->n + 4);
}

/* A snapshot may hold anything. */
static void serial_restored(struct hull_dev *d)
{
	struct serial *s = (struct serial *)d;

	for (unsigned i = 0; i < PORTS; i++) {
		s->say[i] &= SAY_ADD | SAY_NAME | SAY_OPEN;
		s->open[i] = s->open[i] != 0;
	}
	hull_virtio_restored(d);
}

static const struct hull_field serial_fields[] = {
	HULL_VIRTIO_FIELDS(struct serial),
	HULL_VIRTQ_FIELDS(struct serial, queues),
	HULL_FIELD_EACH(struct serial, ports, tx_done),
	HULL_FIELD_EACH(struct serial, ports, tx_since),
	HULL_FIELD_EACH(struct serial, ports, dropped),
	HULL_FIELD_ARRAY(struct serial, say),
	HULL_FIELD_ARRAY(struct serial, open),
};

static const struct hull_prop serial_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_serial) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-serial",
	.summary = "virtio channels with names",
	.state_size = sizeof(struct serial),
	.backend = HULL_BACKEND_PORTS,
	.init = serial_init,
	.restored = serial_restored,
	.fields = serial_fields,
	.nfields = ARRAY_LEN(serial_fields),
	.props = serial_props,
	.nprops = ARRAY_LEN(serial_props),
};
