/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * virtio-rng: entropy from the VM's random source.
 *
 * Spec: VIRTIO 1.3, 5.4.
 *
 * A request may ask for gigabytes; each gets at most 4 KiB, which 5.4.6 allows.
 */
#include "dev/virtio/mmio.h"

enum { ID = 4, QUEUE = 0, QUEUE_SIZE = 64, MOST = 4096, PIECE = 256 };

struct rng {
	struct hull_virtio v;
	struct hull_virtq queue[1];
	struct hull_virtq_chain chain;
};

static uint64_t rng_features(struct hull_virtio *v)
{
	(void)v;
	return 0;
}

static uint32_t fill(struct rng *s)
{
	struct hull_virtio *v = &s->v;
	uint64_t len = MIN(s->chain.write_len, (uint64_t)MOST), part;
	uint8_t buf[PIECE];

	for (uint64_t off = 0; off < len; off += part) {
		part = MIN(len - off, (uint64_t)PIECE);
		hull_random(v->dev.vm, buf, part);
		if (!hull_virtq_copy_out(&v->queue[QUEUE], &s->chain, off, buf, part)) {
			hull_virtio_broken(v, QUEUE, "buffer is not memory");
			return (uint32_t)off;
		}
	}
	return (uint32_t)len;
}

static void rng_notify(struct hull_virtio *v, unsigned q)
{
	struct rng *s = (struct rng *)v;
	unsigned budget = QUEUE_SIZE;

	for (; budget && hull_virtio_next(v, q, &s->chain); budget--) {
		uint32_t len = fill(s);

		hull_virtq_take(&v->queue[q]);
		hull_virtio_push(v, q, s->chain.head, len);
	}
	hull_virtio_signal(v, q);
	if (!budget)
		hull_virtio_later(v, q, 0);
}

static const struct hull_virtio_ops rng_ops = {
	.device_id = ID,
	.queue_max = QUEUE_SIZE,
	.features = rng_features,
	.notify = rng_notify,
};

static int rng_init(struct hull_dev *d, struct hull_err *err)
{
	struct rng *s = (struct rng *)d;

	(void)err;
	return hull_virtio_init(&s->v, &rng_ops, s->queue, 1);
}

static const struct hull_field rng_fields[] = {
	HULL_VIRTIO_FIELDS(struct rng),
	HULL_VIRTQ_FIELDS(struct rng, queue),
};

static const struct hull_prop rng_props[] = { HULL_VIRTIO_PROPS };

HULL_DEVICE(virtio_rng) = {
	HULL_VIRTIO_MMIO,
	.name = "virtio-rng",
	.summary = "virtio entropy source",
	.state_size = sizeof(struct rng),
	.init = rng_init,
	.restored = hull_virtio_restored,
	.fields = rng_fields,
	.nfields = ARRAY_LEN(rng_fields),
	.props = rng_props,
	.nprops = ARRAY_LEN(rng_props),
};
