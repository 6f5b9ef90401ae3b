/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Decoding, text, encoding and lifting of arbitrary riscv64 code. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "engine/riscv64/lift.h"
#include "isa/riscv64/disasm.h"
#include "support/rvasm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct hull_rv_decoder decoder;

static void one(uint32_t bits, uint64_t pc)
{
	struct hull_rv_insn a, b;
	char text[HULL_RV_TEXT_MAX], small[8];
	uint32_t again;
	size_t len;

	hull_rv_decode(&decoder, bits, &a);
	if (a.len != hull_rv_length((uint16_t)bits) || a.id > HULL_RV_INVALID)
		abort();
	len = hull_rv_disasm(&decoder, bits, pc, text, sizeof(text));
	if (len >= sizeof(text) || strlen(text) != len ||
	    hull_rv_disasm(&decoder, bits, pc, small, sizeof(small)) != len ||
	    memcmp(small, text, strlen(small)))
		abort();
	if (a.id == HULL_RV_INVALID)
		return;
	hull_rv_decode(&decoder, hull_rv_encode(&decoder, &a), &b);
	if (memcmp(&a, &b, sizeof(a)))
		abort();
	if (text[0] == '.') /* a reserved encoding */
		return;
	if (!rvasm(&decoder, text, pc, &again))
		abort();
	hull_rv_decode(&decoder, again, &b);
	if (memcmp(&a, &b, sizeof(a)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct hull_ir ir;
	static char text[1 << 17];
	uint8_t code[256];
	unsigned at;

	if (!decoder.first[HULL_RV_BUCKETS] && !hull_rv_decoder_init(&decoder))
		abort();
	size = MIN(size, sizeof(code));
	memcpy(code, data, size);
	for (at = 0; at + 4 <= size; at += 2)
		one(load_le32(code + at), at * UINT64_C(0x123456789abcdef) & ~UINT64_C(1));
	if (rv_lift(&decoder, code, (unsigned)size, &ir)) {
		if (hull_ir_verify(&ir, &at) ||
		    hull_ir_print(&ir, text, sizeof(text)) >= sizeof(text))
			abort();
	}
	return 0;
}
