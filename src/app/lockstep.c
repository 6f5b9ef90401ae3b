/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Two engines, one guest; see lockstep.h. */
#include "app/lockstep.h"

#include <stdlib.h>
#include <string.h>

#include <hull/regs.h>
#include "app/lockstep_impl.h"
#include "app/machine.h"
#include "app/stats.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "engine/engine.h"
#include "host/os/os.h"
#include "manage/report.h"

enum { EXIT_SIGNAL = 128, INJECT_BLOCK = 64, CSR_MIP = 0x344, CSR_SIP = 0x144 };

static struct hull_vm *vm(const struct lockstep *l, unsigned side)
{
	return l->m[side].machine.vm;
}

static struct hull_vcpu *vcpu(const struct lockstep *l, unsigned side, uint32_t i)
{
	return hull_vm_vcpu(vm(l, side), i);
}

/* --- the two machines --- */

static void close_all(struct lockstep *l)
{
	for (unsigned side = 0; side < 2; side++) {
		if (!l->open[side])
			continue;
		if (vm(l, side))
			(void)hull_vm_shutdown(vm(l, side), HULL_STOP_FORCED, NULL);
		hull_app_machine_close(&l->m[side]);
		l->open[side] = false;
	}
}

/* Start over.  The first side prints if it is `loud`; `only_reference`: without the first side. */
static int open_all(struct lockstep *l, bool loud, bool only_reference, struct hull_err *err)
{
	int r = 0;

	close_all(l);
	l->done = 0;
	l->injected = false;
	for (unsigned side = only_reference; !r && side < 2; side++) {
		l->role[side].silent = side || !loud;
		l->open[side] = true;
		r = hull_app_machine_open_as(&l->m[side], l->options, &l->role[side], err);
		if (!r)
			r = hull_vm_boot(vm(l, side), err);
	}
	return r;
}

/* The register numbers that this guest has.  What mip shows depends on when one looks. */
static void find_registers(struct lockstep *l)
{
	uint64_t value;

	l->nregs = 0;
	for (uint32_t r = 0; r < HULL_RV_REG_CSR + 4096 && l->nregs < LOCKSTEP_REGS; r++)
		if (r != HULL_RV_REG_CSR + CSR_MIP && r != HULL_RV_REG_CSR + CSR_SIP &&
		    !hull_vcpu_reg_get(vcpu(l, 1, 0), r, &value))
			l->regs[l->nregs++] = r;
}

/* --- comparing --- */

static bool differs(struct lockstep *l, enum lockstep_kind kind, uint32_t cpu, uint64_t a,
                    uint64_t b)
{
	l->found = (struct lockstep_difference){ .kind = kind, .vcpu = cpu, .a = a, .b = b };
	return true;
}

uint64_t lockstep_register(const struct lockstep *l, unsigned side, uint32_t cpu, uint32_t reg)
{
	uint64_t value = 0;

	(void)hull_vcpu_reg_get(vcpu(l, side, cpu), reg, &value);
	return value;
}

static bool registers_differ(struct lockstep *l)
{
	for (uint32_t cpu = 0; cpu < hull_vm_vcpu_count(vm(l, 0)); cpu++) {
		uint64_t a = hull_load_relaxed(&vcpu(l, 0, cpu)->insns);
		uint64_t b = hull_load_relaxed(&vcpu(l, 1, cpu)->insns);

		for (unsigned i = 0; i < l->nregs; i++)
			if (lockstep_register(l, 0, cpu, l->regs[i]) !=
			    lockstep_register(l, 1, cpu, l->regs[i]))
				return differs(l, LOCKSTEP_REGISTERS, cpu, 0, 0);
		if (a != b)
			return differs(l, LOCKSTEP_COUNT, cpu, a, b);
	}
	return false;
}

struct other {
	struct hull_vm *vm;
	hull_gpa at; /* of the piece that comes next */
	const uint8_t *mine;
};

static int other_piece(void *arg, void *hva, uint64_t len)
{
	struct other *o = arg;
	uint64_t i = 0;

	if (memcmp(o->mine, hva, len) == 0) {
		o->mine += len;
		o->at += len;
		return 0;
	}
	while (o->mine[i] == ((const uint8_t *)hva)[i])
		i++;
	o->at += i;
	return 1;
}

static int own_piece(void *arg, void *hva, uint64_t len)
{
	struct other *o = arg;

	o->mine = hva;
	return hull_vm_image_regions(o->vm, o->at, len, other_piece, o);
}

