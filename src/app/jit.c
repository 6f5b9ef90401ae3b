/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull jit`: what the engine makes of a guest's code.
 *
 *   stats     hull run --engine-stats
 *   dump      run until there is code for the addresses: guest code, IR, host code
 *   explain   the same, a line for each piece of code, and what was not translated
 *
 * The guest runs deterministically and prints nowhere.
 */
#include "app/app.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/host_disasm.h"
#include "app/machine.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "engine/engine.h"
#include "host/os/os.h"
#include "manage/cmd.h"
#include "manage/json.h"
#include "manage/report.h"

enum { PLACES = 16, FIRST_SLICE = 10000, LAST_SLICE = 1000000, IR_TEXT = 1 << 18 };

struct place {
	uint64_t at;
	uint32_t vcpu; /* that has code for it */
	bool found;
};

struct look {
	struct hull_options options;
	char *const *envp;
	unsigned style;
	bool explain;
	struct place places[PLACES];
	unsigned nplaces;
	uint64_t insns; /* at most */
	int argc;       /* what is left for the options */
	char **argv;
	bool open;
	struct app_role role;
	struct app_machine machine;
	struct hull_ir ir;
	struct hull_vcpu *vcpu;
	struct hull_json json;
	char text[IR_TEXT];
};

static const char *tier_text(enum hull_engine_tier tier)
{
	switch (tier) {
	case HULL_TIER_BLOCK: return "translated block";
	case HULL_TIER_REGION: return "compiled region";
	default: return "decoded block";
	}
}

/* --- one piece of code --- */

static void print_guest(struct look *l, const struct hull_code *c)
{
	char text[80];
	unsigned at = 0, n;

	for (; at < c->guest_bytes; at += n) {
		n = hull_engine_disasm_bytes(l->vcpu, c->guest + at, c->guest_bytes - at,
		                             c->pc + at, text, sizeof(text));
		if (!n)
			break;
		printf("  0x%016llx  %s\n", (unsigned long long)(c->pc + at), text);
	}
}

static void print_ir(struct look *l, const struct hull_ir *ir)
{
	char *save = NULL;

	hull_ir_print(ir, l->text, sizeof(l->text));
	for (char *t = strtok_r(l->text, "\n", &save); t; t = strtok_r(NULL, "\n", &save))
		printf("  %s\n", t);
}

static void print_code(void *arg, const struct hull_code *c)
{
	struct look *l = arg;

	printf("0x%llx (physical 0x%llx): %s, %u instructions, %u bytes", (unsigned long long)c->pc,
	       (unsigned long long)c->gpa, tier_text(c->tier), c->insns, c->guest_bytes);
	if (c->pieces > 1)
		printf(", one of %u pieces", c->pieces);
	if (c->host)
		printf(", %zu bytes of host code", c->host_bytes);
	if (c->executions)
		printf(", entered %llu times", (unsigned long long)c->executions);
	putchar('\n');
	if (l->explain)
		return;
	printf("guest:\n");
	print_guest(l, c);
	if (c->ir) {
		printf("IR:\n");
		print_ir(l, c->ir);
	}
	if (c->host) {
		printf("host:\n");
		hull_app_host_disasm(stdout, c->host, c->host_bytes);
	}
}

static void json_guest(struct look *l, const struct hull_code *c)
{
	char text[80];
	unsigned at = 0, n;

	hull_json_array(&l->json, "guest");
	for (; at < c->guest_bytes; at += n) {
		n = hull_engine_disasm_bytes(l->vcpu, c->guest + at, c->guest_bytes - at,
		                             c->pc + at, text, sizeof(text));
		if (!n)
			break;
		hull_json_text(&l->json, NULL, text);
	}
	hull_json_end(&l->json);
}

static void json_code(void *arg, const struct hull_code *c)
{
	struct look *l = arg;
	size_t n = MIN(c->host_bytes, sizeof(l->text) / 2 - 1);

	hull_json_object(&l->json, NULL);
	hull_json_u64(&l->json, "pc", c->pc);
	hull_json_u64(&l->json, "physical", c->gpa);
	hull_json_text(&l->json, "what", tier_text(c->tier));
	hull_json_u64(&l->json, "executions", c->executions);
	hull_json_u64(&l->json, "pieces", MAX(c->pieces, 1u));
	hull_json_u64(&l->json, "host_bytes", c->host_bytes);
	if (!l->explain) {
		json_guest(l, c);
		if (c->ir) {
			hull_ir_print(c->ir, l->text, sizeof(l->text));
			hull_json_text(&l->json, "ir", l->text);
		}
		for (size_t i = 0; c->host && i < n; i++)
			hull_format(l->text + 2 * i, 3, "%02x", c->host[i]);
		if (c->host)
			hull_json_text(&l->json, "host", l->text);
	}
	hull_json_end(&l->json);
}

/* --- running until it is there --- */

struct wanted {
	bool translated; /* an engine that translates will do so */
	bool seen;
};

static void see(void *arg, const struct hull_code *c)
{
	struct wanted *w = arg;

	w->seen |= !w->translated || c->host;
}

/* Any code will do in the end (`strict` false). */
static bool find(struct look *l, bool strict)
{
	struct hull_vm *vm = l->machine.machine.vm;
	unsigned tier = hull_engine_tier_of(l->role.engine), found = 0;

	for (unsigned i = 0; i < l->nplaces; i++) {
		struct place *p = &l->places[i];

		for (uint32_t k = 0; !p->found && k < hull_vm_vcpu_count(vm); k++) {
			struct wanted w = { strict && tier >= HULL_TIER_BLOCK, false };

			hull_engine_describe(hull_vm_vcpu(vm, k), p->at, &l->ir, see, &w);
			p->found = w.seen;
			p->vcpu = k;
		}
		found += p->found;
	}
	return found == l->nplaces;
}

static void run_guest(struct look *l)
{
	uint64_t done = 0, n;
	bool runs = true;

	while (runs && done < l->insns && !hull_signals_taken()) {
		n = MIN(done / 4 + FIRST_SLICE, (uint64_t)LAST_SLICE);
		n = MIN(n, l->insns - done);
		runs = hull_vm_deterministic_step(l->machine.machine.vm, n);
		done += n;
		if (find(l, true))
			return;
	}
	find(l, false);
}

static void print_bail(void *arg, const char *name, const char *text, uint64_t value)
{
	struct look *l = arg;

	if (strncmp(name, "bail_", 5) || (!value && !(l->style & HULL_REPORT_JSON)))
		return;
	if (l->style & HULL_REPORT_JSON)
		hull_json_u64(&l->json, name, value);
	else
		printf("%s %llu  %s\n", name, (unsigned long long)value, text);
}

static int print_all(struct look *l, struct hull_err *err)
{
	struct hull_vm *vm = l->machine.machine.vm;
	bool as_json = l->style & HULL_REPORT_JSON;

	for (unsigned i = 0; i < l->nplaces; i++)
		if (!l->places[i].found)
			return hull_fail(err, HULL_ENOENT, 1102,
			                 "the guest has not run code at 0x%llx",
			                 (unsigned long long)l->places[i].at);
	if (as_json) {
		hull_json_init(&l->json, stdout);
		hull_json_object(&l->json, NULL);
		hull_json_text(&l->json, "schema", "hull.jit-code/1");
		hull_json_array(&l->json, "code");
	}
	for (unsigned i = 0; i < l->nplaces; i++) {
		l->vcpu = hull_vm_vcpu(vm, l->places[i].vcpu);
		hull_engine_describe(l->vcpu, l->places[i].at, &l->ir,
		                     as_json ? json_code : print_code, l);
	}
	if (as_json)
		hull_json_end(&l->json);
	if (l->explain)
		(void)hull_vm_stats(vm, UINT32_MAX, print_bail, l);
	if (as_json)
		hull_json_end(&l->json);
	return 0;
}

/* --- the command line --- */

static int add_place(struct look *l, const char *text, struct hull_err *err)
{
	uint64_t at;

	if (l->nplaces == PLACES)
		return hull_fail(err, HULL_EOVERFLOW, 5, "there are more than %d addresses",
		                 PLACES);
	if (!hull_parse_u64(text, &at)) {
		hull_fail(err, HULL_EINVAL, 4, "--at %.60s is not a number", text);
		hull_err_fix(err, "write an address such as 0x80000000");
		return HULL_EINVAL;
	}
	l->places[l->nplaces++].at = at;
	return 0;
}

/* The value of `flag` at argv[*i], as --flag VALUE or --flag=VALUE; NULL: something else. */
static const char *value_of(const char *flag, int argc, char *const argv[], int *i)
{
	size_t n = strlen(flag);

	if (strncmp(argv[*i], flag, n))
		return NULL;
	if (argv[*i][n] == '=')
		return argv[*i] + n + 1;
	return !argv[*i][n] && *i + 1 < argc ? argv[++*i] : NULL;
}

/* Take out what is ours; the rest are options of `hull run`. */
static int split(struct look *l, int argc, char *const argv[], struct hull_err *err)
{
	const char *v;
	int r = 0;

	for (int i = 2; !r && i < argc; i++) {
		if ((v = value_of("--at", argc, argv, &i)))
			r = add_place(l, v, err);
		else if (!(v = value_of("--insns", argc, argv, &i)))
			l->argv[l->argc++] = argv[i];
		else if (!hull_parse_u64(v, &l->insns) || !l->insns)
			r = hull_fail(err, HULL_EINVAL, 4, "--insns %.60s is not a number", v);
	}
	if (!r && !l->nplaces) {
		hull_fail(err, HULL_EINVAL, 2, "hull jit %s needs an address", argv[1]);
		hull_err_fix(err, "hull jit %s --at ADDR KERNEL", argv[1]);
		r = HULL_EINVAL;
	}
	return r;
}

static int look(struct look *l, struct hull_err *err)
{
	int r = hull_options_collect(&l->options, l->argc, l->argv, l->envp, err);

	if (r)
		return r;
	l->role.engine = hull_options_num(&l->options, HULL_OPT_ENGINE_MODE);
	l->role.silent = true;
	l->style = hull_options_style(&l->options, l->argc, l->argv, stdout);
	if (!hull_engine_tier_of(l->role.engine))
		return hull_fail(err, HULL_ENOTSUP, 1301, "engine \"%s\" is not in this build",
		                 hull_options_text(&l->options, HULL_OPT_ENGINE_MODE));
	l->open = true;
	r = hull_app_machine_open_as(&l->machine, &l->options, &l->role, err);
	if (!r)
		r = hull_vm_boot(l->machine.machine.vm, err);
	if (r)
		return r;
	hull_signals_watch(-1);
	run_guest(l);
	return hull_signals_taken() ? 128 + hull_signals_taken() : print_all(l, err);
}

static int run_look(struct look *l, int argc, char *const argv[])
{
	struct hull_err err = { 0 };
	int r = hull_options_init(&l->options, &err);

	l->insns = 1000000000;
	l->argv[l->argc++] = argv[0];
	if (!r)
		r = split(l, argc, argv, &err);
	if (!r)
		r = look(l, &err);
	if (r < 0)
		r = hull_cmd_fail(&l->options, argc, argv, stderr, &err);
	if (l->open && l->machine.machine.vm)
		(void)hull_vm_shutdown(l->machine.machine.vm, HULL_STOP_FORCED, NULL);
	if (l->open)
		hull_app_machine_close(&l->machine);
	hull_options_free(&l->options);
	return r;
}

static int usage(int argc, char *const argv[])
{
	struct hull_options o;
	struct hull_err err = { 0 };
	int r = hull_options_init(&o, &err);

	if (!r) {
		hull_fail(&err, HULL_EINVAL, 7, "hull jit is followed by stats, explain or dump");
		hull_err_fix(&err, "hull jit dump --at ADDR KERNEL");
	}
	r = hull_cmd_fail(&o, argc, argv, stderr, &err);
	hull_options_free(&o);
	return r;
}

int hull_app_jit(int argc, char *const argv[], char *const envp[], uint64_t started_ns)
{
	static char run[] = "run", stats[] = "--engine-stats";
	const char *what = argc > 1 ? argv[1] : "";
	struct look *l;
	int r;

	if (strcmp(what, "stats") && strcmp(what, "dump") && strcmp(what, "explain"))
		return usage(argc, argv);
	l = calloc(1, sizeof(*l));
	if (l)
		l->argv = calloc((size_t)argc + 1, sizeof(l->argv[0]));
	if (!l || !l->argv) {
		free(l);
		return 8;
	}
	l->envp = envp;
	l->explain = !strcmp(what, "explain");
	if (strcmp(what, "stats")) {
		r = run_look(l, argc, argv);
	} else {
		l->argv[0] = run;
		l->argv[1] = stats;
		memcpy(l->argv + 2, argv + 2, (size_t)(argc - 2) * sizeof(argv[0]));
		r = hull_app_run(argc, l->argv, envp, started_ns);
	}
	free(l->argv);
	free(l);
	return r;
}
