/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The two boots.  The guest runs in a process of its own, this same program, with its
 * console in our pipes: what it prints is the evidence, what it prints last is the story
 * when something fails.
 */
#include "manage/install/install.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <hull/accel.h>
#include <hull/host.h>
#include "base/bits.h"
#include "base/text.h"
#include "host/proc.h"
#include "manage/install/scripts.h"
#include "manage/install/volumes.h"

enum {
	INITRD_ROOM = 256 << 20,
	SILENCE_MS = 300 * 1000, /* a guest that prints nothing for so long has come to nothing */
	LOOK_MS = 5000,
	LINE = 512,
	EXIT_SOFTWARE = 70,
};

#define MARK "hull-install: "

/* A guest that is talked to. */
struct guest {
	struct hull_install *in;
	struct hull_proc proc;
	char line[LINE];
	size_t at;
	uint64_t begun_ns;
	/* A line is complete (`more`: it may still grow: a prompt).  1: that was what we waited
	 * for. */
	int (*said)(struct guest *g, const char *line, bool more, struct hull_err *err);
	uint64_t packages; /* configured so far */
	char failed[200];
	bool done;
	uint64_t initrd_len;
	char initrd_hash[HULL_SHA256_TEXT];
	unsigned step; /* of the conversation */
	char state[200];
};

extern const struct hull_accel *const hull_accels[];

/* Is there anything in this build that runs such a guest? */
bool hull_install_can_run(enum hull_isa isa)
{
	for (const struct hull_accel *const *a = hull_accels; *a; a++) {
		struct hull_accel_caps caps = { 0 };

		if (strcmp((*a)->name, "fake") != 0 && !(*a)->probe(hull_host_hal(), &caps, NULL) &&
		    caps.isas & 1U << isa)
			return true;
	}
	return false;
}

/* When a line came is half of its story. */
static void log_line(struct guest *g)
{
	uint64_t ms = (hull_host_hal()->now_ns(hull_host_hal()) - g->begun_ns) / 1000000;

	dprintf(g->in->log, "%4llu.%03llu  %s\n", (unsigned long long)ms / 1000,
	        (unsigned long long)ms % 1000, g->line);
}

static int one_character(struct guest *g, char c, struct hull_err *err)
{
	if (c == '\r')
		return 0;
	if (c != '\n') {
		if (g->at < LINE - 1)
			g->line[g->at++] = c;
		return 0;
	}
	g->line[g->at] = '\0';
	g->at = 0;
	log_line(g);
	return g->said(g, g->line, false, err);
}

/* Listen until `said` has what it waits for (0), the guest ends (HULL_EAGAIN), or an error. */
static int listen(struct guest *g, struct hull_err *err)
{
	char buf[1024];
	unsigned silent = 0;
	ssize_t n;
	int r;

	for (;;) {
		n = hull_proc_read(&g->proc, buf, sizeof(buf), g->in->cancel, LOOK_MS);
		if (n == HULL_ESTATE)
			return hull_install_stopped(err);
		silent = n == HULL_EAGAIN ? silent + 1 : 0;
		/* Then it is paused, and says nothing. */
		if (n == HULL_EAGAIN && hull_install_full(g->in, err))
			return HULL_ENOSPC;
		if (n == HULL_EAGAIN && silent < SILENCE_MS / LOOK_MS)
			continue;
		if (n == HULL_EAGAIN) {
			hull_fail(err, HULL_ETIMEDOUT, 614,
			          "the guest has printed nothing for %d minutes",
			          SILENCE_MS / 60000);
			return HULL_ETIMEDOUT;
		}
		if (n <= 0)
			return HULL_EAGAIN;
		for (ssize_t i = 0; i < n; i++) {
			r = one_character(g, buf[i], err);
			if (r)
				return r > 0 ? 0 : r;
		}
		g->line[g->at] = '\0';
		r = g->at ? g->said(g, g->line, true, err) : 0;
		if (r > 0)
			g->at = 0;
		if (r)
			return r > 0 ? 0 : r;
	}
}

