/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What all virtio devices share, whatever transport carries them: status,
 * feature negotiation, queues, interrupts.
 *
 * Spec: VIRTIO 1.3, ch. 2 and 3.
 *
 * A device embeds struct hull_virtio as its first member and describes itself
 * with struct hull_virtio_ops.  Transports (mmio.h, pci.h) call the functions of the
 * second half; devices call those of the first.
 *
 * Threading: everything under the device's lane, but for a device with ops->lanes: what concerns
 * one queue then is under that queue's lane, which is taken after the device's if both are needed.
 * notify() is called with it, perhaps on several vCPU threads for several queues; completions take
 * it with hull_virtio_enter().  A notification is served on the vCPU's thread: decoding and
 * submitting costs less than waking another, and the slow part is the backend's.
 */
#ifndef HULL_DEV_VIRTIO_VIRTIO_H
#define HULL_DEV_VIRTIO_VIRTIO_H

#include "core/dev_impl.h"
#include "dev/virtio/queue.h"

enum { HULL_VIRTIO_QUEUES = 64, HULL_VIRTIO_CONFIG_MAX = 256 };
enum { HULL_VIRTIO_CONFIG = HULL_VIRTIO_QUEUES }; /* in place of a queue: the configuration */

/* Device status (2.1). */
enum {
	HULL_VIRTIO_ACKNOWLEDGE = 1,
	HULL_VIRTIO_DRIVER = 2,
	HULL_VIRTIO_DRIVER_OK = 4,
	HULL_VIRTIO_FEATURES_OK = 8,
	HULL_VIRTIO_NEEDS_RESET = 64,
	HULL_VIRTIO_FAILED = 128,
};

/* Causes of an interrupt (4.2.2, InterruptStatus). */
enum { HULL_VIRTIO_INT_QUEUE = 1, HULL_VIRTIO_INT_CONFIG = 2 };

struct hull_virtio;

/*
 * Properties of every virtio device: ring features that are offered, for drivers that get one wrong
 * and for tests.  A device that does not list them offers all.
 */
#define HULL_VIRTIO_PROPS                                                               \
	{ "packed", "offer packed rings (VIRTIO_F_RING_PACKED)", 1, 0, 1 },             \
		{ "in_order", "offer requests in order (VIRTIO_F_IN_ORDER)", 1, 0, 1 }, \
		{ "event_idx", "offer event indexes (VIRTIO_F_EVENT_IDX)", 1, 0, 1 }

struct hull_virtio_ops {
	uint32_t device_id;   /* ch. 5 */
	uint16_t queue_max;   /* descriptors, a power of two, at most HULL_VIRTQ_MAX */
	unsigned config_size; /* bytes, at most HULL_VIRTIO_CONFIG_MAX */
	bool lanes;           /* each queue has its own */
	/* The device's own feature bits; those of rings and transport are added. */
	uint64_t (*features)(struct hull_virtio *v);
	/* Fill in the configuration space, little-endian; `buf` is zeroed.  May be NULL. */
	void (*config)(struct hull_virtio *v, uint8_t *buf);
	/* The driver wrote to configuration space, within its size.  May be NULL. */
	void (*config_write)(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size);
	/* Queue `q` is live and may hold requests; also called when none is new.  Must be bounded.
	 */
	void (*notify)(struct hull_virtio *v, unsigned q);
	/*
	 * Forget requests in flight: what completes later must not touch the
	 * queues, whose epoch has changed.  May leave the lane and take it again.  May be NULL.
	 */
	void (*quiesce)(struct hull_virtio *v);
	/* Set the device's own state to that after power-on.  May be NULL. */
	void (*reset)(struct hull_virtio *v);
	/* Queue `q` was disabled or reset alone, after quiesce: forget what is left of it.  May be
	 * NULL. */
	void (*queue_reset)(struct hull_virtio *v, unsigned q);
};

struct hull_virtio {
	struct hull_dev dev;
	const struct hull_virtio_ops *ops;
	struct hull_virtq *queue; /* the device's */
	unsigned nqueues;
	struct hull_lock *lanes; /* one for each queue, or NULL */
	struct hull_lock shared; /* status, generation, interrupt and line, later */
	uint64_t ring_features;  /* offered */
	uint64_t driver_features;
	uint32_t device_sel, driver_sel; /* which half of the features shows */
	uint32_t queue_sel;
	uint32_t generation; /* atomic: of the configuration */
	uint64_t later;      /* bit n: the timer calls notify for queue n */
	uint64_t later_at;   /* guest time, ns, when the timer fires; HULL_NEVER */
	uint8_t status;      /* atomic */
	uint8_t interrupt;   /* atomic: HULL_VIRTIO_INT_* */
	bool resetting;      /* atomic: ops->quiesce left the lane */
	bool reset_again;    /* asked for while `resetting` */
	bool detached;       /* atomic: the transport lets it reach no memory; nothing new begins */
	/*
	 * Interrupt the driver by a message of queue `q`, or HULL_VIRTIO_CONFIG; `shared` is held.
	 * False: by the line.  NULL: the transport has no messages.
	 */
	bool (*message)(struct hull_virtio *v, unsigned q);
	void *transport; /* the transport's */
	/* Bits of queues: `resetting` is for these alone, and the others may be set up. */
	uint64_t idling;
};

