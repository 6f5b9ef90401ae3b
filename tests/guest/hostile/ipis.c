/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* cpus: 2.  Interrupts to every CPU number there is and is not, CPUs started that are not there. */
#include "micro.h"

static void nothing(void)
{
}

void test(void)
{
	bool none = true;

	plan(3);
	for (unsigned i = 2; i < 4096; i++)
		if (i & 0xff) /* 256 names CPU 0 once more where numbers are bytes */
			arch_ipi(i);
	ok(true, "interrupts to CPUs that are not there");
	for (unsigned i = 2; i < CPUS_MAX; i++)
		none = none && !arch_start(i, nothing);
	ok(none, "CPUs that are not there do not start");
	ok(arch_start(1, nothing), "the one that is there does");
}
