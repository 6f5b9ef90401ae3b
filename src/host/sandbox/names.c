/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/sandbox/names.h"

const char *hull_syscall_name(unsigned number)
{
	const char *p = hull_syscall_names;

	if (number >= hull_syscall_count)
		return "";
	while (number--)
		while (*p++) {
		}
	return p;
}
