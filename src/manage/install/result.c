/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What goes into the folder beside the disk: hull.toml, keys, cloud-init's seed, lists. */
#include "manage/install/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "host/file.h"
#include "host/net/user.h"
#include "host/os/os.h"
#include "host/proc.h"
#include "manage/install/volumes.h"

/* The first line of a public key file: "ssh-ed25519 AAAA... name". */
static int read_key(struct hull_install *in, const char *path, struct hull_err *err)
{
	struct hull_file f;
	size_t n;
	int r = hull_file_read(path, 16384, &f, err);

	if (r)
		return r;
	n = strcspn((const char *)f.data, "\r\n");
	if (n < 20 || n > sizeof(in->key) - 2 ||
	    (strncmp((const char *)f.data, "ssh-", 4) != 0 &&
	     strncmp((const char *)f.data, "ecdsa-", 6) != 0 &&
	     strncmp((const char *)f.data, "sk-", 3) != 0))
		r = hull_fail(err, HULL_EFORMAT, 615, "%.150s is not a public ssh key", path);
	if (r)
		hull_err_fix(err, "name the file that ends in .pub");
	else
		hull_format(in->key, sizeof(in->key), "%.*s\n", (int)n, (const char *)f.data);
	hull_file_free(&f);
	return r;
}

static int make_key(struct hull_install *in, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH], comment[128];
	const char *argv[] = { "ssh-keygen", "-q",    "-t", "ed25519", "-N", "",
		               "-C",         comment, "-f", path,      NULL };
	struct hull_proc_spec spec = { .argv = argv, .log = in->log };
	struct hull_proc p;
	int r, status;

	if (!hull_proc_found("ssh-keygen")) {
		hull_fail(err, HULL_ENOENT, 602,
		          "there is no ssh key, and no ssh-keygen to make one");
		hull_err_fix(err, "apt-get install openssh-client, or --ssh-key FILE");
		return HULL_ENOENT;
	}
	hull_install_path(in, "id_ed25519", path);
	hull_format(comment, sizeof(comment), "hull-%s", in->o.vm);
	r = hull_proc_start(&p, &spec, err);
	if (r)
		return r;
	status = hull_proc_end(&p, false);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return hull_fail(err, HULL_EIO, 615, "ssh-keygen cannot make a key");
	in->key_made = true;
	hull_format(in->key_file, sizeof(in->key_file), "%s/id_ed25519", in->dir);
	hull_install_path(in, "id_ed25519.pub", path);
	return read_key(in, path, err);
}

static int choose_key(struct hull_install *in, struct hull_err *err)
{
	static const char *const names[] = { "id_ed25519", "id_ecdsa", "id_rsa" };
	const char *home = getenv("HOME");
	char path[HULL_INSTALL_PATH];

	if (in->o.ssh_key)
		return read_key(in, in->o.ssh_key, err);
	for (size_t i = 0; home && i < ARRAY_LEN(names); i++) {
		hull_format(path, sizeof(path), "%s/.ssh/%s.pub", home, names[i]);
		if (access(path, R_OK))
			continue;
		hull_format(in->key_file, sizeof(in->key_file), "%s/.ssh/%s", home, names[i]);
		return read_key(in, path, err);
	}
	return make_key(in, err);
}

int hull_install_keys(struct hull_install *in, struct hull_err *err)
{
	int r = hull_install_password(in, err);

	return r ? r : choose_key(in, err);
}

static bool port_is_free(uint16_t port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
	bool free_now;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	/* A connection that has just ended does not matter, as for whoever listens in earnest. */
	free_now = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) &&
	           !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 1);
	if (fd >= 0)
		close(fd);
	return free_now;
}

int hull_install_port(struct hull_install *in, struct hull_err *err)
{
	struct hull_user_options o = { 0 };
	struct hull_net_end *end;
	uint64_t port = 2222;
	int r;

	if (in->o.publish && (!hull_parse_u64(in->o.publish, &port) || !port || port > 65535)) {
		hull_fail(err, HULL_EINVAL, 615, "--publish \"%.60s\" is not a port",
		          in->o.publish);
		hull_err_fix(err, "a number like 2222: the port of this machine that leads to ssh");
		return HULL_EINVAL;
	}
	r = hull_user_open(&o, &end, err);
	if (r)
		return r;
	hull_net_close(end);
	while (!in->o.publish && port < 2322 && !port_is_free((uint16_t)port))
		port++;
	in->port = (uint16_t)port;
	return 0;
}

static const char *const isa_names[] = {
	[HULL_ISA_RISCV64] = "riscv64",
	[HULL_ISA_AARCH64] = "aarch64",
	[HULL_ISA_X86_64] = "x86_64",
};

int hull_install_write_toml(struct hull_install *in, FILE *out, struct hull_err *err)
{
	const struct hull_install_options *o = &in->o;

	fprintf(out,
	        "# Made by hull install.  Start it: hull run hull.toml\n"
	        "schema = 1\n\n[vm]\nname = \"%s\"\n\n[machine]\narch = \"%s\"\n\n"
	        "[cpu]\ncount = %u\n\n[memory]\nsize = \"%lluM\"\n\n"
	        "[boot]\nkernel = \"vmlinuz\"\ninitrd = \"initrd.img\"\n"
	        "cmdline = \"root=PARTUUID=%s ro console=%s\"\n\n"
	        "[[disk]]\npath = \"disk.%s\"\nformat = \"%s\"\nid = \"root\"\n",
	        o->vm, isa_names[o->isa], o->cpus, (unsigned long long)(o->memory >> 20),
	        in->part_uuid[0] ? in->part_uuid : "(made when it is installed)",
	        o->isa == HULL_ISA_AARCH64 ? "ttyAMA0" : "ttyS0", o->qcow2 ? "qcow2" : "raw",
	        o->qcow2 ? "qcow2" : "raw");
	if (o->cloud_init || o->user_data)
		fputs("\n[[disk]]\npath = \"seed.iso\"\nformat = \"raw\"\nreadonly = true\n"
		      "id = \"seed\"\n",
		      out);
	if (in->port)
		fprintf(out, "\n[[net]]\nmode = \"user\"\npublish = [\"%u:22\"]\n", in->port);
	if (fflush(out) || ferror(out))
		return hull_fail(err, HULL_EIO, 610, "hull.toml cannot be written");
	return 0;
}

