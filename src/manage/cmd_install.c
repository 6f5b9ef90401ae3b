/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* `hull install`: what the user wants, the folders and locks, the phases, and what remains. */
#include "manage/cmd.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "host/os/os.h"
#include "host/proc.h"
#include "manage/install/install.h"
#include "manage/install/options.h"
#include "manage/json.h"
#include "manage/report.h"

enum { TAIL_LINES = 40, EXIT_SIGNAL = 128, ROOM_MIN = 4 << 20 };

void hull_install_path(const struct hull_install *in, const char *name, char *dst)
{
	hull_format(dst, HULL_INSTALL_PATH, "%s/%s", in->work, name);
}

int hull_install_write(const struct hull_install *in, const char *name, unsigned mode,
                       const void *data, size_t len, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH], reason[64];
	const uint8_t *p = data;
	ssize_t n = 0;
	int fd;

	hull_install_path(in, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	while (fd >= 0 && len && (n = write(fd, p, len)) > 0) {
		p += n;
		len -= (size_t)n;
	}
	if (fd < 0 || len || close(fd)) {
		hull_fail(err, HULL_EIO, 610, "%.150s cannot be written: %s", path,
		          hull_os_reason(errno, reason, sizeof(reason)));
		hull_err_fix(err, "make room on the host's file system, or use --into");
		if (fd >= 0 && len)
			close(fd);
		return HULL_EIO;
	}
	return 0;
}

bool hull_install_cancelled(const struct hull_install *in)
{
	return hull_signals_taken() != 0;
}

int hull_install_stopped(struct hull_err *err)
{
	return hull_fail(err, HULL_ESTATE, 616, "the installation was stopped");
}

bool hull_install_full(const struct hull_install *in, struct hull_err *err)
{
	const char *const places[] = { in->work, in->cache };

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct statvfs v;

		if (!places[i][0] || statvfs(places[i], &v) ||
		    (uint64_t)v.f_bavail * v.f_frsize >= ROOM_MIN)
			continue;
		hull_fail(err, HULL_ENOSPC, 610, "the file system of %.150s is full", places[i]);
		hull_err_fix(err, "make room there (some 3 GB in all), or use --into");
		return true;
	}
	return false;
}

void hull_install_log_mark(struct hull_install *in)
{
	in->log_mark = (uint64_t)lseek(in->log, 0, SEEK_END);
}

void hull_install_log_line(const struct hull_install *in, const char *prefix, char *dst,
                           size_t size)
{
	char text[16384], *at = text;
	ssize_t n = pread(in->log, text, sizeof(text) - 1, (off_t)in->log_mark);

	dst[0] = '\0';
	text[n > 0 ? n : 0] = '\0';
	while (*at && !dst[0]) {
		size_t len = strcspn(at, "\n");

		if (!strncmp(at, prefix, strlen(prefix)))
			hull_format(dst, size, "%.*s", (int)len, at);
		at += len + (at[len] == '\n');
	}
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	(void)type;
	(void)at;
	return remove(path) && errno != ENOENT ? -1 : 0;
}