static int start(struct guest *g, const char *const *argv, struct hull_err *err)
{
	struct hull_proc_spec spec = { .argv = argv, .feed = true, .log = g->in->log };

	g->begun_ns = hull_host_hal()->now_ns(hull_host_hal());
	return hull_proc_start(&g->proc, &spec, err);
}

static int say(struct guest *g, const char *text)
{
	size_t len = strlen(text);

	return write(g->proc.in, text, len) == (ssize_t)len ? 0 : HULL_EIO;
}

/* The files of the initial RAM disk for the first boot. */
static int write_first_initrd(struct hull_install *in, const char *settings, struct hull_err *err)
{
	struct hull_blob files[64] = {
		{ .name = "bin", .mode = S_IFDIR | 0755 },
		{ .name = "dev", .mode = S_IFDIR | 0755 },
		{ .name = "hull", .mode = S_IFDIR | 0700 },
		{ .name = "modules", .mode = S_IFDIR | 0755 },
		{ .name = "proc", .mode = S_IFDIR | 0755 },
		{ .name = "root", .mode = S_IFDIR | 0755 },
		{ .name = "sys", .mode = S_IFDIR | 0755 },
		/* The kernel opens it for init before anything is mounted. */
		{ .name = "dev/console", .mode = S_IFCHR | 0600, .rdev_major = 5, .rdev_minor = 1 },
		{ "bin/busybox", S_IFREG | 0755, in->busybox, in->busybox_len, 0, 0 },
		{ "init", S_IFREG | 0755, hull_script_init, sizeof(hull_script_init) - 1, 0, 0 },
		{ "hull/setup", S_IFREG | 0644, hull_script_setup, sizeof(hull_script_setup) - 1, 0,
		  0 },
		{ "hull/settings", S_IFREG | 0644, settings, strlen(settings), 0, 0 },
		{ "hull/key", S_IFREG | 0644, in->key, strlen(in->key), 0, 0 },
	};
	char path[HULL_INSTALL_PATH], login[256], *preinst = NULL;
	char names[ARRAY_LEN(files)][48];
	size_t n = 13;
	struct stat st;
	FILE *out;
	int fd, r = 0;

	hull_format(login, sizeof(login), "%s:%s\n", in->o.user, in->password);
	files[n++] =
		(struct hull_blob){ "hull/password", S_IFREG | 0600, login, strlen(login), 0, 0 };
	hull_install_path(in, "preinst", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !fstat(fd, &st) && (preinst = malloc((size_t)st.st_size + 1)) &&
	    read(fd, preinst, (size_t)st.st_size) == st.st_size)
		files[n++] = (struct hull_blob){
			"hull/preinst", S_IFREG | 0644, preinst, (size_t)st.st_size, 0, 0
		};
	if (fd >= 0)
		close(fd);
	for (size_t i = 0; i < in->nmodules && n < ARRAY_LEN(files); i++) {
		const struct hull_install_module *m = &in->modules[i];
		bool xz = m->len > 6 && !memcmp(m->data,
		                                "\375"
		                                "7zXZ",
		                                5);

		if (!m->data)
			continue;
		hull_format(names[n], sizeof(names[n]), "modules/%s.ko%s", m->name,
		            xz ? ".xz" : "");
		files[n] = (struct hull_blob){ names[n], S_IFREG | 0644, m->data, m->len, 0, 0 };
		n++;
	}
	hull_install_path(in, "first.cpio", path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600); /* it holds the password */
	out = fd < 0 ? NULL : fdopen(fd, "w");
	r = out ? hull_cpio_write(out, files, n, err)
	        : hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", path);
	if (out)
		fclose(out);
	free(preinst);
	return r;
}

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static int first_said(struct guest *g, const char *line, bool more, struct hull_err *err)
{
	struct hull_install *in = g->in;
	const char *mark = strstr(line, MARK);
	unsigned long long len;

	if (more)
		return 0;
	if (starts(line, "Setting up ")) {
		hull_phase_count(&in->progress, ++g->packages, in->npackages, "packages set up");
	} else if (mark) {
		mark += strlen(MARK);
		if (starts(mark, "failed ") && !g->failed[0])
			hull_format(g->failed, sizeof(g->failed), "%s", mark + 7);
		else if (!strcmp(mark, "phase configure"))
			hull_phase_begin(&in->progress, "configure");
		else if (sscanf(mark, "initrd %llu %64s", &len, g->initrd_hash) == 2)
			g->initrd_len = len;
		else if (starts(mark, "hostkey ssh-"))
			hull_format(in->host_key, sizeof(in->host_key), "%s", mark + 8);
		else if (!strcmp(mark, "done"))
			g->done = true;
	} else if (strstr(line, "Kernel panic - not syncing")) {
		return hull_fail(err, HULL_EFAULT, 611, "the guest's kernel panicked: %.150s",
		                 line);
	} else if (!g->packages) {
		hull_phase_seen(&in->progress, line);
	}
	return 0;
}

