/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Kernel image planning and symbol lookup against arbitrary files. */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/checked.h"
#include "fw/boot.h"
#include "fw/bzimage.h"
#include "fw/elf.h"
#include "fw/x86boot.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every plan must be safe to carry out without another check. */
static void verify(const struct hull_image_plan *p, const struct hull_image_target *t, size_t size)
{
	bool entry = false;
	unsigned i, j;

	if (!p->count || p->count > HULL_IMAGE_MAX_SEGMENTS)
		abort();
	for (i = 0; i < p->count; i++) {
		const struct hull_image_segment *s = &p->segments[i];

		if (!hull_range_within(s->offset, s->file_bytes, 0, size) ||
		    s->file_bytes > s->mem_bytes ||
		    !hull_range_within(s->gpa, s->mem_bytes, t->ram_base, t->ram_size) ||
		    !hull_range_within(s->gpa, s->mem_bytes, p->low, p->span))
			abort();
		entry |= hull_range_within(p->entry, 1, s->gpa, s->file_bytes);
		for (j = 0; j < i; j++)
			if (hull_ranges_overlap(s->gpa, s->mem_bytes, p->segments[j].gpa,
			                        p->segments[j].mem_bytes))
				abort();
	}
	if (!entry)
		abort();
}

static void lay_out(const struct hull_image_plan *p, const struct hull_image_target *t,
                    const uint8_t *data)
{
	struct hull_boot_request req = { .ram_base = t->ram_base,
		                         .ram_size = t->ram_size,
		                         .kernel = p,
		                         .initrd_bytes = load_le64(data) >> (data[8] & 63),
		                         .dtb_bytes = load_le16(data + 9) };
	struct hull_boot_layout l;

	if (hull_boot_layout(&req, &l, NULL))
		return;
	if (hull_ranges_overlap(l.initrd.start, l.initrd.length, l.kernel.start, l.kernel.length) ||
	    hull_ranges_overlap(l.dtb.start, l.dtb.length, l.kernel.start, l.kernel.length) ||
	    hull_ranges_overlap(l.dtb.start, l.dtb.length, l.initrd.start, l.initrd.length))
		abort();
}

/* What is taken over from the header of a kernel that was accepted stays within one page. */
static void make_params(const uint8_t *data, size_t size)
{
	static const struct hull_e820 map = { 0, 0x1000, HULL_E820_RAM };
	const struct hull_x86_boot boot = { .map = &map, .nmap = 1, .cmdline = 0x20000 };
	struct hull_bzimage head;
	uint8_t *page;

	if (hull_bzimage_check(data, size, "kernel", &head, NULL))
		return;
	page = malloc(4096);
	hull_x86_boot_params(&boot, data, page);
	if (load_le32(page + 0x228) != 0x20000 || page[0x1e8] != 1)
		abort();
	free(page);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_image_target t = { .ram_base = 0x80000000, .ram_size = 0x10000000 };
	struct hull_elf_symbol symbol;
	struct hull_image_plan plan;
	struct hull_err err;
	unsigned options;

	if (size < 16)
		return 0;
	/* The last byte chooses the target, the 11 before it a layout. */
	options = data[--size];
	size -= 11;
	t.isa = (enum hull_isa)(options % 3);
	t.has_load = options & 4;
	t.has_entry = options & 8;
	t.load = t.entry = 0x80200000;
	if (options & 16) {
		t.ram_base = UINT64_MAX - 0xfffffff;
		t.load = t.entry = t.ram_base + 0x200000;
	}
	if (!hull_image_plan(data, size, &t, &plan, &err)) {
		verify(&plan, &t, size);
		lay_out(&plan, &t, data + size);
		if (plan.kind == HULL_IMAGE_BZIMAGE)
			make_params(data, size);
	} else if (!err.code || !err.id || !err.text[0]) {
		abort();
	}
	if (hull_elf_symbol_at(data, size, 0x80001000, &symbol) && !strlen(symbol.name))
		abort();
	return 0;
}
