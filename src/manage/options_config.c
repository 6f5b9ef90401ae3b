/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Options as the core's configuration: names become numbers. */
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "base/text.h"
#include "core/dev_impl.h"
#include "core/dev.h"
#include "manage/options_table.h"

static int refuse(struct hull_err *err, int code, uint16_t id, const struct hull_value *v,
                  const char *key, const char *text)
{
	struct hull_place at = { .origin = v->origin, .key = key };

	hull_fail(err, code, id, "%s", text);
	hull_place_where(err, &at);
	return code;
}

static int regions(const struct hull_options *o, struct hull_vm_config *c, struct hull_err *err)
{
	static const unsigned perms[] = { HULL_MEM_R | HULL_MEM_W | HULL_MEM_X,
		                          HULL_MEM_R | HULL_MEM_W, HULL_MEM_R | HULL_MEM_X,
		                          HULL_MEM_R };
	static const unsigned caches[] = { 0, HULL_MEM_DEVICE, HULL_MEM_UNCACHED };
	uint32_t i;

	if (o->nitems[HULL_GROUP_REGION] > HULL_MAX_REGIONS)
		return hull_fail(err, HULL_EOVERFLOW, 109, "too many memory regions");
	for (i = 0; i < o->nitems[HULL_GROUP_REGION]; i++) {
		struct hull_region_config *r = &c->regions[c->nregions++];

		r->gpa = hull_options_item(o, HULL_OPT_REGION_GPA, i)->num;
		r->size = hull_options_item(o, HULL_OPT_REGION_SIZE, i)->num;
		r->hpa = hull_options_item(o, HULL_OPT_REGION_HPA, i)->num;
		r->map = hull_options_item(o, HULL_OPT_REGION_MAP, i)->num;
		r->attr = perms[hull_options_item(o, HULL_OPT_REGION_PERM, i)->num] |
		          caches[hull_options_item(o, HULL_OPT_REGION_CACHE, i)->num];
	}
	return 0;
}

static const struct hull_dev_type *find_type(const char *name)
{
	const struct hull_dev_type *const *t;

	for (t = hull_dev_types; *t; t++)
		if (hull_text_eq((*t)->name, name))
			return *t;
	return NULL;
}

static int unknown_type(const struct hull_value *v, struct hull_err *err)
{
	const char *names[64];
	const char *near;
	char text[128];
	size_t n;

	for (n = 0; n < ARRAY_LEN(names) && hull_dev_types[n]; n++)
		names[n] = hull_dev_types[n]->name;
	hull_format(text, sizeof(text), "there is no device of type \"%.60s\"", v->text);
	refuse(err, HULL_ENOENT, 903, v, "device.type", text);
	near = hull_nearest(v->text, names, n);
	if (near)
		hull_err_fix(err, "did you mean \"%s\"?", near);
	else
		hull_err_fix(err, "see all types: hull help devices");
	return HULL_ENOENT;
}

/* One property: by name, or as argN, the N-th of the type. */
static int property(const struct hull_dev_type *t, const struct hull_pair *p,
                    const struct hull_value *v, struct hull_device_config *d, struct hull_err *err)
{
	char arg[16], text[160];
	unsigned i;

	for (i = 0; i < t->nprops && i < HULL_MAX_DEV_ARGS; i++) {
		hull_format(arg, sizeof(arg), "arg%u", i);
		if (hull_text_eq(t->props[i].name, p->key) || hull_text_eq(arg, p->key))
			break;
	}
	if (i == t->nprops || i == HULL_MAX_DEV_ARGS) {
		hull_format(text, sizeof(text), "a device of type %.40s has no \"%.60s\"", t->name,
		            p->key);
		return refuse(err, HULL_EINVAL, 101, v, "device.opts", text);
	}
	if (!p->is_num || p->num < t->props[i].min || p->num > t->props[i].max) {
		hull_format(text, sizeof(text),
		            "%.40s.%.40s = %.40s is not a number from %llu to %llu", t->name,
		            t->props[i].name, p->text, (unsigned long long)t->props[i].min,
		            (unsigned long long)t->props[i].max);
		return refuse(err, HULL_EINVAL, 106, v, "device.opts", text);
	}
	d->args[i] = p->num;
	return 0;
}