static uint64_t word_at(const struct lockstep *l, unsigned side, hull_gpa gpa)
{
	uint8_t bytes[8] = { 0 };

	(void)!hull_vm_read(vm(l, side), gpa, bytes, sizeof(bytes));
	return load_le64(bytes);
}

static bool memory_differs(struct lockstep *l)
{
	const struct hull_vm_config *c = hull_vm_config(vm(l, 0));

	for (uint32_t i = 0; i < c->nregions; i++) {
		const struct hull_region_config *region = &c->regions[i];
		struct other o = { vm(l, 1), region->gpa, NULL };

		if (hull_vm_image_regions(vm(l, 0), region->gpa, region->size, own_piece, &o) <= 0)
			continue;
		o.at &= ~UINT64_C(7);
		differs(l, LOCKSTEP_MEMORY, 0, word_at(l, 0, o.at), word_at(l, 1, o.at));
		l->found.gpa = o.at;
		return true;
	}
	return false;
}

static bool watched_differs(struct lockstep *l)
{
	uint64_t a, b;

	if (l->watch == HULL_NEVER)
		return false;
	a = word_at(l, 0, l->watch);
	b = word_at(l, 1, l->watch);
	if (a == b)
		return false;
	differs(l, LOCKSTEP_MEMORY, 0, a, b);
	l->found.gpa = l->watch;
	return true;
}

/* --- running --- */

/* The mistake that was asked for: "block" shows only where no short pieces are run. */
static void inject(struct lockstep *l, uint64_t n)
{
	uint64_t at = l->inject_at, value;

	if (l->injected || at < l->done || at > l->done + n ||
	    (l->inject_block && l->done + n - at < INJECT_BLOCK))
		return;
	if (at > l->done)
		hull_vm_deterministic_step(vm(l, 0), at - l->done);
	value = lockstep_register(l, 0, 0, HULL_RV_REG_X0 + 3);
	(void)hull_vcpu_reg_set(vcpu(l, 0, 0), HULL_RV_REG_X0 + 3, value ^ 1);
	l->injected = true;
	if (at < l->done + n)
		hull_vm_deterministic_step(vm(l, 0), l->done + n - at);
	l->stepped_by_inject = true;
}

/* Run both for `n` instructions.  False when they have ended, or differ in that. */
static bool advance(struct lockstep *l, uint64_t n)
{
	bool runs[2];

	l->stepped_by_inject = false;
	if (l->inject_at != HULL_NEVER)
		inject(l, n);
	runs[0] = l->stepped_by_inject ? hull_vm_state(vm(l, 0)) == HULL_VM_RUNNING
	                               : hull_vm_deterministic_step(vm(l, 0), n);
	runs[1] = hull_vm_deterministic_step(vm(l, 1), n);
	l->done += n;
	if (runs[0] == runs[1] &&
	    (runs[0] || (hull_vm_stop_reason(vm(l, 0)) == hull_vm_stop_reason(vm(l, 1)) &&
	                 hull_vm_stop_code(vm(l, 0)) == hull_vm_stop_code(vm(l, 1)))))
		return runs[0];
	differs(l, LOCKSTEP_END, 0, runs[0], runs[1]);
	return false;
}

/* `n` instructions and a comparison: 1 they go on, 0 both have ended, -1 they differ. */
static int step(struct lockstep *l, uint64_t n)
{
	bool runs;

	l->found.kind = LOCKSTEP_SAME;
	runs = advance(l, n);
	if (l->found.kind != LOCKSTEP_SAME || registers_differ(l) || watched_differs(l))
		return -1;
	return runs;
}

/* Both from the start to `good`, without looking. */
static int replay(struct lockstep *l, uint64_t good, struct hull_err *err)
{
	int r = open_all(l, false, false, err);

	while (!r && l->done < good && !hull_signals_taken())
		advance(l, MIN(l->slice, good - l->done));
	l->found.kind = LOCKSTEP_SAME;
	return r;
}

/*
 * Go to `good`, then on in steps of `n` to `end`, comparing after each.  1: they differ at l->done,
 * 0: they do not.
 */
static int probe(struct lockstep *l, uint64_t good, uint64_t end, uint64_t n, struct hull_err *err)
{
	int r = replay(l, good, err);

	if (r)
		return r;
	while (l->done < end && !hull_signals_taken())
		if (step(l, MIN(n, end - l->done)) < 0)
			return 1;
	return 0;
}