void hull_install_remove(const char *path)
{
	if (path[0])
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* mkdir -p; *ret_kept is the length of the part of the path that was there before. */
static int make_parents(const char *path, size_t *ret_kept, struct hull_err *err)
{
	char part[HULL_INSTALL_PATH], reason[64];
	size_t kept = 0;

	for (size_t i = 1; path[i - 1]; i++) {
		if (path[i] != '/' && path[i])
			continue;
		hull_format(part, sizeof(part), "%.*s", (int)i, path);
		if (!mkdir(part, 0777))
			continue;
		if (errno != EEXIST)
			return hull_fail(err, HULL_EPERM, 610, "%.150s cannot be made: %s", part,
			                 hull_os_reason(errno, reason, sizeof(reason)));
		kept = i;
	}
	*ret_kept = kept;
	return 0;
}

static void remove_parents(char *path, size_t kept)
{
	while (strlen(path) > kept && !rmdir(path)) {
		char *slash = strrchr(path, '/');

		if (!slash || slash == path)
			return;
		*slash = '\0';
	}
}

/* Below $XDG_..., or $HOME/`otherwise`; nowhere that others could have made before us. */
static int base_folder(const char *variable, const char *otherwise, char *dst, size_t size,
                       struct hull_err *err)
{
	const char *base = getenv(variable), *home = getenv("HOME");

	if (base && *base == '/')
		hull_format(dst, size, "%s/hull", base);
	else if (home && *home == '/')
		hull_format(dst, size, "%s/%s/hull", home, otherwise);
	else {
		hull_fail(err, HULL_EINVAL, 610, "neither HOME nor %s says where to put files",
		          variable);
		hull_err_fix(err, "set %s to a folder of yours", variable);
		return HULL_EINVAL;
	}
	return 0;
}

/* What is removed, or trusted after a look at it, must not be in somebody else's hands. */
static int check_owner(const char *path, struct hull_err *err)
{
	struct stat st;

	if (!lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		return 0;
	hull_fail(err, HULL_EPERM, 610, "%.180s is not a folder of this user", path);
	hull_err_fix(err, "remove it, or choose another place");
	return HULL_EPERM;
}

static int check_tools(struct hull_err *err)
{
	static const char *const rows[][2] = { { "apt-get", "apt" },
		                               { "apt-config", "apt" },
		                               { "dpkg-deb", "dpkg" } };

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (hull_proc_found(rows[i][0]))
			continue;
		hull_fail(
			err, HULL_ENOENT, 602,
			"%s is missing: packages are fetched and unpacked with Debian's own tools",
			rows[i][0]);
		hull_err_fix(err, "apt-get install %s", rows[i][1]);
		return HULL_ENOENT;
	}
	return 0;
}

/* Absolute, because programs are started elsewhere. */
static int choose_dir(struct hull_install *in, struct hull_err *err)
{
	char base[HULL_INSTALL_PATH];
	int n;

	if (in->o.into && in->o.into[0] == '/') {
		n = snprintf(in->dir, sizeof(in->dir), "%s", in->o.into);
	} else if (in->o.into) {
		if (!getcwd(base, sizeof(base)))
			return hull_fail(err, HULL_EIO, 610, "the current directory is gone");
		n = snprintf(in->dir, sizeof(in->dir), "%s/%s", base, in->o.into);
	} else {
		int r = base_folder("XDG_DATA_HOME", ".local/share", base, sizeof(base), err);

		if (r)
			return r;
		n = snprintf(in->dir, sizeof(in->dir), "%s/%s", base, in->o.vm);
	}
	while (n > 1 && (size_t)n < sizeof(in->dir) && in->dir[n - 1] == '/')
		in->dir[--n] = '\0';
	if (n < 2 || n > HULL_INSTALL_PATH - 128 || strpbrk(in->dir, "\"\\\n,"))
		return hull_fail(err, HULL_EINVAL, 615,
		                 "the folder's name is too long, or holds one of \" \\ ,");
	if (!access(in->dir, F_OK)) {
		hull_fail(err, HULL_EEXIST, 603, "%.180s is there already; nothing was changed",
		          in->dir);
		hull_err_fix(err, "choose another name, or remove it");
		return HULL_EEXIST;
	}
	return 0;
}

/* One at a time fetches packages; the others wait. */
static int lock_cache(struct hull_install *in, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH + 16];
	struct timespec pause = { .tv_nsec = 200000000 };
	size_t kept;
	int r;

	r = base_folder("XDG_CACHE_HOME", ".cache", in->cache, sizeof(in->cache) - 128, err);
	if (r)
		return r;
	hull_format(path, sizeof(path), "%s/debs", in->cache);
	r = make_parents(path, &kept, err);
	if (!r)
		r = check_owner(in->cache, err);
	if (!r)
		r = check_owner(path, err);
	if (r)
		return r;
	hull_format(path, sizeof(path), "%s/debs/.lock", in->cache);
	in->cache_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (in->cache_lock < 0)
		return hull_fail(err, HULL_EPERM, 610, "%.200s cannot be made", path);
	while (flock(in->cache_lock, LOCK_EX | LOCK_NB)) {
		if (hull_install_cancelled(in))
			return hull_install_stopped(err);
		nanosleep(&pause, NULL);
	}
	/* We hold the lock: what is there was left by a process that was killed. */
	hull_format(in->fetching, sizeof(in->fetching), "%s/debs/.fetching", in->cache);
	hull_install_remove(in->fetching);
	return 0;
}

static void unlock_cache(struct hull_install *in)
{
	if (in->cache_lock < 0)
		return;
	hull_install_remove(in->fetching);
	close(in->cache_lock);
	in->cache_lock = -1;
}

