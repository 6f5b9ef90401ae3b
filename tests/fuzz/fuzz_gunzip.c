/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Unpacking gzip data: members, limits and damage. */
#include <stdlib.h>

#include "host/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_file in = { (uint8_t *)data, size }, out;
	struct hull_err err = { 0 };
	const uint64_t max = 100000;

	if (!hull_gunzip("input", &in, max, &out, &err)) {
		if (!out.size || out.size > max || out.data[out.size])
			abort();
		hull_file_free(&out);
	} else if (!err.code || !err.id) {
		abort();
	}
	return 0;
}