/* They differ at l->done and agreed at `good`: find the shortest way there.  0, or negative. */
static int refine(struct lockstep *l, uint64_t good, struct hull_err *err)
{
	uint64_t bad = l->done, low;
	int r;

	if (l->found.kind == LOCKSTEP_MEMORY) {
		l->watch = l->found.gpa;
		r = probe(l, good, bad, l->slice, err);
		if (r < 0)
			return r;
		bad = l->done;
		good = MAX(good, bad - MIN(bad, l->slice));
	}
	r = probe(l, good, bad, 1, err);
	l->exact = r == 1;
	for (low = good; !r && bad - low > 1 && !hull_signals_taken();) {
		uint64_t middle = low + (bad - low) / 2;

		r = probe(l, good, middle, middle - good, err);
		if (r == 1)
			bad = middle;
		else if (!r)
			low = middle;
		r = MIN(r, 0);
	}
	if (!r && !l->exact)
		r = probe(l, good, bad, bad - good, err);
	l->repeats = r == 1;
	return MIN(r, 0);
}

/* The last instructions before the difference, as the reference executes them. */
static int record_trace(struct lockstep *l, uint64_t end, struct hull_err *err)
{
	uint64_t good = end - MIN(end, (uint64_t)LOCKSTEP_TRACE);
	uint64_t pc[HULL_MAX_VCPUS], insns[HULL_MAX_VCPUS];
	int r = open_all(l, false, true, err);
	bool runs = !r;
	uint32_t n;

	if (r)
		return r;
	n = hull_vm_vcpu_count(vm(l, 1));
	for (uint64_t at = 0; runs && at < good && !hull_signals_taken(); at += l->slice)
		runs = hull_vm_deterministic_step(vm(l, 1), MIN(l->slice, good - at));
	while (runs && good < end && !hull_signals_taken()) {
		for (uint32_t i = 0; i < n; i++) {
			pc[i] = lockstep_register(l, 1, i, HULL_RV_REG_PC);
			insns[i] = hull_load_relaxed(&vcpu(l, 1, i)->insns);
			hull_engine_disasm(vcpu(l, 1, i), pc[i], l->text[i], sizeof(l->text[i]));
		}
		runs = hull_vm_deterministic_step(vm(l, 1), 1);
		good++;
		for (uint32_t i = 0; i < n; i++) {
			struct lockstep_insn *t = &l->trace[l->traced % LOCKSTEP_TRACE];

			if (hull_load_relaxed(&vcpu(l, 1, i)->insns) == insns[i])
				continue;
			t->vcpu = i;
			t->pc = pc[i];
			memcpy(t->text, l->text[i], sizeof(t->text));
			l->traced++;
		}
	}
	return 0;
}

static int explain(struct lockstep *l, uint64_t good, struct hull_err *err)
{
	struct hull_err e = { 0 };
	int r = refine(l, good, err);

	if (r)
		return r;
	if (hull_signals_taken())
		return EXIT_SIGNAL + hull_signals_taken();
	if (l->repeats)
		lockstep_remember(l);
	r = l->repeats ? record_trace(l, l->done_at, err) : 0;
	if (r)
		return r;
	hull_fail(&e, HULL_EIO, 804, "%s and %s differ after %llu instructions", l->name[0],
	          l->name[1], (unsigned long long)(l->repeats ? l->done_at : l->first_bad));
	hull_report_error(stderr, l->style, &e);
	lockstep_print(l);
	return hull_report_exit_code(&e);
}

static bool text_seen(const struct lockstep *l)
{
	return l->exit_on && hull_tap_seen(&l->m[0].tap, 0);
}

/* Up to a difference (-1), the end of both (0), or a signal, a text, the limit (1). */
static int compare(struct lockstep *l, uint64_t *ret_good)
{
	uint64_t next_ram = l->ram_every;

	for (;;) {
		uint64_t n = l->slice;
		int s;

		*ret_good = l->done;
		if (l->limit)
			n = MIN(n, l->limit - l->done);
		if (!n || hull_signals_taken() || text_seen(l))
			return memory_differs(l) ? -2 : 1;
		s = step(l, n);
		if (s < 0)
			return -1;
		if (!s || l->done >= next_ram) {
			if (memory_differs(l))
				return -2;
			l->ram_good = l->done;
			next_ram = l->done + l->ram_every;
		}
		if (!s)
			return 0;
	}
}

