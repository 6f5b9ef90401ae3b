/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-vsock: streams between the guest and programs of the host.
 *
 * Spec: VIRTIO 1.3, 5.10.
 *
 * The backend numbers the connections; `conns` holds what the protocol knows of each.  What must be
 * said to the guest is noted there as WANT_... and turned into packets when the guest has buffers,
 * so that nothing grows: one packet of each kind is enough.  Answers about connections that do not
 * exist wait in a small ring; while that is full, the guest's requests wait in theirs.
 *
 * Not modelled: SEQPACKET.
 */
#include "base/mem.h"
#include "dev/virtio/mmio.h"

enum { ID = 19, RX = 0, TX = 1, EVENT = 2, QUEUES = 3, QUEUE_SIZE = 128, C_SIZE = 8 };
enum { F_STREAM = 0 };
enum { HOST_CID = 2, TYPE_STREAM = 1, EVENT_TRANSPORT_RESET = 0 };
enum { HEADER = 44, PAYLOAD_MAX = 64 << 10, REFUSALS = 64, FIRST_PORT = 1 << 30 };

enum op {
	OP_REQUEST = 1,
	OP_RESPONSE = 2,
	OP_RST = 3,
	OP_SHUTDOWN = 4,
	OP_RW = 5,
	OP_CREDIT_UPDATE = 6,
	OP_CREDIT_REQUEST = 7,
};

/* Flags of OP_SHUTDOWN (5.10.6.5): the sender of it will ... no more. */
enum { NO_RECEIVE = 1, NO_SEND = 2, NO_BOTH = 3 };

enum { FREE = 0, ASKED, OPEN };
enum { WANT_REQUEST = 1, WANT_RESPONSE = 2, WANT_CREDIT = 4, WANT_SHUTDOWN = 8, WANT_RST = 16 };

struct conn {
	uint8_t state;       /* ASKED: the guest has not answered yet */
	uint8_t wants;       /* to be said to the guest */
	bool readable;       /* the backend may have bytes */
	bool finished;       /* the program sends no more */
	uint8_t guest_ended; /* NO_...: the guest will ... no more */
	uint8_t we_ended;    /* what our SHUTDOWN says */
	uint32_t host_port, guest_port;
	uint32_t peer_buffer, peer_taken; /* the guest's buffer, and what it took of ours */
	uint32_t sent;                    /* bytes to the guest, free running */
	uint32_t got;                     /* bytes from the guest, free running */
	uint32_t told;                    /* what we told the guest that we took */
};

struct refusal {
	uint32_t host_port, guest_port;
};

struct packet {
	uint64_t src_cid, dst_cid;
	uint32_t src_port, dst_port, len, flags, buf_alloc, fwd_cnt;
	uint16_t type, op;
};

struct vsock {
	struct hull_virtio v;
	struct hull_virtq queues[QUEUES];
	struct conn conns[HULL_VSOCK_CONNS];
	struct refusal refusals[REFUSALS];
	unsigned nrefusals;
	unsigned turn;      /* the connection that is served next */
	uint32_t next_port; /* for connections that the host opens */
	uint8_t tell_reset; /* the connections are gone: event 0 is due */
	bool tx_waits;      /* the ring of refusals was full */
	uint8_t *data;      /* PAYLOAD_MAX */
	struct hull_virtq_chain *chain;
};

static struct hull_vsock *backend(struct vsock *s)
{
	return s->v.dev.backend;
}

static uint64_t vsock_features(struct hull_virtio *v)
{
	(void)v;
	return BIT(F_STREAM);
}

static void vsock_config(struct hull_virtio *v, uint8_t *buf)
{
	store_le64(buf, backend((struct vsock *)v)->cid);
}

/* Bytes from the guest that the program has taken, free running. */
static uint32_t taken(struct vsock *s, unsigned id)
{
	struct hull_vsock *b = backend(s);

	return s->conns[id].got - MIN(b->unsent(b, id), (uint32_t)HULL_VSOCK_BUFFER);
}

/* How much the guest may still be sent. */
static uint32_t credit(const struct conn *c)
{
	uint32_t under_way = c->sent - c->peer_taken;

	return under_way < c->peer_buffer ? c->peer_buffer - under_way : 0;
}

static void end_conn(struct vsock *s, unsigned id, bool now)
{
	struct hull_vsock *b = backend(s);

	b->close(b, id, now);
	s->conns[id] = (struct conn){ 0 };
}