/* Work folders of this user's in which nobody works any more: who made them was killed. */
static void remove_stale(const char *parent)
{
	char path[HULL_INSTALL_PATH * 2], lock[HULL_INSTALL_PATH * 2 + 8];
	DIR *dir = opendir(parent);
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		size_t len = strlen(e->d_name);
		int fd;

		if (e->d_name[0] != '.' || len < 13 || strcmp(e->d_name + len - 11, ".installing"))
			continue;
		hull_format(path, sizeof(path), "%s/%s", parent, e->d_name);
		hull_format(lock, sizeof(lock), "%s/.lock", path);
		if (check_owner(path, NULL))
			continue;
		fd = open(lock, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
		if (fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB))
			hull_install_remove(path);
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

static int make_work(struct hull_install *in, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH];
	struct stat mine, there;
	bool stale = mkdir(in->work, 0700) != 0; /* the disk has password hashes and keys */
	int r;

	if (stale && errno != EEXIST)
		return hull_fail(err, HULL_EPERM, 610, "%.200s cannot be made", in->work);
	r = check_owner(in->work, err);
	if (r)
		return r;
	hull_install_path(in, ".lock", path);
	in->work_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (in->work_lock < 0 || flock(in->work_lock, LOCK_EX | LOCK_NB) ||
	    fstat(in->work_lock, &mine) || stat(path, &there) || mine.st_ino != there.st_ino) {
		if (in->work_lock >= 0)
			close(in->work_lock);
		in->work_lock = -1;
		hull_fail(err, HULL_EBUSY, 617, "another hull install is making %.180s", in->dir);
		hull_err_fix(err, "wait for it, or choose another name");
		return HULL_EBUSY;
	}
	/* Left by a process that was killed. */
	if (stale) {
		hull_install_remove(in->work);
		close(in->work_lock);
		in->work_lock = -1;
		if (!access(in->work, F_OK))
			return hull_fail(err, HULL_EPERM, 610, "%.200s cannot be removed",
			                 in->work);
		return make_work(in, err);
	}
	hull_install_path(in, "install.log", path);
	in->log = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	r = in->log < 0 ? hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", path) : 0;
	return r;
}

static void choose_ids(struct hull_install *in)
{
	const char *epoch = getenv("SOURCE_DATE_EPOCH");
	struct timespec now;
	uint64_t seconds;

	clock_gettime(CLOCK_REALTIME, &now);
	in->time = (uint32_t)now.tv_sec;
	if (epoch && hull_parse_u64(epoch, &seconds) && seconds <= INT32_MAX)
		in->time = (uint32_t)seconds;
	for (unsigned i = 0; i < 3; i++) {
		struct hull_sha256 s;
		uint8_t digest[HULL_SHA256_BYTES], salt[16] = { 0 };

		if (!epoch)
			hull_host_hal()->random(hull_host_hal(), salt, sizeof(salt));
		hull_sha256_init(&s);
		hull_sha256_add(&s, salt, sizeof(salt));
		hull_sha256_add(&s, &i, sizeof(i));
		hull_sha256_add(&s, in->o.vm, strlen(in->o.vm));
		for (size_t p = 0; p < in->npackages; p++)
			hull_sha256_add(&s, in->packages[p].sha256, 64);
		hull_sha256_end(&s, digest);
		memcpy(in->uuids[i], digest, 16);
		/* RFC 4122: version 4, variant 1; the version's byte differs on disk
		 * (mixed-endian). */
		in->uuids[i][i < 2 ? 7 : 6] = (uint8_t)((digest[6] & 0x0f) | 0x40);
		in->uuids[i][8] = (uint8_t)((digest[8] & 0x3f) | 0x80);
	}
}

static int phases(struct hull_install *in, struct hull_err *err)
{
	int r = hull_install_keys(in, err);

	if (!r)
		r = hull_install_resolve(in, err);
	if (!r)
		r = hull_install_fetch(in, err);
	if (!r)
		r = hull_install_verify(in, err);
	unlock_cache(in);
	choose_ids(in);
	if (!r)
		r = hull_install_build(in, err);
	if (!r)
		r = hull_install_write_results(in, err);
	if (!r)
		r = hull_install_first_boot(in, err);
	if (!r)
		r = hull_install_convert(in, err);
	if (!r)
		r = hull_install_prove(in, err);
	if (!r && hull_install_cancelled(in))
		r = hull_install_stopped(err);
	return r;
}

/* What only the making needed. */
static void tidy(struct hull_install *in)
{
	static const char *const names[] = { "apt",        "preinst", "out.raw",
		                             "first.cpio", "modules", ".lock" };
	char path[HULL_INSTALL_PATH];

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		hull_install_path(in, names[i], path);
		hull_install_remove(path);
	}
}

