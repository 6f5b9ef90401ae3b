/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Channels between VMs; see ivc.h.
 *
 * The exchange's lock is held for a few steps only: whoever maps or unmaps pages is on the way in
 * or out (a member that is not live) meanwhile, and no guest's standstill holds up another VM.
 */
#include "dev/ivc/ivc.h"

#include "base/bits.h"
#include "core/dev_impl.h"

struct ivc {
	struct hull_dev dev;
	struct hull_lock lock; /* the line follows `pending` */
	uint64_t pending;
};

static struct ivc *of(struct hull_dev *d)
{
	return (struct ivc *)d;
}

void hull_ivc_exchange_init(struct hull_ivc_exchange *x, const struct hull_hal *hal)
{
	hull_lock_init(&x->lock, hal, HULL_RANK_QUEUE);
}

/* Change what is pending; returns what was. */
static uint64_t pend(struct hull_dev *d, uint64_t clear, uint64_t set)
{
	struct ivc *s = of(d);
	uint64_t before;

	hull_lock_acquire(&s->lock);
	before = s->pending;
	s->pending = (before & ~clear) | set;
	hull_irq_set(d->irq[0], s->pending);
	hull_lock_release(&s->lock);
	return before;
}

/* The member of a device by its slot; the lock is held. */
static struct ivc_member *find(struct hull_ivc_exchange *x, const struct hull_dev *d, uint64_t slot,
                               struct ivc_channel **ret)
{
	for (unsigned i = 0; i < HULL_IVC_CHANNELS * HULL_IVC_MEMBERS; i++) {
		struct ivc_channel *c = &x->channels[i / HULL_IVC_MEMBERS];
		struct ivc_member *m = &c->members[i % HULL_IVC_MEMBERS];

		if (m->dev == d && m->slot == slot) {
			*ret = c;
			return m;
		}
	}
	return NULL;
}

static bool is_member(const struct ivc_channel *c, const struct hull_dev *d)
{
	for (unsigned i = 0; i < HULL_IVC_MEMBERS; i++)
		if (c->members[i].dev == d)
			return true;
	return false;
}

/* A member that is on the way in; NULL: neither slot nor place is free. */
static struct ivc_member *enter(struct hull_ivc_exchange *x, struct ivc_channel *c,
                                struct hull_dev *d)
{
	struct ivc_channel *other;
	unsigned slot = 0;

	while (slot < HULL_IVC_SLOTS && find(x, d, slot, &other))
		slot++;
	for (unsigned i = 0; slot < HULL_IVC_SLOTS && i < HULL_IVC_MEMBERS; i++) {
		if (c->members[i].dev)
			continue;
		c->members[i] = (struct ivc_member){ .dev = d, .slot = (uint8_t)slot };
		return &c->members[i];
	}
	return NULL;
}

/* A member has gone; with the last one goes the channel. */
static void drop(struct ivc_channel *c, struct ivc_member *m)
{
	*m = (struct ivc_member){ 0 };
	for (unsigned i = 0; i < HULL_IVC_MEMBERS; i++)
		if (c->members[i].dev)
			return;
	if (c->pages)
		hull_ivc_pages_put(c->pages);
	*c = (struct ivc_channel){ 0 };
}

/* Map what the caller has a reference of; then the member is live, or gone. */
static int64_t arrive(struct hull_ivc_exchange *x, struct ivc_channel *c, struct ivc_member *m,
                      struct hull_ivc_pages *pages, uint64_t ret[3])
{
	uint64_t bytes = hull_ivc_pages_bytes(pages);
	hull_gpa gpa = 0;
	int r;

	hull_ivc_pages_get(pages);
	r = hull_vm_ivc_show(m->dev->vm, pages, &gpa, NULL);
	hull_lock_acquire(&x->lock);
	if (r) {
		drop(c, m);
	} else {
		ret[0] = m->slot;
		ret[1] = m->gpa = gpa;
		ret[2] = bytes;
		c->open = m->live = true;
	}
	hull_lock_release(&x->lock);
	hull_ivc_pages_put(pages);
	return r ? HULL_IVC_NO_ROOM : 0;
}

