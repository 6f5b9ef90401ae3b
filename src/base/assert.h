/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * HULL_ASSERT: for our own mistakes only.  Never reachable from guest, file
 * or network input; on in every build except benchmarks (HULL_NO_ASSERT).
 */
#ifndef HULL_BASE_ASSERT_H
#define HULL_BASE_ASSERT_H

/* Provided by whatever is below the core: the hosted one prints and aborts. */
_Noreturn void hull_assert_failed(const char *expr, const char *file, int line);

#ifdef HULL_NO_ASSERT
#define HULL_ASSERT(e) ((void)sizeof(!(e)))
#else
#define HULL_ASSERT(e) ((e) ? (void)0 : hull_assert_failed(#e, __FILE__, __LINE__))
#endif

#endif
