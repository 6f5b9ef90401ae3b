/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "support/rvrig.h"

#include <stdio.h>
#include <string.h>

#include "base/bits.h"
#include "core/aspace.h"
#include "engine/jit/host.h"
#include "engine/jit/store_impl.h"
#include "engine/riscv64/block.h"
#include "engine/riscv64/jit.h"

static bool init(struct rvrig *r, uint64_t base, uint64_t size,
                 const struct hull_engine_config *engine)
{
	struct hull_region_config ram = { .gpa = base,
		                          .size = size,
		                          .attr = HULL_MEM_R | HULL_MEM_W | HULL_MEM_X };
	struct hull_vm_config config;
	struct hull_ram_page page;

	fake_hal_init(&r->hal);
	hull_config_init(&config, HULL_ISA_RISCV64, "rig");
	config.engine = *engine;
	if (hull_config_add_region(&config, &ram, NULL) ||
	    hull_vm_create(&config, &r->hal.hal, hull_accel_find("engine"), &r->vm, NULL))
		return false;
	if (hull_vm_seal(r->vm, NULL) || hull_vm_boot(r->vm, NULL) ||
	    !hull_aspace_page(r->vm, base, &page))
		return false;
	r->hart = hull_vcpu_accel_state(hull_vm_vcpu(r->vm, 0));
	r->ram = page.hva;
	r->base = base;
	r->size = size;
	return true;
}

bool rvrig_init(struct rvrig *r, uint64_t base, uint64_t size)
{
	return init(r, base, size, &(struct hull_engine_config){ .mode = HULL_ENGINE_INTERP });
}

bool rvrig_init_jit(struct rvrig *r, uint64_t base, uint64_t size, uint32_t heat,
                    uint64_t cache_bytes)
{
	struct hull_engine_config engine = { .mode = HULL_ENGINE_JIT, .cache_bytes = cache_bytes };

	if (!host_info.gpr_count || !init(r, base, size, &engine))
		return false;
	r->hart->cache->hot_limit = heat;
	return true;
}

bool rvrig_init_opt(struct rvrig *r, uint64_t base, uint64_t size, uint32_t heat, uint64_t seed)
{
	struct hull_engine_config engine = { .mode = HULL_ENGINE_OPT,
		                             .promotion = HULL_PROMOTION_EAGER,
		                             .chaos = seed | 1,
		                             .cache_bytes = 1 << 20 };

	if (!host_info.gpr_count || !init(r, base, size, &engine))
		return false;
	r->hart->cache->hot_limit = heat;
	return true;
}

bool rvrig_keep(struct rvrig *r)
{
	static const struct store_id id = { .guest = "rig" };
	const struct store_image none = { 0 };
	struct rv_jit *j = r->hart->jit;
	struct jit_store *now = store_new(&id);
	size_t size = 0;
	uint8_t *data;

	if (!j->store)
		j->store = store_new(&id);
	if (!now || !j->store || rv_jit_hand_over(r->hart))
		return false;
	data = store_build(j->store, &none, UINT64_C(1) << 24, &size);
	jit_store_close(j->store);
	j->store = now;
	if (!data || store_load(&now->image, &id, data, size))
		return false;
	jit_cache_flush(j->cache);
	memset(j->not_stored, 0, sizeof(j->not_stored));
	memset(r->hart->cache->hash, 0, sizeof(r->hart->cache->hash));
	rv_flush_jumps(r->hart);
	return true;
}

void rvrig_fini(struct rvrig *r)
{
	if (!r->vm)
		return;
	if (r->hart->jit) /* rvrig_keep()'s */
		jit_store_close(r->hart->jit->store);
	hull_vm_shutdown(r->vm, HULL_STOP_FORCED, NULL);
	hull_vm_unref(r->vm);
	fake_hal_fini(&r->hal);
}

enum hull_exit_kind rvrig_run(struct rvrig *r, uint64_t insns)
{
	struct hull_exit exit = { .kind = HULL_EXIT_NONE };

	r->hart->retire_limit = r->hart->retired + insns;
	if (r->hart->jit)
		rv_jit_run(r->hart, &exit);
	else
		rv_interpret(r->hart, &exit);
	return exit.kind;
}

void rvrig_copy(const struct rvrig *from, struct rvrig *to)
{
	const struct rv_hart *h = from->hart;
	struct rv_hart *g = to->hart;

	memcpy(g->x, h->x, sizeof(g->x));
	memcpy(g->f, h->f, sizeof(g->f));
	g->pc = h->pc;
	g->fp = h->fp;
	g->frm = h->frm;
	g->priv = h->priv;
	g->sbi = h->sbi;
	g->retired = h->retired;
	g->cause = h->cause;
	g->tval = h->tval;
	g->reserved = h->reserved;
	g->reserved_value = h->reserved_value;
	g->mip = h->mip;
	g->csr = h->csr;
	g->pmp_active = h->pmp_active;
	g->trap_loop = h->trap_loop;
	g->trap_mark = h->trap_mark;
	rv_set_mstatus(g, rv_mstatus(h));
	rv_fp_changed(g);
	rv_flush_tlb(g);
	memcpy(to->ram, from->ram, from->size);
	rv_suspect_code(g);
}

static bool differ(const char *what, unsigned nr, uint64_t a, uint64_t b)
{
	if (a == b)
		return false;
	printf("%s%u: %llx, and not %llx\n", what, nr, (unsigned long long)b,
	       (unsigned long long)a);
	return true;
}

static bool memory_differs(const struct rvrig *a, const struct rvrig *b)
{
	uint64_t at = 0;

	if (!memcmp(a->ram, b->ram, a->size))
		return false;
	while (a->ram[at] == b->ram[at])
		at++;
	return differ("byte ", (unsigned)at, a->ram[at], b->ram[at]);
}

bool rvrig_differ(const struct rvrig *a, const struct rvrig *b)
{
	struct rv_hart *h = a->hart, *g = b->hart;
	bool bad = false;

	for (unsigned i = 1; i < 32; i++)
		bad |= differ("x", i, h->x[i], g->x[i]);
	for (unsigned i = 0; i < 32; i++)
		bad |= differ("f", i, h->f[i], g->f[i]);
	bad |= differ("zero ", 0, h->x[0], 0);
	bad |= differ("zero ", 1, 0, g->x[0]);
	bad |= differ("pc ", 0, h->pc, g->pc);
	bad |= differ("fflags ", 0, h->fp.flags, g->fp.flags);
	bad |= differ("frm ", 0, h->frm, g->frm);
	bad |= differ("mstatus ", 0, rv_mstatus(h), rv_mstatus(g));
	bad |= differ("priv ", 0, h->priv, g->priv);
	bad |= differ("retired ", 0, h->retired, g->retired);
	bad |= differ("reserved ", 0, h->reserved, g->reserved);
	bad |= differ("mip ", 0, h->mip, g->mip);
	for (unsigned i = 0; i < 4096; i++) {
		uint64_t v = 0, w = 0;

		if (rv_csr_peek(h, i, &v) && rv_csr_peek(g, i, &w))
			bad |= differ("csr ", i, v, w);
	}
	return memory_differs(a, b) || bad;
}