/* The channel of a key; NULL: there is none.  The lock is held. */
static struct ivc_channel *by_key(struct hull_ivc_exchange *x, uint64_t key)
{
	for (unsigned i = 0; i < HULL_IVC_CHANNELS; i++)
		if (x->channels[i].used && x->channels[i].key == key)
			return &x->channels[i];
	return NULL;
}

static int64_t reserve(struct hull_ivc_exchange *x, struct hull_dev *d, uint64_t key,
                       struct ivc_channel **ret, struct ivc_member **ret_member)
{
	struct ivc_channel *c = x->channels, *end = c + HULL_IVC_CHANNELS;

	if (by_key(x, key))
		return HULL_IVC_EXISTS;
	while (c < end && c->used)
		c++;
	*ret_member = c < end ? enter(x, c, d) : NULL;
	if (!*ret_member)
		return HULL_IVC_NO_ROOM;
	c->used = true;
	c->key = key;
	*ret = c;
	return 0;
}

static int64_t publish(struct hull_ivc_exchange *x, struct hull_dev *d, const uint64_t args[2],
                       uint64_t ret[3])
{
	const struct hull_vm_config *config = hull_vm_config(d->vm);
	struct hull_ivc_pages *pages;
	struct ivc_channel *c;
	struct ivc_member *m;
	int64_t r;

	if (!args[1] || args[1] > config->ivc_size)
		return HULL_IVC_INVALID;
	hull_lock_acquire(&x->lock);
	r = reserve(x, d, args[0], &c, &m);
	hull_lock_release(&x->lock);
	if (r)
		return r;
	pages = hull_ivc_pages_new(hull_vm_hal(d->vm), args[1]);
	hull_lock_acquire(&x->lock);
	c->pages = pages;
	if (pages)
		hull_ivc_pages_get(pages);
	else
		drop(c, m);
	hull_lock_release(&x->lock);
	return pages ? arrive(x, c, m, pages, ret) : HULL_IVC_NO_ROOM;
}

static int64_t subscribe(struct hull_ivc_exchange *x, struct hull_dev *d, const uint64_t args[2],
                         uint64_t ret[3])
{
	struct hull_ivc_pages *pages = NULL;
	struct ivc_channel *c;
	struct ivc_member *m = NULL;
	int64_t r = 0;

	hull_lock_acquire(&x->lock);
	c = by_key(x, args[0]);
	if (!c || !c->open)
		r = HULL_IVC_UNKNOWN;
	else if (is_member(c, d))
		r = HULL_IVC_EXISTS;
	else if (!(m = enter(x, c, d)))
		r = HULL_IVC_NO_ROOM;
	if (!r) {
		pages = c->pages;
		hull_ivc_pages_get(pages);
	}
	hull_lock_release(&x->lock);
	return r ? r : arrive(x, c, m, pages, ret);
}

static int64_t leave(struct hull_ivc_exchange *x, struct hull_dev *d, uint64_t slot)
{
	struct ivc_channel *c;
	struct ivc_member *m;
	uint64_t bytes = 0;
	hull_gpa gpa = 0;
	bool live;

	hull_lock_acquire(&x->lock);
	m = find(x, d, slot, &c);
	live = m && m->live;
	if (live) {
		m->live = false;
		gpa = m->gpa;
		bytes = hull_ivc_pages_bytes(c->pages);
	}
	hull_lock_release(&x->lock);
	if (!live)
		return HULL_IVC_INVALID;
	(void)hull_vm_ivc_free(d->vm, gpa, bytes, NULL);
	hull_lock_acquire(&x->lock);
	drop(c, m);
	hull_lock_release(&x->lock);
	(void)pend(d, BIT(slot), 0);
	return 0;
}

