/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/os/os.h"

/* The same numbers on all architectures (Linux 5.13). */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446 };
enum { ASK_VERSION = 1, RULE_BENEATH = 1 };

/* LANDLOCK_ACCESS_FS_..., and the version that brought the last of them */
enum {
	EXECUTE = 1 << 0,
	WRITE_FILE = 1 << 1,
	READ_FILE = 1 << 2,
	READ_DIR = 1 << 3,
	REMOVE_DIR = 1 << 4,
	REMOVE_FILE = 1 << 5,
	MAKE_CHAR = 1 << 6,
	MAKE_SOCK = 1 << 9,
	MAKE_BLOCK = 1 << 11,
	REFER = 1 << 13,     /* 2 */
	TRUNCATE = 1 << 14,  /* 3 */
	IOCTL_DEV = 1 << 15, /* 5 */
};

#define BASE (REFER - 1)

/* struct landlock_ruleset_attr up to version 4, landlock_path_beneath_attr */
struct ruleset_attr {
	uint64_t fs, net;
};

struct beneath_attr {
	uint64_t allowed;
	int32_t parent;
} __attribute__((packed));

enum { BIND_TCP = 1, CONNECT_TCP = 2, NET_VERSION = 4 };

static uint64_t known(int version)
{
	uint64_t all = BASE;

	if (version >= 2)
		all |= REFER;
	if (version >= 3)
		all |= TRUNCATE;
	if (version >= 5)
		all |= IOCTL_DEV;
	return all;
}

int hull_landlock_version(void)
{
	long version = syscall(CREATE_RULESET, NULL, 0, ASK_VERSION);

	return version > 0 ? (int)version : 0;
}

int hull_landlock_new(bool tcp)
{
	int version = hull_landlock_version();
	struct ruleset_attr a = { .fs = known(version), .net = tcp ? 0 : BIND_TCP | CONNECT_TCP };
	size_t size = version >= NET_VERSION ? sizeof(a) : sizeof(a.fs);
	long fd = version ? syscall(CREATE_RULESET, &a, size, 0) : -1;

	return fd < 0 ? HULL_ENOTSUP : (int)fd;
}

static uint64_t rights(enum hull_landlock_use use)
{
	switch (use) {
	case HULL_LANDLOCK_READ: return READ_FILE | READ_DIR;
	case HULL_LANDLOCK_SOCKET: return REMOVE_FILE | MAKE_SOCK;
	case HULL_LANDLOCK_CHANGE:
	default:
		return known(hull_landlock_version()) &
		       ~(uint64_t)(EXECUTE | MAKE_CHAR | MAKE_BLOCK | IOCTL_DEV);
	}
}

int hull_landlock_allow(int ruleset, const char *path, enum hull_landlock_use use)
{
	struct beneath_attr rule = { .allowed = rights(use) };
	struct stat st;
	int r = 0;

	rule.parent = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent < 0)
		return hull_os_error(errno);
	/* A file has no names below it. */
	if (!fstat(rule.parent, &st) && !S_ISDIR(st.st_mode))
		rule.allowed &=
			READ_FILE | WRITE_FILE | (known(hull_landlock_version()) & TRUNCATE);
	if (syscall(ADD_RULE, ruleset, RULE_BENEATH, &rule, 0))
		r = hull_os_error(errno);
	close(rule.parent);
	return r;
}

int hull_landlock_enter(int ruleset)
{
	return syscall(RESTRICT_SELF, ruleset, 0) ? hull_os_error(errno) : 0;
}
