/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A virtio device whose rings (split or packed), descriptors and requests come from the input.
 *
 * Input: 8 bytes {device, features, queue size, three ring addresses}, up to
 * 1 KiB that is laid over the start of memory, then steps of 3 bytes: a byte
 * changed in that memory, or a notification and time that passes.
 */
#include <string.h>

#include "core/aspace.h"
#include "support/backends.h"
#include "support/vdriver.h"

enum { QUEUES = 4, HEAD = 8, WINDOW = 1024 };

static void set_address(struct rig_dev *d, uint64_t reg, uint8_t where)
{
	/* Mostly in the bytes of the input; sometimes at the end of RAM, in ROM, nowhere. */
	static const hull_gpa far[] = { RIG_RAM + RIG_RAM_SIZE - 64, RIG_ROM, RIG_MMIO,
		                        UINT64_MAX - 4095 };
	hull_gpa gpa = where < 240 ? RIG_RAM + 16 * (hull_gpa)(where & 63) : far[where & 3];

	v_set(d, reg, (uint32_t)gpa);
	v_set(d, reg + 4, (uint32_t)(gpa >> 32));
}

static void set_up(struct rig_dev *d, const uint8_t *head)
{
	bool packed = head[1] & 4;

	/* The device's own; INDIRECT, EVENT_IDX; PACKED, IN_ORDER */
	v_set(d, V_DEVICE_SEL, 0);
	v_negotiate(d, (v_get(d, V_DEVICE_FEATURES) & 0xffffff) | (uint64_t)(head[1] & 3) << 28 |
	                       (uint64_t)(head[1] >> 2 & 3) << 34);
	for (unsigned q = 0; q < QUEUES; q++) {
		v_set(d, V_QUEUE_SEL, q);
		v_set(d, V_QUEUE_NUM, packed ? head[2] + 1u : 1u << (head[2] & 7));
		set_address(d, V_DESC, head[3]);
		set_address(d, V_DRIVER, head[4] ^ (uint8_t)q);
		set_address(d, V_DEVICE, head[5] ^ (uint8_t)q);
		v_set(d, V_QUEUE_READY, 1);
	}
	v_set(d, V_STATUS, 15);
}

static void play(struct rig_dev *d, const uint8_t *p, size_t size)
{
	struct rig *r = d->rig;

	for (; size >= 3; p += 3, size -= 3) {
		if (p[1] < 16) {
			hull_mem_write(r->vm, RIG_RAM + (p[0] | (p[1] & 3) << 8), p + 2, 1);
			continue;
		}
		v_set(d, V_NOTIFY, p[2] % QUEUES);
		rig_clock(r, hull_clock_now(r->vm) + ((uint64_t)p[0] << 16));
		if (p[1] == 16)
			rig_char_in(d, p, 3);
		if (p[1] == 17)
			v_set(d, V_INT_ACK, 3);
		d->ch.out_len = 0;
	}
	for (unsigned q = 0; q < QUEUES; q++)
		v_set(d, V_NOTIFY, q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const types[] = { "virtio-blk", "virtio-console", "virtio-rng",
		                             "virtio-serial", "virtio-balloon" };
	const struct hull_dev_type *type;
	void *backend;
	struct rig *r;
	struct rig_dev *d;
	size_t n;

	if (size < HEAD)
		return 0;
	r = rig_new();
	type = hull_dev_type_find(types[data[0] % ARRAY_LEN(types)]);
	backend = backends_new(type);
	d = rig_add(r, type, NULL, 0, backend);
	n = MIN(size - HEAD, (size_t)WINDOW);
	hull_mem_write(r->vm, RIG_RAM, data + HEAD, n);
	if (!(data[0] & 0x80))
		rig_char_in(d, data, HEAD);
	set_up(d, data);
	play(d, data + HEAD + n, size - HEAD - n);
	v_set(d, V_STATUS, 0);
	rig_free(r);
	backends_free(type, backend);
	return 0;
}