/* Both are gone for each other: RST says so to the guest, with the next buffer. */
static void refuse(struct vsock *s, uint32_t host_port, uint32_t guest_port)
{
	if (s->nrefusals < REFUSALS)
		s->refusals[s->nrefusals++] = (struct refusal){ host_port, guest_port };
}

static bool put_packet(struct vsock *s, const struct packet *p, const void *data)
{
	struct hull_virtq *q = &s->queues[RX];
	uint8_t h[HEADER];

	store_le64(h, HOST_CID);
	store_le64(h + 8, backend(s)->cid);
	store_le32(h + 16, p->src_port);
	store_le32(h + 20, p->dst_port);
	store_le32(h + 24, p->len);
	store_le16(h + 28, TYPE_STREAM);
	store_le16(h + 30, p->op);
	store_le32(h + 32, p->flags);
	store_le32(h + 36, p->buf_alloc);
	store_le32(h + 40, p->fwd_cnt);
	hull_virtq_take(q);
	if (!hull_virtq_copy_out(q, s->chain, 0, h, HEADER) ||
	    !hull_virtq_copy_out(q, s->chain, HEADER, data, p->len)) {
		hull_virtio_broken(&s->v, RX, "buffer too small or not memory");
		return false;
	}
	hull_virtio_push(&s->v, RX, s->chain->head, HEADER + p->len);
	return true;
}

static bool say(struct vsock *s, unsigned id, uint16_t op, uint32_t flags, uint32_t len)
{
	struct conn *c = &s->conns[id];
	struct packet p = { .src_port = c->host_port,
		            .dst_port = c->guest_port,
		            .op = op,
		            .flags = flags,
		            .len = len,
		            .buf_alloc = HULL_VSOCK_BUFFER,
		            .fwd_cnt = taken(s, id) };

	c->told = p.fwd_cnt;
	c->wants &= (uint8_t)~WANT_CREDIT;
	c->sent += len;
	return put_packet(s, &p, s->data);
}

/* The program's next bytes; nothing is said if there are none.  False: the queue broke. */
static bool move_data(struct vsock *s, unsigned id, bool *ret_said)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];
	uint64_t room = MIN(s->chain->write_len - HEADER, (uint64_t)PAYLOAD_MAX);
	uint32_t most = MIN((uint32_t)room, credit(c));
	int n;

	*ret_said = false;
	if (!most)
		return true;
	n = b->read(b, id, s->data, most);
	if (n > 0) {
		*ret_said = true;
		return say(s, id, OP_RW, 0, MIN((uint32_t)n, most));
	}
	c->readable = false;
	if (!n)
		return true;
	c->finished = true;
	c->wants |= WANT_SHUTDOWN;
	c->we_ended |= n == HULL_VSOCK_END ? NO_SEND : NO_BOTH;
	return true;
}

/* Say one thing about a connection; *ret_said: a packet went out.  False: the queue broke. */
static bool serve(struct vsock *s, unsigned id, bool *ret_said)
{
	struct conn *c = &s->conns[id];
	uint8_t wants = c->wants;

	*ret_said = true;
	if (wants & WANT_RST) {
		bool ok = say(s, id, OP_RST, 0, 0);

		end_conn(s, id, false);
		return ok;
	}
	if (wants & WANT_REQUEST) {
		c->wants &= (uint8_t)~WANT_REQUEST;
		return say(s, id, OP_REQUEST, 0, 0);
	}
	if (wants & WANT_RESPONSE) {
		c->wants &= (uint8_t)~WANT_RESPONSE;
		return say(s, id, OP_RESPONSE, 0, 0);
	}
	if (wants & WANT_CREDIT)
		return say(s, id, OP_CREDIT_UPDATE, 0, 0);
	if (wants & WANT_SHUTDOWN) {
		c->wants &= (uint8_t)~WANT_SHUTDOWN;
		return say(s, id, OP_SHUTDOWN, c->we_ended, 0);
	}
	*ret_said = false;
	if (c->state == OPEN && c->readable && !c->finished && !(c->guest_ended & NO_RECEIVE))
		return move_data(s, id, ret_said);
	return true;
}

/* One packet about any connection, in turns.  False: there is none, or the queue broke. */
static bool serve_next(struct vsock *s)
{
	bool said;

	for (unsigned i = 0; i < HULL_VSOCK_CONNS; i++) {
		unsigned id = s->turn;

		s->turn = (s->turn + 1) % HULL_VSOCK_CONNS;
		if (s->conns[id].state == FREE)
			continue;
		do {
			if (!serve(s, id, &said))
				return false;
		} while (!said && s->conns[id].wants);
		if (said)
			return true;
	}
	return false;
}