static int64_t ring(struct hull_ivc_exchange *x, struct hull_dev *d, uint64_t slot)
{
	struct ivc_channel *c;
	struct ivc_member *m;

	hull_lock_acquire(&x->lock);
	m = find(x, d, slot, &c);
	for (unsigned i = 0; m && m->live && i < HULL_IVC_MEMBERS; i++)
		if (c->members[i].live && &c->members[i] != m)
			(void)pend(c->members[i].dev, 0, BIT(c->members[i].slot));
	hull_lock_release(&x->lock);
	return m ? 0 : HULL_IVC_INVALID;
}

void hull_ivc_call(struct hull_dev *d, enum hull_ivc_call call, const uint64_t args[2],
                   uint64_t ret[3])
{
	struct hull_ivc_exchange *x = d->backend;
	int64_t r = HULL_IVC_NOT_SUPPORTED;

	ret[0] = ret[1] = ret[2] = 0;
	if (call == HULL_IVC_ACK) {
		ret[0] = pend(d, args[0], 0) & args[0];
		return;
	}
	if (x && call == HULL_IVC_PUBLISH)
		r = publish(x, d, args, ret);
	else if (x && call == HULL_IVC_SUBSCRIBE)
		r = subscribe(x, d, args, ret);
	else if (x && call == HULL_IVC_LEAVE)
		r = leave(x, d, args[0]);
	else if (x && call == HULL_IVC_RING)
		r = ring(x, d, args[0]);
	if (r)
		ret[0] = (uint64_t)r;
}

/* All that the VM is a member of; its vCPUs do not run. */
static void leave_all(struct hull_dev *d, bool mapped)
{
	struct hull_ivc_exchange *x = d->backend;

	for (uint64_t slot = 0; x && slot < HULL_IVC_SLOTS; slot++) {
		struct ivc_channel *c;
		struct ivc_member *m;

		if (mapped) {
			(void)leave(x, d, slot);
			continue;
		}
		hull_lock_acquire(&x->lock);
		m = find(x, d, slot, &c);
		if (m)
			drop(c, m);
		hull_lock_release(&x->lock);
	}
}

static int ivc_init(struct hull_dev *d, struct hull_err *err)
{
	hull_lock_init(&of(d)->lock, hull_vm_hal(d->vm), HULL_RANK_SHARED);
	return 0;
}

/* The mappings go with the VM. */
static void ivc_fini(struct hull_dev *d)
{
	leave_all(d, false);
}

static void ivc_reset(struct hull_dev *d)
{
	leave_all(d, true);
	(void)pend(d, UINT64_MAX, 0);
}

static uint64_t ivc_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	const struct hull_vm_config *c = hull_vm_config(d->vm);

	switch (off) {
	case HULL_IVC_ID: return HULL_IVC_MAGIC;
	case HULL_IVC_WINDOW: return c->ivc_gpa;
	case HULL_IVC_BYTES: return c->ivc_size;
	case HULL_IVC_PENDING: return pend(d, 0, 0);
	}
	hull_guest_error(d, "read of a write-only or reserved register", off);
	return 0;
}

static void ivc_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	if (off == HULL_IVC_PENDING)
		(void)pend(d, val, 0);
	else if (off != HULL_IVC_DOORBELL || !d->backend || ring(d->backend, d, val))
		hull_guest_error(d, "write to a register that takes no such value", off);
}

static const struct hull_field ivc_fields[] = {
	HULL_FIELD(struct ivc, pending),
};

HULL_DEVICE(ivc) = {
	.name = "ivc",
	.summary = "channels between VMs: shared pages and doorbells",
	.compatible = "hull,ivc",
	.node = "ivc",
	.state_size = sizeof(struct ivc),
	.region_size = 0x1000,
	.access_sizes = 8,
	.irqs = 1,
	.backend = HULL_BACKEND_IVC,
	.init = ivc_init,
	.fini = ivc_fini,
	.reset = ivc_reset,
	.read = ivc_read,
	.write = ivc_write,
	.fields = ivc_fields,
	.nfields = ARRAY_LEN(ivc_fields),
};
