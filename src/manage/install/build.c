/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The disk: partition table, file system, all packages unpacked, and the files of ours. */
#include "manage/install/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/text.h"
#include "host/os/os.h"
#include "manage/install/unpack.h"
#include "manage/install/volumes.h"

/* What mounting the disk takes before udev is there; a kernel has some of them built in. */
static const char *const module_names[] = {
	"virtio",
	"virtio_ring",
	"virtio_mmio",
	"virtio_pci",
	"virtio_pci_modern_dev",
	"virtio_pci_legacy_dev",
	"virtio_blk",
	"virtio-rng",
	"rng-core",
	"crc16",
	"crc32c_generic",
	"libcrc32c",
	"mbcache",
	"jbd2",
	"ext4",
};

/* Types of root partitions (Discoverable Partitions Specification). */
static const char *root_type(enum hull_isa isa)
{
	if (isa == HULL_ISA_RISCV64)
		return "72ec70a6-cf74-40e6-bd49-4bda08e8f224";
	return isa == HULL_ISA_AARCH64 ? "b921b045-1df0-41c3-af44-4c6f280d3fae"
	                               : "4f68bce3-e8cd-4db1-96e7-fbcaf984b709";
}

static int put(struct hull_install *in, const char *path, uint32_t mode, const char *text,
               struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = mode, .mtime = in->time };

	return hull_ext4_put(&in->fs, path, &attr, text, strlen(text), err);
}

/* Since Debian 12 programs and libraries are below /usr; trixie's base-files brings the links. */
static int merge_usr(struct hull_install *in, struct hull_err *err)
{
	static const char *const names[] = { "bin", "sbin", "lib", "lib64" };
	struct hull_tree_attr attr = { .mode = 0755, .mtime = in->time };
	struct hull_tree_node *n;
	char path[32];
	int r = 0;

	for (size_t i = 0; i < ARRAY_LEN(names) && !r; i++) {
		if (i == 3 && in->o.isa != HULL_ISA_X86_64)
			break;
		hull_format(path, sizeof(path), "usr/%s", names[i]);
		attr.mode = S_IFDIR | 0755;
		r = hull_tree_add(&in->fs.tree, path, &attr, &n, err);
		if (!r)
			r = hull_tree_symlink(&in->fs.tree, names[i], path, &attr, err);
	}
	return r;
}

static int folder(struct hull_install *in, const char *path, uint32_t mode, struct hull_err *err)
{
	struct hull_tree_attr attr = { .mode = S_IFDIR | mode, .mtime = in->time };
	struct hull_tree_node *n;

	return hull_tree_add(&in->fs.tree, path, &attr, &n, err);
}

/* Where the installed machine gets packages from. */
static int put_sources(struct hull_install *in, struct hull_err *err)
{
	char text[2048];
	const char *m = in->o.mirror ? in->o.mirror : "http://deb.debian.org/debian";
	const char *keys = "/usr/share/keyrings/debian-archive-keyring.gpg";
	size_t n = hull_format(text, sizeof(text),
	                       "Types: deb\nURIs: %s\nSuites: %s %s-updates\nComponents: main\n"
	                       "Signed-By: %s\n",
	                       m, in->o.suite, in->o.suite, keys);

	if (!in->o.mirror)
		n += hull_format(text + n, sizeof(text) - n,
		                 "\nTypes: deb\nURIs: http://deb.debian.org/debian-security\n"
		                 "Suites: %s-security\nComponents: main\nSigned-By: %s\n",
		                 in->o.suite, keys);
	return put(in, "etc/apt/sources.list.d/debian.sources", 0644, text, err);
}

/* MODULES=list and this hook keep the initial RAM disk small and independent of where it is made.
 */
static const char initramfs_hook[] =
	"#!/bin/sh\n[ \"$1\" = prereqs ] && exit 0\n. /usr/share/initramfs-tools/hook-functions\n"
	"manual_add_modules virtio_mmio virtio_pci virtio_blk virtio_net virtio_scsi virtio-rng "
	"virtio_console ext4 nvme ahci sd_mod\n";

/* A seed may say otherwise; but cloud-init's own default locks the password of a user "debian". */
static const char cloud_config[] =
	"# What hull install has made stays: its user, and the host keys in known_hosts.\n"
	"users: []\nssh_deletekeys: false\ndatasource_list: [NoCloud, None]\n";

