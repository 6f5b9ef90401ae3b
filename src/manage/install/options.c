/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/options.h"

#include <ctype.h>
#include <string.h>

#include "base/bits.h"
#include "base/text.h"
#include "manage/cmd.h"

#define MEMORY_MIN (UINT64_C(256) << 20)

enum kind { TEXT, SIZE, NUMBER, SWITCH, LATER };

struct row {
	const char *flag;
	enum kind kind;
	size_t at; /* in struct hull_install_options */
	const char *value, *help;
};

#define AT(member) offsetof(struct hull_install_options, member)

static const struct row rows[] = {
	{ "cpus", NUMBER, AT(cpus), "N", "Number of virtual CPUs (2)." },
	{ "memory", SIZE, AT(memory), "SIZE", "Memory of the VM (1G)." },
	{ "disk", SIZE, AT(disk), "SIZE",
	  "Size of the disk (20G); it takes no more room than is used." },
	{ "format", TEXT, AT(format), "raw|qcow2", "Format of the disk's file (raw)." },
	{ "suite", TEXT, AT(suite), "NAME", "Release of Debian: trixie or bookworm." },
	{ "mirror", TEXT, AT(mirror), "URL", "Where packages come from (as this machine's apt)." },
	{ "user", TEXT, AT(user), "NAME", "The new user, who may use sudo (debian)." },
	{ "password", TEXT, AT(password), "generate|prompt|file:F",
	  "Password of the user (generate)." },
	{ "ssh-key", TEXT, AT(ssh_key), "FILE",
	  "Public key that may log in (yours, or a new one)." },
	{ "hostname", TEXT, AT(hostname), "NAME", "Name of the machine (the VM's)." },
	{ "packages", TEXT, AT(packages), "A,B", "Packages to install besides." },
	{ "timezone", TEXT, AT(timezone), "AREA/CITY", "Time zone (Etc/UTC)." },
	{ "locale", TEXT, AT(locale), "NAME", "Locale (C.UTF-8)." },
	{ "publish", TEXT, AT(publish), "PORT",
	  "Port of this machine that leads to ssh (2222, or the next free one)." },
	{ "into", TEXT, AT(into), "DIR", "Folder to make (the VM's, below ~/.local/share/hull)." },
	{ "cloud-init", SWITCH, AT(cloud_init), NULL,
	  "Install cloud-init and attach a seed for it." },
	{ "user-data", TEXT, AT(user_data), "FILE", "cloud-init's user-data, instead of ours." },
	{ "dry-run", SWITCH, AT(dry_run), NULL, "Say what would be done, and do nothing." },
	{ "keep-on-failure", SWITCH, AT(keep), NULL, "Leave what there is for inspection." },
	{ "layout", LATER, 0, NULL, NULL },
	{ "preseed", LATER, 0, NULL, NULL },
	{ "tasks", LATER, 0, NULL, NULL },
	{ "iso", LATER, 0, NULL, NULL },
	{ "keyboard", LATER, 0, NULL, NULL },
	{ "extra-args", LATER, 0, NULL, NULL },
	{ "display", LATER, 0, NULL, NULL },
	{ "wait", LATER, 0, NULL, NULL },
};

struct parse {
	struct hull_install *in;
	const char *os, *arch, *method, *proof, *source;
	struct hull_err *err;
};

static int later(struct hull_err *err, const char *what)
{
	hull_fail(err, HULL_ENOTSUP, 601, "hull install cannot do %.80s yet", what);
	hull_err_fix(err, "leave it out; what there is: hull help install");
	return HULL_ENOTSUP;
}

