/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Checking a resolved configuration, and building one piece by piece. */
#include <hull/config.h>

#include "base/bits.h"
#include "base/checked.h"
#include "base/mem.h"

#define LL(x)    ((unsigned long long)(x))
#define ATTR_ALL (HULL_MEM_R | HULL_MEM_W | HULL_MEM_X | HULL_MEM_DEVICE | HULL_MEM_UNCACHED)

#define MAX_NS_PER_INSN 1000000

/* Catalogue numbers. */
enum { E_TOO_MANY = 109, E_CONTRADICT = 108, E_VALUE = 130, E_OVERLAP = 131, E_TWICE = 132 };

void hull_config_init(struct hull_vm_config *c, enum hull_isa isa, const char *name)
{
	memset(c, 0, sizeof(*c));
	c->isa = isa;
	c->cpu_num = 1;
	hull_text_copy(c->name, sizeof(c->name), name);
}

static int bad(struct hull_err *err, uint16_t id, const char *key, const char *why)
{
	hull_fail(err, HULL_EINVAL, id, "%s: %s", key, why);
	return HULL_EINVAL;
}

/* A text of the fixed arrays: terminated, printable. */
static bool text_ok(const char *s, bool may_be_empty)
{
	size_t n = 0;

	while (n < HULL_NAME_MAX && s[n]) {
		if ((unsigned char)s[n] <= ' ' || (unsigned char)s[n] > '~')
			return false;
		n++;
	}
	return n < HULL_NAME_MAX && (n || may_be_empty);
}

static int check_span(const char *key, uint64_t at, uint64_t size, struct hull_err *err)
{
	if (!size)
		return hull_fail(err, HULL_EINVAL, E_VALUE, "%s: the size is 0", key);
	if (!is_aligned(at | size, HULL_PAGE_SIZE))
		return hull_fail(err, HULL_EINVAL, E_VALUE,
		                 "%s: address 0x%llx and size 0x%llx must be multiples of 4096",
		                 key, LL(at), LL(size));
	if (!hull_range_valid(at, size))
		return hull_fail(
			err, HULL_EINVAL, E_VALUE,
			"%s: address 0x%llx plus size 0x%llx passes the end of the address "
			"space",
			key, LL(at), LL(size));
	return 0;
}

static int check_region(const struct hull_region_config *r, struct hull_err *err)
{
	int ret = check_span("memory", r->gpa, r->size, err);

	if (ret)
		return ret;
	if (r->attr & ~(unsigned)ATTR_ALL || !(r->attr & HULL_MEM_R))
		return hull_fail(err, HULL_EINVAL, E_VALUE,
		                 "memory: 0x%x are no attributes of memory (it must be readable)",
		                 r->attr);
	if ((unsigned)r->map > HULL_MAP_RESERVED)
		return bad(err, E_VALUE, "memory", "unknown kind of mapping");
	if (r->map == HULL_MAP_ALLOC && r->attr & HULL_MEM_DEVICE)
		return bad(err, E_CONTRADICT, "memory",
		           "device memory cannot be allocated, it is identity or reserved");
	if (r->map == HULL_MAP_RESERVED)
		return check_span("memory.hpa", r->hpa, r->size, err);
	return 0;
}

static int check_passthrough(const struct hull_passthrough_config *p, struct hull_err *err)
{
	int ret;

	if (!text_ok(p->name, false))
		return bad(err, E_VALUE, "passthrough.name", "not a name of printable characters");
	/* A page is the smallest thing that can be shown: a part of one would show its neighbours.
	 */
	ret = check_span("passthrough.gpa", p->gpa, p->size, err);
	if (!ret)
		ret = check_span("passthrough.hpa", p->hpa, p->size, err);
	return ret;
}

