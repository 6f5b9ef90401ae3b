/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The sandbox's lists of system calls: programs for seccomp, run by an interpreter here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <sys/syscall.h>
#include <cmocka.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <termios.h>

#include "base/bits.h"
#include "host/sandbox/filter.h"
#include "host/sandbox/names.h"
#include "host/sandbox/roles.h"

enum { ARCH = 0x1234, PID = 4711, CALLS = 1024, EVERYTHING = HULL_JAIL_EVERYTHING };

static const struct hull_jail_place here = { ARCH, PID, EVERYTHING };

struct program {
	struct sock_filter code[HULL_JAIL_PROGRAM];
	unsigned n;
};

/* The instructions of classic BPF that seccomp programs of ours consist of; anything else fails. */
static uint32_t run(const struct program *p, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (unsigned pc = 0; pc < p->n; pc++) {
		const struct sock_filter *f = &p->code[pc];

		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_in_range(f->k, 0, sizeof(*data) - 4);
			assert_int_equal(f->k % 4, 0);
			memcpy(&a, (const uint8_t *)data + f->k, 4);
			break;
		case BPF_ALU | BPF_AND | BPF_K: a &= f->k; break;
		case BPF_JMP | BPF_JEQ | BPF_K: pc += a == f->k ? f->jt : f->jf; break;
		case BPF_RET | BPF_K: return f->k;
		default: fail_msg("instruction %u: code %x", pc, f->code);
		}
	}
	fail_msg("the program has no end");
	return 0;
}

static uint32_t ask(const struct program *p, int call, uint64_t a0, uint64_t a1, uint64_t a2,
                    uint64_t a3)
{
	struct seccomp_data d = { .nr = call, .arch = ARCH, .args = { a0, a1, a2, a3 } };

	return run(p, &d);
}

static void compile(struct program *p, const struct hull_jail_rules *parts, unsigned n)
{
	p->n = hull_jail_compile(parts, n, &here, p->code, HULL_JAIL_PROGRAM);
	assert_true(p->n > 0);
}

static void compile_role(struct program *p, const char *thread)
{
	struct hull_jail_rules parts[HULL_JAIL_PARTS];

	compile(p, parts, hull_jail_role_parts(hull_jail_role_of(thread), parts));
}

static void conditions(void **state)
{
	static const struct hull_jail_rule first[] = {
		{ .call = 7 },
		{ .call = 9, .conditions = { { 1, UINT32_MAX, 5 } } },
	};
	static const struct hull_jail_rule second[] = {
		{ .call = 8, .error = ENOSYS },
		{ .call = 9, .conditions = { { 0, 6, 2 }, { 2, UINT32_MAX, 0, true } } },
	};
	static const struct hull_jail_rules parts[] = { { first, 2 }, { second, 2 } };
	struct seccomp_data other = { .nr = 7, .arch = ARCH + 1 };
	struct program p;

	compile(&p, parts, 2);
	assert_int_equal(hull_jail_count(parts, 2, 0), 2);
	assert_int_equal(ask(&p, 7, 1, 2, 3, 4), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, 8, 0, 0, 0, 0), SECCOMP_RET_ERRNO | ENOSYS);
	assert_int_equal(ask(&p, 9, 0, 5, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, 9, 0, 6, 0, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&p, 9, 3, 6, PID, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(ask(&p, 9, 7, 6, PID, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&p, 9, 3, 6, PID + 1, 0), SECCOMP_RET_TRAP);
	assert_int_equal(run(&p, &other), SECCOMP_RET_TRAP);
}

static void malformed(void **state)
{
	static const struct hull_jail_rule bad[] = {
		{ .call = 7, .conditions = { { 6, 1, 1 } } },
		{ .call = 7, .conditions = { { 0, 1, 2 } } },
	};
	static const struct hull_jail_rule good[] = { { .call = 7 }, { .call = 8 } };
	struct hull_jail_rules part = { good, 2 };
	struct program p;
	unsigned n;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct hull_jail_rules one = { &bad[i], 1 };

		assert_int_equal(hull_jail_compile(&one, 1, &here, p.code, HULL_JAIL_PROGRAM), 0);
	}
	n = hull_jail_compile(&part, 1, &here, p.code, HULL_JAIL_PROGRAM);
	assert_true(n > 0);
	for (unsigned room = 0; room < n; room++)
		assert_int_equal(hull_jail_compile(&part, 1, &here, p.code, room), 0);
}

static bool is_listed(const struct hull_jail_rules *parts, unsigned n, unsigned call)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < parts[i].n; k++)
			if (parts[i].rules[k].call == call)
				return true;
	return false;
}

/* Arguments that fulfil a rule. */
static uint32_t ask_rule(const struct program *p, const struct hull_jail_rule *r)
{
	struct seccomp_data d = { .nr = r->call, .arch = ARCH };

	for (unsigned i = 0; i < HULL_JAIL_CONDITIONS; i++)
		d.args[r->conditions[i].arg] |= r->conditions[i].own ? PID : r->conditions[i].value;
	return run(p, &d);
}

/* Each role's program allows its list and nothing else. */
static void roles(void **state)
{
	for (unsigned i = 0; i < hull_jail_role_count; i++) {
		const struct hull_jail_role *role = &hull_jail_roles[i];
		struct hull_jail_rules parts[HULL_JAIL_PARTS];
		unsigned n = hull_jail_role_parts(role, parts);
		struct program p;

		compile(&p, parts, n);
		for (unsigned call = 0; call < CALLS; call++)
			if (!is_listed(parts, n, call))
				assert_int_equal(ask(&p, (int)call, 0, 0, 0, 0), SECCOMP_RET_TRAP);
		for (unsigned k = 0; k < n; k++)
			for (unsigned j = 0; j < parts[k].n; j++)
				assert_int_not_equal(ask_rule(&p, &parts[k].rules[j]),
				                     SECCOMP_RET_TRAP);
		print_message("%-8s %2u calls, %3u instructions\n", role->name,
		              hull_jail_role_calls(role, EVERYTHING), p.n);
	}
}

