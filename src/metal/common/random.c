/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Hash chain: each answer is a digest of a secret, which is replaced by another digest of itself
 * before anybody sees the answer.
 */
#include "metal/common/random.h"

#include "base/bits.h"
#include "base/mem.h"
#include "base/sha256.h"
#include "metal/common/spin.h"
#include "metal/common/thread.h"

static uint8_t secret[HULL_SHA256_BYTES];
static bool seeded;
static struct metal_spin spin;

static void digest(char purpose, const void *more, size_t len, uint8_t ret[HULL_SHA256_BYTES])
{
	struct hull_sha256 s;
	uint64_t now = metal_now();

	hull_sha256_init(&s);
	hull_sha256_add(&s, &purpose, 1);
	hull_sha256_add(&s, secret, sizeof(secret));
	hull_sha256_add(&s, &now, sizeof(now));
	hull_sha256_add(&s, more, len);
	hull_sha256_end(&s, ret);
}

void metal_random_seed(const void *seed, size_t len)
{
	uint8_t next[HULL_SHA256_BYTES];

	digest('s', seed, len, next);
	memcpy(secret, next, sizeof(secret));
	seeded = len > 0;
}

bool metal_random(void *buf, size_t len)
{
	uint8_t out[HULL_SHA256_BYTES], next[HULL_SHA256_BYTES], *p = buf;

	for (size_t n; seeded && len; len -= n, p += n) {
		metal_spin_lock(&spin);
		digest('o', NULL, 0, out);
		digest('n', NULL, 0, next);
		memcpy(secret, next, sizeof(secret));
		metal_spin_unlock(&spin);
		n = MIN(len, sizeof(out));
		memcpy(p, out, n);
	}
	return seeded;
}
