/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Packages through a private apt: its own sources, lists, settings and an empty
 * package database, so that the machine's own is never touched.  Signatures are
 * checked by apt with Debian's archive keys, the hashes of packages by apt and by us.
 */
#include "manage/install/install.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/proc.h"
#include "manage/report.h"

#define KEYRING "/usr/share/keyrings/debian-archive-keyring.gpg"
#define ARGS    64

/* What every machine gets, besides the essential and required packages and a kernel. */
static const char *const base_packages[] = {
	"apt",        "systemd-sysv",   "udev",           "dbus",    "libpam-systemd",
	"kmod",       "e2fsprogs",      "openssh-server", "sudo",    "initramfs-tools",
	"zstd",       "iproute2",       "iputils-ping",   "netbase", "systemd-resolved",
	"util-linux", "busybox-static", "tzdata",
};

static int damaged(struct hull_err *err, const char *what)
{
	return hull_fail(err, HULL_EFORMAT, 606, "apt says something unexpected: %.150s", what);
}

/* Read all that a program prints, up to `size` - 1 bytes; the rest is dropped. */
static int capture(struct hull_install *in, const char *const *argv, char *dst, size_t size,
                   struct hull_err *err)
{
	const char *env[] = { "LC_ALL=C", in->apt_env[0] ? in->apt_env : NULL, NULL };
	struct hull_proc_spec spec = { .argv = argv, .env = env, .log = in->log };
	struct hull_proc p;
	size_t at = 0;
	ssize_t n;
	char drop[4096];
	int r, status;

	hull_install_log_mark(in);
	r = hull_proc_start(&p, &spec, err);
	if (r)
		return r;
	while ((n = hull_proc_read(&p, at < size - 1 ? dst + at : drop,
	                           at < size - 1 ? size - 1 - at : sizeof(drop), in->cancel, -1)) >
	       0)
		if (at < size - 1)
			at += (size_t)n;
	dst[at] = '\0';
	status = hull_proc_end(&p, n < 0);
	if (n == HULL_ESTATE)
		return hull_install_stopped(err);
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : HULL_EIO;
}

/* The next line of a text that is taken apart; NULL: no more. */
static char *next_line(char **at)
{
	char *line = *at;

	if (!line || !*line)
		return NULL;
	*at = strchr(line, '\n');
	if (*at)
		*(*at)++ = '\0';
	return line;
}

/* Where this machine gets Debian from: mirrors that work here. */
static int find_mirror(struct hull_install *in, struct hull_err *err)
{
	static const char *const argv[] = { "apt-get",
		                            "indextargets",
		                            "--format",
		                            "$(REPO_URI) $(RELEASE)",
		                            "Created-By: Packages",
		                            NULL };
	static const char *const names[] = { "bookworm", "trixie",  "forky",    "sid",
		                             "stable",   "testing", "unstable", "bullseye" };
	char text[16384], *at = text, *line;
	int r = capture(in, argv, text, sizeof(text), err);

	if (r == HULL_ESTATE)
		return r;
	while ((line = next_line(&at))) {
		char *release = strchr(line, ' ');
		size_t len;

		if (!release || strncmp(line, "http", 4) != 0)
			continue;
		*release++ = '\0';
		len = strlen(line);
		if (len && line[len - 1] == '/')
			line[len - 1] = '\0';
		if (strstr(release, "-security") && !in->security[0])
			hull_format(in->security, sizeof(in->security), "%s", line);
		for (size_t i = 0; i < ARRAY_LEN(names) && !in->mirror[0]; i++)
			if (!strcmp(release, names[i]))
				hull_format(in->mirror, sizeof(in->mirror), "%s", line);
	}
	if (!in->mirror[0])
		hull_format(in->mirror, sizeof(in->mirror), "http://deb.debian.org/debian");
	return 0;
}

