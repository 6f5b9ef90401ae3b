/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A virtio driver for tests: sets a device up over virtio-mmio or virtio-pci and builds
 * rings in the rig's memory, correctly or as wrongly as the test wants.
 */
#ifndef TESTS_SUPPORT_VDRIVER_H
#define TESTS_SUPPORT_VDRIVER_H

#include "support/rig.h"

/* Registers, VIRTIO 1.3, 4.2.2. */
enum {
	V_DEVICE_FEATURES = 0x10,
	V_DEVICE_SEL = 0x14,
	V_DRIVER_FEATURES = 0x20,
	V_DRIVER_SEL = 0x24,
	V_QUEUE_SEL = 0x30,
	V_QUEUE_MAX = 0x34,
	V_QUEUE_NUM = 0x38,
	V_QUEUE_READY = 0x44,
	V_NOTIFY = 0x50,
	V_INT_STATUS = 0x60,
	V_INT_ACK = 0x64,
	V_STATUS = 0x70,
	V_DESC = 0x80,
	V_DRIVER = 0x90,
	V_DEVICE = 0xa0,
	V_QUEUE_RESET = 0xc0,
	V_GENERATION = 0xfc,
	V_CONFIG = 0x100,
};

enum { VD_NEXT = 1, VD_WRITE = 2, VD_INDIRECT = 4 };
enum { VD_AVAIL = 1 << 7, VD_USED = 1 << 15 }; /* packed rings */
enum { V_QUEUE_NUM_MAX = 1024 };

#define VF_INDIRECT   (UINT64_C(1) << 28)
#define VF_EVENT_IDX  (UINT64_C(1) << 29)
#define VF_VERSION_1  (UINT64_C(1) << 32)
#define VF_PACKED     (UINT64_C(1) << 34)
#define VF_IN_ORDER   (UINT64_C(1) << 35)
#define VF_RING_RESET (UINT64_C(1) << 40)

struct vqueue {
	struct rig_dev *d;
	unsigned index;
	uint16_t num;
	hull_gpa desc, avail, used;
	uint16_t avail_idx, used_seen;
	/* For packed rings; v_post(). */
	bool packed;
	bool avail_wrap, used_wrap;
	uint16_t avail_pos, used_pos;
	uint16_t next_id;                /* which v_post() gives out */
	uint16_t count[V_QUEUE_NUM_MAX]; /* descriptors of each */
};

/* A piece of a request. */
struct vbuf {
	hull_gpa gpa;
	uint32_t len;
	bool write; /* by the device */
};

/*
 * Registers by their number on mmio, whatever the transport.  On PCI reading V_INT_STATUS
 * acknowledges, and V_INT_ACK does nothing.
 */
uint32_t v_get(struct rig_dev *d, uint64_t reg);
void v_set(struct rig_dev *d, uint64_t reg, uint32_t val);

/* Reset, acknowledge, negotiate exactly `features` (plus VERSION_1); false: refused. */
bool v_negotiate(struct rig_dev *d, uint64_t features);

/*
 * Lay queue `index` out at `base` (desc, avail or driver events at +0x1000, used or device events
 * at +0x2000) in the format that was negotiated, and enable it.
 */
bool v_queue(struct rig_dev *d, unsigned index, hull_gpa base, uint16_t num, struct vqueue *ret);

/* All of the above with one queue at RIG_RAM, then DRIVER_OK. */
void v_start(struct rig_dev *d, uint64_t features, uint16_t num, struct vqueue *ret);

void v_write16(struct rig *r, hull_gpa gpa, uint16_t v);
void v_write32(struct rig *r, hull_gpa gpa, uint32_t v);
uint16_t v_read16(struct rig *r, hull_gpa gpa);
uint32_t v_read32(struct rig *r, hull_gpa gpa);

/* Write the descriptor at `at`. */
#define V_AT(table, i) ((table) + 16 * (hull_gpa)(i))
void v_desc(struct rig *r, hull_gpa at, hull_gpa addr, uint32_t len, uint16_t flags, uint16_t next);

/* The same for a packed ring, or for a table of one. */
void v_pdesc(struct rig *r, hull_gpa at, const struct vbuf *b, uint16_t id, uint16_t flags);

/* Flags that make the descriptor at the driver's position available. */
uint16_t v_available(const struct vqueue *q);

/*
 * Make a request of n pieces available, in whatever format: it returns the number under which
 * v_used() will report it.  Numbers go round, and so do the descriptors of a split queue: no more
 * than `num` may be in flight.  With `table`, the pieces are described there.
 */
uint16_t v_post(struct vqueue *q, const struct vbuf *b, unsigned n, hull_gpa table);

/* Make `head` available (split), then notify. */
void v_avail(struct vqueue *q, uint16_t head);
void v_kick(struct vqueue *q);

/* The next used element; false: none. */
bool v_used(struct vqueue *q, uint32_t *ret_id, uint32_t *ret_len);

#endif