static bool say_refusal(struct vsock *s)
{
	struct packet p = { .op = OP_RST };

	s->nrefusals--;
	p.src_port = s->refusals[s->nrefusals].host_port;
	p.dst_port = s->refusals[s->nrefusals].guest_port;
	return put_packet(s, &p, s->data);
}

static void transmit(struct vsock *s);

/* Tell the guest what there is to tell, as far as it has buffers. */
static void receive(struct vsock *s)
{
	unsigned budget = QUEUE_SIZE;

	for (; budget && hull_virtio_next(&s->v, RX, s->chain); budget--) {
		if (s->chain->write_len < HEADER) {
			hull_virtio_broken(&s->v, RX, "receive buffer without room for a header");
			break;
		}
		if (!(s->nrefusals ? say_refusal(s) : serve_next(s)))
			break;
	}
	hull_virtio_signal(&s->v, RX);
	if (!budget)
		hull_virtio_later(&s->v, RX, 0);
	if (s->tx_waits && s->nrefusals < REFUSALS) {
		s->tx_waits = false;
		hull_virtio_later(&s->v, TX, 0);
	}
}

static unsigned find(const struct vsock *s, uint32_t host_port, uint32_t guest_port)
{
	unsigned id = 0;

	while (id < HULL_VSOCK_CONNS &&
	       (s->conns[id].state == FREE || s->conns[id].host_port != host_port ||
	        s->conns[id].guest_port != guest_port))
		id++;
	return id;
}

static void request(struct vsock *s, const struct packet *p)
{
	struct hull_vsock *b = backend(s);
	int id = b->connect(b, p->dst_port);

	if (id < 0 || id >= HULL_VSOCK_CONNS) {
		refuse(s, p->dst_port, p->src_port);
		return;
	}
	s->conns[id] = (struct conn){ .state = OPEN,
		                      .wants = WANT_RESPONSE,
		                      .readable = true,
		                      .host_port = p->dst_port,
		                      .guest_port = p->src_port,
		                      .peer_buffer = p->buf_alloc,
		                      .peer_taken = p->fwd_cnt };
}

/* The guest is done with it altogether once it neither sends nor receives. */
static void shut(struct vsock *s, unsigned id, uint32_t flags)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];
	uint8_t before = c->guest_ended;

	c->guest_ended |= flags & NO_BOTH;
	if (c->guest_ended & ~before & NO_SEND)
		b->finish(b, id);
	if (c->guest_ended == NO_BOTH)
		c->wants |= WANT_RST;
}

static void take_data(struct vsock *s, unsigned id, const struct packet *p)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];

	if (c->guest_ended & NO_SEND || p->len > HULL_VSOCK_BUFFER - (c->got - taken(s, id))) {
		hull_guest_error(&s->v.dev, "data without credit or after the end", p->len);
		end_conn(s, id, true);
		refuse(s, p->dst_port, p->src_port);
		return;
	}
	c->got += p->len;
	b->write(b, id, s->data, p->len);
	/* The guest should not stop for want of news. */
	if (taken(s, id) - c->told >= HULL_VSOCK_BUFFER / 2)
		c->wants |= WANT_CREDIT;
}

/* A packet about a connection that there is. */
static void known(struct vsock *s, unsigned id, const struct packet *p)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];

	c->peer_buffer = p->buf_alloc;
	c->peer_taken = p->fwd_cnt;
	if (p->op == OP_RST) {
		end_conn(s, id, false);
		return;
	}
	if (c->state == ASKED && p->op == OP_RESPONSE && !(c->wants & WANT_REQUEST)) {
		c->state = OPEN;
		c->readable = true;
		b->accepted(b, id, c->host_port);
		return;
	}
	if (c->state == OPEN) {
		switch (p->op) {
		case OP_SHUTDOWN: shut(s, id, p->flags); return;
		case OP_RW: take_data(s, id, p); return;
		case OP_CREDIT_REQUEST: c->wants |= WANT_CREDIT; return;
		case OP_CREDIT_UPDATE: return;
		}
	}
	hull_guest_error(&s->v.dev, "packet that does not fit the connection", p->op);
	end_conn(s, id, true);
	refuse(s, p->dst_port, p->src_port);
}

