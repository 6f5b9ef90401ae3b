/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Names of generated code for the host's profiler (Linux perf).
 *
 * Map: /tmp/perf-PID.map, a line "START SIZE NAME" in hex for each piece of code; simple, but
 * without the code, and wrong where one piece took the place of another.
 * Dump: DIR/jit-PID.dump, version 1 of perf's jitdump format, with bytes and times; `perf record -k
 * mono`, then `perf inject --jit`.
 * Both are described in the Linux sources, tools/perf/Documentation: jit-interface.txt and
 * jitdump-specification.txt.
 *
 * Threading: jit_perf_add() from any thread.
 */
#ifndef HULL_ENGINE_JIT_PERF_H
#define HULL_ENGINE_JIT_PERF_H

#include <hull/config.h>

struct jit_perf;

/*
 * Begin a file; `dir` is for the dump, empty: /tmp.  HULL_PERF_NONE gives NULL.  One map and one
 * dump per process and directory: HULL_EIO if the file cannot be made (E1101), HULL_ENOTSUP (E1301)
 * where there is no perf, HULL_ENOMEM.
 */
int jit_perf_open(enum hull_engine_perf kind, const char *dir, struct jit_perf **ret,
                  struct hull_err *err) HULL_CHECK_RESULT;

/*
 * There is new code of `size` bytes at rx, or other code than before.  Control characters of the
 * name become '?'.  If the file cannot be written, it ends there.  NULL is fine.
 */
void jit_perf_add(struct jit_perf *p, const void *rx, size_t size, const char *name);

/* The file stays.  NULL is fine. */
void jit_perf_close(struct jit_perf *p);

#endif
