/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/virtio.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/checked.h"
#include "base/mem.h"

/* VIRTIO 1.3, ch. 6. */
enum {
	F_INDIRECT_DESC = 28,
	F_EVENT_IDX = 29,
	F_VERSION_1 = 32,
	F_RING_PACKED = 34,
	F_IN_ORDER = 35,
	F_RING_RESET = 40,
};

enum {
	STATUS_DRIVERS = HULL_VIRTIO_ACKNOWLEDGE | HULL_VIRTIO_DRIVER | HULL_VIRTIO_DRIVER_OK |
	                 HULL_VIRTIO_FEATURES_OK | HULL_VIRTIO_FAILED,
};

static void update_irq(struct hull_virtio *v)
{
	hull_irq_set(v->dev.irq[0], v->interrupt != 0);
}

/* For queue `q` or HULL_VIRTIO_CONFIG.  `shared` is held.  A line that is up stays up. */
static void raise(struct hull_virtio *v, unsigned bits, unsigned q)
{
	if (v->message && v->message(v, q))
		return;
	if (!(bits & ~v->interrupt))
		return;
	hull_store_relaxed(&v->interrupt, (uint8_t)(v->interrupt | bits));
	update_irq(v);
}

static bool has_status(const struct hull_virtio *v, unsigned bits)
{
	return hull_load_relaxed(&v->status) & bits;
}

static bool live(const struct hull_virtio *v)
{
	return has_status(v, HULL_VIRTIO_DRIVER_OK) && !hull_load_relaxed(&v->resetting) &&
	       !hull_load_relaxed(&v->detached);
}

static void lane_enter(struct hull_virtio *v, unsigned q)
{
	if (v->lanes)
		hull_lock_acquire(&v->lanes[q]);
}

static void lane_leave(struct hull_virtio *v, unsigned q)
{
	if (v->lanes)
		hull_lock_release(&v->lanes[q]);
}

void hull_virtio_enter(struct hull_virtio *v, unsigned q)
{
	hull_lock_acquire(v->lanes ? &v->lanes[q] : &v->dev.lane);
}

void hull_virtio_leave(struct hull_virtio *v, unsigned q)
{
	hull_lock_release(v->lanes ? &v->lanes[q] : &v->dev.lane);
}

/* The value of a property, or 1 if the device has none of that name. */
static uint64_t offered(const struct hull_dev *d, const char *name)
{
	for (unsigned i = 0; i < d->type->nprops; i++)
		if (hull_text_eq(d->type->props[i].name, name))
			return d->prop[i];
	return 1;
}

static uint64_t ring_features(const struct hull_dev *d)
{
	return BIT(F_INDIRECT_DESC) | BIT(F_VERSION_1) | BIT(F_RING_RESET) |
	       (offered(d, "event_idx") ? BIT(F_EVENT_IDX) : 0) |
	       (offered(d, "packed") ? BIT(F_RING_PACKED) : 0) |
	       (offered(d, "in_order") ? BIT(F_IN_ORDER) : 0);
}

int hull_virtio_init(struct hull_virtio *v, const struct hull_virtio_ops *ops,
                     struct hull_virtq *queues, unsigned n)
{
	HULL_ASSERT(n && n <= HULL_VIRTIO_QUEUES);
	HULL_ASSERT(is_pow2(ops->queue_max) && ops->queue_max <= HULL_VIRTQ_MAX);
	HULL_ASSERT(ops->config_size <= HULL_VIRTIO_CONFIG_MAX);
	v->ops = ops;
	v->ring_features = ring_features(&v->dev);
	v->queue = queues;
	v->nqueues = n;
	hull_lock_init(&v->shared, v->dev.lane.hal, HULL_RANK_SHARED);
	if (ops->lanes) {
		v->lanes = hull_dev_alloc(&v->dev, n * sizeof(*v->lanes));
		if (!v->lanes)
			return HULL_ENOMEM;
	}
	for (unsigned i = 0; i < n; i++) {
		queues[i].vm = v->dev.vm;
		queues[i].max = ops->queue_max;
		queues[i].flight =
			hull_dev_alloc(&v->dev, ops->queue_max * sizeof(*queues[i].flight));
		if (!queues[i].flight)
			return HULL_ENOMEM;
		hull_virtq_reset(&queues[i]);
		if (v->lanes)
			hull_lock_init(&v->lanes[i], v->dev.lane.hal, HULL_RANK_QUEUE);
	}
	return 0;
}