static void handle(struct vsock *s, const struct packet *p)
{
	unsigned id;

	if (p->src_cid != backend(s)->cid || p->dst_cid != HOST_CID) {
		hull_guest_error(&s->v.dev, "packet from or to somebody else", p->dst_cid);
		return;
	}
	if (p->type != TYPE_STREAM) {
		refuse(s, p->dst_port, p->src_port);
		return;
	}
	id = find(s, p->dst_port, p->src_port);
	if (id < HULL_VSOCK_CONNS)
		known(s, id, p);
	else if (p->op == OP_REQUEST)
		request(s, p);
	else if (p->op != OP_RST)
		refuse(s, p->dst_port, p->src_port);
}

/* The request in s->chain.  NULL, or why it is none. */
static const char *load(struct vsock *s, struct packet *p)
{
	uint8_t h[HEADER];

	if (!hull_virtq_copy_in(&s->queues[TX], s->chain, 0, h, sizeof(h)))
		return "packet without a header";
	*p = (struct packet){ .src_cid = load_le64(h),
		              .dst_cid = load_le64(h + 8),
		              .src_port = load_le32(h + 16),
		              .dst_port = load_le32(h + 20),
		              .len = load_le32(h + 24),
		              .type = load_le16(h + 28),
		              .op = load_le16(h + 30),
		              .flags = load_le32(h + 32),
		              .buf_alloc = load_le32(h + 36),
		              .fwd_cnt = load_le32(h + 40) };
	if (p->op != OP_RW)
		return p->len ? "payload where there is none" : NULL;
	if (p->len > PAYLOAD_MAX || p->len > s->chain->read_len - HEADER)
		return "payload longer than its buffers";
	return hull_virtq_copy_in(&s->queues[TX], s->chain, HEADER, s->data, p->len)
	               ? NULL
	               : "buffer is not memory";
}

static void transmit(struct vsock *s)
{
	unsigned budget = QUEUE_SIZE;
	struct packet p = { .op = 0 };

	for (; budget && hull_virtio_next(&s->v, TX, s->chain); budget--) {
		const char *why;

		s->tx_waits = s->nrefusals == REFUSALS;
		if (s->tx_waits)
			break;
		why = load(s, &p);
		hull_virtq_take(&s->queues[TX]);
		if (why)
			hull_guest_error(&s->v.dev, why, p.op);
		else
			handle(s, &p);
		hull_virtio_push(&s->v, TX, s->chain->head, 0);
	}
	hull_virtio_signal(&s->v, TX);
	if (!budget)
		hull_virtio_later(&s->v, TX, 0);
}

static void tell_events(struct vsock *s)
{
	static const uint8_t event[4] = { EVENT_TRANSPORT_RESET };
	struct hull_virtq *q = &s->queues[EVENT];

	if (!s->tell_reset || !hull_virtio_next(&s->v, EVENT, s->chain))
		return;
	hull_virtq_take(q);
	if (!hull_virtq_copy_out(q, s->chain, 0, event, sizeof(event))) {
		hull_virtio_broken(&s->v, EVENT, "buffer too small or not memory");
		return;
	}
	s->tell_reset = 0;
	hull_virtio_push(&s->v, EVENT, s->chain->head, sizeof(event));
	hull_virtio_signal(&s->v, EVENT);
}

static void vsock_notify(struct hull_virtio *v, unsigned q)
{
	struct vsock *s = (struct vsock *)v;

	if (q == EVENT)
		tell_events(s);
	if (q == TX)
		transmit(s);
	if (q != EVENT)
		receive(s);
}

static void forget_all(struct vsock *s)
{
	for (unsigned id = 0; id < HULL_VSOCK_CONNS; id++)
		if (s->conns[id].state != FREE)
			end_conn(s, id, true);
	s->nrefusals = 0;
	s->tx_waits = false;
}

static void vsock_reset(struct hull_virtio *v)
{
	struct vsock *s = (struct vsock *)v;

	forget_all(s);
	s->turn = 0;
	s->next_port = FIRST_PORT;
	s->tell_reset = 0;
}

/* A port of ours for a connection to `guest_port` that no other one has. */
static uint32_t free_port(struct vsock *s, uint32_t guest_port)
{
	uint32_t port;

	do {
		port = s->next_port;
		s->next_port = port + 1 < UINT32_MAX ? port + 1 : FIRST_PORT;
	} while (find(s, port, guest_port) < HULL_VSOCK_CONNS);
	return port;
}

