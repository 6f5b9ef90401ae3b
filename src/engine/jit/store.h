/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Generated code that is kept from one run to the next.
 *
 * A directory has a file for each kind of code: build of this program, host features, guest
 * architecture, one or several guest CPUs (struct jit_store_key).  A file is read as a whole when
 * it is opened, and replaced as a whole when it is saved; what it holds is found by the bytes of
 * the guest's code, so it serves wherever the same code is at the same offset of a page.
 *
 * Trust (docs/security.md).  The host executes what the file holds.  The directory and the file
 * must belong to the user and nobody else may be able to write them; else the file is ignored.
 * Checksums find damage, not malice: a unit's is compared each time before it is used.
 *
 * A file that is ignored is no error: jit_store_note() says why.
 *
 * Threading: jit_store_find() and jit_store_next() from any thread; everything else from one
 * thread, while no other is in any of these functions.
 */
#ifndef HULL_ENGINE_JIT_STORE_H
#define HULL_ENGINE_JIT_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <hull/error.h>

#include "engine/jit/unit.h"

struct jit_store;

enum { JIT_STORE_FIRST = 8 }; /* bytes of guest code by which units are found */

/* What generated code depends on besides the guest's code. */
struct jit_store_key {
	const char *guest; /* architecture and configuration, at most 23 characters */
	uint32_t features; /* host_features() */
	bool smp;          /* as told to jit_gen_new() */
};

struct jit_store_stats {
	uint64_t units, bytes; /* in the file that was opened */
	uint64_t taken;        /* of these units, in this run */
	uint64_t damaged;      /* of those that were looked at */
	uint64_t added;        /* since then, not saved */
};

/*
 * Open the store of `key` in the directory `dir`, which is made (mode 0700) if its parent exists.
 * A file that is not there, not safe or damaged gives an empty store.  HULL_EIO (E1104): there is
 * no such directory and it cannot be made; HULL_ENOTSUP (E1301): this host or build cannot keep
 * code; HULL_ENOMEM.
 */
int jit_store_open(const char *dir, const struct jit_store_key *key, struct jit_store **ret,
                   struct hull_err *err) HULL_CHECK_RESULT;
/* Nothing is saved.  NULL is fine. */
void jit_store_close(struct jit_store *s);

/* Why a file was ignored; NULL: it was not. */
const char *jit_store_note(const struct jit_store *s);

/* A search: the units whose entry has this offset and begins with these bytes. */
struct jit_store_search {
	uint8_t first[JIT_STORE_FIRST];
	uint16_t offset;
	uint8_t length; /* the rest is the search's own */
	uint32_t at, end, key;
	uint32_t entry;
};

/*
 * Begin to search: `first` are the `avail` (at most JIT_STORE_FIRST) bytes of guest code at
 * `offset` in a page, up to its end.
 */
void jit_store_find(struct jit_store_search *f, uint16_t offset, const uint8_t *first,
                    unsigned avail);
/*
 * The next unit that was found; false: no more.  The caller compares the whole of its guest code,
 * and then calls jit_store_take().  The unit's arrays hold until jit_store_close().
 */
bool jit_store_next(const struct jit_store *s, struct jit_store_search *f, struct jit_unit *ret);
/*
 * The unit that jit_store_next() gave last is going to be used: check its sum, and keep it for the
 * next run.  False: it is damaged, and must not be used.
 */
bool jit_store_take(const struct jit_store *s, const struct jit_store_search *f);

/* Keep a copy of this unit, if the store has none.  HULL_ENOMEM; HULL_EINVAL: it makes no sense. */
int jit_store_add(struct jit_store *s, const struct jit_unit *unit);

/*
 * Replace the file by one with everything that was taken or added and, up to `limit` bytes, what
 * an earlier run used, the latest first; with what other processes have saved meanwhile.  Files of
 * other keys that nobody has touched for 30 days are removed.  Does nothing if hardly anything is
 * new.  HULL_EIO (E1104) if it cannot be written, HULL_EBUSY if others were saving all the time,
 * HULL_ENOMEM; the old file is still there then.
 */
int jit_store_save(struct jit_store *s, uint64_t limit, struct hull_err *err) HULL_CHECK_RESULT;

void jit_store_stats(const struct jit_store *s, struct jit_store_stats *ret);

#endif