static int check_device(const struct hull_device_config *d, struct hull_err *err)
{
	if (!text_ok(d->type, false))
		return bad(err, E_VALUE, "device.type", "not a name of printable characters");
	if (!text_ok(d->name, true))
		return bad(err, E_VALUE, "device.name", "not a name of printable characters");
	if (d->nargs > HULL_MAX_DEV_ARGS)
		return bad(err, E_TOO_MANY, "device", "too many property values");
	if (!hull_range_valid(d->gpa, d->size))
		return hull_fail(err, HULL_EINVAL, E_VALUE,
		                 "device %s: address 0x%llx plus size 0x%llx passes the end of the "
		                 "address space",
		                 d->type, LL(d->gpa), LL(d->size));
	return 0;
}

/* What occupies guest addresses: regions, then pass-through, then placed devices, then the window.
 */
struct span {
	const char *what;
	uint64_t at, size;
};

static uint32_t span_count(const struct hull_vm_config *c)
{
	return c->nregions + c->npassthrough + c->ndevices + 1;
}

static struct span span_at(const struct hull_vm_config *c, uint32_t i)
{
	if (i < c->nregions)
		return (struct span){ "memory", c->regions[i].gpa, c->regions[i].size };
	i -= c->nregions;
	if (i < c->npassthrough)
		return (struct span){ c->passthrough[i].name, c->passthrough[i].gpa,
			              c->passthrough[i].size };
	i -= c->npassthrough;
	if (i < c->ndevices)
		return (struct span){ c->devices[i].type, c->devices[i].gpa,
			              c->devices[i].gpa ? c->devices[i].size : 0 };
	return (struct span){ "the channel window", c->ivc_gpa, c->ivc_size };
}

/* Does span `i` overlap one of those before it? */
static int check_overlap(const struct hull_vm_config *c, uint32_t i, struct hull_err *err)
{
	struct span a = span_at(c, i);

	for (uint32_t j = 0; j < i; j++) {
		struct span b = span_at(c, j);

		if (hull_ranges_overlap(a.at, a.size, b.at, b.size))
			return hull_fail(err, HULL_EINVAL, E_OVERLAP,
			                 "%s at 0x%llx, size 0x%llx, overlaps %s at 0x%llx, size "
			                 "0x%llx",
			                 a.what, LL(a.at), LL(a.size), b.what, LL(b.at),
			                 LL(b.size));
	}
	return 0;
}

static int check_cpus(const struct hull_vm_config *c, struct hull_err *err)
{
	if (!c->cpu_num || c->cpu_num > HULL_MAX_VCPUS)
		return hull_fail(err, HULL_EINVAL, E_VALUE, "cpu.count: %u is not within 1 to %d",
		                 c->cpu_num, HULL_MAX_VCPUS);
	if (c->nphys_ids && c->nphys_ids != c->cpu_num)
		return hull_fail(err, HULL_EINVAL, E_CONTRADICT,
		                 "cpu.ids: %u hardware ids for %u vCPUs", c->nphys_ids, c->cpu_num);
	if (c->naffinity && c->naffinity != c->cpu_num)
		return hull_fail(err, HULL_EINVAL, E_CONTRADICT,
		                 "cpu.affinity: %u masks for %u vCPUs", c->naffinity, c->cpu_num);
	for (uint32_t i = 0; i < c->naffinity; i++)
		if (!c->affinity[i])
			return hull_fail(err, HULL_EINVAL, E_VALUE,
			                 "cpu.affinity: vCPU %u may run nowhere", i);
	for (uint32_t i = 0; i < c->nphys_ids; i++)
		for (uint32_t j = 0; j < i; j++)
			if (c->phys_ids[i] == c->phys_ids[j])
				return hull_fail(
					err, HULL_EINVAL, E_TWICE,
					"cpu.ids: 0x%llx is the id of vCPU %u and of vCPU %u",
					LL(c->phys_ids[i]), j, i);
	return 0;
}