/* The saved state of a device whose state struct `type` begins with `v`, queues excluded. */
#define HULL_VIRTIO_FIELDS(type)                                               \
	HULL_FIELD(type, v.driver_features), HULL_FIELD(type, v.device_sel),   \
		HULL_FIELD(type, v.driver_sel), HULL_FIELD(type, v.queue_sel), \
		HULL_FIELD(type, v.generation), HULL_FIELD(type, v.status),    \
		HULL_FIELD(type, v.interrupt)

/*
 * For devices: prepare in init().  `queues` is an array in the device's state, of which the first
 * `n` are used, 1 to HULL_VIRTIO_QUEUES; HULL_VIRTQ_FIELDS names the whole array.  0 or
 * HULL_ENOMEM: there is no memory for what its requests in flight need.
 */
int hull_virtio_init(struct hull_virtio *v, const struct hull_virtio_ops *ops,
                     struct hull_virtq *queues, unsigned n);

/* Did the driver accept feature bit `bit`? */
bool hull_virtio_has(const struct hull_virtio *v, unsigned bit);

/*
 * Take and leave the lane of queue `q`; the device's if queues have none.  Not while holding the
 * device's, for code that must work with both.
 */
void hull_virtio_enter(struct hull_virtio *v, unsigned q);
void hull_virtio_leave(struct hull_virtio *v, unsigned q);

/* In fini(): nothing starts any more, and what is in flight is over.  Takes the lane. */
void hull_virtio_close(struct hull_virtio *v);

/*
 * The next request of queue `q`, not yet taken (hull_virtq_take).  False:
 * none, or the queue broke, which has been dealt with.
 */
bool hull_virtio_next(struct hull_virtio *v, unsigned q, struct hull_virtq_chain *ret);

/*
 * Return a request.  The driver need not see that before hull_virtio_signal(), which also
 * interrupts it if it wants that: call it after each batch.
 */
void hull_virtio_push(struct hull_virtio *v, unsigned q, uint16_t head, uint32_t len);
/* Several at once: the driver sees all of them, or none yet (5.1.6.4, merged buffers). */
void hull_virtio_push_all(struct hull_virtio *v, unsigned q, const struct hull_virtq_used *u,
                          unsigned n);
void hull_virtio_signal(struct hull_virtio *v, unsigned q);

/* The configuration space reads differently now: tell the driver, if there is one. */
void hull_virtio_config_changed(struct hull_virtio *v);

/* Call notify for queue `q` again at guest time now + ns, or somewhat earlier. */
void hull_virtio_later(struct hull_virtio *v, unsigned q, uint64_t ns);

/*
 * For devices whose requests keep DMA windows open: must queue `q` pause, so that the map can
 * change?  Then its notify is called again soon.
 */
bool hull_virtio_pauses(struct hull_virtio *v, unsigned q);

/* A request that no driver may make: count it, break the queue, DEVICE_NEEDS_RESET. */
void hull_virtio_broken(struct hull_virtio *v, unsigned q, const char *why);

/* For the device type's table: reset, timer and restored. */
void hull_virtio_reset(struct hull_dev *d);
void hull_virtio_timer(struct hull_dev *d);
void hull_virtio_restored(struct hull_dev *d);

/* For transports: what the driver sees and does. */
uint64_t hull_virtio_features(struct hull_virtio *v);
uint8_t hull_virtio_status(const struct hull_virtio *v);
void hull_virtio_set_status(struct hull_virtio *v, uint8_t val);
/* Replace bits of the driver's features, unless they are settled. */
void hull_virtio_set_features(struct hull_virtio *v, unsigned half, uint32_t val);
/* The selected queue, or NULL if there is none. */
struct hull_virtq *hull_virtio_selected(struct hull_virtio *v);
/* The same for its set-up; NULL as well if it is in use, and the mistake is counted. */
struct hull_virtq *hull_virtio_setup(struct hull_virtio *v);
void hull_virtio_enable_queue(struct hull_virtio *v, struct hull_virtq *q, bool enable);
/* QueueReset of the selected queue (2.6.1): disabled when this returns. */
void hull_virtio_reset_queue(struct hull_virtio *v);
void hull_virtio_notify(struct hull_virtio *v, uint32_t q);
/* Clear causes of interrupts; returns those that there were. */
uint8_t hull_virtio_ack(struct hull_virtio *v, uint32_t bits);
/* The transport may or may not reach memory from now on. */
void hull_virtio_attach(struct hull_virtio *v, bool attached);
/* Replace one half of an address. */
void hull_virtio_set_half(hull_gpa *reg, bool high, uint32_t val);
uint64_t hull_virtio_config_read(struct hull_virtio *v, uint64_t off, unsigned size);
void hull_virtio_config_write(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size);

#endif