/* Proxies and the like, as the machine's apt has them. */
static int machine_settings(struct hull_install *in, char *dst, size_t size, struct hull_err *err)
{
	static const char *const argv[] = { "apt-config", "dump", "Acquire", NULL };
	static const char *const keep[] = { "Acquire::http", "Acquire::https", "Acquire::Retries",
		                            "Acquire::Check-", "Acquire::ForceIPv" };
	char text[16384], *at = text, *line;
	size_t used = 0;
	int r = capture(in, argv, text, sizeof(text), err);

	dst[0] = '\0';
	if (r)
		return r == HULL_ESTATE ? r : 0;
	while ((line = next_line(&at)))
		for (size_t i = 0; i < ARRAY_LEN(keep); i++)
			if (!strncmp(line, keep[i], strlen(keep[i])) && !strstr(line, "\"\"") &&
			    used < size)
				used += hull_format(dst + used, size - used, "%s\n", line);
	return 0;
}

static int make_folders(const struct hull_install *in, struct hull_err *err)
{
	static const char *const folders[] = {
		"apt",
		"apt/state",
		"apt/cache",
		"apt/etc",
		"apt/etc/preferences.d",
		"apt/etc/apt.conf.d",
		"apt/etc/sources.list.d",
		"apt/etc/trusted.gpg.d",
	};
	char path[HULL_INSTALL_PATH];

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		hull_install_path(in, folders[i], path);
		if (mkdir(path, 0755) && errno != EEXIST)
			return hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", path);
	}
	return 0;
}

static int write_sources(const struct hull_install *in, struct hull_err *err)
{
	char text[4096];
	size_t n = hull_format(text, sizeof(text), "deb [signed-by=%s] %s %s main\n", KEYRING,
	                       in->mirror, in->o.suite);

	/* A mirror of the user's own may have nothing else. */
	if (!in->o.mirror && !in->no_updates && n < sizeof(text))
		n += hull_format(text + n, sizeof(text) - n,
		                 "deb [signed-by=%s] %s %s-updates main\n", KEYRING, in->mirror,
		                 in->o.suite);
	if (!in->o.mirror && !in->no_updates && in->security[0] && n < sizeof(text))
		n += hull_format(text + n, sizeof(text) - n,
		                 "deb [signed-by=%s] %s %s-security main\n", KEYRING, in->security,
		                 in->o.suite);
	if (n >= sizeof(text))
		return hull_fail(err, HULL_EINVAL, 615, "the mirror's address is too long");
	return hull_install_write(in, "apt/etc/sources.list", 0644, text, n, err);
}

static int write_settings(struct hull_install *in, struct hull_err *err)
{
	char text[16384], machine[8192], root[HULL_INSTALL_PATH], lists[HULL_INSTALL_PATH];
	size_t n;
	int r = machine_settings(in, machine, sizeof(machine), err);

	if (r)
		return r;
	hull_install_path(in, "apt", root);
	hull_format(lists, sizeof(lists), "%s/apt-%s-%s", in->cache, in->o.suite, in->deb_arch);
	if (mkdir(lists, 0755) && errno != EEXIST)
		return hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", lists);
	n = hull_format(
		text, sizeof(text),
		"%s"
		"APT::Architecture \"%s\";\nAPT::Architectures { \"%s\"; };\n"
		"APT::Sandbox::User \"root\";\nAPT::Install-Recommends \"false\";\n"
		"Acquire::Languages \"none\";\nAcquire::Retries \"2\";\n"
		"Acquire::ForceHash \"SHA256\";\nDPkg::Lock::Timeout \"60\";\n"
		"Dir \"%s\";\nDir::State \"%s/state\";\nDir::State::status \"%s/status\";\n"
		"Dir::State::lists \"%s\";\n"
		"Dir::Cache \"%s/cache\";\nDir::Cache::archives \"%s\";\nDir::Etc \"%s/etc\";\n"
		"Dir::Etc::netrc \"/etc/apt/auth.conf\";\n"
		"Dir::Etc::netrcparts \"/etc/apt/auth.conf.d\";\n",
		machine, in->deb_arch, in->deb_arch, root, root, root, lists, root, in->fetching,
		root);
	if (n >= sizeof(text))
		return hull_fail(err, HULL_EINVAL, 615, "the name of the folder is too long");
	r = hull_install_write(in, "apt/apt.conf", 0600, text, n, err);
	if (!r)
		r = hull_install_write(in, "apt/status", 0644, "", 0, err);
	hull_format(in->apt_env, sizeof(in->apt_env), "APT_CONFIG=%s/apt.conf", root);
	return r;
}

