/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The device tree reader and editor against arbitrary blobs. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "fw/fdt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const struct hull_fdt *t, uint32_t node, unsigned depth)
{
	if (depth > HULL_FDT_MAX_DEPTH)
		abort();
	for (; node != HULL_FDT_NONE; node = hull_fdt_sibling(t, node)) {
		struct hull_fdt_prop prop = { 0 };
		uint64_t sum = strlen(hull_fdt_name(t, node));

		while (hull_fdt_next_prop(t, node, &prop)) {
			const char *s = hull_fdt_get_string(&prop, 0);

			sum += strlen(prop.name) + (s ? strlen(s) : 0);
			if (prop.len)
				sum += prop.data[prop.len - 1];
		}
		if (sum == UINT64_MAX)
			abort();
		walk(t, hull_fdt_child(t, node), depth + 1);
	}
}

static void edit(const struct hull_fdt *t)
{
	static uint8_t out[HULL_FDT_MAX_SIZE];
	static const struct hull_fdt_range ram = { 0x80000000, 0x10000000 };
	struct hull_fdt_edit e = { .bootargs = "console=ttyS0",
		                   .initrd = { 0x84000000, 4096 },
		                   .rng_seed = "seed",
		                   .rng_seed_len = 4,
		                   .memory = &ram,
		                   .memory_count = 1 };
	struct hull_fdt again;
	struct hull_fdt_prop prop;
	uint32_t chosen;
	size_t size;

	if (hull_fdt_apply(t, &e, out, sizeof(out), &size, NULL))
		return;
	/* What the editor writes is sound and holds what was asked for. */
	if (hull_fdt_check(out, size, &again, NULL))
		abort();
	chosen = hull_fdt_find(&again, "/chosen");
	if (!hull_fdt_get(&again, chosen, "bootargs", &prop) || prop.len != 14)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_fdt t;

	if (hull_fdt_check(data, size, &t, NULL)) {
		/* A view that was never checked must stay inside the blob too. */
		if (size < 16)
			return 0;
		t = (struct hull_fdt){ .blob = data,
			               .size = (uint32_t)size,
			               .structure_size = (uint32_t)size / 2,
			               .strings = (uint32_t)size / 2,
			               .strings_size = (uint32_t)size / 2 };
		hull_fdt_sibling(&t, load_le32(data));
		hull_fdt_find_compatible(&t, HULL_FDT_NONE, "x");
		hull_fdt_child(&t, load_le32(data) & ~UINT32_C(3));
		return 0;
	}
	walk(&t, hull_fdt_root(&t), 0);
	hull_fdt_find(&t, "/soc/serial");
	hull_fdt_find_compatible(&t, HULL_FDT_NONE, "ns16550a");
	hull_fdt_find_phandle(&t, 1);
	edit(&t);
	return 0;
}
