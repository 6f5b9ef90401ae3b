/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Words of any kind as loads and stores: what is taken can be performed, and addresses are sums. */
#include <stdlib.h>

#include "base/bits.h"
#include "isa/aarch64/access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_a64_access a;
	uint64_t base, at;

	if (size < 20 || !hull_a64_access_decode(load_le32(data), &a) || a.exclusive)
		return 0;
	if (!a.nregs || a.nregs > HULL_A64_ACCESS_REGS || !is_pow2(a.size) ||
	    a.size > (a.simd ? 16 : 8))
		abort();
	at = hull_a64_access_address(&a, load_le64(data + 4), load_le64(data + 12), &base);
	if (!a.update && base != load_le64(data + 4))
		abort();
	if (a.update && at != (a.post ? load_le64(data + 4) : base))
		abort();
	if (!a.wide && hull_a64_access_extend(&a, load_le64(data + 12)) > UINT32_MAX)
		abort();
	return 0;
}
