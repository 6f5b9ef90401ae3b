/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The report of a comparison; see lockstep.h. */
#include <stdio.h>
#include <string.h>

#include <hull/regs.h>
#include "app/lockstep_impl.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "isa/riscv64/disasm.h"
#include "manage/json.h"
#include "manage/report.h"

typedef unsigned long long ull;

static void register_name(uint32_t reg, char *dst, size_t size)
{
	if (reg < HULL_RV_REG_PC)
		hull_format(dst, size, "%s", hull_rv_x_names[reg]);
	else if (reg == HULL_RV_REG_PC)
		hull_format(dst, size, "pc");
	else if (reg < HULL_RV_REG_PRIV)
		hull_format(dst, size, "%s", hull_rv_f_names[reg - HULL_RV_REG_F0]);
	else if (reg >= HULL_RV_REG_CSR)
		hull_rv_csr_name(reg - HULL_RV_REG_CSR, dst, size);
	else
		hull_format(dst, size, reg == HULL_RV_REG_PRIV ? "privilege" : "firmware");
}

void lockstep_remember(struct lockstep *l)
{
	l->done_at = l->done;
	l->ndifferent = 0;
	for (unsigned i = 0; i < l->nregs && l->ndifferent < LOCKSTEP_DIFFERENT; i++) {
		uint64_t a = lockstep_register(l, 0, l->found.vcpu, l->regs[i]);
		uint64_t b = lockstep_register(l, 1, l->found.vcpu, l->regs[i]);

		if (a == b)
			continue;
		l->different[l->ndifferent].reg = l->regs[i];
		l->different[l->ndifferent].a = a;
		l->different[l->ndifferent++].b = b;
	}
}

/* The first line of the trace that is shown: where pieces of code differ, more is. */
static uint64_t first_shown(const struct lockstep *l)
{
	return l->traced - MIN(l->traced, (uint64_t)(l->exact ? LOCKSTEP_SHOWN : LOCKSTEP_TRACE));
}

static void print_json(const struct lockstep *l)
{
	struct hull_json j;
	char name[32];

	hull_json_init(&j, stdout);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.lockstep/1");
	hull_json_bool(&j, "equal", false);
	hull_json_u64(&j, "instructions", l->repeats ? l->done_at : l->first_bad);
	hull_json_bool(&j, "repeats", l->repeats);
	hull_json_bool(&j, "exact", l->exact);
	hull_json_u64(&j, "vcpu", l->found.vcpu);
	if (l->found.kind == LOCKSTEP_MEMORY) {
		hull_json_object(&j, "memory");
		hull_json_u64(&j, "address", l->found.gpa);
		hull_json_u64(&j, "value", l->found.a);
		hull_json_u64(&j, "reference", l->found.b);
		hull_json_end(&j);
	}
	hull_json_array(&j, "registers");
	for (unsigned i = 0; i < l->ndifferent; i++) {
		register_name(l->different[i].reg, name, sizeof(name));
		hull_json_object(&j, NULL);
		hull_json_text(&j, "name", name);
		hull_json_u64(&j, "value", l->different[i].a);
		hull_json_u64(&j, "reference", l->different[i].b);
		hull_json_end(&j);
	}
	hull_json_end(&j);
	hull_json_array(&j, "trace");
	for (uint64_t i = first_shown(l); i < l->traced; i++) {
		const struct lockstep_insn *t = &l->trace[i % LOCKSTEP_TRACE];

		hull_json_object(&j, NULL);
		hull_json_u64(&j, "vcpu", t->vcpu);
		hull_json_u64(&j, "pc", t->pc);
		hull_json_text(&j, "text", t->text);
		hull_json_end(&j);
	}
	hull_json_end(&j);
	hull_json_end(&j);
}

static void print_kind(const struct lockstep *l)
{
	switch (l->found.kind) {
	case LOCKSTEP_COUNT:
		fprintf(stderr, "  vCPU %u has executed %llu instructions, not %llu\n",
		        l->found.vcpu, (ull)l->found.a, (ull)l->found.b);
		break;
	case LOCKSTEP_MEMORY:
		fprintf(stderr, "  memory at 0x%llx: 0x%016llx, not 0x%016llx\n", (ull)l->found.gpa,
		        (ull)l->found.a, (ull)l->found.b);
		break;
	case LOCKSTEP_END:
		fprintf(stderr, l->found.a == l->found.b ? "  the guests ended in different ways\n"
		                                         : "  only one of the guests ended\n");
		break;
	default: break;
	}
}

/* Does the instruction's first operand, as a rule its result, name a register that differs? */
static bool is_suspect(const struct lockstep *l, const struct lockstep_insn *t)
{
	const char *operand = strchr(t->text, ' ');
	size_t n = operand ? strcspn(operand + 1, ",") : 0;
	char name[32];

	for (unsigned i = 0; n && i < l->ndifferent; i++) {
		register_name(l->different[i].reg, name, sizeof(name));
		if (strlen(name) == n && !memcmp(operand + 1, name, n))
			return true;
	}
	return false;
}

void lockstep_print(const struct lockstep *l)
{
	char name[32];

	if (l->style & HULL_REPORT_JSON) {
		print_json(l);
		return;
	}
	if (!l->repeats) {
		fprintf(stderr,
		        "  when run again they did not differ: one of them does not repeat\n");
		return;
	}
	print_kind(l);
	if (l->ndifferent)
		fprintf(stderr, "  %-10s %-18s %s\n", "register", l->name[0], l->name[1]);
	for (unsigned i = 0; i < l->ndifferent; i++) {
		register_name(l->different[i].reg, name, sizeof(name));
		fprintf(stderr, "  %-10s 0x%016llx 0x%016llx\n", name, (ull)l->different[i].a,
		        (ull)l->different[i].b);
	}
	fprintf(stderr, "  %s\n",
	        l->exact ? "the last instructions; the last one differs:"
	                 : "one of these, which short pieces of code do not show (*: a register "
	                   "that differs):");
	for (uint64_t i = first_shown(l); i < l->traced; i++) {
		const struct lockstep_insn *t = &l->trace[i % LOCKSTEP_TRACE];

		fprintf(stderr, "%c vCPU %u  0x%016llx  %s\n", is_suspect(l, t) ? '*' : ' ',
		        t->vcpu, (ull)t->pc, t->text);
	}
}

void lockstep_print_same(const struct lockstep *l)
{
	struct hull_vm *vm = l->m[1].machine.vm;
	struct hull_json j;
	uint64_t insns = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		insns += hull_load_relaxed(&hull_vm_vcpu(vm, i)->insns);

	if (!(l->style & HULL_REPORT_JSON)) {
		hull_report_note(stderr, l->style, "%s and %s agree: %llu instructions", l->name[0],
		                 l->name[1], (ull)insns);
		return;
	}
	hull_json_init(&j, stdout);
	hull_json_object(&j, NULL);
	hull_json_text(&j, "schema", "hull.lockstep/1");
	hull_json_bool(&j, "equal", true);
	hull_json_u64(&j, "instructions", insns);
	hull_json_end(&j);
}