/* What the guest wrote to its second disk is the installed system's initial RAM disk. */
static int take_initrd(struct guest *g, struct hull_err *err)
{
	char from[HULL_INSTALL_PATH], to[HULL_INSTALL_PATH], text[HULL_SHA256_TEXT];
	uint8_t digest[HULL_SHA256_BYTES], *data;
	struct hull_sha256 s;
	int fd, r = 0;

	if (!g->initrd_len || g->initrd_len > INITRD_ROOM)
		return hull_fail(err, HULL_EFORMAT, 611, "the guest made no initial RAM disk");
	hull_install_path(g->in, "out.raw", from);
	hull_install_path(g->in, "initrd.img", to);
	data = malloc(g->initrd_len);
	fd = data ? open(from, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0 || read(fd, data, g->initrd_len) != (ssize_t)g->initrd_len)
		r = hull_fail(err, HULL_EIO, 610, "%.200s cannot be read", from);
	if (fd >= 0)
		close(fd);
	if (!r) {
		hull_sha256_init(&s);
		hull_sha256_add(&s, data, g->initrd_len);
		hull_sha256_end(&s, digest);
		hull_sha256_text(digest, text);
		if (strcmp(text, g->initrd_hash) != 0)
			r = hull_fail(err, HULL_EFORMAT, 611,
			              "the initial RAM disk did not arrive as the guest sent it");
	}
	if (!r)
		r = hull_install_write(g->in, "initrd.img", 0644, data, g->initrd_len, err);
	free(data);
	if (!r)
		unlink(from);
	return r;
}

static int make_out_disk(struct hull_install *in, struct hull_err *err)
{
	char path[HULL_INSTALL_PATH];
	int fd;

	hull_install_path(in, "out.raw", path);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, INITRD_ROOM)) {
		if (fd >= 0)
			close(fd);
		return hull_fail(err, HULL_EIO, 610, "%.200s cannot be made", path);
	}
	close(fd);
	return 0;
}

