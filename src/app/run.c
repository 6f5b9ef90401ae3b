/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull run`: one VM in the foreground.
 *
 * The main thread supervises: it sleeps until something happens (the VM
 * stopped, a signal, the escape key, a text that was waited for) and looks
 * twice a second whether the guest has come to nothing.  All of these
 * announce themselves on one event descriptor.
 */
#include "app/app.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <hull/host.h>
#include "app/boot_doctor.h"
#include "app/jail.h"
#include "app/lockstep.h"
#include "app/machine.h"
#include "app/stats.h"
#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "core/vcpu.h"
#include "engine/engine.h"
#include "fw/image.h"
#include "host/os/os.h"
#include "host/run.h"
#include "host/sandbox/jail.h"
#include "manage/cmd.h"
#include "manage/json.h"
#include "manage/report.h"

enum { LOOK_MS = 500, EXIT_GUEST_FAILED = 11, EXIT_SIGNAL = 128 };
enum { EXIT_ON_POWEROFF, EXIT_ON_PANIC, EXIT_ON_TEXT };
enum { SAW_KERNEL, SAW_INIT, SAW_PANIC, SAW_REBOOT, SAW_TEXT, SAW_COUNT };

/* What Linux prints; the texts are stable over more than ten years of releases. */
static const char *const texts[SAW_TEXT] = {
	[SAW_KERNEL] = "Linux version ",
	[SAW_INIT] = "Run /",
	[SAW_PANIC] = "Kernel panic - not syncing",
	[SAW_REBOOT] = "Rebooting in ",
};

struct session {
	struct hull_options options;
	struct app_machine machine;
	struct hull_run *run;
	struct hull_boot_doctor doctor;
	unsigned style;
	int events;
	uint32_t escaped, matched; /* atomic */
	unsigned exit_on;
	bool gave_up; /* the boot doctor found that the guest is dead */
	uint64_t started_ns, loaded_ns, running_ns, ended_ns;
	char *const *envp;
};

static uint64_t now_ns(void)
{
	return hull_host_hal()->now_ns(hull_host_hal());
}

static void announce(struct session *s)
{
	uint64_t one = 1;

	if (write(s->events, &one, sizeof(one)) < 0) {
		/* The counter is full: the supervisor is awake. */
	}
}

static void announce_disk(void *arg)
{
	announce(arg);
}

static void on_escape(void *arg)
{
	struct session *s = arg;

	hull_store_release(&s->escaped, 1);
	announce(s);
}

static void on_text(void *arg, unsigned pattern)
{
	struct session *s = arg;

	if (pattern == SAW_TEXT)
		hull_store_release(&s->matched, 1);
	if (pattern == SAW_TEXT || pattern == SAW_PANIC)
		announce(s);
}

/* What we say starts on a line of its own, if the guest prints to where we do. */
static void fresh_line(struct session *s)
{
	char last[2];

	if (isatty(STDERR_FILENO) && isatty(STDOUT_FILENO) &&
	    hull_tap_tail(&s->machine.tap, last, sizeof(last)) && last[0] != '\n')
		fputc('\n', stderr);
}

static void note(struct session *s, const char *text)
{
	fresh_line(s);
	hull_report_note(stderr, s->style, "%s", text);
}

static int watch_texts(struct session *s)
{
	const char *on = hull_options_text(&s->options, HULL_OPT_RUN_EXIT_ON);
	struct hull_tap *tap = &s->machine.tap;

	s->exit_on = EXIT_ON_TEXT;
	if (!on || !strcmp(on, "poweroff"))
		s->exit_on = EXIT_ON_POWEROFF;
	else if (!strcmp(on, "panic"))
		s->exit_on = EXIT_ON_PANIC;
	tap->seen = on_text;
	tap->arg = s;
	for (unsigned i = 0; i < SAW_TEXT; i++)
		if (hull_tap_watch(tap, texts[i]) < 0)
			return HULL_EINVAL;
	return s->exit_on == EXIT_ON_TEXT && hull_tap_watch(tap, on) < 0 ? HULL_EINVAL : 0;
}

static void stop(struct session *s)
{
	/* It may have stopped by itself in the meantime: then there is nothing to do. */
	(void)hull_vm_shutdown(s->machine.machine.vm, HULL_STOP_FORCED, NULL);
}

/* A guest that has come to nothing is not waited for. */
static void look_after(struct session *s)
{
	struct hull_tap *tap = &s->machine.tap;
	uint64_t panic = hull_tap_seen(tap, SAW_PANIC);

	if (panic && s->exit_on == EXIT_ON_PANIC) {
		stop(s);
		return;
	}
	s->doctor.panicked_ns = hull_tap_seen(tap, SAW_REBOOT) ? 0 : panic;
	s->doctor.userspace = hull_tap_seen(tap, SAW_INIT) != 0;
	if (hull_boot_doctor_look(&s->doctor) && s->doctor.dead) {
		s->gave_up = true;
		stop(s);
	}
}

/* True: the VM waits for a disk, and its silence means nothing. */
static bool look_at_disks(struct session *s)
{
	struct app_disks *d = &s->machine.disks;
	struct hull_err err = { 0 };
	int r = hull_app_disks_look(d, s->machine.machine.vm, &err);

	if (r < 0) {
		fresh_line(s);
		hull_report_error(stderr, s->style, &err);
	} else if (r > 0) {
		note(s, "all disks work again; the guest goes on");
	}
	return d->paused;
}

static void supervise(struct session *s)
{
	struct pollfd p = { .fd = s->events, .events = POLLIN };
	uint64_t count;

	while (!hull_run_over(s->run)) {
		if (poll(&p, 1, LOOK_MS) > 0 && read(s->events, &count, sizeof(count)) < 0) {
			/* Only the wake-up matters. */
		}
		if (hull_signals_taken() || hull_load_acquire(&s->escaped) ||
		    hull_load_acquire(&s->matched) || hull_jail_violation(NULL)) {
			stop(s);
			break;
		}
		if (!look_at_disks(s))
			look_after(s);
	}
}

static double ms(uint64_t from, uint64_t to)
{
	return to > from ? (double)(to - from) / 1e6 : 0;
}

static void print_phase(const char *name, uint64_t start, uint64_t before, uint64_t at)
{
	if (at)
		fprintf(stderr, "  %-18s %10.1f ms %10.1f ms\n", name, ms(before, at),
		        ms(start, at));
}

static uint64_t instructions(const struct session *s)
{
	struct hull_vm *vm = s->machine.machine.vm;
	uint64_t n = 0;

	for (uint32_t i = 0; i < hull_vm_vcpu_count(vm); i++)
		n += hull_load_relaxed(&hull_vm_vcpu(vm, i)->insns);
	return n;
}

static void print_timing(const struct session *s)
{
	const struct hull_tap *tap = &s->machine.tap;
	uint64_t first = hull_load_relaxed(&tap->first_ns);
	uint64_t kernel = hull_tap_seen(tap, SAW_KERNEL), init = hull_tap_seen(tap, SAW_INIT);
	uint64_t n = instructions(s), guest_ns = s->ended_ns - s->running_ns;
	double mips = guest_ns ? (double)n * 1e3 / (double)guest_ns : 0;

	if (s->style & HULL_REPORT_JSON) {
		fprintf(stderr,
		        "{\"schema\":\"hull.timing/"
		        "1\",\"load_ns\":%llu,\"first_instruction_ns\":%llu,"
		        "\"first_output_ns\":%llu,\"kernel_ns\":%llu,\"userspace_ns\":%llu,"
		        "\"total_ns\":%llu,\"instructions\":%llu,\"mips\":%.1f}\n",
		        (unsigned long long)(s->loaded_ns - s->started_ns),
		        (unsigned long long)(s->running_ns - s->started_ns),
		        (unsigned long long)(first ? first - s->started_ns : 0),
		        (unsigned long long)(kernel ? kernel - s->started_ns : 0),
		        (unsigned long long)(init ? init - s->started_ns : 0),
		        (unsigned long long)(s->ended_ns - s->started_ns), (unsigned long long)n,
		        mips);
		return;
	}
	fprintf(stderr, "  %-18s %13s %13s\n", "phase", "took", "at");
	print_phase("load", s->started_ns, s->started_ns, s->loaded_ns);
	print_phase("first instruction", s->started_ns, s->loaded_ns, s->running_ns);
	print_phase("first output", s->started_ns, s->running_ns, first);
	print_phase("kernel", s->started_ns, s->running_ns, kernel);
	print_phase("userspace", s->started_ns, kernel ? kernel : s->running_ns, init);
	print_phase("end", s->started_ns, init ? init : s->running_ns, s->ended_ns);
	fprintf(stderr, "  %llu million instructions, %.0f MIPS\n",
	        (unsigned long long)(n / 1000000), mips);
}

/* Why it ended, as a note and an exit code (PRODUCT 2.4). */
static int outcome(struct session *s, enum hull_stop_reason reason)
{
	uint64_t code = hull_vm_stop_code(s->machine.machine.vm);
	/* A kernel that panicked does not switch the machine off in good order. */
	bool panic = hull_tap_seen(&s->machine.tap, SAW_PANIC) && reason != HULL_STOP_GUEST;
	char text[80];

	if (hull_signals_taken()) {
		hull_format(text, sizeof(text), "ended by signal %d", hull_signals_taken());
		note(s, text);
		return EXIT_SIGNAL + hull_signals_taken();
	}
	if (hull_load_acquire(&s->matched)) {
		fresh_line(s);
		return 0;
	}
	if (hull_load_acquire(&s->escaped)) {
		note(s, "left the guest; it was switched off");
		return 0;
	}
	if (reason == HULL_STOP_CRASH || s->gave_up || panic) {
		note(s, panic ? "the guest's kernel panicked" : "the guest crashed");
		return EXIT_GUEST_FAILED;
	}
	if (reason == HULL_STOP_GUEST && !code && s->exit_on == EXIT_ON_TEXT) {
		note(s, "the guest ended without printing the text of --exit-on");
		return EXIT_GUEST_FAILED;
	}
	if (reason == HULL_STOP_IDLE) {
		note(s, "the guest waits for something that can never come");
		return EXIT_GUEST_FAILED;
	}
	if (reason == HULL_STOP_GUEST && code) {
		hull_format(text, sizeof(text), "the guest reported failure %llu",
		            (unsigned long long)code);
		note(s, text);
		return EXIT_GUEST_FAILED;
	}
	return reason == HULL_STOP_GUEST ? 0 : 1;
}

/* The VM could not go on: say why, as far as anybody knows. */
static int failure(struct session *s)
{
	struct hull_err err = s->machine.machine.error;
	struct hull_vm *vm = s->machine.machine.vm;
	struct hull_event e = { 0 };
	const char *text = hull_vm_failure(vm);

	if (!err.code && text) {
		size_t line = strcspn(text, "\n");

		hull_fail(&err, HULL_EIO, 810, "%.*s", (int)line, text);
		hull_err_fix(&err, "`hull doctor` tells whether KVM works on this host");
		hull_report_error(stderr, s->style, &err);
		fputs(text + line + !!text[line], stderr);
		return hull_report_exit_code(&err);
	}
	if (!err.code) {
		uint64_t after = 0;
		int64_t code = 0;

		while (!hull_vm_event_next(vm, after, &e)) {
			after = e.sequence;
			if (e.kind == HULL_EVENT_FAIL)
				code = (int64_t)e.a;
		}
		hull_fail(&err, HULL_EIO, 803, "the engine cannot go on (%lld)", (long long)code);
	}
	hull_report_error(stderr, s->style, &err);
	return hull_report_exit_code(&err);
}

/* "^]" is a control key (the caret notation of RFC 20's first two columns); 0: there is none. */
static int escape_key(const char *text, uint8_t *ret, struct hull_err *err)
{
	char c = text[0] == '^' ? text[1] : 0;

	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	*ret = 0;
	if (!strcmp(text, "none"))
		return 0;
	/* Ctrl-@ is 0, which no backend takes for a key. */
	if (c < 'A' || c > '_' || text[2]) {
		hull_fail(err, HULL_EINVAL, 6, "--escape \"%s\" is not a key", text);
		hull_err_fix(err, "write ^ and a letter (^]), or none");
		return HULL_EINVAL;
	}
	*ret = (uint8_t)(c - '@');
	return 0;
}

static void say_escape(struct session *s)
{
	const char *key = hull_options_text(&s->options, HULL_OPT_RUN_ESCAPE);

	if (strcmp(key, "none"))
		hull_report_note(stderr, s->style, "Ctrl-%s leaves the guest and switches it off",
		                 key + 1);
}

static void say_places(struct session *s)
{
	uint32_t serials = s->machine.nserials, channels = serials + s->machine.nconsoles;

	for (uint32_t i = 0; i < s->machine.nports; i++) {
		const struct hull_char *c = s->machine.ports[i];
		const char *place = hull_char_place(c);

		if (hull_char_is_terminal(c) &&
		    !hull_options_num(&s->options, HULL_OPT_OUTPUT_QUIET) &&
		    !hull_options_num(&s->options, HULL_OPT_OUTPUT_NO_INPUT) &&
		    isatty(STDERR_FILENO))
			say_escape(s);
		if (!strncmp(place, "/dev/pts/", 9))
			hull_report_note(stderr, s->style, "%s %u is at %s",
			                 i < serials    ? "serial port"
			                 : i < channels ? "console"
			                                : "channel",
			                 i < serials    ? i
			                 : i < channels ? i - serials
			                                : i - channels,
			                 place);
	}
	for (unsigned i = 0; i < s->machine.nets.npublished; i++)
		hull_report_note(stderr, s->style, "%s", s->machine.nets.published[i]);
}

/* To run slower than asked, silently, would make measurements lie. */
static int check_engine(const struct hull_options *o, struct hull_err *err)
{
	static const struct {
		enum hull_option id;
		const char *key, *off;
	} rows[] = {
		{ HULL_OPT_JIT_STORE, "engine.jit.aot_cache", "off" },
		{ HULL_OPT_JIT_CHAOS, "engine.jit.chaos", "0" },
		{ HULL_OPT_JIT_PERF, "engine.jit.perf", "none" },
	};
	bool jit = hull_engine_tiers() & HULL_TIER_BLOCK;

	for (size_t i = 0; !jit && i < ARRAY_LEN(rows); i++) {
		if (!strcmp(hull_options_text(o, rows[i].id), rows[i].off))
			continue;
		hull_fail(err, HULL_ENOTSUP, 1301,
		          "%s is about the translator, which is not in this build", rows[i].key);
		hull_err_fix(err, "leave %s out", rows[i].key);
		return HULL_ENOTSUP;
	}
	if (hull_engine_tier_of(hull_options_num(o, HULL_OPT_ENGINE_MODE)))
		return 0;
	hull_fail(err, HULL_ENOTSUP, 1301, "engine \"%s\" is not in this build",
	          hull_options_text(o, HULL_OPT_ENGINE_MODE));
	hull_err_fix(err, "--engine interp, or leave it out");
	return HULL_ENOTSUP;
}

/* To leave out what was asked for, silently, would be worse than to refuse it. */
static int check_abilities(const struct hull_options *o, struct hull_err *err)
{
	static const struct {
		enum hull_option id;
		const char *key;
		bool list; /* any value, not only another choice than the first */
	} rows[] = {
		{ HULL_OPT_MACHINE_IRQ_MODE, "machine.irq_mode", false },
		{ HULL_OPT_MACHINE_SPI, "machine.spi", true },
		{ HULL_OPT_CPU_AFFINITY, "cpu.affinity", true },
		{ HULL_OPT_BOOT_KERNEL_SOURCE, "boot.kernel.source", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!hull_options_has(o, rows[i].id) ||
		    !(rows[i].list || hull_options_num(o, rows[i].id)))
			continue;
		hull_fail(err, HULL_ENOTSUP, 1301, "%s cannot be changed in this build",
		          rows[i].key);
		hull_err_fix(err, "leave %s out", rows[i].key);
		return HULL_ENOTSUP;
	}
	return check_engine(o, err);
}

static void set_up_doctor(struct session *s)
{
	struct hull_boot_doctor *d = &s->doctor;
	const struct hull_options *o = &s->options;

	d->vm = s->machine.machine.vm;
	d->tap = &s->machine.tap;
	d->out = stderr;
	d->name = hull_options_text(o, HULL_OPT_VM_NAME);
	d->cmdline = hull_options_text(o, HULL_OPT_BOOT_CMDLINE);
	d->kernel = hull_options_text(o, HULL_OPT_BOOT_KERNEL);
	d->initrd = hull_options_text(o, HULL_OPT_BOOT_INITRD) != NULL;
	d->firmware = s->machine.machine.boot.firmware.name != NULL;
	d->raw = hull_image_probe(s->machine.kernel.data, s->machine.kernel.size).kind ==
	         HULL_IMAGE_RAW;
	d->json = s->style & HULL_REPORT_JSON;
	d->disks = s->machine.disks.n;
	for (uint32_t i = 0; i < s->machine.nports; i++)
		d->terminal |= hull_char_is_terminal(s->machine.ports[i]);
}

static bool on_engine(const struct session *s)
{
	return !strcmp(s->machine.accel->name, "engine");
}

/* The guest has run all right: what cannot be kept is no failure. */
static void keep_code(struct session *s)
{
	struct hull_err err = { 0 };

	if (on_engine(s) && hull_engine_save_code(s->machine.machine.vm, &err))
		note(s, err.text);
}

static void say_accel(struct session *s)
{
	const struct hull_err *why = &s->machine.passed_over;
	bool engine = on_engine(s);

	if (why->code && why->id != 205)
		hull_report_note(stderr, s->style, "E%04u using Hull's engine; %s%s%s", why->id,
		                 why->text, why->id == 203 ? ".  Force it with --accel kvm" : "",
		                 why->id == 204 ? ".  sudo usermod -aG kvm $USER" : "");
	if (engine && hull_engine_store_note(s->machine.machine.vm))
		hull_report_note(stderr, s->style, "%s",
		                 hull_engine_store_note(s->machine.machine.vm));
}

static void say_jail(struct session *s)
{
	char text[512];

	if (!hull_options_num(&s->options, HULL_OPT_OUTPUT_VERBOSE))
		return;
	hull_jail_describe(text, sizeof(text));
	note(s, text);
}

static int go(struct session *s, struct hull_err *err)
{
	enum hull_stop_reason reason;
	bool timing = hull_options_num(&s->options, HULL_OPT_RUN_TIMING);
	int r, code;

	hull_signals_watch(s->events);
	s->machine.disks.announce = announce_disk;
	s->machine.disks.arg = s;
	set_up_doctor(s);
	s->loaded_ns = now_ns();
	say_places(s);
	say_accel(s);
	r = hull_app_machine_prepare(&s->machine, err);
	if (!r)
		r = hull_app_jail_enter(&s->machine, err);
	if (!r)
		r = hull_run_start(s->machine.machine.vm, s->events, &s->run, err);
	if (r)
		return r;
	s->running_ns = now_ns();
	r = hull_app_machine_start(&s->machine, err);
	if (!r)
		r = hull_jail_settle(err);
	if (!r)
		say_jail(s);
	if (!r)
		supervise(s);
	else
		stop(s);
	reason = hull_run_wait(s->run);
	s->ended_ns = now_ns();
	hull_app_machine_quiet(&s->machine);
	keep_code(s);
	for (unsigned i = 0; i < s->machine.nets.n; i++)
		if (hull_app_net_note(&s->machine.nets, i))
			note(s, hull_app_net_note(&s->machine.nets, i));
	if (r)
		return r;
	code = reason == HULL_STOP_FAULT ? failure(s) : outcome(s, reason);
	if (timing)
		print_timing(s);
	if (hull_options_num(&s->options, HULL_OPT_RUN_ENGINE_STATS))
		hull_app_print_stats(stderr, s->machine.machine.vm, s->style,
		                     s->ended_ns - s->running_ns);
	return code;
}

static int begin_jail(struct session *s, struct hull_err *err)
{
	const char *lacking;
	int r = hull_app_jail_begin(&s->options, s->events, &lacking, err);

	if (!r && lacking)
		hull_report_note(stderr, s->style, "the jail is weaker than usual: no %s here",
		                 lacking);
	return r;
}

static int session_run(struct session *s, int argc, char *const argv[])
{
	struct app_escape escape = { .pressed = on_escape, .arg = s };
	struct hull_err err = { 0 };
	int r;

	r = hull_options_collect(&s->options, argc, argv, s->envp, &err);
	if (r)
		return hull_cmd_fail(&s->options, argc, argv, stderr, &err);
	if (s->options.help) {
		static char help[] = "help", run[] = "run";
		char *const args[] = { help, run, NULL };

		return hull_cmd_help(2, args, stdout, stderr);
	}
	s->style = hull_options_style(&s->options, argc, argv, stderr);
	s->events = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	r = check_abilities(&s->options, &err);
	if (!r && hull_options_num(&s->options, HULL_OPT_RUN_LOCKSTEP)) {
		close(s->events);
		return hull_app_lockstep(&s->options, s->style);
	}
	if (!r)
		r = escape_key(hull_options_text(&s->options, HULL_OPT_RUN_ESCAPE), &escape.key,
		               &err);
	if (!r)
		r = begin_jail(s, &err);
	if (!r)
		r = hull_app_machine_open(&s->machine, &s->options, &escape, &err);
	if (!r && watch_texts(s))
		r = hull_fail(&err, HULL_EINVAL, 5, "the text of --exit-on is empty or too long");
	if (!r)
		r = go(s, &err);
	if (r < 0)
		r = hull_cmd_fail(&s->options, argc, argv, stderr, &err);
	hull_app_machine_close(&s->machine);
	if (hull_jail_violation(&err)) {
		fresh_line(s);
		r = hull_cmd_fail(&s->options, argc, argv, stderr, &err);
	}
	close(s->events);
	return r;
}

int hull_app_run(int argc, char *const argv[], char *const envp[], uint64_t started_ns)
{
	struct session *s = calloc(1, sizeof(*s));
	struct hull_err err = { 0 };
	int r;

	if (!s)
		return 8;
	s->started_ns = started_ns;
	s->envp = envp;
	r = hull_options_init(&s->options, &err);
	if (r)
		hull_report_error(stderr, 0, &err);
	else
		r = session_run(s, argc, argv);
	hull_options_free(&s->options);
	free(s);
	return r < 0 ? 8 : r;
}