bool hull_virtio_has(const struct hull_virtio *v, unsigned bit)
{
	return v->driver_features & BIT(bit);
}

uint64_t hull_virtio_features(struct hull_virtio *v)
{
	return v->ops->features(v) | v->ring_features;
}

/* 2.1.2: before DRIVER_OK nobody listens to the interrupt.  `shared` is held. */
static void config_changed(struct hull_virtio *v)
{
	hull_store_relaxed(&v->generation, v->generation + 1);
	if (v->status & HULL_VIRTIO_DRIVER_OK)
		raise(v, HULL_VIRTIO_INT_CONFIG, HULL_VIRTIO_CONFIG);
}

void hull_virtio_config_changed(struct hull_virtio *v)
{
	hull_lock_acquire(&v->shared);
	config_changed(v);
	hull_lock_release(&v->shared);
}

static void needs_reset(struct hull_virtio *v)
{
	hull_lock_acquire(&v->shared);
	if (!(v->status & HULL_VIRTIO_NEEDS_RESET)) {
		hull_store_relaxed(&v->status, v->status | HULL_VIRTIO_NEEDS_RESET);
		config_changed(v);
	}
	hull_lock_release(&v->shared);
}

void hull_virtio_broken(struct hull_virtio *v, unsigned q, const char *why)
{
	hull_virtq_break(&v->queue[q], why);
	hull_guest_error(&v->dev, v->queue[q].why, q);
	needs_reset(v);
}

bool hull_virtio_next(struct hull_virtio *v, unsigned q, struct hull_virtq_chain *ret)
{
	int r;

	if (!live(v) || has_status(v, HULL_VIRTIO_NEEDS_RESET))
		return false;
	r = hull_virtq_peek(&v->queue[q], ret);
	if (r < 0)
		hull_virtio_broken(v, q, v->queue[q].why);
	return r > 0;
}

void hull_virtio_push_all(struct hull_virtio *v, unsigned q, const struct hull_virtq_used *u,
                          unsigned n)
{
	struct hull_virtq *vq = &v->queue[q];

	if (vq->ready && !vq->broken && hull_virtq_push_all(vq, u, n))
		hull_virtio_broken(v, q, vq->why);
}

void hull_virtio_push(struct hull_virtio *v, unsigned q, uint16_t head, uint32_t len)
{
	const struct hull_virtq_used u = { head, len };

	hull_virtio_push_all(v, q, &u, 1);
}

void hull_virtio_signal(struct hull_virtio *v, unsigned q)
{
	if (!hull_virtq_must_signal(&v->queue[q]))
		return;
	hull_lock_acquire(&v->shared);
	raise(v, HULL_VIRTIO_INT_QUEUE, q);
	hull_lock_release(&v->shared);
}

void hull_virtio_later(struct hull_virtio *v, unsigned q, uint64_t ns)
{
	uint64_t at = hull_dev_now(&v->dev) + ns;

	hull_lock_acquire(&v->shared);
	v->later |= BIT(q);
	if (at < v->later_at)
		v->later_at = at;
	hull_timer_at_ns(&v->dev, v->later_at);
	hull_lock_release(&v->shared);
}

bool hull_virtio_pauses(struct hull_virtio *v, unsigned q)
{
	const uint64_t pause_ns = 100000;

	if (!hull_mem_wanted(v->dev.vm))
		return false;
	hull_virtio_later(v, q, pause_ns);
	return true;
}

void hull_virtio_notify(struct hull_virtio *v, uint32_t q)
{
	if (q >= v->nqueues) {
		hull_guest_error(&v->dev, "notification of a queue that does not exist", q);
		return;
	}
	lane_enter(v, q);
	if (live(v) && v->queue[q].ready && !v->queue[q].broken)
		v->ops->notify(v, q);
	lane_leave(v, q);
}