static int put_ours(struct hull_install *in, struct hull_err *err)
{
	char text[1024];
	int r;

	hull_format(text, sizeof(text), "PARTUUID=%s / ext4 errors=remount-ro 0 1\n",
	            in->part_uuid);
	r = put(in, "etc/fstab", 0644, text, err);
	hull_format(text, sizeof(text), "%s\n", in->o.hostname);
	if (!r)
		r = put(in, "etc/hostname", 0644, text, err);
	hull_format(text, sizeof(text), "127.0.0.1 localhost\n127.0.1.1 %s\n::1 localhost\n",
	            in->o.hostname);
	if (!r)
		r = put(in, "etc/hosts", 0644, text, err);
	if (!r)
		r = put(in, "etc/systemd/network/80-wired.network", 0644,
		        "[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n", err);
	if (!r)
		r = put(in, "etc/ssh/sshd_config.d/50-keys-only.conf", 0644,
		        "PasswordAuthentication no\n", err);
	if (!r)
		r = put(in, "etc/initramfs-tools/conf.d/modules", 0644,
		        "MODULES=list\nCOMPRESS=zstd\nCOMPRESSLEVEL=1\n", err);
	if (!r)
		r = put(in, "etc/initramfs-tools/hooks/virtio", 0755, initramfs_hook, err);
	/* systemd-networkd asks for wireless networks, and the modules for them take seconds. */
	if (!r)
		r = put(in, "etc/modprobe.d/no-wireless.conf", 0644,
		        "alias net-pf-16-proto-16-family-nl80211 off\n", err);
	/* On a busy host the console may take longer than systemd's 90 s, and then has no login. */
	if (!r)
		r = put(in, "etc/systemd/system.conf.d/90-hull.conf", 0644,
		        "[Manager]\nDefaultDeviceTimeoutSec=900\n", err);
	if (!r && in->o.cloud_init)
		r = put(in, "etc/cloud/cloud.cfg.d/90-hull.cfg", 0644, cloud_config, err);
	/* Until everything is configured no package may start a service. */
	if (!r)
		r = put(in, "usr/sbin/policy-rc.d", 0755, "#!/bin/sh\nexit 101\n", err);
	return r ? r : put_sources(in, err);
}

static int begin(struct hull_install *in, int fd, struct hull_err *err)
{
	static const char *const folders[] = { "var/lib/dpkg/info", "var/lib/dpkg/updates",
		                               "var/lib/dpkg/parts", "var/lib/dpkg/alternatives",
		                               "var/lib/dpkg/triggers" };
	struct hull_gpt gpt = { .size = in->o.disk, .name = "root" };
	struct hull_ext4_params p = {
		.fd = fd, .start = HULL_GPT_START, .time = in->time, .label = "root"
	};
	uint64_t end = hull_gpt_end(in->o.disk);
	int r;

	memcpy(gpt.disk_uuid, in->uuids[0], 16);
	memcpy(gpt.part_uuid, in->uuids[1], 16);
	memcpy(p.uuid, in->uuids[2], 16);
	hull_guid_parse(root_type(in->o.isa), gpt.type);
	hull_guid_text(gpt.part_uuid, in->part_uuid);
	p.size = end > HULL_GPT_START ? end - HULL_GPT_START : 0;
	r = hull_ext4_init(&in->fs, &p, err);
	if (!r)
		r = hull_gpt_write(fd, &gpt, err);
	if (!r)
		r = merge_usr(in, err);
	for (size_t i = 0; i < ARRAY_LEN(folders) && !r; i++)
		r = folder(in, folders[i], 0755, err);
	return r;
}

static int unpack_all(struct hull_install *in, struct hull_err *err)
{
	struct hull_unpack_db db = { 0 };
	int r = 0;

	for (size_t i = 0; i < in->npackages && !r; i++) {
		hull_phase_count(&in->progress, i, in->npackages, "packages");
		r = hull_unpack_package(in, &db, &in->packages[i], err);
	}
	if (!r)
		r = hull_unpack_finish(in, &db, err);
	if (!r)
		r = hull_install_write(in, "preinst", 0644, db.preinst.data ? db.preinst.data : "",
		                       db.preinst.len, err);
	hull_unpack_free(&db);
	if (!r)
		hull_phase_count(&in->progress, in->npackages, in->npackages, "packages");
	return r;
}

static int check_pieces(const struct hull_install *in, struct hull_err *err)
{
	if (!strchr(in->kernel, '-') || strpbrk(in->kernel, "' \t\n"))
		return hull_fail(err, HULL_ENOENT, 605, "the packages hold no kernel in /boot");
	if (!in->busybox)
		return hull_fail(err, HULL_ENOENT, 605, "the packages hold no busybox");
	return 0;
}

static int build(struct hull_install *in, int fd, struct hull_err *err)
{
	int r = begin(in, fd, err);

	if (!r)
		r = unpack_all(in, err);
	if (!r)
		r = check_pieces(in, err);
	if (!r)
		r = hull_install_ahead(in, err);
	if (!r)
		r = put_ours(in, err);
	return r ? r : hull_ext4_finish(&in->fs, err);
}

int hull_install_build(struct hull_install *in, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH], reason[64];
	int fd, r;

	hull_phase_begin(&in->progress, "build");
	in->nmodules = ARRAY_LEN(module_names);
	in->modules = calloc(in->nmodules, sizeof(in->modules[0]));
	if (!in->modules)
		return hull_fail(err, HULL_ENOMEM, 120, "no memory to unpack");
	for (size_t i = 0; i < in->nmodules; i++)
		in->modules[i].name = module_names[i];
	hull_install_path(in, "disk.raw", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, (off_t)in->o.disk)) {
		r = hull_fail(err, HULL_EIO, 610, "%.150s cannot be made: %s", path,
		              hull_os_reason(errno, reason, sizeof(reason)));
		if (fd >= 0)
			close(fd);
		return r;
	}
	r = build(in, fd, err);
	close(fd);
	hull_ext4_free(&in->fs);
	return r;
}