static int set_up(struct hull_install *in, struct hull_err *err)
{
	char partial[HULL_INSTALL_PATH + 16];
	int r;

	if (access(KEYRING, R_OK)) {
		hull_fail(err, HULL_ENOENT, 602, "Debian's archive keys are missing: %s", KEYRING);
		hull_err_fix(err, "apt-get install debian-archive-keyring");
		return HULL_ENOENT;
	}
	if (in->o.mirror)
		hull_format(in->mirror, sizeof(in->mirror), "%s", in->o.mirror);
	r = in->o.mirror ? 0 : find_mirror(in, err);
	if (!r)
		r = make_folders(in, err);
	hull_format(partial, sizeof(partial), "%s/partial", in->fetching);
	if (!r && (mkdir(in->fetching, 0755) || mkdir(partial, 0755)) && errno != EEXIST)
		r = hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", in->fetching);
	if (!r)
		r = write_sources(in, err);
	return r ? r : write_settings(in, err);
}

/* "dlstatus:3:27.5:Retrieving file 3 of 8" */
static void download_line(struct hull_install *in, const char *line, uint64_t total)
{
	double percent;
	const char *at;

	if (strncmp(line, "dlstatus:", 9) != 0)
		return;
	at = strchr(line + 9, ':');
	if (!at)
		return;
	percent = strtod(at + 1, NULL);
	if (percent < 0 || percent > 100)
		return;
	if (total)
		hull_phase_bytes(&in->progress, (uint64_t)((double)total * percent / 100), total);
	else
		hull_phase_count(&in->progress, (uint64_t)percent, 100, "per cent of the lists");
}

/* apt-get with its own progress as ours. */
static int run_apt(struct hull_install *in, const char *const *argv, uint64_t total,
                   struct hull_err *err)
{
	const char *env[] = { "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", in->apt_env, NULL };
	struct hull_proc_spec spec = { .argv = argv, .env = env, .log = in->log };
	struct hull_proc p;
	char line[512];
	size_t at = 0;
	ssize_t n;
	char c[256];
	int r, status;

	hull_install_log_mark(in);
	r = hull_proc_start(&p, &spec, err);
	if (r)
		return r;
	while ((n = hull_proc_read(&p, c, sizeof(c), in->cancel, -1)) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (c[i] != '\n') {
				if (at < sizeof(line) - 1)
					line[at++] = c[i];
				continue;
			}
			line[at] = '\0';
			at = 0;
			download_line(in, line, total);
		}
	status = hull_proc_end(&p, n < 0);
	if (n == HULL_ESTATE)
		return hull_install_stopped(err);
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : HULL_EIO;
}

static int update(struct hull_install *in, struct hull_err *err)
{
	static const char *const argv[] = {
		"apt-get", "-q", "-o", "APT::Status-Fd=1", "update", "--error-on=any", NULL
	};
	char said[160];
	int r = run_apt(in, argv, 0, err);

	/* The release itself is enough to begin with; the machine updates itself later. */
	if (r == HULL_EIO && !in->o.mirror) {
		in->no_updates = true;
		hull_install_log_line(in, "E:", said, sizeof(said));
		hull_report_note(in->notes, in->style,
		                 "the updates of %s cannot be had (%s): it is installed as it was "
		                 "released; apt in the machine fetches them later",
		                 in->o.suite, said);
		r = write_sources(in, err);
		if (!r)
			r = run_apt(in, argv, 0, err);
	}
	if (r != HULL_EIO)
		return r;
	hull_install_log_line(in, "E:", said, sizeof(said));
	hull_fail(err, HULL_EIO, 604, "the package lists of %.100s cannot be had: %.120s",
	          in->mirror, said);
	hull_err_fix(err, "check the network and the address, or name another: --mirror URL");
	return HULL_EIO;
}