static void print_result(struct hull_install *in, bool json, FILE *out)
{
	struct hull_json j;

	if (json) {
		hull_json_init(&j, out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.install/1");
		hull_json_text(&j, "vm", in->o.vm);
		hull_json_text(&j, "folder", in->dir);
		hull_json_text(&j, "user", in->o.user);
		hull_json_text(&j, "password", in->password);
		hull_json_text(&j, "key", in->key_file[0] ? in->key_file : NULL);
		hull_json_u64(&j, "packages", in->npackages);
		hull_json_u64(&j, "took_ns", in->progress.total_ns);
		hull_json_bool(&j, "proved", in->o.prove);
		hull_json_bool(&j, "ssh_proved", in->ssh_proved);
		hull_json_end(&j);
		return;
	}
	fprintf(out,
	        "%s is installed in %s\n  user %s, password %s (also in its file credentials)\n",
	        in->o.vm, in->dir, in->o.user, in->password);
	fprintf(out, "  start it:  hull run %s/hull.toml\n", in->dir);
	hull_install_print_ssh(in, out);
}

static void print_plan(struct hull_install *in, bool json, FILE *out)
{
	struct hull_err err;
	struct hull_json j;

	if (json) {
		hull_json_init(&j, out);
		hull_json_object(&j, NULL);
		hull_json_text(&j, "schema", "hull.install-plan/1");
		hull_json_text(&j, "folder", in->dir);
		hull_json_text(&j, "mirror", in->mirror);
		hull_json_text(&j, "suite", in->o.suite);
		hull_json_u64(&j, "bytes", in->package_bytes);
		hull_json_u64(&j, "bytes_to_fetch", in->fetch_bytes);
		hull_json_u64(&j, "expected_ns",
		              hull_install_expected_s(in) * UINT64_C(1000000000));
		hull_json_array(&j, "packages");
		for (size_t i = 0; i < in->npackages; i++)
			hull_json_text(&j, NULL, in->packages[i].file);
		hull_json_end(&j);
		hull_json_end(&j);
		return;
	}
	for (size_t i = 0; i < in->npackages; i++)
		fprintf(out, "%10llu  %s%s\n", (unsigned long long)in->packages[i].size,
		        in->packages[i].file, in->packages[i].cached ? "  (here already)" : "");
	fprintf(out, "%zu packages, %llu bytes, %llu to fetch from %s (%s)\n", in->npackages,
	        (unsigned long long)in->package_bytes, (unsigned long long)in->fetch_bytes,
	        in->mirror, in->o.suite);
	fprintf(out, "about %u s after that\n\n%s/hull.toml will be:\n\n",
	        (unsigned)hull_install_expected_s(in), in->dir);
	if (hull_install_write_toml(in, out, &err)) {
		/* stdout is gone; main() notices. */
	}
}

/* The last lines that programs and the guest have printed. */
static void print_tail(const struct hull_install *in, FILE *err)
{
	char text[8192];
	off_t end = lseek(in->log, 0, SEEK_END);
	off_t from = end > (off_t)sizeof(text) - 1 ? end - (off_t)sizeof(text) + 1 : 0;
	ssize_t n = pread(in->log, text, sizeof(text) - 1, from), at;
	int lines = 0;

	if (n <= 0)
		return;
	for (at = n - 1; at > 0 && lines < TAIL_LINES; at--)
		lines += text[at - 1] == '\n';
	fputs("the last lines of the log:\n", err);
	for (; at < n; at++)
		if (text[at] == '\n' || text[at] == '\t' || (text[at] >= ' ' && text[at] <= '~'))
			fputc(text[at], err);
	if (text[n - 1] != '\n')
		fputc('\n', err);
}

static int whole(struct hull_install *in, struct hull_err *err)
{
	int r = make_work(in, err);

	if (!r)
		r = lock_cache(in, err);
	if (!r && in->o.dry_run)
		return hull_install_resolve(in, err);
	if (!r)
		r = phases(in, err);
	if (r)
		return r;
	tidy(in);
	if (rename(in->work, in->dir))
		return hull_fail(err, HULL_EEXIST, 603, "%.180s has come into being meanwhile",
		                 in->dir);
	in->work[0] = '\0';
	return 0;
}

/* Everything between the options and the result; leaves nothing behind if it fails. */
static int install(struct hull_install *in, struct hull_err *err)
{
	char parent[HULL_INSTALL_PATH], kept_dir[HULL_INSTALL_PATH + 16];
	size_t kept = 0;
	char *slash;
	int r = check_tools(err);

	if (!r)
		r = choose_dir(in, err);
	if (r)
		return r;
	hull_format(parent, sizeof(parent), "%s", in->dir);
	slash = strrchr(parent, '/');
	if (slash == parent)
		slash++;
	*slash = '\0';
	r = make_parents(parent, &kept, err);
	if (r)
		return r;
	remove_stale(parent);
	hull_format(in->work, sizeof(in->work), "%s/.%s.installing", parent,
	            strrchr(in->dir, '/') + 1);
	r = whole(in, err);
	/* Whatever a program could not do then, that is why. */
	if (r && r != HULL_ESTATE && hull_install_full(in, err))
		r = HULL_ENOSPC;
	unlock_cache(in);
	hull_phase_end(&in->progress, !r);
	if (!r && !in->o.dry_run)
		return 0;
	if (r && r != HULL_ESTATE && in->log >= 0 && in->style_tail)
		print_tail(in, in->progress.out);
	hull_format(kept_dir, sizeof(kept_dir), "%s.failed", in->dir);
	if (r && in->o.keep && in->work_lock >= 0 && !rename(in->work, kept_dir)) {
		hull_err_where(err, "what there is was kept in %.90s", kept_dir);
		return r;
	}
	if (in->work_lock >= 0)
		hull_install_remove(in->work);
	remove_parents(parent, kept);
	return r;
}

static void release(struct hull_install *in)
{
	for (size_t i = 0; i < in->nmodules; i++)
		free(in->modules[i].data);
	free(in->modules);
	free(in->packages);
	free(in->busybox);
	hull_pool_free(&in->pool);
	explicit_bzero(in->password, sizeof(in->password));
	if (in->work_lock >= 0)
		close(in->work_lock);
	if (in->log >= 0)
		close(in->log);
	if (in->cancel >= 0)
		close(in->cancel);
}

static int run(struct hull_install *in, const struct hull_options *o, int argc, char *const argv[],
               FILE *err, struct hull_err *e)
{
	unsigned style = hull_options_style(o, argc, argv, err);

	in->progress = (struct hull_phase){
		.out = style & HULL_REPORT_QUIET ? NULL : err,
		.tty = isatty(fileno(err)) && !(style & HULL_REPORT_JSON),
		.json = style & HULL_REPORT_JSON,
	};
	in->style = style;
	in->notes = err;
	in->style_tail = !(style & (HULL_REPORT_QUIET | HULL_REPORT_JSON));
	in->cancel = eventfd(0, EFD_CLOEXEC);
	if (in->cancel < 0)
		return hull_fail(e, HULL_ENOMEM, 120, "no event descriptor");
	hull_signals_watch(in->cancel);
	if (!in->o.dry_run && !hull_install_can_run(in->o.isa))
		hull_report_note(err, style,
		                 "this build of Hull cannot run %s guests yet: the disk will be "
		                 "unpacked, but not configured",
		                 in->deb_arch);
	if (hull_install_port(in, e)) {
		if (e->id == 615)
			return HULL_EINVAL;
		hull_report_note(err, style, "the machine gets no network card: %s", e->text);
	}
	return install(in, e);
}

int hull_cmd_install(int argc, char *const argv[], FILE *out, FILE *err)
{
	struct hull_install *in = calloc(1, sizeof(*in));
	struct hull_options o;
	struct hull_err e = { 0 };
	bool json;
	int r = hull_options_init(&o, &e), code = 0;

	if (!in || r) {
		hull_options_free(&o);
		free(in);
		return r ? hull_report_exit_code(&e) : 8;
	}
	in->cancel = in->work_lock = in->cache_lock = in->log = -1;
	r = hull_install_parse(in, &o, argc, argv, &e);
	if (!r && o.help) {
		hull_install_help(out);
		release(in);
		free(in);
		hull_options_free(&o);
		return 0;
	}
	if (!r)
		r = run(in, &o, argc, argv, err, &e);
	json = hull_options_style(&o, argc, argv, out) & HULL_REPORT_JSON;
	if (r == HULL_ESTATE && hull_signals_taken()) {
		hull_report_note(err, hull_options_style(&o, argc, argv, err),
		                 "stopped by signal %d; only fetched packages were kept",
		                 hull_signals_taken());
		code = EXIT_SIGNAL + hull_signals_taken();
	} else if (r) {
		code = hull_cmd_fail(&o, argc, argv, err, &e);
	} else {
		(in->o.dry_run ? print_plan : print_result)(in, json, out);
	}
	release(in);
	free(in);
	hull_options_free(&o);
	return code;
}
