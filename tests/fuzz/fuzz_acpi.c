/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ACPI tables of any machine in any amount of room: whole or refused, never beyond the buffer.
 *
 * Input: room (2), vCPUs, flags, first APIC id (4), then devices of 16 bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "fw/acpi.h"

enum { HEAD = 8, DEVICE = 16, MAX_DEVICES = 64, MAX_CPUS = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void more(struct hull_aml *a, const void *arg)
{
	const uint8_t *p = arg;

	hull_aml_device(a, "PCI0");
	hull_aml_name(a, "_CRS");
	hull_aml_resources(a);
	hull_aml_window(a, (enum hull_aml_window)(p[0] % 3), load_le64(p), load_le64(p + 8), p[1]);
	hull_aml_end(a);
	hull_aml_end(a);
}

static void verify(const uint8_t *buf, size_t size, hull_gpa at)
{
	uint64_t xsdt = load_le64(buf + 24) - at, n;

	if (xsdt > size || size - xsdt < 36)
		abort();
	n = (load_le32(buf + xsdt + 4) - 36) / 8;
	for (uint64_t i = 0; i < n; i++) {
		uint64_t t = load_le64(buf + xsdt + 36 + 8 * i) - at;
		uint32_t len = t < size ? load_le32(buf + t + 4) : 0;
		uint8_t sum = 0;

		if (!len || len > size - t)
			abort();
		for (uint32_t k = 0; k < len; k++)
			sum = (uint8_t)(sum + buf[t + k]);
		if (sum)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_acpi_device devices[MAX_DEVICES];
	uint32_t ids[MAX_CPUS];
	struct hull_acpi c = { .apic_ids = ids, .devices = devices };
	struct hull_err err = { 0 };
	size_t room, used = 0;
	uint8_t *buf;

	if (size < HEAD + DEVICE)
		return 0;
	room = load_le16(data);
	c.ncpus = data[2] % (MAX_CPUS + 1);
	c.has_pic = data[3] & 1;
	c.ecam = data[3] & 2 ? UINT64_C(0xe0000000) : 0;
	c.more = data[3] & 4 ? more : NULL;
	c.arg = data + HEAD;
	for (uint32_t i = 0; i < MAX_CPUS; i++)
		ids[i] = load_le32(data + 4) + i;
	for (size_t at = HEAD; size - at >= DEVICE && c.ndevices < MAX_DEVICES; at += DEVICE) {
		const uint8_t *p = data + at;

		devices[c.ndevices++] = (struct hull_acpi_device){
			.hid = p[0] & 1 ? "LNRO0005" : "",
			.uid = p[1],
			.memory = load_le32(p + 2),
			.memory_bytes = p[6],
			.port = load_le16(p + 7),
			.ports = p[9],
			.has_irq = p[10] & 1,
			.level = p[10] & 2,
			.shared = p[10] & 4,
			.irq = load_le32(p + 11),
		};
	}
	buf = malloc(room ? room : 1);
	if (!hull_acpi_write(&c, 0xe0000, buf, room, &used, &err))
		verify(buf, used, 0xe0000);
	else if (err.id != 735)
		abort();
	free(buf);
	return 0;
}
