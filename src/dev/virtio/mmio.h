/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The virtio-mmio transport, version 2: registers on the bus.
 *
 * Spec: VIRTIO 1.3, 4.2.2.
 */
#ifndef HULL_DEV_VIRTIO_MMIO_H
#define HULL_DEV_VIRTIO_MMIO_H

#include "dev/virtio/virtio.h"

/* What every virtio device type that sits on the bus has in its table, beside `restored`. */
#define HULL_VIRTIO_MMIO                                                           \
	.compatible = "virtio,mmio", .node = "virtio_mmio", .acpi_id = "LNRO0005", \
	.region_size = 0x200, .access_sizes = 1 | 2 | 4 | 8, .irqs = 1,            \
	.reset = hull_virtio_reset, .read = hull_virtio_mmio_read,                 \
	.write = hull_virtio_mmio_write, .post = hull_virtio_mmio_post, .timer = hull_virtio_timer

uint64_t hull_virtio_mmio_read(struct hull_dev *d, uint64_t off, unsigned size);
void hull_virtio_mmio_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size);
bool hull_virtio_mmio_post(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size);

#endif