void hull_virtio_timer(struct hull_dev *d)
{
	struct hull_virtio *v = (struct hull_virtio *)d;
	uint64_t later;

	hull_lock_acquire(&v->shared);
	later = v->later;
	v->later = 0;
	v->later_at = HULL_NEVER;
	hull_lock_release(&v->shared);
	for (unsigned q = 0; q < v->nqueues; q++)
		if (later & BIT(q))
			hull_virtio_notify(v, q);
}

/*
 * Until requests in flight are over.  ops->quiesce may leave the lane to wait
 * for them; meanwhile the device does nothing.
 */
static void wait_idle(struct hull_virtio *v, unsigned q)
{
	v->idling |= BIT(q);
	hull_store_relaxed(&v->resetting, true);
	if (v->ops->quiesce)
		v->ops->quiesce(v);
	v->idling &= ~BIT(q);
	/* Other vCPUs may be waiting for other queues. */
	hull_store_relaxed(&v->resetting, v->idling != 0);
}

/* May no part of queue `q` be set up now, as a reset waits for what is in flight? */
static bool waits_for(const struct hull_virtio *v, const struct hull_virtq *q)
{
	return v->resetting && (!v->idling || v->idling & BIT(q - v->queue));
}

/*
 * Whoever is at work on a queue has left it when its epoch has changed.  Nobody begins anything
 * until `resetting` is cleared, notifications without the device's lane included.
 */
static void quiesce(struct hull_virtio *v)
{
	hull_store_relaxed(&v->resetting, true);
	for (unsigned i = 0; i < v->nqueues; i++) {
		lane_enter(v, i);
		v->queue[i].epoch++;
		lane_leave(v, i);
	}
	if (v->ops->quiesce)
		v->ops->quiesce(v);
}

void hull_virtio_close(struct hull_virtio *v)
{
	hull_dev_enter(&v->dev);
	quiesce(v);
	hull_dev_leave(&v->dev);
}

static void reset_queue(struct hull_virtio *v, unsigned q)
{
	lane_enter(v, q);
	hull_virtq_reset(&v->queue[q]);
	lane_leave(v, q);
}

static void reset_shared(struct hull_virtio *v)
{
	hull_lock_acquire(&v->shared);
	hull_store_relaxed(&v->generation, 0);
	hull_store_relaxed(&v->status, 0);
	hull_store_relaxed(&v->interrupt, 0);
	v->later = 0;
	v->later_at = HULL_NEVER;
	hull_timer_at_ns(&v->dev, HULL_NEVER);
	update_irq(v);
	hull_lock_release(&v->shared);
}

/* 2.4: complete when the status reads as 0. */
void hull_virtio_reset(struct hull_dev *d)
{
	struct hull_virtio *v = (struct hull_virtio *)d;

	if (v->resetting) {
		v->reset_again = true;
		return;
	}
	quiesce(v);
	v->reset_again = false;
	for (unsigned i = 0; i < v->nqueues; i++)
		reset_queue(v, i);
	if (v->ops->reset)
		v->ops->reset(v);
	v->driver_features = 0;
	v->device_sel = v->driver_sel = v->queue_sel = 0;
	reset_shared(v);
	hull_store_relaxed(&v->resetting, false);
}

uint8_t hull_virtio_status(const struct hull_virtio *v)
{
	return hull_load_relaxed(&v->status);
}

static void apply_features(struct hull_virtio *v)
{
	for (unsigned i = 0; i < v->nqueues; i++) {
		v->queue[i].indirect = hull_virtio_has(v, F_INDIRECT_DESC);
		v->queue[i].event_idx = hull_virtio_has(v, F_EVENT_IDX);
		v->queue[i].packed = hull_virtio_has(v, F_RING_PACKED);
		v->queue[i].in_order = hull_virtio_has(v, F_IN_ORDER);
	}
}

