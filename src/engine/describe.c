/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What people see of the engine's work: guest code as text. */
#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "engine/engine.h"
#include "engine/riscv64/block.h"
#include "isa/riscv64/disasm.h"

/* Two bytes of code at `va`, without side effects. */
static bool fetch_half(struct rv_hart *h, hull_va va, uint16_t *ret)
{
	uint8_t bytes[2];
	uint64_t gpa;

	if (!rv_translate(h, va, RV_FETCH, &gpa) || hull_vm_read(h->vm, gpa, bytes, sizeof(bytes)))
		return false;
	*ret = load_le16(bytes);
	return true;
}

unsigned hull_engine_disasm(struct hull_vcpu *vcpu, hull_va pc, char *dst, size_t size)
{
	struct rv_hart *h = hull_vcpu_accel_state(vcpu);
	uint16_t low, high = 0;
	unsigned length;

	hull_format(dst, size, "(not mapped)");
	if (pc & 1 || !fetch_half(h, pc, &low))
		return 0;
	length = hull_rv_length(low);
	if (length == 4 && !fetch_half(h, pc + 2, &high))
		return 0;
	hull_rv_disasm(&h->cache->decoder, low | (uint32_t)high << 16, pc, dst, size);
	return length;
}
