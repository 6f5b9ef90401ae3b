/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull doctor`: is this host fit, and what will run guests here?  One line per
 * check: ok, warn or fail, what was found, and what to do about it.
 */
#include "app/app.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <hull/accel.h>
#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "fw/image.h"
#include "host/sandbox/jail.h"
#include "manage/json.h"
#include "manage/report.h"

enum verdict { OK, WARN, FAIL };
enum { MIB = 1 << 20, LITTLE_MEMORY_MIB = 512, ISAS = HULL_ISA_X86_64 + 1 };

struct check {
	const char *name;
	enum verdict verdict;
	char found[200], fix[160];
};

struct doctor {
	struct hull_json json;
	bool as_json, color;
	enum verdict worst;
	uint64_t best_mips[ISAS];
	const char *best[ISAS];
};

static void tell(struct doctor *d, const struct check *c)
{
	static const char *const words[] = { "ok", "warn", "fail" };
	static const char *const colors[] = { "\033[32m", "\033[33m", "\033[31m" };

	d->worst = MAX(d->worst, c->verdict);
	if (d->as_json) {
		hull_json_object(&d->json, NULL);
		hull_json_text(&d->json, "check", c->name);
		hull_json_text(&d->json, "verdict", words[c->verdict]);
		hull_json_text(&d->json, "found", c->found);
		hull_json_text(&d->json, "fix", c->fix[0] ? c->fix : NULL);
		hull_json_end(&d->json);
		return;
	}
	printf("%s%-4s%s  %-12s %s\n", d->color ? colors[c->verdict] : "", words[c->verdict],
	       d->color ? "\033[0m" : "", c->name, c->found);
	if (c->fix[0])
		printf("      %-12s fix: %s\n", "", c->fix);
}

static void check_os(struct doctor *d)
{
	struct check c = { .name = "system" };
	struct utsname u;

	if (uname(&u)) {
		c.verdict = WARN;
		hull_format(c.found, sizeof(c.found), "the kernel does not say what it is");
	} else {
		hull_format(c.found, sizeof(c.found), "%s %s on %s", u.sysname, u.release,
		            u.machine);
	}
	tell(d, &c);
}

static void check_cpus(struct doctor *d)
{
	const struct hull_hal *hal = hull_host_hal();
	struct check c = { .name = "processors" };
	unsigned n = hal->cpu_count(hal);

	hull_format(c.found, sizeof(c.found), "%u usable", n);
	if (n < 2) {
		c.verdict = WARN;
		hull_format(c.fix, sizeof(c.fix),
		            "disks and terminal share the only CPU with the guest");
	}
	tell(d, &c);
}

/* "MemAvailable" in MiB; 0 if the kernel does not say. */
static uint64_t available_mib(void)
{
	unsigned long long kib = 0;
	char line[128];
	FILE *f = fopen("/proc/meminfo", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	if (f)
		fclose(f);
	return kib / 1024;
}

static void check_memory(struct doctor *d)
{
	struct check c = { .name = "memory" };
	uint64_t mib = available_mib();

	if (!mib) {
		c.verdict = WARN;
		hull_format(c.found, sizeof(c.found), "unknown");
	} else {
		hull_format(c.found, sizeof(c.found), "%llu MiB available",
		            (unsigned long long)mib);
	}
	if (mib && mib < LITTLE_MEMORY_MIB) {
		c.verdict = WARN;
		hull_format(c.fix, sizeof(c.fix), "give guests less: hull run ... --memory %lluM",
		            (unsigned long long)mib / 2);
	}
	tell(d, &c);
}

static void check_huge_pages(struct doctor *d)
{
	struct check c = { .name = "huge pages" };
	char text[64] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");

	if (f && !fgets(text, sizeof(text), f))
		text[0] = '\0';
	if (f)
		fclose(f);
	if (strstr(text, "[always]") || strstr(text, "[madvise]")) {
		hull_format(c.found, sizeof(c.found), "guest memory uses them");
	} else {
		c.verdict = WARN;
		hull_format(c.found, sizeof(c.found), "switched off; guests run slower");
		hull_format(c.fix, sizeof(c.fix),
		            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled");
	}
	tell(d, &c);
}

static void check_terminal(struct doctor *d)
{
	struct check c = { .name = "terminal" };

	if (isatty(STDIN_FILENO) && isatty(STDOUT_FILENO))
		hull_format(c.found, sizeof(c.found), "guests get it raw; Ctrl-] leaves them");
	else
		hull_format(c.found, sizeof(c.found),
		            "none; the guest's console is a plain stream here");
	tell(d, &c);
}

/* What --jail can be here. */
static void check_jail(struct doctor *d)
{
	static const char *const levels[] = { "off", "basic", "strict" };
	const char *why;
	enum hull_jail_level most = hull_jail_possible(&why);
	struct check c = { .name = "sandbox", .verdict = most == HULL_JAIL_STRICT ? OK : WARN };

	if (why)
		hull_format(c.found, sizeof(c.found), "--jail %s; the host lacks %s", levels[most],
		            why);
	else
		hull_format(c.found, sizeof(c.found), "--jail strict, %s",
		            hull_jail_can_separate() ? "with namespaces"
		                                     : "without namespaces: the host refuses them");
	if (why)
		hull_format(c.fix, sizeof(c.fix),
		            "a kernel with Landlock and seccomp; containers may take both away");
	tell(d, &c);
}

static void note_best(struct doctor *d, const struct hull_accel *a,
                      const struct hull_accel_caps *caps)
{
	for (unsigned isa = 0; isa < ISAS; isa++)
		if (caps->isas >> isa & 1 && (!d->best[isa] || caps->mips > d->best_mips[isa])) {
			d->best[isa] = a->name;
			d->best_mips[isa] = caps->mips;
		}
}

static void check_accel(struct doctor *d, const struct hull_accel *a)
{
	struct check c = { .name = a->name };
	struct hull_accel_caps caps = { 0 };
	struct hull_err err = { 0 };

	if (a->probe(hull_host_hal(), &caps, &err)) {
		bool absent = err.id == 205;

		c.verdict = absent ? OK : WARN;
		hull_format(c.found, sizeof(c.found), "not usable: %s%s", err.text,
		            absent ? "; Hull's engine does without" : "");
		hull_format(c.fix, sizeof(c.fix), "%s", err.fix);
	} else {
		hull_format(c.found, sizeof(c.found), "%s; %llu million instructions a second%s",
		            a->summary, (unsigned long long)caps.mips,
		            caps.mips ? "" : " (not measured)");
		note_best(d, a, &caps);
	}
	tell(d, &c);
}

static void check_accels(struct doctor *d)
{
	struct check c = { .name = "choice" };
	size_t n = 0;

	for (const struct hull_accel *const *a = hull_accels; *a; a++)
		if (strcmp((*a)->name, "fake") && (*a)->isas)
			check_accel(d, *a);
	for (unsigned isa = 0; isa < ISAS; isa++)
		if (d->best[isa])
			n += hull_format(c.found + n, sizeof(c.found) - n, "%s%s guests run on: %s",
			                 n ? "; " : "", hull_image_isa_name((enum hull_isa)isa),
			                 d->best[isa]);
	if (!n) {
		c.verdict = FAIL;
		hull_format(c.found, sizeof(c.found), "nothing here can run a guest");
	}
	tell(d, &c);
}

int hull_app_doctor(int argc, char *const argv[])
{
	struct doctor d = { .color = hull_report_wants_color(stdout, "auto") };

	for (int i = 1; i < argc; i++) {
		struct hull_err err = { 0 };

		if (!strcmp(argv[i], "--json")) {
			d.as_json = true;
			continue;
		}
		hull_fail(&err, HULL_EINVAL, 1, "hull doctor has no option \"%.60s\"", argv[i]);
		hull_err_fix(&err, "hull doctor [--json]");
		hull_report_error(stderr, 0, &err);
		return hull_report_exit_code(&err);
	}
	if (d.as_json) {
		hull_json_init(&d.json, stdout);
		hull_json_object(&d.json, NULL);
		hull_json_text(&d.json, "schema", "hull.doctor/1");
		hull_json_array(&d.json, "checks");
	}
	check_os(&d);
	check_cpus(&d);
	check_memory(&d);
	check_huge_pages(&d);
	check_terminal(&d);
	check_jail(&d);
	check_accels(&d);
	if (d.as_json) {
		hull_json_end(&d.json);
		hull_json_end(&d.json);
	}
	return d.worst == FAIL ? 6 : 0;
}
