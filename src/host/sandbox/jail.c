/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/sandbox/jail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/bits.h"
#include "base/text.h"
#include "host/os/os.h"
#include "host/sandbox/names.h"
#include "host/sandbox/roles.h"

enum { RULESETS_OFF = -1, PATH_BYTES = 4096 };

/* A network namespace takes 0.3 ms to make: a thread does it while the machine is opened. */
struct netns {
	pthread_t thread;
	bool started;
	int fd; /* of the namespace, or -1 */
};

/* Process-wide, as what it describes. */
static struct {
	enum hull_jail_level level;
	int wake;
	int paths, nothing; /* Landlock rulesets */
	int version;        /* of Landlock */
	uint32_t running;   /* atomic: roles that have begun, bits of their number */
	unsigned needs;     /* enum hull_jail_need */
	unsigned npaths, nclosed;
	unsigned namespaces; /* CLONE_NEW... */
	uint64_t caps;       /* what the process began with */
	struct netns net;
} jail = { .wake = -1, .paths = RULESETS_OFF, .nothing = RULESETS_OFF };

/* The first violation; written by a signal handler. */
static struct {
	uint32_t state; /* atomic */
	unsigned call;
	uint64_t argument[3];
	const struct hull_jail_role *role;
	int error; /* a thread could not be confined */
} violation;

enum { NONE, WRITING, WRITTEN };
enum { BY_SECCOMP = 1 }; /* SYS_SECCOMP of <asm-generic/siginfo.h>, which glibc does not have */

static _Thread_local const struct hull_jail_role *mine;

static bool begin_violation(void)
{
	uint32_t none = NONE;

	return hull_cas_seqcst(&violation.state, &none, WRITING);
}

static void end_violation(void)
{
	uint64_t one = 1;

	hull_store_release(&violation.state, WRITTEN); /* pairs with hull_jail_violation() */
	if (write(jail.wake, &one, sizeof(one)) < 0) {
		/* The counter is full: the reader is awake. */
	}
}

/* The call fails, and the main thread learns of it. */
static void on_trap(int sig, siginfo_t *info, void *context)
{
	int saved = errno;

	if (info->si_code != BY_SECCOMP) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	if (begin_violation()) {
		violation.call = (unsigned)info->si_syscall;
		violation.role = mine;
		end_violation();
	}
	hull_os_refuse_call(context, EPERM);
	errno = saved;
}

/* A thread that was started by a confined one is as confined. */
static bool is_confined(void)
{
	return jail.level == HULL_JAIL_STRICT ? prctl(PR_GET_SECCOMP) == SECCOMP_MODE_FILTER
	                                      : prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static int set_filter(const struct hull_jail_role *role)
{
	struct sock_filter program[HULL_JAIL_PROGRAM];
	struct hull_jail_rules parts[HULL_JAIL_PARTS];
	unsigned nparts = hull_jail_role_parts(role, parts);
	struct hull_jail_place here = { hull_os_audit_arch(), (uint32_t)getpid(), jail.needs };
	struct sock_fprog f = { .filter = program };

	f.len = (unsigned short)hull_jail_compile(parts, nparts, &here, program, HULL_JAIL_PROGRAM);
	if (!f.len)
		return EINVAL;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &f) ? errno : 0;
}

static uint64_t get_caps(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (syscall(SYS_capget, &head, data))
		return 0;
	return (uint64_t)data[1].permitted << 32 | data[0].permitted;
}

static int set_caps(uint64_t caps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)caps, .permitted = (uint32_t)caps },
		{ .effective = (uint32_t)(caps >> 32), .permitted = (uint32_t)(caps >> 32) },
	};

	return syscall(SYS_capset, &head, data) ? errno : 0;
}

/* What both levels take from a thread; an errno value. */
static int give_up(const struct hull_jail_role *role)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	if (jail.caps && set_caps(jail.caps & role->keep))
		return errno;
	/* Of its own, since threads share it; the mode that a guest asks for is what its file gets.
	 */
	if (role->modes && jail.level == HULL_JAIL_STRICT && !unshare(CLONE_FS))
		umask(0);
	if (hull_landlock_enter(role->paths ? jail.paths : jail.nothing))
		return errno;
	return 0;
}

static void begin_role(const struct hull_jail_role *role)
{
	mine = role;
	if (role >= hull_jail_roles && role < hull_jail_roles + hull_jail_role_count)
		hull_or_seqcst(&jail.running, 1u << (role - hull_jail_roles));
}

void hull_jail_thread(const char *name)
{
	const struct hull_jail_role *role = hull_jail_role_of(name);
	int error;

	begin_role(role);
	if (jail.level == HULL_JAIL_OFF || is_confined())
		return;
	error = give_up(role);
	if (!error && jail.level == HULL_JAIL_STRICT)
		error = set_filter(role);
	if (error && begin_violation()) {
		violation.role = role;
		violation.error = error;
		end_violation();
	}
}