static const char *kernel_package(const struct hull_install *in)
{
	if (in->o.isa == HULL_ISA_RISCV64)
		return "linux-image-riscv64";
	return in->o.isa == HULL_ISA_AARCH64 ? "linux-image-cloud-arm64"
	                                     : "linux-image-cloud-amd64";
}

/* A package's name, as Debian's policy (5.6.1) has it: nothing that apt-get reads otherwise. */
static bool is_package(const char *name, size_t len)
{
	if (len < 2 || !isalnum((unsigned char)*name))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!islower((unsigned char)name[i]) && !isdigit((unsigned char)name[i]) &&
		    !strchr("+-.", name[i]))
			return false;
	/* "name-" and "name+" would mean to remove or to add. */
	return !strchr("+-", name[len - 1]) ||
	       (len > 2 && name[len - 1] == '+' && name[len - 2] == '+');
}

/* The arguments of apt-get install; returns their number, 0: `err` says what is wrong. */
static size_t install_args(struct hull_install *in, const char *const *first, const char **argv,
                           struct hull_err *err)
{
	const char *list = in->o.packages ? in->o.packages : "";
	size_t n = 0;

	while (*first)
		argv[n++] = *first++;
	argv[n++] = "?essential";
	argv[n++] = "?priority(required)";
	for (size_t i = 0; i < ARRAY_LEN(base_packages); i++)
		argv[n++] = base_packages[i];
	argv[n++] = kernel_package(in);
	if (in->o.cloud_init)
		argv[n++] = "cloud-init";
	if (in->o.locale && strncmp(in->o.locale, "C", 1) != 0)
		argv[n++] = "locales";
	while (*list) {
		size_t len = strcspn(list, ", ");

		if (len && (!is_package(list, len) || n >= ARGS - 1)) {
			hull_fail(err, HULL_EINVAL, 605, "\"%.*s\" cannot be the name of a package",
			          (int)MIN(len, (size_t)60), list);
			hull_err_fix(err, "write them like --packages vim,git");
			return 0;
		}
		if (len) {
			argv[n] = hull_pool_copy(&in->pool, list, len);
			if (!argv[n++])
				return 0;
		}
		list += len + (list[len] != '\0');
	}
	argv[n] = NULL;
	return n;
}

static struct hull_install_package *new_package(struct hull_install *in)
{
	if (in->npackages == in->capacity) {
		size_t capacity = in->capacity ? in->capacity * 2 : 256;
		void *grown = realloc(in->packages, capacity * sizeof(in->packages[0]));

		if (!grown)
			return NULL;
		in->packages = grown;
		in->capacity = capacity;
	}
	memset(&in->packages[in->npackages], 0, sizeof(in->packages[0]));
	return &in->packages[in->npackages++];
}

/* 'URI' FILE SIZE SHA256:HASH */
static int package_line(struct hull_install *in, char *line, struct hull_err *err)
{
	char *uri = line + 1, *end = strchr(uri, '\''), *file, *size, *hash;
	struct hull_install_package *p;
	unsigned long long bytes;

	if (!end)
		return damaged(err, line);
	*end = '\0';
	file = end + 1 + strspn(end + 1, " ");
	size = file + strcspn(file, " ");
	if (*size)
		*size++ = '\0';
	bytes = strtoull(size, &hash, 10);
	hash += strspn(hash, " ");
	if (strncmp(hash, "SHA256:", 7) != 0 || strlen(hash + 7) != 64 ||
	    strspn(hash + 7, "0123456789abcdef") != 64 || strchr(file, '/') || !strchr(file, '_'))
		return damaged(err, file);
	p = new_package(in);
	if (!p)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the list of packages");
	memcpy(p->sha256, hash + 7, 65);
	p->uri = hull_pool_copy(&in->pool, uri, strlen(uri));
	p->file = hull_pool_copy(&in->pool, file, strlen(file));
	p->name = hull_pool_copy(&in->pool, file, strcspn(file, "_"));
	p->size = bytes;
	return p->uri && p->file && p->name
	               ? 0
	               : hull_fail(err, HULL_ENOMEM, 120, "no memory for the list of packages");
}