static bool vsock_opened(void *arg, unsigned id, uint32_t port)
{
	struct vsock *s = arg;
	bool ok;

	hull_dev_enter(&s->v.dev);
	ok = hull_virtio_status(&s->v) & HULL_VIRTIO_DRIVER_OK &&
	     !(hull_virtio_status(&s->v) & HULL_VIRTIO_NEEDS_RESET) && !s->v.resetting;
	if (ok) {
		s->conns[id] = (struct conn){ .state = ASKED,
			                      .wants = WANT_REQUEST,
			                      .host_port = free_port(s, port),
			                      .guest_port = port };
		hull_virtio_notify(&s->v, RX);
	}
	hull_dev_leave(&s->v.dev);
	return ok;
}

/* A program that went away before the guest answered. */
static void look_at_asked(struct vsock *s, unsigned id)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];

	if (b->read(b, id, s->data, 0) != HULL_VSOCK_GONE)
		return;
	if (c->wants & WANT_REQUEST)
		end_conn(s, id, true);
	else
		c->wants |= WANT_RST;
}

/* One that had stopped sending may have gone since. */
static void look_at_open(struct vsock *s, unsigned id)
{
	struct hull_vsock *b = backend(s);
	struct conn *c = &s->conns[id];

	c->readable = true;
	if (taken(s, id) - c->told >= HULL_VSOCK_BUFFER / 2)
		c->wants |= WANT_CREDIT;
	if (!c->finished || c->we_ended == NO_BOTH || b->read(b, id, s->data, 0) != HULL_VSOCK_GONE)
		return;
	c->we_ended = NO_BOTH;
	c->wants |= WANT_SHUTDOWN;
}

static void vsock_ready(void *arg, unsigned id)
{
	struct vsock *s = arg;
	struct conn *c = &s->conns[id];

	hull_dev_enter(&s->v.dev);
	if (c->state == ASKED)
		look_at_asked(s, id);
	else if (c->state == OPEN)
		look_at_open(s, id);
	if (c->state != FREE)
		hull_virtio_notify(&s->v, RX);
	hull_dev_leave(&s->v.dev);
}

static const struct hull_virtio_ops vsock_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.config_size = C_SIZE,
	.features = vsock_features,
	.config = vsock_config,
	.notify = vsock_notify,
	.reset = vsock_reset,
};

static int vsock_init(struct hull_dev *d, struct hull_err *err)
{
	struct vsock *s = (struct vsock *)d;
	struct hull_vsock *b = d->backend;

	if (!b)
		return hull_fail(err, HULL_EINVAL, 0, "\"%s\" has no sockets behind it", d->name);
	s->data = hull_dev_alloc(d, PAYLOAD_MAX);
	s->chain = hull_dev_alloc(d, sizeof(*s->chain));
	if (!s->data || !s->chain)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for \"%s\"", d->name);
	s->next_port = FIRST_PORT;
	b->arg = d;
	b->opened = vsock_opened;
	b->ready = vsock_ready;
	return hull_virtio_init(&s->v, &vsock_ops, s->queues, QUEUES);
}

static void vsock_fini(struct hull_dev *d)
{
	struct vsock *s = (struct vsock *)d;

	hull_dev_enter(d);
	s->v.resetting = true;
	forget_all(s);
	hull_dev_leave(d);
}

/* 5.10.6.7: connections do not outlive a snapshot, and the driver must be told so. */
static void vsock_restored(struct hull_dev *d)
{
	struct vsock *s = (struct vsock *)d;

	forget_all(s);
	s->next_port = MAX(s->next_port, (uint32_t)FIRST_PORT);
	s->tell_reset = 1;
	hull_virtio_restored(d);
}

static const struct hull_field vsock_fields[] = {
	HULL_VIRTIO_FIELDS(struct vsock),
	HULL_VIRTQ_FIELDS(struct vsock, queues),
	HULL_FIELD(struct vsock, next_port),
};

static const struct hull_prop vsock_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_vsock) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-vsock",
	.summary = "virtio sockets to the host",
	.state_size = sizeof(struct vsock),
	.backend = HULL_BACKEND_VSOCK,
	.init = vsock_init,
	.fini = vsock_fini,
	.restored = vsock_restored,
	.fields = vsock_fields,
	.nfields = ARRAY_LEN(vsock_fields),
	.props = vsock_props,
	.nprops = ARRAY_LEN(vsock_props),
};
