/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Names of the host's system calls; the table is written by tools/syscalls.py. */
#ifndef HULL_HOST_SANDBOX_NAMES_H
#define HULL_HOST_SANDBOX_NAMES_H

extern const char hull_syscall_names[]; /* one behind the other, in the order of the numbers */
extern const unsigned hull_syscall_count;

/* The name of call `number`; "" if it has none.  Any thread, signal handlers too. */
const char *hull_syscall_name(unsigned number);

#endif