static int first_ended(struct guest *g, int status, struct hull_err *err)
{
	if (g->failed[0])
		return hull_fail(err, HULL_EFAULT, 611, "the first boot failed: %.180s", g->failed);
	if (!g->done)
		return hull_fail(err, HULL_EFAULT, 611,
		                 "the guest ended before it had finished (exit code %d)",
		                 WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	status = take_initrd(g, err);
	return status ? status : hull_install_write_ssh(g->in, err);
}

static void machine_words(const struct hull_install *in, char cpus[16], char memory[32])
{
	hull_format(cpus, 16, "%u", in->o.cpus);
	hull_format(memory, 32, "%llu", (unsigned long long)in->o.memory);
}

int hull_install_first_boot(struct hull_install *in, struct hull_err *err)
{
	char kernel[HULL_INSTALL_PATH], initrd[HULL_INSTALL_PATH], disk[HULL_INSTALL_PATH + 16];
	char out[HULL_INSTALL_PATH + 16], settings[512], cpus[16], memory[32];
	const char *argv[] = {
		"/proc/self/exe",
		"run",
		"--no-input",
		"--quiet",
		"--kernel",
		kernel,
		"--initrd",
		initrd,
		"--disk",
		disk,
		"--disk",
		out,
		"--cpus",
		cpus,
		"--memory",
		memory,
		"--append",
		"console=ttyS0 loglevel=4 panic=-1",
		"--exit-on",
		"panic",
		NULL,
	};
	struct guest g = { .in = in, .said = first_said };
	int r, status;

	hull_phase_begin(&in->progress, "first boot");
	if (!hull_install_can_run(in->o.isa)) {
		hull_fail(err, HULL_ENOTSUP, 613,
		          "this build of Hull cannot run %s guests yet, so the disk stays "
		          "unconfigured",
		          in->deb_arch);
		hull_err_fix(err, "--keep-on-failure keeps the unpacked disk");
		return HULL_ENOTSUP;
	}
	hull_format(settings, sizeof(settings),
	            "user='%s'\ntimezone='%s'\nlocale='%s'\narch='%s'\nkernel='%s'\n", in->o.user,
	            in->o.timezone, in->o.locale, in->deb_arch, strchr(in->kernel, '-') + 1);
	r = write_first_initrd(in, settings, err);
	if (!r)
		r = make_out_disk(in, err);
	hull_install_path(in, "vmlinuz", kernel);
	hull_install_path(in, "first.cpio", initrd);
	hull_format(disk, sizeof(disk), "%s/disk.raw,format=raw", in->work);
	hull_format(out, sizeof(out), "%s/out.raw,format=raw", in->work);
	machine_words(in, cpus, memory);
	if (!r)
		r = start(&g, argv, err);
	if (r)
		return r;
	r = listen(&g, err);
	status = hull_proc_end(&g.proc, r != HULL_EAGAIN);
	unlink(initrd);
	return r == HULL_EAGAIN ? first_ended(&g, status, err) : r;
}

/* The conversation of the second boot: what is waited for, what is answered. */
enum { AT_LOGIN, AT_PASSWORD, AT_SHELL, AT_STATE, AT_SUDO, AT_END };

static const char proof_command[] =
	"stty -echo; export PS1= LC_ALL=C; S=$(systemctl is-system-running --wait); "
	"F=$(systemctl list-units --failed --plain --no-legend | cut -d' ' -f1 | tr '\\n' ' '); "
	"echo; echo \"" MARK "state $S $(uname -m) $(systemctl is-active ssh) "
	"$(dpkg --audit | wc -l) $F\"";

/* "running riscv64 active 0 " */
static int judge(struct guest *g, struct hull_err *err)
{
	char state[32] = "", machine[32] = "", ssh[32] = "", failed[100] = "";
	unsigned audit = 1;

	sscanf(g->state, "%31s %31s %31s %u %99[^\n]", state, machine, ssh, &audit, failed);
	if (strcmp(state, "running") != 0)
		return hull_fail(err, HULL_EFAULT, 612, "the new system is %s, failed units: %s",
		                 state, failed[0] ? failed : "none");
	if (strcmp(ssh, "active") != 0)
		return hull_fail(err, HULL_EFAULT, 612, "its ssh server is %s", ssh);
	if (audit)
		return hull_fail(err, HULL_EFAULT, 612, "its packages are not all configured");
	return 0;
}

/*
 * The same by ssh, as its user will.  Without ssh here, or with a key that asks for a passphrase,
 * the console's word has to do.
 */
static int prove_ssh(struct guest *g, struct hull_err *err)
{
	struct hull_install *in = g->in;
	char hosts[HULL_INSTALL_PATH + 32], key[HULL_INSTALL_PATH], port[16], who[64],
		said[64] = "";
	const char *argv[] = { "ssh",
		               "-F",
		               "/dev/null",
		               "-p",
		               port,
		               "-i",
		               key,
		               "-o",
		               hosts,
		               "-o",
		               "GlobalKnownHostsFile=/dev/null",
		               "-o",
		               "StrictHostKeyChecking=yes",
		               "-o",
		               "BatchMode=yes",
		               "-o",
		               "ConnectTimeout=60",
		               who,
		               "uname -m",
		               NULL };
	struct hull_proc_spec spec = { .argv = argv, .log = in->log };
	struct hull_proc p;
	ssize_t n;
	int r, status;

	if (!in->port || !in->host_key[0] || !in->key_file[0] || !hull_proc_found("ssh"))
		return 0;
	hull_format(hosts, sizeof(hosts), "UserKnownHostsFile=\"%s/known_hosts\"", in->work);
	hull_format(port, sizeof(port), "%u", in->port);
	hull_format(who, sizeof(who), "%s@127.0.0.1", in->o.user);
	hull_format(key, sizeof(key), "%s", in->key_file);
	if (in->key_made)
		hull_install_path(in, "id_ed25519", key);
	r = hull_proc_start(&p, &spec, err);
	if (r)
		return r;
	n = hull_proc_read(&p, said, sizeof(said) - 1, in->cancel, SILENCE_MS);
	status = hull_proc_end(&p, n < 0);
	if (n == HULL_ESTATE)
		return hull_install_stopped(err);
	if (n > 0 && WIFEXITED(status) && !WEXITSTATUS(status)) {
		in->ssh_proved = true;
		return 0;
	}
	return in->key_made
	               ? hull_fail(err, HULL_EFAULT, 612, "the new machine lets nobody in by ssh")
	               : 0;
}

static int answer(struct guest *g, const char *text, struct hull_err *err)
{
	g->step++;
	if (say(g, text) || say(g, "\n"))
		return hull_fail(err, HULL_EIO, 612, "the guest's console takes no input");
	return 0;
}

static int proof_said(struct guest *g, const char *line, bool more, struct hull_err *err)
{
	struct hull_install *in = g->in;
	const char *mark = strstr(line, MARK "state ");
	size_t len = strlen(line);
	int r = 0;

	if (!more && strstr(line, "Kernel panic - not syncing"))
		return hull_fail(err, HULL_EFAULT, 612, "the guest's kernel panicked: %.150s",
		                 line);
	if (!more && g->step == AT_LOGIN)
		hull_phase_seen(&in->progress, line);
	if (more && g->step == AT_LOGIN && len > 7 && !strcmp(line + len - 7, "login: "))
		r = answer(g, in->o.user, err);
	else if (more && g->step == AT_PASSWORD && starts(line, "Password: "))
		r = answer(g, in->password, err);
	else if (strstr(line, "Login incorrect"))
		r = hull_fail(err, HULL_EFAULT, 612, "the new user cannot log in");
	else if (more && g->step == AT_SHELL && len > 2 && !strcmp(line + len - 2, "$ "))
		r = answer(g, proof_command, err);
	else if (!more && g->step == AT_STATE && mark && !strchr(mark, '$')) {
		hull_format(g->state, sizeof(g->state), "%s", mark + strlen(MARK "state "));
		hull_phase_seen(&in->progress, "logged in on the console");
		r = judge(g, err);
		if (!r)
			r = prove_ssh(g, err);
		if (!r)
			r = answer(g, "sudo -p sudo-password: poweroff", err);
	} else if (more && g->step == AT_SUDO && strstr(line, "sudo-password:")) {
		r = answer(g, in->password, err);
	}
	if (r)
		return r;
	/* What has been answered is not looked at again. */
	if (more && g->step &&
	    (strstr(line, "ogin: ") || strstr(line, "word: ") || strstr(line, "$ ")))
		g->at = 0;
	return 0;
}

int hull_install_prove(struct hull_install *in, struct hull_err *err)
{
	char toml[HULL_INSTALL_PATH];
	const char *argv[] = {
		"/proc/self/exe", "run", "--quiet", "--exit-on", "panic", toml, NULL
	};
	struct guest g = { .in = in, .said = proof_said };
	int r, status;

	if (!in->o.prove)
		return 0;
	hull_phase_begin(&in->progress, "prove");
	hull_install_path(in, "hull.toml", toml);
	r = start(&g, argv, err);
	if (r)
		return r;
	r = listen(&g, err);
	status = hull_proc_end(&g.proc, r != HULL_EAGAIN);
	if (r != HULL_EAGAIN)
		return r;
	if (g.step < AT_END || !WIFEXITED(status) || WEXITSTATUS(status))
		return hull_fail(err, HULL_EFAULT, 612,
		                 "the guest ended before it was asked to (exit code %d)",
		                 WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	hull_phase_seen(&in->progress, in->ssh_proved ? "logged in on the console and by ssh"
	                                              : "logged in on the console");
	return 0;
}
