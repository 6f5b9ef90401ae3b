/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The virtio-pci transport, modern: a PCI function in front of a virtio device.
 *
 * Spec: VIRTIO 1.3, 4.1.
 *
 * BAR 0 (64-bit memory): common configuration, ISR status, device configuration, and one doorbell
 * of 4 bytes for each queue.  BAR 2 (32-bit memory): MSI-X, a vector for the configuration and one
 * for each queue.  The legacy and transitional interfaces are not modelled.
 *
 * A function that is no bus master begins nothing new and sends no messages; what is in flight
 * then still completes.
 */
#ifndef HULL_DEV_VIRTIO_PCI_H
#define HULL_DEV_VIRTIO_PCI_H

#include "dev/pci/host.h"
#include "dev/virtio/virtio.h"

/*
 * Put `virtio`, which was created with off_bus and is not wired, on the bus of `host`, at `devfn`
 * or (0) the next free place.  Build phase.  HULL_ENOMEM, or as hull_pci_host_add().
 */
int hull_virtio_pci_create(struct hull_dev *host, struct hull_dev *virtio, unsigned devfn,
                           struct hull_err *err);

#endif