enum hull_jail_level hull_jail_possible(const char **why)
{
	uint32_t trap = SECCOMP_RET_TRAP;

	*why = NULL;
	if (!hull_landlock_version()) {
		*why = "Landlock (Linux 5.13)";
		return HULL_JAIL_OFF;
	}
	if (!hull_os_audit_arch() || syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &trap)) {
		*why = "seccomp filters (Linux 4.14)";
		return HULL_JAIL_BASIC;
	}
	return HULL_JAIL_STRICT;
}

static int cannot(struct hull_err *err, const char *what, int error)
{
	char reason[64];

	hull_fail(err, HULL_ENOTSUP, 1402, "the process cannot be confined: %s: %s", what,
	          hull_os_reason(error, reason, sizeof(reason)));
	hull_err_fix(err, "--jail basic or --jail off does without");
	return HULL_ENOTSUP;
}

static void catch_traps(void)
{
	struct sigaction sa = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&sa.sa_mask);
	sigaction(SIGSYS, &sa, NULL);
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* A user namespace with the user's own numbers; false: perhaps in one without. */
static bool become_user(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	char map[32];

	hull_format(map, sizeof(map), "%u %u 1", uid, uid);
	if (unshare(CLONE_NEWUSER) || !write_text("/proc/self/setgroups", "deny") ||
	    !write_text("/proc/self/uid_map", map))
		return false;
	hull_format(map, sizeof(map), "%u %u 1", gid, gid);
	return write_text("/proc/self/gid_map", map);
}

/*
 * Some hosts let a plain user's namespace be made and the numbers not be written, and there is no
 * way back: a child tries first.
 */
static bool child_can(bool (*what)(void))
{
	int status = 1;
	pid_t child = fork();

	if (!child)
		_exit(!what());
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	return child > 0 && !status;
}

static bool separate(void)
{
	return !unshare(CLONE_NEWUTS) || become_user();
}

bool hull_jail_can_separate(void)
{
	return child_can(separate);
}

static void *make_netns(void *arg)
{
	struct netns *n = arg;

	if (!unshare(CLONE_NEWNET))
		n->fd = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return NULL;
}

/* No matter if one is refused: the lists of calls and Landlock hold without. */
static void make_namespaces(bool local)
{
	static const int kinds[] = { CLONE_NEWIPC, CLONE_NEWUTS, CLONE_NEWCGROUP };

	jail.net.fd = -1;
	if (unshare(CLONE_NEWUTS) && child_can(become_user) && become_user())
		jail.namespaces |= CLONE_NEWUSER;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (!unshare(kinds[i]))
			jail.namespaces |= (unsigned)kinds[i];
	if (local && jail.namespaces)
		jail.net.started = !pthread_create(&jail.net.thread, NULL, make_netns, &jail.net);
}

static void join_netns(void)
{
	if (!jail.net.started)
		return;
	jail.net.started = false;
	pthread_join(jail.net.thread, NULL);
	if (jail.net.fd < 0)
		return;
	if (!setns(jail.net.fd, CLONE_NEWNET))
		jail.namespaces |= CLONE_NEWNET;
	close(jail.net.fd);
}

int hull_jail_begin(const struct hull_jail_options *o, struct hull_err *err)
{
	jail.needs = o->needs;
	jail.level = o->level;
	jail.wake = o->wake;
	begin_role(hull_jail_control);
	if (jail.level == HULL_JAIL_OFF)
		return 0;
	if (jail.level == HULL_JAIL_STRICT)
		make_namespaces(o->local);
	jail.caps = get_caps();
	jail.version = hull_landlock_version();
	jail.paths = hull_landlock_new(true);
	jail.nothing = hull_landlock_new(false);
	if (jail.paths < 0 || jail.nothing < 0)
		return cannot(err, "Landlock", errno);
	if (hull_jail_sanitized && hull_landlock_allow(jail.paths, "/proc", HULL_LANDLOCK_READ))
		return cannot(err, "/proc", errno);
	if (jail.level == HULL_JAIL_STRICT)
		catch_traps();
	hull_os_thread_hook(hull_jail_thread);
	return 0;
}

void hull_jail_require(unsigned needs)
{
	int ruleset;

	if ((jail.needs & needs) == needs)
		return;
	jail.needs |= needs;
	if (jail.level == HULL_JAIL_OFF || !(needs & HULL_JAIL_REMOTE))
		return;
	ruleset = hull_landlock_new(true); /* without paths as before, with connections */
	if (ruleset < 0)
		return;
	close(jail.nothing);
	jail.nothing = ruleset;
}

void hull_jail_forgo(unsigned needs)
{
	jail.needs &= ~needs;
}

