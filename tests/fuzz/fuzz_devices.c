/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Any device, any sequence of accesses, inputs, characters and time.
 *
 * Input: one byte that selects the device, then steps of 13 bytes: operation,
 * offset (4), value (8).
 */
#include <string.h>

#include "support/backends.h"
#include "support/rig.h"

enum { STEP = 13, STATE = 1 << 20 };

static uint8_t saved[STATE];

static void step(struct rig_dev *d, const uint8_t *p)
{
	const struct hull_dev_type *type = d->dev->type;
	unsigned size = 1u << (p[0] >> 4 & 3);
	uint64_t off = load_le32(p + 1), val = load_le64(p + 5), got;

	if (p[0] & 0x80)
		off &= 0x3ff;
	switch (p[0] & 15) {
	case 0: rig_clock(d->rig, hull_clock_now(d->rig->vm) + (val >> (off & 63))); break;
	case 1: rig_char_in(d, p + 5, off & 7); break;
	case 2: d->ch.room = off & 1 ? SIZE_MAX : val & 31; break;
	case 3:
		if (type->irqchip && type->input)
			rig_input(d, (uint32_t)off, val & 1);
		break;
	case 4: rig_reset(d); break;
	case 5: rig_load(d, saved, rig_save(d, saved, STATE)); break;
	case 6:
	case 7:
	case 8: rig_read(d, off % type->region_size, size, &got); break;
	default: rig_write(d, off % type->region_size, size, val);
	}
	d->ch.out_len = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned n = 0;
	struct rig *r;
	struct rig_dev *d;
	void *backend;
	uint64_t args[HULL_DEV_PROPS];
	const struct hull_dev_type *type;

	if (size < 1 + STEP)
		return 0;
	while (hull_dev_types[n])
		n++;
	type = hull_dev_types[data[0] % n];
	for (unsigned i = 0; i < type->nprops; i++)
		args[i] = data[0] & 0x80 ? type->props[i].max : type->props[i].dflt;
	r = rig_new();
	backend = backends_new(type);
	d = rig_add(r, type, args, type->nprops, backend);
	for (size_t at = 1; size - at >= STEP; at += STEP)
		step(d, data + at);
	rig_free(r);
	backends_free(type, backend);
	return 0;
}
