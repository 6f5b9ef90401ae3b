/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One port of a virtio console: a pair of queues and a byte stream.
 *
 * Spec: VIRTIO 1.3, 5.3.6.
 *
 * Input is taken from the backend only when the guest has a buffer.  Output that the backend does
 * not take is offered again every millisecond; a backend that has taken nothing for two seconds
 * loses everything until it takes something again.  A request stays in the ring until it is
 * finished; `tx_done` says how much of it went out.
 *
 * Threading: under the device's lane.
 */
#ifndef HULL_DEV_VIRTIO_PORT_H
#define HULL_DEV_VIRTIO_PORT_H

#include "dev/virtio/virtio.h"

enum { HULL_PORT_QUEUE_SIZE = 64 };

struct hull_port {
	struct hull_virtio *v;
	struct hull_char *chr;          /* NULL: output is dropped, there is no input */
	struct hull_virtq_chain *chain; /* may be shared by the ports of a device */
	unsigned rx, tx;                /* queues */
	/* Saved: */
	uint64_t tx_done;  /* bytes of the first transmit request that went out */
	uint64_t tx_since; /* guest time when the backend first refused; HULL_NEVER: it did not */
	uint64_t dropped;  /* bytes that the backend never took */
};

/* Move what there is to move: into the guest's buffers; to the backend.  Bounded per call. */
void hull_port_receive(struct hull_port *p);
void hull_port_transmit(struct hull_port *p);

/* As after power-on; and when its queue `q` was reset alone. */
void hull_port_reset(struct hull_port *p);
void hull_port_queue_reset(struct hull_port *p, unsigned q);

#endif
