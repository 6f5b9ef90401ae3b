/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Packages of VMs: any bytes, and (first byte odd) any contents under right checksums.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "core/package.h"

enum { SIZE = 1 << 17 };

static struct hull_package_vm vm, got;
static uint8_t buf[SIZE];

static void read_all(const uint8_t *data, size_t size)
{
	struct hull_package p;

	if (hull_package_open(data, size, &p, NULL))
		return;
	while (!hull_package_next(&p, &got, NULL))
		if (got.file[0].offset + got.file[0].bytes > p.bytes)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n;

	if (!size)
		return 0;
	if (!(data[0] & 1)) {
		read_all(data + 1, size - 1);
		return 0;
	}
	/* Steps of 10 bytes: where in the VM, and what. */
	hull_config_init(&vm.config, HULL_ISA_AARCH64, "vm");
	for (size_t at = 1; size - at >= 10; at += 10) {
		size_t to = load_le16(data + at) % (sizeof(vm) - 8);

		memcpy((char *)&vm + to, data + at + 2, 8);
	}
	/* The writer's own callers keep to the tables' lengths. */
	vm.config.nregions = MIN(vm.config.nregions, (uint32_t)HULL_MAX_REGIONS);
	vm.config.ndevices = MIN(vm.config.ndevices, (uint32_t)HULL_MAX_DEVICES);
	vm.config.npassthrough = MIN(vm.config.npassthrough, (uint32_t)HULL_MAX_PASSTHROUGH);
	if (!hull_package_write(&vm, 1, SIZE, buf, sizeof(buf), &n))
		read_all(buf, sizeof(buf));
	memset(&vm, 0, sizeof(vm));
	return 0;
}