static int set_row(struct parse *p, const struct row *row, const char *value)
{
	char *base = (char *)&p->in->o;
	uint64_t n;

	switch (row->kind) {
	case TEXT: *(const char **)(base + row->at) = value; return 0;
	case SIZE:
		if (!hull_parse_size(value, &n))
			return hull_fail(p->err, HULL_EINVAL, 3, "--%s \"%.60s\" is not a size",
			                 row->flag, value);
		*(uint64_t *)(base + row->at) = n;
		return 0;
	case NUMBER:
		if (!hull_parse_u64(value, &n) || !n || n > 64)
			return hull_fail(p->err, HULL_EINVAL, 4,
			                 "--%s \"%.60s\" is not a number from 1 to 64", row->flag,
			                 value);
		*(uint32_t *)(base + row->at) = (uint32_t)n;
		return 0;
	default: *(bool *)(base + row->at) = true; return 0;
	}
}

/* Options that are words of a choice. */
static const char **choice(struct parse *p, const char *flag)
{
	if (!strcmp(flag, "arch"))
		return &p->arch;
	if (!strcmp(flag, "method"))
		return &p->method;
	if (!strcmp(flag, "proof"))
		return &p->proof;
	return !strcmp(flag, "source") ? &p->source : NULL;
}

static int unknown(struct parse *p, const char *flag)
{
	const char *names[ARRAY_LEN(rows) + 3] = { "arch", "method", "proof" }, *near;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		names[i + 3] = rows[i].flag;
	near = hull_nearest(flag, names, ARRAY_LEN(names));
	hull_fail(p->err, HULL_EINVAL, 1, "hull install has no option --%.60s", flag);
	if (near)
		hull_err_fix(p->err, "did you mean --%s?", near);
	else
		hull_err_fix(p->err, "see all of them: hull help install");
	return HULL_EINVAL;
}

static int option(struct parse *p, int argc, char *const argv[], int *i)
{
	const char *word = argv[*i] + 2, *value = strchr(word, '='), **to;
	char flag[40];
	const struct row *row = NULL;

	hull_format(flag, sizeof(flag), "%.*s", (int)(value ? value - word : (long)strlen(word)),
	            word);
	for (size_t k = 0; k < ARRAY_LEN(rows); k++)
		if (!strcmp(rows[k].flag, flag))
			row = &rows[k];
	to = choice(p, flag);
	if (!row && !to)
		return unknown(p, flag);
	if (row && row->kind == LATER)
		return later(p->err, argv[*i]);
	if (row && row->kind == SWITCH) {
		if (value)
			return hull_fail(p->err, HULL_EINVAL, 2, "--%s takes no value", flag);
		return set_row(p, row, NULL);
	}
	value = value ? value + 1 : *i + 1 < argc ? argv[++*i] : NULL;
	if (!value)
		return hull_fail(p->err, HULL_EINVAL, 2, "--%s needs a value", flag);
	if (row)
		return set_row(p, row, value);
	*to = value;
	return 0;
}

static int positional(struct parse *p, const char *word)
{
	if (!p->os)
		p->os = word;
	else if (!p->in->o.vm)
		p->in->o.vm = word;
	else
		return hull_fail(p->err, HULL_EINVAL, 7, "hull install does not expect \"%.60s\"",
		                 word);
	return 0;
}

static int system_and_arch(struct parse *p)
{
	static const struct {
		const char *name, *deb;
		enum hull_isa isa;
	} archs[] = {
		{ "riscv64", "riscv64", HULL_ISA_RISCV64 }, { "rv64", "riscv64", HULL_ISA_RISCV64 },
		{ "aarch64", "arm64", HULL_ISA_AARCH64 },   { "arm64", "arm64", HULL_ISA_AARCH64 },
		{ "x86_64", "amd64", HULL_ISA_X86_64 },     { "amd64", "amd64", HULL_ISA_X86_64 },
	};
	struct hull_install_options *o = &p->in->o;
	bool old = p->os && !strcmp(p->os, "debian-12");

	if (!p->os) {
		hull_fail(p->err, HULL_EINVAL, 2, "hull install needs to know what to install");
		hull_err_fix(p->err, "hull install debian [VM] [--arch riscv64]");
		return HULL_EINVAL;
	}
	if (strcmp(p->os, "debian") && strcmp(p->os, "debian-13") && !old)
		return later(p->err, p->os);
	for (size_t i = 0; i < ARRAY_LEN(archs); i++)
		if (!strcmp(p->arch ? p->arch : "riscv64", archs[i].name)) {
			o->isa = archs[i].isa;
			p->in->deb_arch = archs[i].deb;
		}
	if (!p->in->deb_arch) {
		hull_fail(p->err, HULL_EINVAL, 6, "--arch \"%.60s\" is not one of the choices",
		          p->arch);
		hull_err_fix(p->err, "riscv64, aarch64 or x86_64");
		return HULL_EINVAL;
	}
	if (!o->suite)
		o->suite = old ? "bookworm" : "trixie";
	if (o->isa == HULL_ISA_RISCV64 && !strcmp(o->suite, "bookworm")) {
		hull_fail(p->err, HULL_ENOTSUP, 605,
		          "Debian 12 (bookworm) has no packages for riscv64");
		hull_err_fix(p->err, "leave --suite out, or take debian-13");
		return HULL_ENOTSUP;
	}
	return 0;
}