static int write_file(struct hull_install *in, const char *name, unsigned mode, FILE **ret,
                      struct hull_err *err)
{
	char path[HULL_INSTALL_PATH], reason[64];
	int fd;

	hull_install_path(in, name, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
	*ret = fd < 0 ? NULL : fdopen(fd, "w");
	if (*ret)
		return 0;
	return hull_fail(err, HULL_EIO, 610, "%.150s cannot be made: %s", path,
	                 hull_os_reason(errno, reason, sizeof(reason)));
}

static int close_file(FILE *f, int r, struct hull_err *err)
{
	if (fclose(f) && !r)
		r = hull_fail(err, HULL_EIO, 610, "a file cannot be written: the disk may be full");
	return r;
}

/* Without a file of the user's: user, key and name, as the first boot has made them anyway. */
static size_t default_user_data(const struct hull_install *in, char *dst, size_t size)
{
	return hull_format(dst, size,
	                   "#cloud-config\nhostname: %s\nssh_pwauth: false\nusers:\n  - name: %s\n"
	                   "    groups: [sudo, adm]\n    shell: /bin/bash\n    lock_passwd: false\n"
	                   "    ssh_authorized_keys:\n      - %s",
	                   in->o.hostname, in->o.user, in->key);
}

int hull_install_write_seed(struct hull_install *in, struct hull_err *err)
{
	static const char network[] = "version: 2\nethernets:\n  wired:\n    match:\n"
				      "      name: \"e*\"\n    dhcp4: true\n    dhcp6: true\n";
	char meta[256], user[2048], id[37];
	struct hull_file f = { 0 };
	struct hull_blob files[3] = { { .name = "user-data", .data = user } };
	FILE *out;
	int r;

	if (!in->o.cloud_init && !in->o.user_data)
		return 0;
	hull_guid_text(in->uuids[0], id);
	files[0].len = default_user_data(in, user, sizeof(user));
	if (in->o.user_data) {
		r = hull_file_read(in->o.user_data, 1 << 20, &f, err);
		if (r)
			return r;
		files[0].data = f.data;
		files[0].len = f.size;
	}
	files[1] = (struct hull_blob){ .name = "meta-data", .data = meta };
	files[1].len = hull_format(meta, sizeof(meta), "instance-id: %s\nlocal-hostname: %s\n", id,
	                           in->o.hostname);
	files[2] = (struct hull_blob){ .name = "network-config",
		                       .data = network,
		                       .len = sizeof(network) - 1 };
	r = write_file(in, "seed.iso", 0600, &out, err);
	if (!r)
		r = close_file(out, hull_iso_write(out, "CIDATA", in->time, files, 3, err), err);
	hull_file_free(&f);
	return r;
}

static int write_packages(struct hull_install *in, struct hull_err *err)
{
	FILE *out;
	int r = write_file(in, "packages.txt", 0644, &out, err);

	if (r)
		return r;
	for (size_t i = 0; i < in->npackages; i++)
		fprintf(out, "%s  %s\n", in->packages[i].sha256, in->packages[i].file);
	return close_file(out, 0, err);
}

static int write_credentials(struct hull_install *in, struct hull_err *err)
{
	FILE *out;
	int r = write_file(in, "credentials", 0600, &out, err);

	if (r)
		return r;
	fprintf(out, "user %s\npassword %s\n", in->o.user, in->password);
	if (in->key_file[0])
		fprintf(out, "key %s\n", in->key_file);
	return close_file(out, 0, err);
}

int hull_install_write_results(struct hull_install *in, struct hull_err *err)
{
	FILE *out;
	int r = write_file(in, "hull.toml", 0644, &out, err);

	if (!r)
		r = close_file(out, hull_install_write_toml(in, out, err), err);
	if (!r)
		r = hull_install_write_seed(in, err);
	if (!r)
		r = write_packages(in, err);
	return r ? r : write_credentials(in, err);
}

int hull_install_write_ssh(struct hull_install *in, struct hull_err *err)
{
	FILE *out;
	int r;

	if (!in->port || !in->host_key[0])
		return 0;
	r = write_file(in, "known_hosts", 0644, &out, err);
	if (r)
		return r;
	fprintf(out, "[127.0.0.1]:%u %s\n", in->port, in->host_key);
	r = close_file(out, 0, err);
	if (!r)
		r = write_file(in, "ssh_config", 0644, &out, err);
	if (r)
		return r;
	fprintf(out,
	        "Host %s\n  HostName 127.0.0.1\n  Port %u\n  User %s\n"
	        "  UserKnownHostsFile \"%s/known_hosts\"\n",
	        in->o.vm, in->port, in->o.user, in->dir);
	if (in->key_made)
		fprintf(out, "  IdentityFile \"%s\"\n  IdentitiesOnly yes\n", in->key_file);
	return close_file(out, 0, err);
}

void hull_install_print_ssh(const struct hull_install *in, FILE *out)
{
	if (in->port && in->host_key[0])
		fprintf(out, "  log in:    ssh -F %s/ssh_config %s\n", in->dir, in->o.vm);
}

uint32_t hull_install_expected_s(const struct hull_install *in)
{
	return in->o.prove ? 180 : 120;
}
