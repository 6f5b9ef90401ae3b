/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What this machine's own tools can do ahead of the guest, without running anything of the guest's:
 * the lists of the kernel's modules (depmod reads them, xz-compressed, at native speed), ssh's host
 * keys, another format of the disk.  Where a tool is missing or fails, the guest does it itself.
 */
#include "manage/install/install.h"

#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/file.h"
#include "host/proc.h"

enum { FILE_MAX = 64 << 20 };

/* 0; HULL_EIO: it failed or there is none; HULL_ESTATE: stopped. */
static int tool(struct hull_install *in, const char *const *argv, struct hull_err *err)
{
	static const char *const env[] = { "LC_ALL=C", NULL };
	struct hull_proc_spec spec = { .argv = argv, .env = env, .log = in->log };
	struct hull_proc p;
	char drop[4096];
	ssize_t n;
	int status;

	if (hull_proc_start(&p, &spec, NULL))
		return HULL_EIO;
	do
		n = hull_proc_read(&p, drop, sizeof(drop), in->cancel, -1);
	while (n > 0);
	status = hull_proc_end(&p, n < 0);
	if (n == HULL_ESTATE)
		return hull_install_stopped(err);
	return WIFEXITED(status) && !WEXITSTATUS(status) ? 0 : HULL_EIO;
}

/* A file of the host's onto the disk; one that is not there, or is empty, is left out. */
static int take(struct hull_install *in, const char *from, const char *to, unsigned mode,
                struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = mode, .mtime = in->time };
	struct hull_file f;
	int r;

	if (hull_file_read(from, FILE_MAX, &f, NULL))
		return 0;
	r = f.size ? hull_ext4_put(&in->fs, to, &attr, f.data, f.size, err) : 0;
	hull_file_free(&f);
	return r;
}

/* What depmod writes (depmod(8)); the guest's own would write the same. */
static const char *const lists[] = {
	"alias",   "alias.bin", "builtin.bin", "builtin.alias.bin", "dep",     "dep.bin",
	"devname", "softdep",   "symbols",     "symbols.bin",       "weakdep",
};

static const struct hull_install_package *kernel_package(const struct hull_install *in,
                                                         const char *version)
{
	for (size_t i = 0; i < in->npackages; i++)
		if (!strncmp(in->packages[i].name, "linux-image-", 12) &&
		    !strcmp(in->packages[i].name + 12, version))
			return &in->packages[i];
	return NULL;
}

static int module_lists(struct hull_install *in, const char *root, struct hull_err *err)
{
	const char *version = strchr(in->kernel, '-') + 1;
	const struct hull_install_package *p = kernel_package(in, version);
	char deb[HULL_INSTALL_PATH], from[HULL_INSTALL_PATH * 2], to[HULL_INSTALL_PATH];
	const char *unpack[] = { "dpkg-deb", "-x", deb, root, NULL };
	const char *depmod[] = { "/usr/sbin/depmod", "-b", root, version, NULL };
	int r;

	if (access(depmod[0], X_OK))
		depmod[0] = "/sbin/depmod";
	if (!p || access(depmod[0], X_OK))
		return 0;
	hull_install_deb(in, p, deb);
	r = tool(in, unpack, err);
	/* Which of the two a depmod looks into depends on how it was built. */
	hull_format(from, sizeof(from), "%s/lib", root);
	hull_format(to, sizeof(to), "%s/usr/lib", root);
	if (!r && symlink("usr/lib", from) && !access(to, F_OK))
		to[0] = '\0';
	if (!r && to[0] && access(to, F_OK))
		(void)symlink("../lib", to);
	if (!r)
		r = tool(in, depmod, err);
	for (size_t i = 0; i < ARRAY_LEN(lists) && !r; i++) {
		hull_format(from, sizeof(from), "%s/lib/modules/%s/modules.%s", root, version,
		            lists[i]);
		hull_format(to, sizeof(to), "lib/modules/%s/modules.%s", version, lists[i]);
		r = take(in, from, to, 0644, err);
	}
	return r;
}

static int host_keys(struct hull_install *in, struct hull_err *err)
{
	static const char *const kinds[] = { "rsa", "ecdsa", "ed25519" };
	char key[HULL_INSTALL_PATH], pub[HULL_INSTALL_PATH + 8], who[128], to[64];
	const char *argv[] = {
		"ssh-keygen", "-q", "-t", NULL, "-N", "", "-C", who, "-f", key, NULL
	};
	int r = 0;

	hull_format(who, sizeof(who), "root@%s", in->o.hostname);
	for (size_t i = 0; i < ARRAY_LEN(kinds) && !r; i++) {
		argv[3] = kinds[i];
		hull_format(to, sizeof(to), "ssh_host_%s_key", kinds[i]);
		hull_install_path(in, to, key);
		hull_format(pub, sizeof(pub), "%s.pub", key);
		r = tool(in, argv, err);
		hull_format(to, sizeof(to), "etc/ssh/ssh_host_%s_key", kinds[i]);
		if (!r)
			r = take(in, key, to, 0600, err);
		hull_format(to, sizeof(to), "etc/ssh/ssh_host_%s_key.pub", kinds[i]);
		if (!r)
			r = take(in, pub, to, 0644, err);
		unlink(key);
		unlink(pub);
	}
	return r;
}

int hull_install_ahead(struct hull_install *in, struct hull_err *err)
{
	char root[HULL_INSTALL_PATH];
	struct hull_err why = { 0 };
	int r;

	hull_phase_seen(&in->progress, "the kernel's modules");
	hull_install_path(in, "modules", root);
	r = module_lists(in, root, &why);
	hull_install_remove(root);
	if ((!r || r == HULL_EIO) && !why.id && hull_proc_found("ssh-keygen"))
		r = host_keys(in, &why);
	/* Without an error of its own it is the tool that has failed: the guest can do it. */
	if (!r || (r == HULL_EIO && !why.id))
		return 0;
	*err = why;
	return r;
}

int hull_install_convert(struct hull_install *in, struct hull_err *err)
{
	char from[HULL_INSTALL_PATH], to[HULL_INSTALL_PATH];
	const char *argv[] = { "/proc/self/exe", "disk",  "convert", from, to,
		               "--to",           "qcow2", "--quiet", NULL };
	char said[160];
	int r;

	if (!in->o.qcow2)
		return 0;
	hull_phase_begin(&in->progress, "convert");
	hull_install_path(in, "disk.raw", from);
	hull_install_path(in, "disk.qcow2", to);
	hull_install_log_mark(in);
	r = tool(in, argv, err);
	if (r == HULL_EIO) {
		hull_install_log_line(in, "error", said, sizeof(said));
		hull_fail(err, r, 610, "the disk cannot be converted to qcow2: %.150s", said);
		hull_err_fix(err, "make room on the host's file system, or use --into");
	}
	if (!r && chmod(to, 0600))
		r = hull_fail(err, HULL_EIO, 610, "%.200s cannot be made private", to);
	if (!r)
		unlink(from);
	return r;
}