void hull_install_deb(const struct hull_install *in, const struct hull_install_package *p,
                      char *dst)
{
	hull_format(dst, HULL_INSTALL_PATH, "%s/debs/%s.deb", in->cache, p->sha256);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct hull_install_package *)a)->name,
	              ((const struct hull_install_package *)b)->name);
}

static int parse_packages(struct hull_install *in, char *text, struct hull_err *err)
{
	char *line, path[HULL_INSTALL_PATH];
	struct stat st;
	int r = 0;

	while (!r && (line = next_line(&text)))
		if (*line == '\'')
			r = package_line(in, line, err);
	if (!r && !in->npackages)
		r = damaged(err, "no packages");
	for (size_t i = 0; !r && i < in->npackages; i++) {
		struct hull_install_package *p = &in->packages[i];

		hull_install_deb(in, p, path);
		p->cached = !stat(path, &st) && (uint64_t)st.st_size == p->size;
		in->package_bytes += p->size;
		in->fetch_bytes += p->cached ? 0 : p->size;
	}
	if (!r)
		qsort(in->packages, in->npackages, sizeof(in->packages[0]), by_name);
	return r;
}

int hull_install_resolve(struct hull_install *in, struct hull_err *err)
{
	static const char *const first[] = { "apt-get",      "install", "-qq",
		                             "--print-uris", "--yes",   NULL };
	const char *argv[ARGS + ARRAY_LEN(base_packages)];
	size_t size = (size_t)4 << 20;
	char *text, said[160];
	int r = set_up(in, err);

	hull_phase_begin(&in->progress, "resolve");
	if (!r && !install_args(in, first, argv, err))
		r = HULL_EINVAL;
	if (!r)
		r = update(in, err);
	if (r)
		return r;
	text = malloc(size);
	if (!text)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory for the list of packages");
	r = capture(in, argv, text, size, err);
	if (r == HULL_EIO) {
		hull_install_log_line(in, "E:", said, sizeof(said));
		hull_fail(err, HULL_ENOENT, 605, "the packages cannot be had together: %.180s",
		          said[0] ? said : "apt does not say why");
		hull_err_fix(err, "check the names behind --packages, and --suite");
		r = HULL_ENOENT;
	}
	if (!r)
		r = parse_packages(in, text, err);
	free(text);
	if (!r)
		hull_phase_count(&in->progress, in->npackages, in->npackages, "packages");
	return r;
}

/* What is there already is shown to apt under the name that it looks for. */
static int show_cached(const struct hull_install *in, struct hull_err *err)
{
	char from[HULL_INSTALL_PATH], to[HULL_INSTALL_PATH * 2];

	for (size_t i = 0; i < in->npackages; i++) {
		const struct hull_install_package *p = &in->packages[i];

		if (!p->cached)
			continue;
		hull_install_deb(in, p, from);
		hull_format(to, sizeof(to), "%s/%s", in->fetching, p->file);
		if (symlink(from, to) && errno != EEXIST)
			return hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", to);
	}
	return 0;
}

/* HULL_EFORMAT without `err`: another hash. */
static int check_file(struct hull_install *in, const char *path, const char *want,
                      struct hull_err *err)
{
	static const size_t size = 1 << 20;
	uint8_t *buf = malloc(size), digest[HULL_SHA256_BYTES];
	int fd = buf ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct hull_sha256 s;
	char text[HULL_SHA256_TEXT];
	ssize_t n = -1;