/*
 * How long a list may be, for a VM with everything: 20 for a vCPU, 40 for the main thread, 25 for
 * the others but those with a reason (docs/security.md).
 */
static void lengths(void **state)
{
	static const struct {
		const char *role;
		unsigned needs, most;
	} rows[] = {
		{ "control", EVERYTHING, 40 },
		{ "vcpu", EVERYTHING, 20 },
		{ "disk", EVERYTHING & ~HULL_JAIL_REMOTE, 25 },
		{ "disk", EVERYTHING, 36 },                      /* makes connections */
		{ "share", EVERYTHING & ~HULL_JAIL_CHANGE, 25 }, /* read-only */
		{ "share", EVERYTHING, 38 },                     /* a file server */
		{ "net", EVERYTHING, 29 },                       /* libslirp */
		{ "whole", EVERYTHING, 58 },                     /* all of these in one thread */
	};

	for (unsigned i = 0; i < hull_jail_role_count; i++) {
		const struct hull_jail_role *role = &hull_jail_roles[i];
		bool named = false;

		for (size_t k = 0; k < ARRAY_LEN(rows); k++) {
			if (strcmp(rows[k].role, role->name))
				continue;
			named = true;
			assert_in_range(hull_jail_role_calls(role, rows[k].needs), 5, rows[k].most);
		}
		if (!named)
			assert_in_range(hull_jail_role_calls(role, EVERYTHING), 5, 25);
	}
}

/* What nobody may ever do, in no role. */
static void forbidden(void **state)
{
	static const int never[] = { __NR_execve,
		                     __NR_execveat,
		                     __NR_ptrace,
		                     __NR_mount,
		                     __NR_bpf,
		                     __NR_setns,
		                     __NR_reboot,
		                     __NR_init_module,
		                     __NR_process_vm_readv,
		                     __NR_process_vm_writev,
		                     __NR_io_uring_setup,
		                     __NR_io_uring_register,
		                     __NR_memfd_create,
		                     __NR_seccomp,
		                     __NR_keyctl,
		                     __NR_pidfd_getfd,
		                     __NR_userfaultfd,
		                     __NR_perf_event_open };

	for (unsigned i = 0; i < hull_jail_role_count; i++) {
		const struct hull_jail_role *role = &hull_jail_roles[i];
		struct program p;

		compile_role(&p, role->thread ? role->thread : "");
		for (size_t k = 0; k < ARRAY_LEN(never); k++)
			assert_int_equal(ask(&p, never[k], 0, 0, 0, 0), SECCOMP_RET_TRAP);
		assert_int_not_equal(ask(&p, __NR_clone3, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
		assert_int_equal(ask(&p, __NR_clone, SIGCHLD, 0, 0, 0), SECCOMP_RET_TRAP);
		assert_int_equal(ask(&p, __NR_mprotect, 0, 4096, PROT_READ | PROT_EXEC, 0),
		                 SECCOMP_RET_TRAP);
		assert_int_equal(ask(&p, __NR_mmap, 0, 4096, PROT_WRITE | PROT_EXEC,
		                     MAP_PRIVATE | MAP_ANONYMOUS),
		                 SECCOMP_RET_TRAP);
		assert_int_equal(ask(&p, __NR_ioctl, 0, TIOCSTI, 0, 0), SECCOMP_RET_TRAP);
		assert_int_equal(ask(&p, __NR_socket, AF_PACKET, SOCK_RAW, 0, 0), SECCOMP_RET_TRAP);
		if (!hull_jail_sanitized)
			assert_int_equal(ask(&p, __NR_tgkill, PID + 1, PID + 1, 9, 0),
			                 SECCOMP_RET_TRAP);
	}
}

static void vcpus(void **state)
{
	struct program p;

	compile_role(&p, "hull-vcpu12");
	assert_string_equal(hull_jail_role_of("hull-vcpu12")->name, "vcpu");
	assert_string_equal(hull_jail_role_of("hull-vcpux")->name, "unknown");
	assert_string_equal(hull_jail_role_of("hull")->name, "unknown");
	assert_int_equal(ask(&p, __NR_tgkill, PID, 1, 2, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(
		ask(&p, __NR_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS),
		SECCOMP_RET_ALLOW);
	if (hull_jail_sanitized)
		return;
	assert_int_equal(ask(&p, __NR_openat, 0, 0, 0, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&p, __NR_socket, AF_UNIX, SOCK_STREAM, 0, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&p, __NR_connect, 0, 0, 0, 0), SECCOMP_RET_TRAP);
}

static void names(void **state)
{
	assert_string_equal(hull_syscall_name(__NR_read), "read");
	assert_string_equal(hull_syscall_name(__NR_openat), "openat");
	assert_string_equal(hull_syscall_name(__NR_futex), "futex");
	assert_string_equal(hull_syscall_name(hull_syscall_count), "");
	assert_string_equal(hull_syscall_name(UINT32_MAX), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conditions), cmocka_unit_test(malformed), cmocka_unit_test(roles),
		cmocka_unit_test(forbidden),  cmocka_unit_test(vcpus),     cmocka_unit_test(names),
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