static int choices(struct parse *p)
{
	char what[100];

	if (p->method && strcmp(p->method, "image") != 0) {
		hull_format(what, sizeof(what), "--method %s", p->method);
		return later(p->err, what);
	}
	if (p->source && strcmp(p->source, "apt") != 0) {
		hull_format(what, sizeof(what), "--source %s", p->source);
		return later(p->err, what);
	}
	if (p->proof && strcmp(p->proof, "boot") && strcmp(p->proof, "none")) {
		hull_format(what, sizeof(what), "--proof %s", p->proof);
		return later(p->err, what);
	}
	if (p->in->o.format && strcmp(p->in->o.format, "raw") &&
	    strcmp(p->in->o.format, "qcow2") != 0) {
		hull_fail(p->err, HULL_EINVAL, 6, "--format \"%.60s\" is not one of the choices",
		          p->in->o.format);
		hull_err_fix(p->err, "raw or qcow2");
		return HULL_EINVAL;
	}
	p->in->o.qcow2 = p->in->o.format && !strcmp(p->in->o.format, "qcow2");
	p->in->o.prove = !p->proof || strcmp(p->proof, "none");
	return 0;
}

/* Only these characters, the first one a letter or a digit. */
static int plain(struct hull_err *err, const char *what, const char *text, const char *besides,
                 size_t max)
{
	size_t len = strlen(text);
	bool good = len && len <= max && isalnum((unsigned char)*text);

	for (size_t i = 0; i < len; i++)
		good &= isalnum((unsigned char)text[i]) || strchr(besides, text[i]);
	if (good && !strstr(text, ".."))
		return 0;
	hull_fail(err, HULL_EINVAL, 615, "%s \"%.60s\" is not possible", what, text);
	hull_err_fix(err, "letters, digits and %s, at most %u of them", besides, (unsigned)max);
	return HULL_EINVAL;
}

static int check_sizes(const struct hull_install_options *o, struct hull_err *err)
{
	if (o->memory < MEMORY_MIN || o->memory % 4096) {
		hull_fail(err, HULL_EINVAL, 618, "%llu MiB of memory are too few to install Debian",
		          (unsigned long long)o->memory >> 20);
		hull_err_fix(err, "--memory 1G; at least 256M");
		return HULL_EINVAL;
	}
	if (o->disk < UINT64_C(1) << 30 || o->disk > HULL_EXT4_MAX || o->disk % 4096) {
		hull_fail(err, HULL_EINVAL, 609, "a disk of %llu MiB is not possible here",
		          (unsigned long long)o->disk >> 20);
		hull_err_fix(err, "--disk 20G; at least 1G, at most 8192G");
		return HULL_EINVAL;
	}
	return 0;
}