int hull_jail_allow(const char *path, enum hull_landlock_use use, struct hull_err *err)
{
	int r;

	if (jail.level == HULL_JAIL_OFF)
		return 0;
	r = hull_landlock_allow(jail.paths, path, use);
	jail.npaths += !r;
	return r ? hull_fail(err, r, 1402, "%.200s cannot be opened to the confined process", path)
	         : 0;
}

int hull_jail_allow_folder(const char *file, enum hull_landlock_use use, struct hull_err *err)
{
	const char *slash = strrchr(file, '/');
	char folder[PATH_BYTES];

	if (!slash)
		return hull_jail_allow(".", use, err);
	hull_format(folder, sizeof(folder), "%.*s", (int)(slash - file) + 1, file);
	return hull_jail_allow(folder, use, err);
}

/*
 * What was inherited and nobody asked for.  Hull opens everything close-on-exec, so that the others
 * are not its own.
 */
static void close_inherited(void)
{
	DIR *d = opendir("/proc/self/fd");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		uint64_t number;
		int fd, flags;

		if (!hull_parse_u64(e->d_name, &number) || number > INT_MAX)
			continue;
		fd = (int)number;
		if (fd <= STDERR_FILENO || fd == dirfd(d))
			continue;
		flags = fcntl(fd, F_GETFD);
		if (flags >= 0 && !(flags & FD_CLOEXEC))
			jail.nclosed += !close(fd);
	}
	if (d)
		closedir(d);
}

/* No memory of the guest is written to disk, and no limit can be raised again. */
static void limit(void)
{
	struct rlimit files, none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	if (!getrlimit(RLIMIT_NOFILE, &files)) {
		files.rlim_max = files.rlim_cur;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

int hull_jail_enter(struct hull_err *err)
{
	int error;

	if (jail.level == HULL_JAIL_OFF)
		return 0;
	close_inherited();
	limit();
	join_netns();
	error = give_up(hull_jail_control);
	return error ? cannot(err, "its rights cannot be given up", error) : 0;
}

int hull_jail_settle(struct hull_err *err)
{
	int error;

	/* The leak checker runs there at the end, with ptrace() and all. */
	if (jail.level != HULL_JAIL_STRICT || hull_jail_sanitized)
		return 0;
	error = set_filter(hull_jail_control);
	return error ? cannot(err, "the list of its system calls is refused", error) : 0;
}

bool hull_jail_is_on(void)
{
	return jail.level != HULL_JAIL_OFF;
}

bool hull_jail_violation(struct hull_err *err)
{
	const char *name;

	if (hull_load_acquire(&violation.state) != WRITTEN)
		return false;
	if (violation.error) {
		cannot(err, violation.role->name, violation.error);
		return true;
	}
	name = hull_syscall_name(violation.call);
	hull_fail(err, HULL_EPERM, 1401,
	          "a %s thread made the system call %s (%u), which it may not",
	          violation.role ? violation.role->name : "unknown", *name ? name : "?",
	          violation.call);
	hull_err_fix(err,
	             "do not trust this guest; if it is yours, report this, and use --jail basic");
	return true;
}

static void add(char *dst, size_t size, const char *format, ...)
{
	size_t used = strlen(dst);
	va_list args;

	va_start(args, format);
	hull_vformat(dst + used, size - used, format, args);
	va_end(args);
}

void hull_jail_describe(char *dst, size_t size)
{
	static const char *const levels[] = { "off", "basic", "strict" };

	hull_format(dst, size, "jail %s", levels[jail.level]);
	if (jail.level == HULL_JAIL_OFF)
		return;
	add(dst, size,
	    ": no new privileges, no capabilities, Landlock %d with %u paths, "
	    "%u inherited descriptors closed",
	    jail.version, jail.npaths, jail.nclosed);
	if (jail.level != HULL_JAIL_STRICT)
		return;
	if (!jail.namespaces)
		add(dst, size, ", no namespaces (the host refuses them)");
	else
		add(dst, size, ", own namespaces:%s%s%s%s%s",
		    jail.namespaces & CLONE_NEWUSER ? " user" : "",
		    jail.namespaces & CLONE_NEWIPC ? " ipc" : "",
		    jail.namespaces & CLONE_NEWUTS ? " uts" : "",
		    jail.namespaces & CLONE_NEWCGROUP ? " cgroup" : "",
		    jail.namespaces & CLONE_NEWNET ? " net" : "");
	add(dst, size, "; system calls:");
	for (unsigned i = 0; i < hull_jail_role_count; i++)
		if (hull_load_relaxed(&jail.running) & 1u << i)
			add(dst, size, " %s %u", hull_jail_roles[i].name,
			    hull_jail_role_calls(&hull_jail_roles[i], jail.needs));
}
