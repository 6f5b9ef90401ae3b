/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Counters as a table and as JSON; see stats.h. */
#include "app/stats.h"

#include "base/atomic.h"
#include "base/bits.h"
#include "core/vcpu.h"
#include "engine/engine.h"
#include "manage/json.h"
#include "manage/report.h"

static const struct {
	enum hull_exit_kind kind;
	const char *name, *text;
} exits[] = {
	{ HULL_EXIT_MMIO, "vcpu_mmio", "returns to the core: device access" },
	{ HULL_EXIT_HALT, "vcpu_halt", "returns to the core: waits for an interrupt" },
	{ HULL_EXIT_HYPERCALL, "vcpu_hypercall", "returns to the core: calls of the firmware" },
	{ HULL_EXIT_BUDGET, "vcpu_budget", "returns to the core: time slice used up" },
	{ HULL_EXIT_KICKED, "vcpu_kicked", "returns to the core: somebody wants attention" },
};

static void ignore(void *arg, const char *name, const char *text, uint64_t value)
{
}

static const char *tier_name(const struct hull_vm *vm)
{
	if (hull_vm_stats((struct hull_vm *)(uintptr_t)vm, UINT32_MAX, ignore, NULL))
		return "of the host"; /* an accelerator that counts nothing */
	switch (hull_engine_tier_of(hull_vm_config(vm)->engine.mode)) {
	case HULL_TIER_INTERP: return "interp";
	case HULL_TIER_EVAL: return "eval";
	case HULL_TIER_BLOCK: return "jit";
	case HULL_TIER_REGION: return "opt";
	default: return "other";
	}
}

/* Of one vCPU, or of all (UINT32_MAX). */
static uint64_t instructions(struct hull_vm *vm, uint32_t id)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		if (id == UINT32_MAX || id == i)
			n += hull_load_relaxed(&hull_vm_vcpu(vm, i)->insns);
	return n;
}

static uint64_t exit_count(struct hull_vm *vm, uint32_t id, enum hull_exit_kind kind)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		if (id == UINT32_MAX || id == i)
			n += hull_load_relaxed(&hull_vm_vcpu(vm, i)->exits[kind]);
	return n;
}

static void each(struct hull_vm *vm, uint32_t id, hull_stat_fn fn, void *arg)
{
	fn(arg, "instructions", "instructions of the guest", instructions(vm, id));
	for (size_t i = 0; i < ARRAY_LEN(exits); i++)
		fn(arg, exits[i].name, exits[i].text, exit_count(vm, id, exits[i].kind));
	(void)hull_vm_stats(vm, id, fn, arg); /* other accelerators count nothing */
}

static void print_row(void *arg, const char *name, const char *text, uint64_t value)
{
	if (value)
		fprintf(arg, "  %-24s %15llu  %s\n", name, (unsigned long long)value, text);
}

static void json_row(void *arg, const char *name, const char *text, uint64_t value)
{
	hull_json_u64(arg, name, value);
}

static void print_json(FILE *out, struct hull_vm *vm, uint64_t guest_ns)
{
	struct hull_json j;

	hull_json_init(&j, out);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.engine-stats/1");
	hull_json_text(&j, "engine", tier_name(vm));
	hull_json_u64(&j, "guest_ns", guest_ns);
	each(vm, UINT32_MAX, json_row, &j);
	hull_json_array(&j, "vcpus");
	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++) {
		hull_json_object(&j, NULL);
		each(vm, i, json_row, &j);
		hull_json_end(&j);
	}
	hull_json_end(&j);
	hull_json_end(&j);
}

void hull_app_print_stats(FILE *out, struct hull_vm *vm, unsigned style, uint64_t guest_ns)
{
	uint32_t n = hull_vm_vcpu_count(vm);

	if (style & HULL_REPORT_JSON) {
		print_json(out, vm, guest_ns);
		return;
	}
	fprintf(out, "  engine %s", tier_name(vm));
	if (guest_ns)
		fprintf(out, ", %.0f MIPS",
		        (double)instructions(vm, UINT32_MAX) * 1e3 / (double)guest_ns);
	fputc('\n', out);
	each(vm, UINT32_MAX, print_row, out);
	for (uint32_t i = 0; n > 1 && i < n; i++)
		fprintf(out, "  vCPU %-19u %15llu  of these instructions\n", i,
		        (unsigned long long)instructions(vm, i));
}