static int device(const struct hull_options *o, uint32_t i, struct hull_device_config *d,
                  struct hull_err *err)
{
	const struct hull_value *type = hull_options_item(o, HULL_OPT_DEVICE_TYPE, i);
	const struct hull_value *opts = hull_options_item(o, HULL_OPT_DEVICE_OPTS, i);
	const char *name = hull_options_item(o, HULL_OPT_DEVICE_NAME, i)->text;
	const struct hull_dev_type *t = find_type(type->text);
	uint32_t k;
	int ret = 0;

	if (!t)
		return unknown_type(type, err);
	hull_text_copy(d->type, sizeof(d->type), type->text);
	hull_text_copy(d->name, sizeof(d->name), name ? name : "");
	d->gpa = hull_options_item(o, HULL_OPT_DEVICE_GPA, i)->num;
	d->size = hull_options_item(o, HULL_OPT_DEVICE_SIZE, i)->num;
	d->irq = (uint32_t)hull_options_item(o, HULL_OPT_DEVICE_IRQ, i)->num;
	d->bus = (enum hull_device_bus)hull_options_item(o, HULL_OPT_DEVICE_TRANSPORT, i)->num;
	d->nargs = (uint8_t)MIN(t->nprops, (unsigned)HULL_MAX_DEV_ARGS);
	for (k = 0; k < d->nargs; k++)
		d->args[k] = t->props[k].dflt;
	for (k = 0; k < opts->count && !ret; k++)
		ret = property(t, &opts->pairs[k], opts, d, err);
	return ret;
}

static int passthrough(const struct hull_options *o, uint32_t i, struct hull_passthrough_config *p,
                       struct hull_err *err)
{
	const struct hull_value *kind = hull_options_item(o, HULL_OPT_PASSTHROUGH_KIND, i);
	const struct hull_value *hpa = hull_options_item(o, HULL_OPT_PASSTHROUGH_HPA, i);
	const char *name = hull_options_item(o, HULL_OPT_PASSTHROUGH_NAME, i)->text;

	if (kind->num)
		return refuse(err, HULL_ENOTSUP, 904, kind, "passthrough.kind",
		              "only passthrough of kind mmio is supported here");
	hull_text_copy(p->name, sizeof(p->name), name ? name : "");
	p->gpa = hull_options_item(o, HULL_OPT_PASSTHROUGH_GPA, i)->num;
	p->hpa = hpa->origin.rank == HULL_ORIGIN_NONE ? p->gpa : hpa->num;
	p->size = hull_options_item(o, HULL_OPT_PASSTHROUGH_SIZE, i)->num;
	p->irq = (uint32_t)hull_options_item(o, HULL_OPT_PASSTHROUGH_IRQ, i)->num;
	return 0;
}

static int processors(const struct hull_options *o, struct hull_vm_config *c, struct hull_err *err)
{
	const struct hull_value *ids = &o->value[HULL_OPT_CPU_PHYS_IDS];
	const struct hull_value *sets = &o->value[HULL_OPT_CPU_AFFINITY];
	const struct hull_value *spis = &o->value[HULL_OPT_MACHINE_SPI];
	uint32_t i;

	if (ids->count > HULL_MAX_VCPUS || sets->count > HULL_MAX_VCPUS ||
	    spis->count > HULL_MAX_SPIS)
		return hull_fail(err, HULL_EOVERFLOW, 109, "too many ids of CPUs or interrupts");
	c->cpu_num = (uint32_t)hull_options_num(o, HULL_OPT_CPU_COUNT);
	c->nphys_ids = ids->count;
	for (i = 0; i < ids->count; i++)
		c->phys_ids[i] = ids->nums[i];
	c->naffinity = sets->count;
	for (i = 0; i < sets->count; i++)
		c->affinity[i] = sets->nums[i];
	c->nspis = spis->count;
	for (i = 0; i < spis->count; i++)
		c->spis[i] = (uint32_t)spis->nums[i];
	return 0;
}