/* 2.2.2, 3.1.1 step 5: a subset of what was offered, and not a legacy driver. */
static bool features_acceptable(struct hull_virtio *v)
{
	return !(v->driver_features & ~hull_virtio_features(v)) && hull_virtio_has(v, F_VERSION_1);
}

/* Bits of `val` that may be set now (3.1.1: the order of the steps). */
static uint8_t allowed_status(struct hull_virtio *v, uint8_t val)
{
	const uint8_t known = HULL_VIRTIO_ACKNOWLEDGE | HULL_VIRTIO_DRIVER;
	uint8_t next = v->status | (val & STATUS_DRIVERS);

	if ((next & known) != known || !features_acceptable(v))
		next &= (uint8_t)~HULL_VIRTIO_FEATURES_OK | v->status;
	if (!(next & HULL_VIRTIO_FEATURES_OK))
		next &= (uint8_t)~HULL_VIRTIO_DRIVER_OK | v->status;
	return next;
}

/* Set what may be set of `val`; returns the bits that are new. */
static uint8_t change_status(struct hull_virtio *v, uint8_t val)
{
	uint8_t before, next;

	hull_lock_acquire(&v->shared);
	before = v->status;
	next = allowed_status(v, val);
	hull_store_relaxed(&v->status, next);
	if (next & ~before & HULL_VIRTIO_DRIVER_OK && next & HULL_VIRTIO_NEEDS_RESET)
		raise(v, HULL_VIRTIO_INT_CONFIG, HULL_VIRTIO_CONFIG);
	hull_lock_release(&v->shared);
	if (before & ~val & STATUS_DRIVERS || (val & ~next & STATUS_DRIVERS))
		hull_guest_error(&v->dev, "status bit cleared, or set out of order", val);
	return next & (uint8_t)~before;
}

void hull_virtio_set_status(struct hull_virtio *v, uint8_t val)
{
	uint8_t set;

	if (!val) {
		hull_virtio_reset(&v->dev);
		return;
	}
	/* A whole reset sets it to 0 in the end. */
	if (v->resetting && !v->idling)
		return;
	set = change_status(v, val);
	if (set & HULL_VIRTIO_FEATURES_OK)
		apply_features(v);
	for (unsigned i = 0; set & HULL_VIRTIO_DRIVER_OK && i < v->nqueues; i++)
		hull_virtio_notify(v, i);
}

void hull_virtio_set_features(struct hull_virtio *v, unsigned half, uint32_t val)
{
	unsigned shift = 32 * half;

	if (v->status & HULL_VIRTIO_FEATURES_OK || half > 1) {
		hull_guest_error(&v->dev, "features written after FEATURES_OK or out of range",
		                 val);
		return;
	}
	v->driver_features &= ~(low_mask(32) << shift);
	v->driver_features |= (uint64_t)val << shift;
}

struct hull_virtq *hull_virtio_selected(struct hull_virtio *v)
{
	return v->queue_sel < v->nqueues ? &v->queue[v->queue_sel] : NULL;
}

struct hull_virtq *hull_virtio_setup(struct hull_virtio *v)
{
	struct hull_virtq *q = hull_virtio_selected(v);

	if (q && !q->ready && !waits_for(v, q))
		return q;
	hull_guest_error(&v->dev, "set-up of a queue that is in use or does not exist",
	                 v->queue_sel);
	return NULL;
}

void hull_virtio_set_half(hull_gpa *reg, bool high, uint32_t val)
{
	*reg = high ? (uint32_t)*reg | (uint64_t)val << 32 : (*reg & ~low_mask(32)) | val;
}

/* 4.2.2.1: when it reads as not ready, nothing of it is in flight any more. */
static void disable_queue(struct hull_virtio *v, struct hull_virtq *q)
{
	bool waits = q->ready && (!v->resetting || v->idling);

	reset_queue(v, (unsigned)(q - v->queue));
	if (!waits)
		return;
	wait_idle(v, (unsigned)(q - v->queue));
	if (v->ops->queue_reset)
		v->ops->queue_reset(v, (unsigned)(q - v->queue));
	if (v->resetting)
		return; /* the last to wait does the rest */
	if (v->reset_again)
		hull_virtio_reset(&v->dev);
	/* What came for the other queues meanwhile was not looked at. */
	for (unsigned i = 0; i < v->nqueues; i++)
		hull_virtio_notify(v, i);
}