static int check_counts(const struct hull_vm_config *c, struct hull_err *err)
{
	if (!text_ok(c->name, false))
		return bad(err, E_VALUE, "vm.name", "not a name of printable characters");
	if ((unsigned)c->isa > HULL_ISA_X86_64 || (unsigned)c->kind > HULL_KIND_HOST ||
	    (unsigned)c->irq_mode > HULL_IRQ_NONE)
		return bad(err, E_VALUE, "vm", "unknown architecture, kind or interrupt mode");
	if (c->nregions > HULL_MAX_REGIONS)
		return bad(err, E_TOO_MANY, "memory", "too many regions");
	if (c->ndevices > HULL_MAX_DEVICES)
		return bad(err, E_TOO_MANY, "device", "too many devices");
	if (c->npassthrough > HULL_MAX_PASSTHROUGH)
		return bad(err, E_TOO_MANY, "passthrough", "too many devices");
	if (c->nspis > HULL_MAX_SPIS)
		return bad(err, E_TOO_MANY, "spis", "too many interrupts");
	if (c->ns_per_insn > MAX_NS_PER_INSN)
		return bad(err, E_VALUE, "ns_per_insn", "more than a millisecond");
	if (c->ivc_size)
		return check_span("ivc", c->ivc_gpa, c->ivc_size, err);
	return 0;
}

static int check_device_names(const struct hull_vm_config *c, uint32_t i, struct hull_err *err)
{
	for (uint32_t j = 0; j < i; j++)
		if (*c->devices[i].name && hull_text_eq(c->devices[i].name, c->devices[j].name))
			return hull_fail(err, HULL_EINVAL, E_TWICE,
			                 "device.name: two devices are called '%s'",
			                 c->devices[i].name);
	return 0;
}

static int check_spi(const struct hull_vm_config *c, uint32_t i, struct hull_err *err)
{
	for (uint32_t j = 0; j < i; j++)
		if (c->spis[i] == c->spis[j])
			return hull_fail(err, HULL_EINVAL, E_TWICE,
			                 "spis: interrupt %u is listed twice", c->spis[i]);
	return 0;
}

static int check_engine(const struct hull_engine_config *e, struct hull_err *err)
{
	if (e->mode > HULL_ENGINE_EVAL || e->cache_policy > HULL_CODE_CACHE_CONCURRENT ||
	    e->promotion > HULL_PROMOTION_EAGER || e->perf > HULL_PERF_JITDUMP)
		return hull_fail(err, HULL_EINVAL, E_VALUE, "engine: there is no such choice");
	if (e->cache_bytes % HULL_PAGE_SIZE)
		return hull_fail(err, HULL_EINVAL, E_VALUE,
		                 "engine.cache_bytes 0x%llx is not page aligned",
		                 LL(e->cache_bytes));
	if (e->tier2_threshold && e->tier1_threshold > e->tier2_threshold)
		return hull_fail(err, HULL_EINVAL, E_CONTRADICT,
		                 "engine.tier1_threshold %u is larger than tier2_threshold %u",
		                 e->tier1_threshold, e->tier2_threshold);
	if (e->cache_dir[HULL_ENGINE_PATH_MAX - 1] || e->perf_dir[HULL_ENGINE_PATH_MAX - 1])
		return hull_fail(err, HULL_EINVAL, E_VALUE, "engine: a path has no end");
	return 0;
}

int hull_config_check(const struct hull_vm_config *c, struct hull_err *err)
{
	int ret = check_counts(c, err);

	if (!ret)
		ret = check_engine(&c->engine, err);

	if (!ret)
		ret = check_cpus(c, err);
	for (uint32_t i = 0; !ret && i < c->nregions; i++)
		ret = check_region(&c->regions[i], err);
	for (uint32_t i = 0; !ret && i < c->npassthrough; i++)
		ret = check_passthrough(&c->passthrough[i], err);
	for (uint32_t i = 0; !ret && i < c->ndevices; i++) {
		ret = check_device(&c->devices[i], err);
		if (!ret)
			ret = check_device_names(c, i, err);
	}
	for (uint32_t i = 0; !ret && i < c->nspis; i++)
		ret = check_spi(c, i, err);
	for (uint32_t i = 0; !ret && i < span_count(c); i++)
		ret = check_overlap(c, i, err);
	return ret;
}

