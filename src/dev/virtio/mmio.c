/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "dev/virtio/mmio.h"

#include "base/atomic.h"

enum { /* VIRTIO 1.3, table 4.1 */
       MAGIC = 0x000,
       VERSION = 0x004,
       DEVICE_ID = 0x008,
       VENDOR_ID = 0x00c,
       DEVICE_FEATURES = 0x010,
       DEVICE_FEATURES_SEL = 0x014,
       DRIVER_FEATURES = 0x020,
       DRIVER_FEATURES_SEL = 0x024,
       QUEUE_SEL = 0x030,
       QUEUE_SIZE_MAX = 0x034,
       QUEUE_SIZE = 0x038,
       QUEUE_READY = 0x044,
       QUEUE_NOTIFY = 0x050,
       INTERRUPT_STATUS = 0x060,
       INTERRUPT_ACK = 0x064,
       STATUS = 0x070,
       QUEUE_DESC = 0x080,
       QUEUE_DRIVER = 0x090,
       QUEUE_DEVICE = 0x0a0,
       SHM_SEL = 0x0ac,
       SHM_LEN = 0x0b0,
       SHM_BASE = 0x0b8,
       QUEUE_RESET = 0x0c0,
       CONFIG_GENERATION = 0x0fc,
       CONFIG = 0x100,
};

/* "virt", "HULL" */
static const uint32_t magic = 0x74726976, vendor = 0x4c4c5548;

static uint64_t queue_read(struct hull_virtio *v, uint64_t off)
{
	const struct hull_virtq *q = hull_virtio_selected(v);

	if (!q)
		return 0; /* 4.2.2.2: SizeMax 0 says that the queue is not there */
	return off == QUEUE_SIZE_MAX ? q->max : q->ready;
}

static uint64_t reg_read(struct hull_virtio *v, uint64_t off)
{
	switch (off) {
	case MAGIC: return magic;
	case VERSION: return 2;
	case DEVICE_ID: return v->ops->device_id;
	case VENDOR_ID: return vendor;
	case DEVICE_FEATURES:
		return v->device_sel > 1
		               ? 0
		               : (uint32_t)(hull_virtio_features(v) >> 32 * v->device_sel);
	case QUEUE_SIZE_MAX:
	case QUEUE_READY: return queue_read(v, off);
	case INTERRUPT_STATUS: return hull_load_relaxed(&v->interrupt);
	case STATUS: return hull_virtio_status(v);
	case QUEUE_RESET:
		return 0; /* done as soon as it was asked for */
	/* 4.2.2: a shared memory region that does not exist has length and base -1. */
	case SHM_LEN:
	case SHM_LEN + 4:
	case SHM_BASE:
	case SHM_BASE + 4: return UINT32_MAX;
	case CONFIG_GENERATION: return hull_load_relaxed(&v->generation);
	}
	hull_guest_error(&v->dev, "read of a write-only or reserved register", off);
	return 0;
}

uint64_t hull_virtio_mmio_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct hull_virtio *v = (struct hull_virtio *)d;

	if (off >= CONFIG)
		return hull_virtio_config_read(v, off - CONFIG, size);
	if (size == 4)
		return reg_read(v, off);
	hull_guest_error(d, "access to a register that is not 32 bits wide", off);
	return 0;
}

static void enable(struct hull_virtio *v, bool on)
{
	struct hull_virtq *q = hull_virtio_selected(v);

	if (q)
		hull_virtio_enable_queue(v, q, on);
	else
		hull_guest_error(&v->dev, "set-up of a queue that does not exist", v->queue_sel);
}

static void queue_write(struct hull_virtio *v, uint64_t off, uint32_t val)
{
	struct hull_virtq *q = hull_virtio_setup(v);

	if (!q)
		return;
	switch (off) {
	case QUEUE_SIZE: q->num = val > UINT16_MAX ? 0 : (uint16_t)val; break;
	case QUEUE_DESC:
	case QUEUE_DESC + 4: hull_virtio_set_half(&q->desc, off & 4, val); break;
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4: hull_virtio_set_half(&q->driver, off & 4, val); break;
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: hull_virtio_set_half(&q->device, off & 4, val); break;
	}
}

static void reg_write(struct hull_virtio *v, uint64_t off, uint32_t val)
{
	switch (off) {
	case DEVICE_FEATURES_SEL: v->device_sel = val; return;
	case DRIVER_FEATURES: hull_virtio_set_features(v, v->driver_sel, val); return;
	case DRIVER_FEATURES_SEL: v->driver_sel = val; return;
	case QUEUE_SEL: v->queue_sel = val; return;
	case QUEUE_READY: enable(v, val & 1); return;
	case QUEUE_SIZE:
	case QUEUE_DESC:
	case QUEUE_DESC + 4:
	case QUEUE_DRIVER:
	case QUEUE_DRIVER + 4:
	case QUEUE_DEVICE:
	case QUEUE_DEVICE + 4: queue_write(v, off, val); return;
	case QUEUE_NOTIFY: hull_virtio_notify(v, val); return;
	case INTERRUPT_ACK: hull_virtio_ack(v, val); return;
	case STATUS: hull_virtio_set_status(v, (uint8_t)val); return;
	case SHM_SEL: return; /* there are none to select */
	case QUEUE_RESET:
		if (val == 1)
			hull_virtio_reset_queue(v);
		return;
	}
	hull_guest_error(&v->dev, "write to a read-only or reserved register", off);
}

void hull_virtio_mmio_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct hull_virtio *v = (struct hull_virtio *)d;

	if (off >= CONFIG)
		hull_virtio_config_write(v, off - CONFIG, val, size);
	else if (size == 4)
		reg_write(v, off, (uint32_t)val);
	else
		hull_guest_error(d, "access to a register that is not 32 bits wide", off);
}

bool hull_virtio_mmio_post(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct hull_virtio *v = (struct hull_virtio *)d;

	if (off != QUEUE_NOTIFY || size != 4 || !v->lanes)
		return false;
	hull_virtio_notify(v, (uint32_t)val);
	return true;
}
