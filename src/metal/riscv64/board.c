/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Spec: Linux Documentation/devicetree/bindings: riscv/cpus.yaml. */
#include "metal/riscv64/board.h"

#include "base/mem.h"

/* Is the letter 'h' in "rv64..._..."? */
static bool has_h(const struct hull_fdt *t, uint32_t cpu)
{
	struct hull_fdt_prop p;
	const char *s;

	if (!hull_fdt_get(t, cpu, "riscv,isa", &p) || !(s = hull_fdt_get_string(&p, 0)))
		return false;
	while (*s && *s != '_' && *s != 'h')
		s++;
	return *s == 'h';
}

int metal_board_read(const struct hull_fdt *t, struct metal_board *b, struct hull_err *err)
{
	uint32_t cpus = hull_fdt_child(t, hull_fdt_root(t));
	bool h = true;
	int r;

	*b = (struct metal_board){ 0 };
	r = metal_tree_memory(t, &b->memory, err);
	if (r)
		return r;
	while (cpus != HULL_FDT_NONE && !hull_text_eq(hull_fdt_name(t, cpus), "cpus"))
		cpus = hull_fdt_sibling(t, cpus);
	if (cpus != HULL_FDT_NONE) {
		b->hz = metal_tree_u32(t, cpus, "timebase-frequency", 0);
		for (uint32_t n = hull_fdt_child(t, cpus); n != HULL_FDT_NONE;
		     n = hull_fdt_sibling(t, n)) {
			if (!metal_tree_is(t, n, "device_type", "cpu"))
				continue;
			b->ncpus++;
			h = h && has_h(t, n);
		}
	}
	if (!b->ncpus || !b->hz || !h)
		return hull_fail(err, HULL_ENOTSUP, 0, "the machine's device tree names no %s",
		                 !b->ncpus ? "CPUs"
		                 : !b->hz  ? "time base"
		                           : "hypervisor extension");
	return 0;
}