static int check_new(const struct hull_vm_config *c, uint64_t at, uint64_t size, const char *what,
                     struct hull_err *err)
{
	for (uint32_t i = 0; i < span_count(c); i++) {
		struct span b = span_at(c, i);

		if (hull_ranges_overlap(at, size, b.at, b.size))
			return hull_fail(err, HULL_EINVAL, E_OVERLAP,
			                 "%s at 0x%llx, size 0x%llx, overlaps %s at 0x%llx, size "
			                 "0x%llx",
			                 what, LL(at), LL(size), b.what, LL(b.at), LL(b.size));
	}
	return 0;
}

static int full(struct hull_err *err, const char *what, int max)
{
	return hull_fail(err, HULL_EOVERFLOW, E_TOO_MANY, "%s: there is room for %d", what, max);
}

int hull_config_add_region(struct hull_vm_config *c, const struct hull_region_config *r,
                           struct hull_err *err)
{
	int ret = check_region(r, err);

	if (!ret)
		ret = check_new(c, r->gpa, r->size, "memory", err);
	if (ret)
		return ret;
	if (c->nregions >= HULL_MAX_REGIONS)
		return full(err, "memory", HULL_MAX_REGIONS);
	c->regions[c->nregions++] = *r;
	return 0;
}

int hull_config_add_device(struct hull_vm_config *c, const struct hull_device_config *d,
                           struct hull_err *err)
{
	int ret = check_device(d, err);

	if (!ret)
		ret = check_new(c, d->gpa, d->gpa ? d->size : 0, d->type, err);
	if (ret)
		return ret;
	if (c->ndevices >= HULL_MAX_DEVICES)
		return full(err, "device", HULL_MAX_DEVICES);
	c->devices[c->ndevices] = *d;
	ret = check_device_names(c, c->ndevices, err);
	if (!ret)
		c->ndevices++;
	return ret;
}

int hull_config_add_passthrough(struct hull_vm_config *c, const struct hull_passthrough_config *p,
                                struct hull_err *err)
{
	int ret = check_passthrough(p, err);

	if (!ret)
		ret = check_new(c, p->gpa, p->size, p->name, err);
	if (ret)
		return ret;
	if (c->npassthrough >= HULL_MAX_PASSTHROUGH)
		return full(err, "passthrough", HULL_MAX_PASSTHROUGH);
	c->passthrough[c->npassthrough++] = *p;
	return 0;
}

int hull_config_add_spi(struct hull_vm_config *c, uint32_t intid, struct hull_err *err)
{
	int ret;

	if (c->nspis >= HULL_MAX_SPIS)
		return full(err, "spis", HULL_MAX_SPIS);
	c->spis[c->nspis] = intid;
	ret = check_spi(c, c->nspis, err);
	if (!ret)
		c->nspis++;
	return ret;
}

bool hull_config_contains(const struct hull_vm_config *c, hull_gpa gpa, uint64_t len)
{
	for (uint32_t i = 0; i < MIN(c->nregions, (uint32_t)HULL_MAX_REGIONS); i++)
		if (hull_range_within(gpa, len, c->regions[i].gpa, c->regions[i].size))
			return true;
	return false;
}

int hull_config_place(const struct hull_vm_config *c, uint32_t i, struct hull_vcpu_place *ret)
{
	if (i >= c->cpu_num || i >= HULL_MAX_VCPUS)
		return HULL_EINVAL;
	*ret = (struct hull_vcpu_place){
		.vcpu = i,
		.allow_mask = i < c->naffinity ? c->affinity[i] : UINT64_MAX,
		.phys_id = i < c->nphys_ids ? c->phys_ids[i] : i,
	};
	return 0;
}
