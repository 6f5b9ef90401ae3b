/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Spec: Devicetree Specification v0.4, 2.3; Linux bindings: interrupt-controller/arm,gic-v3.yaml.
 */
#include "metal/aarch64/pass.h"

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"
#include "core/dev.h"
#include "core/dev_impl.h"
#include "isa/aarch64/gic.h"
#include "metal/aarch64/spi.h"
#include "metal/common/pass.h"

enum { RANGES = 32, E_DEVICE = 904, FIRST_SPI = 32 };

#define LL(x) ((unsigned long long)(x))

static const struct metal_board *board;
static struct hull_fdt tree;

/* What VMs have. */
static struct range {
	hull_hpa at;
	uint64_t size; /* 0: free */
	uint32_t owner;
} ranges[RANGES];

void metal_pass_init(const struct metal_board *b, const struct hull_fdt *t)
{
	board = b;
	tree = *t;
}

static bool meets(struct hull_fdt_range r, hull_hpa at, uint64_t size)
{
	return r.length && hull_ranges_overlap(align_down(r.start, HULL_PAGE_SIZE),
	                                       align_up(r.length, HULL_PAGE_SIZE), at, size);
}

/* Memory and what the hypervisor itself uses. */
static bool is_ours(hull_hpa at, uint64_t size)
{
	bool ours = meets(board->uart, at, size) || meets(board->gicd, at, size) ||
	            meets(board->gicr, at, size);

	for (uint32_t i = 0; i < board->memory.nram; i++)
		ours |= meets(board->memory.ram[i], at, size);
	return ours;
}

static int take_range(const struct hull_passthrough_config *p, uint32_t owner, struct hull_err *err)
{
	struct range *place = NULL;

	if (is_ours(p->hpa, p->size))
		return hull_fail(err, HULL_EINVAL, E_DEVICE,
		                 "passthrough %s: 0x%llx is memory or the hypervisor's", p->name,
		                 LL(p->hpa));
	for (unsigned i = 0; i < RANGES; i++) {
		struct range *r = &ranges[i];

		if (r->size && hull_ranges_overlap(r->at, r->size, p->hpa, p->size))
			return hull_fail(err, HULL_EBUSY, E_DEVICE,
			                 "passthrough %s: another VM has what is at 0x%llx",
			                 p->name, LL(p->hpa));
		if (!r->size)
			place = r;
	}
	if (!place)
		return hull_fail(err, HULL_ENOMEM, E_DEVICE, "all VMs together have %u devices",
		                 RANGES);
	*place = (struct range){ p->hpa, p->size, owner };
	return 0;
}

/* Is this interrupt the VM's, by its device or by machine.spi? */
static bool has_irq(const struct hull_vm_config *c, uint32_t intid)
{
	for (uint32_t i = 0; i < c->npassthrough; i++)
		if (c->passthrough[i].irq == intid)
			return true;
	for (uint32_t i = 0; i < c->nspis; i++)
		if (c->spis[i] == intid)
			return true;
	return false;
}

/* What the machine's tree says of a device within `p`; false: it is none of those. */
static bool describe(const struct hull_vm_config *c, const struct hull_passthrough_config *p,
                     uint32_t node, struct hull_passed *ret)
{
	struct metal_node n;
	struct hull_fdt_prop prop;

	if (!metal_board_node(&tree, node, &n) ||
	    !hull_range_within(n.reg.start, n.reg.length, p->hpa, p->size) ||
	    !hull_fdt_get(&tree, node, "compatible", &prop))
		return false;
	*ret = (struct hull_passed){ .name = hull_fdt_name(&tree, node),
		                     .compatible = prop.data,
		                     .compatible_bytes = prop.len,
		                     .gpa = p->gpa + (n.reg.start - p->hpa),
		                     .size = n.reg.length,
		                     .edge = n.edge };
	ret->irq = has_irq(c, n.intid) ? n.intid : 0;
	ret->coherent = hull_fdt_get(&tree, node, "dma-coherent", &prop);
	return true;
}

static void describe_all(const struct hull_vm_config *c, const struct hull_passthrough_config *p,
                         struct hull_passed *ret, uint32_t *n)
{
	uint32_t node = hull_fdt_child(&tree, hull_fdt_root(&tree));

	for (; node != HULL_FDT_NONE && *n < METAL_PASSED; node = hull_fdt_sibling(&tree, node))
		if (describe(c, p, node, &ret[*n]))
			++*n;
}

static int check_irq(uint32_t intid, struct hull_err *err)
{
	if (intid < FIRST_SPI || intid >= FIRST_SPI + HULL_GIC_SPIS || intid == board->uart_irq)
		return hull_fail(err, HULL_EINVAL, E_DEVICE, "interrupt %u is none to be passed on",
		                 intid);
	return 0;
}

int metal_pass_take(const struct hull_vm_config *c, uint32_t owner, struct hull_passed *ret,
                    uint32_t *ret_n, struct hull_err *err)
{
	int r = 0;

	*ret_n = 0;
	for (uint32_t i = 0; !r && i < c->nspis; i++)
		r = check_irq(c->spis[i], err);
	for (uint32_t i = 0; !r && i < c->npassthrough; i++) {
		const struct hull_passthrough_config *p = &c->passthrough[i];

		if (p->irq)
			r = check_irq(p->irq, err);
		if (!r)
			r = take_range(p, owner, err);
		if (!r)
			describe_all(c, p, ret, ret_n);
	}
	return r;
}

bool metal_pass_has(hull_hpa at, uint64_t bytes)
{
	for (unsigned i = 0; i < RANGES; i++)
		if (ranges[i].size && hull_range_within(at, bytes, ranges[i].at, ranges[i].size))
			return true;
	return false;
}

/* How the machine's tree has it; what it does not know is a level. */
static bool is_edge(uint32_t intid)
{
	uint32_t node = hull_fdt_child(&tree, hull_fdt_root(&tree));
	struct metal_node n;

	for (; node != HULL_FDT_NONE; node = hull_fdt_sibling(&tree, node))
		if (metal_board_node(&tree, node, &n) && n.intid == intid)
			return n.edge;
	return false;
}

static int connect_irq(struct hull_vm *vm, uint32_t intid, struct hull_err *err)
{
	struct hull_dev *gic = hull_dev_find(vm, "gic");

	if (!gic)
		return hull_fail(err, HULL_EINVAL, E_DEVICE,
		                 "interrupt %u: the VM has no interrupt controller", intid);
	return metal_spi_assign(intid, is_edge(intid), vm, hull_dev_input(gic, intid - FIRST_SPI),
	                        err);
}

int metal_pass_connect(struct hull_vm *vm, uint32_t owner, struct hull_err *err)
{
	const struct hull_vm_config *c = hull_vm_config(vm);
	int r = 0;

	for (uint32_t i = 0; !r && i < c->npassthrough; i++) {
		const struct hull_passthrough_config *p = &c->passthrough[i];

		if (p->irq)
			r = connect_irq(vm, p->irq, err);
	}
	for (uint32_t i = 0; !r && i < c->nspis; i++)
		r = connect_irq(vm, c->spis[i], err);
	return r;
}

void metal_pass_disconnect(const struct hull_vm *vm)
{
	metal_spi_release(vm);
}

void metal_pass_give_back(uint32_t owner)
{
	for (unsigned i = 0; i < RANGES; i++)
		if (ranges[i].size && ranges[i].owner == owner)
			ranges[i].size = 0;
}