void hull_virtio_enable_queue(struct hull_virtio *v, struct hull_virtq *q, bool enable)
{
	if (!enable) {
		disable_queue(v, q);
		return;
	}
	if (q->ready)
		return;
	if (waits_for(v, q)) {
		hull_guest_error(&v->dev, "queue enabled while it is reset", v->queue_sel);
		return;
	}
	if (!(v->status & HULL_VIRTIO_FEATURES_OK) || !hull_virtq_valid(q)) {
		hull_guest_error(&v->dev, "queue enabled before FEATURES_OK or set up wrongly",
		                 v->queue_sel);
		return;
	}
	lane_enter(v, v->queue_sel);
	hull_virtq_start(q);
	lane_leave(v, v->queue_sel);
}

void hull_virtio_reset_queue(struct hull_virtio *v)
{
	struct hull_virtq *q = hull_virtio_selected(v);

	if (!q || !hull_virtio_has(v, F_RING_RESET))
		hull_guest_error(&v->dev, "reset of a queue that does not exist or cannot be",
		                 v->queue_sel);
	else
		disable_queue(v, q);
}

uint8_t hull_virtio_ack(struct hull_virtio *v, uint32_t val)
{
	uint8_t before;

	hull_lock_acquire(&v->shared);
	before = v->interrupt;
	hull_store_relaxed(&v->interrupt, v->interrupt & (uint8_t)~val);
	update_irq(v);
	hull_lock_release(&v->shared);
	return before;
}

void hull_virtio_attach(struct hull_virtio *v, bool attached)
{
	if (v->detached == !attached)
		return;
	hull_store_relaxed(&v->detached, !attached);
	/* What came meanwhile was not looked at.  Later: the lane may be another's here. */
	for (unsigned i = 0; attached && i < v->nqueues; i++)
		if (live(v))
			hull_virtio_later(v, i, 0);
}

uint64_t hull_virtio_config_read(struct hull_virtio *v, uint64_t off, unsigned size)
{
	uint8_t buf[HULL_VIRTIO_CONFIG_MAX + 8] = { 0 };

	if (!hull_range_within(off, size, 0, v->ops->config_size) || !v->ops->config) {
		hull_guest_error(&v->dev, "read beyond the configuration space", off);
		return 0;
	}
	v->ops->config(v, buf);
	return load_le64(buf + off) & low_mask(8 * size);
}

void hull_virtio_config_write(struct hull_virtio *v, uint64_t off, uint64_t val, unsigned size)
{
	if (!hull_range_within(off, size, 0, v->ops->config_size) || !v->ops->config_write)
		hull_guest_error(&v->dev, "write to read-only configuration space", off);
	else
		v->ops->config_write(v, off, val, size);
}

/* A snapshot may hold anything: what a driver could not have set up breaks. */
void hull_virtio_restored(struct hull_dev *d)
{
	struct hull_virtio *v = (struct hull_virtio *)d;

	quiesce(v);
	hull_lock_acquire(&v->shared);
	v->later = 0;
	v->later_at = HULL_NEVER;
	v->interrupt &= HULL_VIRTIO_INT_QUEUE | HULL_VIRTIO_INT_CONFIG;
	update_irq(v);
	hull_lock_release(&v->shared);
	apply_features(v);
	for (unsigned i = 0; i < v->nqueues; i++) {
		lane_enter(v, i);
		hull_virtq_restored(&v->queue[i]);
		lane_leave(v, i);
	}
	hull_store_relaxed(&v->resetting, false);
	for (unsigned i = 0; i < v->nqueues; i++) {
		if (v->status & HULL_VIRTIO_DRIVER_OK)
			hull_virtio_later(v, i, 0);
	}
}