	hull_sha256_init(&s);
	while (fd >= 0 && (in->salvaging || !hull_install_cancelled(in)) &&
	       (n = read(fd, buf, size)) > 0)
		hull_sha256_add(&s, buf, (size_t)n);
	if (fd >= 0)
		close(fd);
	free(buf);
	if (!in->salvaging && hull_install_cancelled(in))
		return hull_install_stopped(err);
	hull_sha256_end(&s, digest);
	hull_sha256_text(digest, text);
	return fd < 0 || n < 0 ? HULL_ENOENT : strcmp(text, want) ? HULL_EFORMAT : 0;
}

/* A fetch that was broken off: what has come in full is kept for the next time. */
static void salvage(struct hull_install *in)
{
	char path[HULL_INSTALL_PATH], fetched[HULL_INSTALL_PATH * 2];

	in->salvaging = true;
	for (size_t i = 0; i < in->npackages; i++) {
		struct hull_install_package *p = &in->packages[i];

		hull_format(fetched, sizeof(fetched), "%s/%s", in->fetching, p->file);
		hull_install_deb(in, p, path);
		if (!p->cached && !check_file(in, fetched, p->sha256, NULL))
			p->cached = !rename(fetched, path);
	}
	in->salvaging = false;
}

int hull_install_fetch(struct hull_install *in, struct hull_err *err)
{
	static const char *const first[] = { "apt-get",          "install",         "-q",    "-o",
		                             "APT::Status-Fd=1", "--download-only", "--yes", NULL };
	const char *argv[ARGS + ARRAY_LEN(base_packages)];
	char said[160];
	int r;

	hull_phase_begin(&in->progress, "fetch");
	if (!in->fetch_bytes) {
		hull_phase_seen(&in->progress, "all packages were there already");
		return 0;
	}
	if (!install_args(in, first, argv, err))
		return HULL_EINVAL;
	r = show_cached(in, err);
	if (!r)
		r = run_apt(in, argv, in->fetch_bytes, err);
	if (r)
		salvage(in);
	if (r == HULL_EIO) {
		hull_install_log_line(in, "E:", said, sizeof(said));
		hull_fail(err, HULL_EIO, 604, "packages cannot be fetched from %.90s: %.120s",
		          in->mirror, said);
		hull_err_fix(err, "run the same command again: what has come is kept");
		return HULL_EIO;
	}
	if (!r)
		hull_phase_bytes(&in->progress, in->fetch_bytes, in->fetch_bytes);
	return r;
}

static int verify_one(struct hull_install *in, struct hull_install_package *p, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH], fetched[HULL_INSTALL_PATH * 2];
	int r;

	hull_install_deb(in, p, path);
	hull_format(fetched, sizeof(fetched), "%s/%s", in->fetching, p->file);
	r = check_file(in, p->cached ? path : fetched, p->sha256, err);
	if (r == HULL_ESTATE)
		return r;
	if (!r && (p->cached || !rename(fetched, path))) {
		p->cached = true;
		return 0;
	}
	unlink(p->cached ? path : fetched);
	if (r == HULL_EFORMAT)
		hull_fail(err, HULL_EFORMAT, 607,
		          "package %.80s is not what Debian has signed: another SHA-256", p->name);
	else
		hull_fail(err, HULL_EFORMAT, 607, "package %.80s did not arrive", p->name);
	hull_err_fix(err, "it was thrown away; run the same command again to fetch it anew");
	return HULL_EFORMAT;
}

int hull_install_verify(struct hull_install *in, struct hull_err *err)
{
	uint64_t done = 0;
	int r = 0;

	hull_phase_begin(&in->progress, "verify");
	for (size_t i = 0; !r && i < in->npackages; i++) {
		r = verify_one(in, &in->packages[i], err);
		done += in->packages[i].size;
		hull_phase_bytes(&in->progress, done, in->package_bytes);
	}
	return r;
}