static int check_texts(const struct hull_install_options *o, struct hull_err *err)
{
	int r = plain(err, "the VM's name", o->vm, "._-", 60);

	if (!r)
		r = plain(err, "the host name", o->hostname, "-.", 63);
	if (!r)
		r = plain(err, "the user's name", o->user, "_-", 32);
	if (!r && (isdigit((unsigned char)*o->user) || !strcmp(o->user, "root")))
		r = hull_fail(err, HULL_EINVAL, 615, "the user cannot be called \"%.60s\"",
		              o->user);
	if (!r)
		r = plain(err, "the suite", o->suite, "-", 30);
	if (!r)
		r = plain(err, "the time zone", o->timezone, "/_+-", 60);
	if (!r)
		r = plain(err, "the locale", o->locale, "._@-", 40);
	if (!r && o->mirror &&
	    (strncmp(o->mirror, "http", 4) != 0 || strpbrk(o->mirror, " \t\n[]'\"\\") ||
	     strlen(o->mirror) > 300))
		r = hull_fail(err, HULL_EINVAL, 615,
		              "the mirror must be an http:// or https:// address");
	if (!r && strcmp(o->password, "generate") && strcmp(o->password, "prompt") &&
	    strncmp(o->password, "file:", 5) != 0)
		r = hull_fail(err, HULL_EINVAL, 6,
		              "--password takes generate, prompt or file:FILE");
	return r;
}

/* One of the options about output, which all commands have. */
static bool says_how(const char *word)
{
	static const char *const flags[] = { "--output", "--json",     "--quiet",     "--verbose",
		                             "--color",  "--no-input", "--log-level", "--help",
		                             "-o",       "-q",         "-v",          "-h" };

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		size_t n = strlen(flags[i]);

		if (!strncmp(word, flags[i], n) && (!word[n] || word[n] == '='))
			return true;
	}
	return false;
}

static void defaults(struct hull_install_options *o)
{
	o->cpus = 2;
	o->memory = UINT64_C(1) << 30;
	o->disk = UINT64_C(20) << 30;
	o->user = "debian";
	o->password = "generate";
	o->timezone = "Etc/UTC";
	o->locale = "C.UTF-8";
}

int hull_install_parse(struct hull_install *in, struct hull_options *o, int argc,
                       char *const argv[], struct hull_err *err)
{
	struct parse p = { .in = in, .err = err };
	int r = 0;

	defaults(&in->o);
	for (int i = 1; i < argc && !r; i++) {
		if (says_how(argv[i]) && hull_cmd_is_global(o, argc, argv, &i))
			continue;
		if (!strcmp(argv[i], "-a") && i + 1 < argc)
			p.arch = argv[++i];
		else if (!strncmp(argv[i], "--", 2) && argv[i][2])
			r = option(&p, argc, argv, &i);
		else if (argv[i][0] == '-')
			r = unknown(&p, argv[i] + strspn(argv[i], "-"));
		else
			r = positional(&p, argv[i]);
	}
	if (o->help)
		return 0;
	if (!r)
		r = system_and_arch(&p);
	if (!r)
		r = choices(&p);
	if (!in->o.vm)
		in->o.vm = "debian";
	if (!in->o.hostname)
		in->o.hostname = in->o.vm;
	in->o.cloud_init |= in->o.user_data != NULL;
	in->o.no_input = hull_options_num(o, HULL_OPT_OUTPUT_NO_INPUT);
	if (!r)
		r = check_sizes(&in->o, err);
	return r ? r : check_texts(&in->o, err);
}

void hull_install_help(FILE *out)
{
	fputs("hull install debian [VM] [OPTIONS]\n\n"
	      "Make a disk with Debian on it, without root: fetch packages, unpack them, "
	      "configure\n"
	      "them inside the VM, and prove the result with a second boot and a login.\n\n"
	      "  --arch riscv64|aarch64|x86_64  Processor of the VM (riscv64).\n"
	      "  --proof boot|none          Boot the result and log in (boot).\n",
	      out);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char left[64];

		if (rows[i].kind == LATER)
			continue;
		hull_format(left, sizeof(left), "--%s%s%s", rows[i].flag, rows[i].value ? " " : "",
		            rows[i].value ? rows[i].value : "");
		fprintf(out, "  %-26s %s\n", left, rows[i].help);
	}
}