static int check_disks(const struct hull_options *o, struct hull_err *err)
{
	for (uint32_t i = 0; i < o->nitems[HULL_GROUP_DISK]; i++) {
		const char *path = hull_options_item(o, HULL_OPT_DISK_PATH, i)->text;

		if (hull_options_item(o, HULL_OPT_DISK_READONLY, i)->num)
			continue;
		hull_fail(err, HULL_EINVAL, 108,
		          "--lockstep runs two VMs, and both would write to %s", path);
		hull_err_fix(err, "attach it read-only: --disk %s,ro", path);
		return HULL_EINVAL;
	}
	for (uint32_t i = 0; i < o->nitems[HULL_GROUP_SHARE]; i++) {
		if (hull_options_item(o, HULL_OPT_SHARE_READONLY, i)->num)
			continue;
		hull_fail(err, HULL_EINVAL, 108,
		          "--lockstep runs two VMs, and both would write to what they share");
		hull_err_fix(err, "share it read-only: --share DIR,ro");
		return HULL_EINVAL;
	}
	return 0;
}

static int set_up(struct lockstep *l, struct hull_err *err)
{
	static const enum hull_engine_mode modes[] = { HULL_ENGINE_AUTO, HULL_ENGINE_INTERP,
		                                       HULL_ENGINE_JIT, HULL_ENGINE_OPT,
		                                       HULL_ENGINE_EVAL };
	const struct hull_options *o = l->options;
	const char *text = hull_options_text(o, HULL_OPT_RUN_LOCKSTEP_INJECT);
	const char *on = hull_options_text(o, HULL_OPT_RUN_EXIT_ON);
	char number[32];
	size_t length = strcspn(text, ",");

	l->slice = hull_options_num(o, HULL_OPT_RUN_LOCKSTEP_SLICE);
	l->ram_every = hull_options_num(o, HULL_OPT_RUN_LOCKSTEP_RAM);
	l->limit = hull_options_num(o, HULL_OPT_RUN_LOCKSTEP_INSNS);
	l->exit_on = strcmp(on, "poweroff") && strcmp(on, "panic") ? on : NULL;
	l->watch = l->inject_at = HULL_NEVER;
	l->role[0].engine = hull_options_num(o, HULL_OPT_ENGINE_MODE);
	l->role[1].engine = modes[MIN(hull_options_num(o, HULL_OPT_RUN_LOCKSTEP),
	                              (uint64_t)ARRAY_LEN(modes) - 1)];
	l->name[0] = hull_options_text(o, HULL_OPT_ENGINE_MODE);
	l->name[1] = hull_options_text(o, HULL_OPT_RUN_LOCKSTEP);
	if (!hull_engine_tier_of(l->role[1].engine))
		return hull_fail(err, HULL_ENOTSUP, 1301, "engine \"%s\" is not in this build",
		                 l->name[1]);
	if (strcmp(text, "none")) {
		hull_format(number, sizeof(number), "%.*s", (int)length, text);
		l->inject_block = !strcmp(text + length, ",block");
		if (!hull_parse_u64(number, &l->inject_at) || (text[length] && !l->inject_block))
			return hull_fail(
				err, HULL_EINVAL, 6,
				"--lockstep-inject is a number, or a number and \",block\"");
	}
	return check_disks(o, err);
}

static int lockstep_run(struct lockstep *l, struct hull_err *err)
{
	uint64_t good;
	int r = set_up(l, err);

	if (!r)
		r = open_all(l, true, false, err);
	if (!r && l->exit_on && hull_tap_watch(&l->m[0].tap, l->exit_on) < 0)
		r = hull_fail(err, HULL_EINVAL, 5, "the text of --exit-on is empty or too long");
	if (r)
		return r;
	find_registers(l);
	r = compare(l, &good);
	if (hull_signals_taken())
		return EXIT_SIGNAL + hull_signals_taken();
	l->first_bad = l->done;
	if (r < 0)
		return explain(l, r == -2 ? l->ram_good : good, err);
	lockstep_print_same(l);
	if (hull_options_num(l->options, HULL_OPT_RUN_ENGINE_STATS))
		hull_app_print_stats(stderr, vm(l, 0), l->style, 0);
	return 0;
}

int hull_app_lockstep(const struct hull_options *o, unsigned style)
{
	struct lockstep *l = calloc(1, sizeof(*l));
	struct hull_err err = { 0 };
	int r;

	if (!l)
		return hull_fail(&err, HULL_ENOMEM, 120, "no memory for a comparison");
	l->options = o;
	l->style = style;
	hull_signals_watch(-1);
	r = lockstep_run(l, &err);
	close_all(l);
	if (r < 0) {
		hull_report_error(stderr, style, &err);
		r = hull_report_exit_code(&err);
	}
	free(l);
	return r;
}
