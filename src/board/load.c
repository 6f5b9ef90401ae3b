/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the loaders of boards share; see load.h. */
#include "board/load.h"

#include "base/bits.h"

const struct hull_region_config *hull_board_memory(const struct hull_vm_config *c)
{
	const unsigned rwx = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X;
	const struct hull_region_config *best = NULL;

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *r = &c->regions[i];

		if ((r->attr & rwx) == rwx && !(r->attr & HULL_MEM_DEVICE) &&
		    (!best || r->size > best->size))
			best = r;
	}
	return best;
}

static int write_zeroes(struct hull_vm *vm, hull_gpa gpa, uint64_t len)
{
	static const uint8_t zeroes[HULL_PAGE_SIZE];

	while (len) {
		uint64_t n = MIN(len, (uint64_t)sizeof(zeroes));

		if (hull_vm_write(vm, gpa, zeroes, n))
			return HULL_EFAULT;
		gpa += n;
		len -= n;
	}
	return 0;
}

int hull_board_copy(const struct hull_machine *m, const struct hull_image_plan *p,
                    const struct hull_blob *b, struct hull_err *err)
{
	for (unsigned i = 0; i < p->count; i++) {
		const struct hull_image_segment *s = &p->segments[i];

		/* Memory is zero at the first boot: do not touch it for nothing. */
		if (hull_vm_write(m->vm, s->gpa, (const uint8_t *)b->data + s->offset,
		                  s->file_bytes) ||
		    (m->booted &&
		     write_zeroes(m->vm, s->gpa + s->file_bytes, s->mem_bytes - s->file_bytes)))
			return hull_fail(err, HULL_EFAULT, 715,
			                 "\"%s\" does not fit at 0x%llx: no memory there",
			                 b->name ? b->name : "the image",
			                 (unsigned long long)s->gpa);
	}
	return 0;
}

static int load(struct hull_vm *vm, void *arg, struct hull_err *err)
{
	struct hull_machine *m = arg;
	int r;

	(void)vm;
	m->error = (struct hull_err){ 0 };
	r = m->boot.open ? m->boot.open(&m->boot, &m->error) : 0;
	if (!r)
		r = m->load(m, &m->error);
	if (m->boot.close)
		m->boot.close(&m->boot);
	if (r && err)
		*err = m->error;
	return r;
}

void hull_board_set_loader(struct hull_machine *m, hull_board_loader fn)
{
	m->load = fn;
	hull_vm_set_loader(m->vm, load, m);
}

int hull_board_put_initrd(const struct hull_machine *m, const struct hull_boot_layout *layout,
                          struct hull_err *err)
{
	const struct hull_fdt_range *at = &layout->initrd;

	if (at->length && hull_vm_write(m->vm, at->start, m->boot.initrd.data, at->length))
		return hull_fail(err, HULL_EFAULT, 720, "no memory for the initrd at 0x%llx",
		                 (unsigned long long)at->start);
	return 0;
}

int hull_board_has_image(const struct hull_machine *m, struct hull_err *err)
{
	if (m->boot.kernel.data || m->boot.firmware.data)
		return 0;
	hull_fail(err, HULL_EINVAL, 750, "there is nothing to start: no kernel, no firmware");
	hull_err_fix(err, "hull run --kernel FILE, or --firmware FILE");
	return HULL_EINVAL;
}
