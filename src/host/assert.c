/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Where HULL_ASSERT ends in a process. */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

void hull_assert_failed(const char *expr, const char *file, int line)
{
	fprintf(stderr, "hull: internal error: %s:%d: %s\n", file, line, expr);
	abort();
}
