/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/port.h"

enum { PIECE = 256, TX_BUDGET = 65536 };

static const uint64_t retry_ns = 1000000, give_up_ns = 2000000000;

/* Fill the buffer in p->chain.  0: nothing has come; negative: the queue broke. */
static int fill(struct hull_port *p)
{
	uint8_t buf[PIECE];
	size_t n = MIN(p->chain->write_len, (uint64_t)PIECE);

	if (n)
		n = p->chr ? MIN(p->chr->read(p->chr, buf, n), n) : 0;
	if (!n && p->chain->write_len)
		return 0;
	hull_virtq_take(&p->v->queue[p->rx]);
	if (!hull_virtq_copy_out(&p->v->queue[p->rx], p->chain, 0, buf, n)) {
		hull_virtio_broken(p->v, p->rx, "buffer is not memory");
		return HULL_EFAULT;
	}
	hull_virtio_push(p->v, p->rx, p->chain->head, (uint32_t)n);
	return 1;
}

void hull_port_receive(struct hull_port *p)
{
	unsigned budget = HULL_PORT_QUEUE_SIZE;

	while (budget && hull_virtio_next(p->v, p->rx, p->chain) && fill(p) > 0)
		budget--;
	hull_virtio_signal(p->v, p->rx);
	if (!budget)
		hull_virtio_later(p->v, p->rx, 0);
}

/* Offer `n` bytes; how many are done with. */
static size_t offer(struct hull_port *p, const uint8_t *buf, size_t n)
{
	uint64_t now = hull_dev_now(&p->v->dev);
	size_t taken = p->chr ? MIN(p->chr->write(p->chr, buf, n), n) : n;

	if (taken) {
		p->tx_since = HULL_NEVER;
		return taken;
	}
	if (p->tx_since > now)
		p->tx_since = now;
	if (now - p->tx_since < give_up_ns)
		return 0;
	p->dropped += n;
	return n;
}

/* Send the rest of the request in the chain; false: not finished. */
static bool send(struct hull_port *p, uint64_t *budget)
{
	uint8_t buf[PIECE];

	while (p->tx_done < p->chain->read_len && *budget) {
		uint64_t n = MIN(p->chain->read_len - p->tx_done, (uint64_t)PIECE), taken;

		if (!hull_virtq_copy_in(&p->v->queue[p->tx], p->chain, p->tx_done, buf, n)) {
			hull_virtio_broken(p->v, p->tx, "buffer is not memory");
			return false;
		}
		taken = offer(p, buf, n);
		if (!taken) {
			hull_virtio_later(p->v, p->tx, retry_ns);
			return false;
		}
		p->tx_done += taken;
		*budget -= MIN(taken, *budget);
	}
	return p->tx_done >= p->chain->read_len;
}

void hull_port_transmit(struct hull_port *p)
{
	unsigned requests = HULL_PORT_QUEUE_SIZE;
	uint64_t budget = TX_BUDGET;

	while (requests && budget && hull_virtio_next(p->v, p->tx, p->chain)) {
		if (!send(p, &budget))
			break;
		p->tx_done = 0;
		hull_virtq_take(&p->v->queue[p->tx]);
		hull_virtio_push(p->v, p->tx, p->chain->head, 0);
		requests--;
	}
	hull_virtio_signal(p->v, p->tx);
	if (!requests || !budget)
		hull_virtio_later(p->v, p->tx, 0);
}

void hull_port_reset(struct hull_port *p)
{
	p->tx_since = HULL_NEVER;
	p->tx_done = p->dropped = 0;
}

void hull_port_queue_reset(struct hull_port *p, unsigned q)
{
	if (q != p->tx)
		return;
	p->tx_done = 0;
	p->tx_since = HULL_NEVER;
}