/* A directory that has its place in the configuration. */
static int directory(const struct hull_options *o, enum hull_option id, const char *key, char *dst,
                     struct hull_err *err)
{
	const char *path = hull_options_text(o, id);

	if (strlen(path) >= HULL_ENGINE_PATH_MAX)
		return refuse(err, HULL_EINVAL, 5, &o->value[id], key,
		              "the path of a directory is too long");
	hull_text_copy(dst, HULL_ENGINE_PATH_MAX, path);
	return 0;
}

static int engine(const struct hull_options *o, struct hull_engine_config *e, struct hull_err *err)
{
	int r;

	e->mode = hull_options_num(o, HULL_OPT_ENGINE_MODE);
	e->cache_policy = hull_options_num(o, HULL_OPT_JIT_GC);
	e->promotion = hull_options_num(o, HULL_OPT_JIT_POLICY);
	e->perf = hull_options_num(o, HULL_OPT_JIT_PERF);
	e->cache_bytes = hull_options_num(o, HULL_OPT_JIT_CACHE);
	e->tier1_threshold = (uint32_t)hull_options_num(o, HULL_OPT_JIT_MIN_THRESHOLD);
	e->tier2_threshold = (uint32_t)hull_options_num(o, HULL_OPT_JIT_MAX_THRESHOLD);
	e->chaos = hull_options_num(o, HULL_OPT_JIT_CHAOS);
	r = directory(o, HULL_OPT_JIT_PERF_DIR, "engine.jit.perf_dir", e->perf_dir, err);
	if (!r && !hull_text_eq(hull_options_text(o, HULL_OPT_JIT_STORE), "off"))
		r = directory(o, HULL_OPT_JIT_STORE, "engine.jit.aot_cache", e->cache_dir, err);
	return r;
}

int hull_options_to_config(const struct hull_options *o, enum hull_isa isa,
                           struct hull_vm_config *ret, struct hull_err *err)
{
	struct hull_vm_config c = { .isa = isa };
	uint32_t i;
	int r;

	c.id = (uint32_t)hull_options_num(o, HULL_OPT_VM_ID);
	hull_text_copy(c.name, sizeof(c.name), hull_options_text(o, HULL_OPT_VM_NAME));
	c.kind = hull_options_num(o, HULL_OPT_VM_KIND);
	c.irq_mode = hull_options_num(o, HULL_OPT_MACHINE_IRQ_MODE);
	c.hw.irqchip = hull_options_num(o, HULL_OPT_MACHINE_IRQCHIP);
	hull_text_copy(c.hw.cpu_model, sizeof(c.hw.cpu_model),
	               hull_options_text(o, HULL_OPT_CPU_MODEL));
	c.bsp_entry = hull_options_num(o, HULL_OPT_BOOT_ENTRY);
	c.ap_entry = hull_options_num(o, HULL_OPT_BOOT_AP_ENTRY);
	c.deterministic = hull_options_num(o, HULL_OPT_ENGINE_DETERMINISTIC);
	c.random_seed = hull_options_num(o, HULL_OPT_RNG_SOURCE);
	r = engine(o, &c.engine, err);
	if (!r)
		r = processors(o, &c, err);
	if (!r)
		r = regions(o, &c, err);
	for (i = 0; !r && i < o->nitems[HULL_GROUP_DEVICE]; i++)
		r = device(o, i, &c.devices[c.ndevices++], err);
	for (i = 0; !r && i < o->nitems[HULL_GROUP_PASSTHROUGH]; i++)
		r = passthrough(o, i, &c.passthrough[c.npassthrough++], err);
	if (r)
		return r;
	*ret = c;
	return 0;
}
