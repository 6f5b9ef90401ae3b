/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What seccomp knows of the host's architecture. */
#include "host/os/os.h"

#include <linux/audit.h>
#include <ucontext.h>

uint32_t hull_os_audit_arch(void)
{
#if defined(__x86_64__)
	return AUDIT_ARCH_X86_64;
#elif defined(__aarch64__)
	return AUDIT_ARCH_AARCH64;
#elif defined(__riscv) && __riscv_xlen == 64
	return AUDIT_ARCH_RISCV64;
#else
	return 0;
#endif
}

/* The kernel leaves the registers as they were at the call: the result is for us to set. */
void hull_os_refuse_call(void *context, int error)
{
	mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;

#if defined(__x86_64__)
	m->gregs[REG_RAX] = -error;
#elif defined(__aarch64__)
	m->regs[0] = (unsigned long long)-(long long)error;
#elif defined(__riscv) && __riscv_xlen == 64
	m->__gregs[REG_A0] = (unsigned long)-(long)error;
#else
	(void)m;
	(void)error;
#endif
}
