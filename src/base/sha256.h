/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* SHA-256 (FIPS 180-4).  Pure; any thread. */
#ifndef HULL_BASE_SHA256_H
#define HULL_BASE_SHA256_H

#include <hull/types.h>

enum { HULL_SHA256_BYTES = 32, HULL_SHA256_TEXT = 65 /* hexadecimal, with the end */ };

struct hull_sha256 {
	uint32_t h[8];
	uint64_t len; /* bytes so far */
	uint8_t block[64];
};

void hull_sha256_init(struct hull_sha256 *s);
void hull_sha256_add(struct hull_sha256 *s, const void *data, size_t len);
void hull_sha256_end(struct hull_sha256 *s, uint8_t ret[HULL_SHA256_BYTES]);

/* As 64 small hexadecimal digits. */
void hull_sha256_text(const uint8_t digest[HULL_SHA256_BYTES], char ret[HULL_SHA256_TEXT]);

#endif
