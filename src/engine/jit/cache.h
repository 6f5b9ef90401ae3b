/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The cache of generated code: one for each vCPU, bounded, reclaimed without a stop of the world.
 *
 * Memory.  A cache of N bytes has N bytes of code memory, mapped twice (written in one place,
 * executed in the other), and 3/8 N + at most 1/64 N for what describes the code.  Nothing else
 * grows.  Code is in one of two generations, young and old; each is a ring that is filled at its
 * head and reclaimed at its tail, oldest code first.
 *
 * Reclamation.  Some way before the tail reaches a piece of code it is put on probation: links to
 * it are undone and the user is told to forget it (JIT_SUSPECT), so that it can only be entered by
 * way of jit_cache_find().  What is entered then (jit_cache_touch()) is in use and moves to the
 * head of the old ring when its turn comes; the rest dies.  Policies differ in how much of this
 * happens at a time and on which thread the bytes are copied.
 *
 * Threading: all functions belong to the vCPU's thread, except jit_cache_background().
 *
 * Lifetime of struct jit_code: code is reclaimed and moved by jit_cache_add() only; pointers to
 * any struct jit_code are invalid after it, except what it returns and *keep.
 * jit_cache_drop() and jit_cache_flush() make code unfindable, but leave it where it is until the
 * next jit_cache_add(): they may be called below a helper of the code that is running.
 */
#ifndef HULL_ENGINE_JIT_CACHE_H
#define HULL_ENGINE_JIT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/jit/unit.h"

#include <hull/hal.h>

struct jit_cache;

enum {
	JIT_CACHE_MIN = 1 << 20, /* bytes of code that a cache must have at least */
	JIT_CACHE_MAX = 1 << 27, /* and at most: as far as host_patch() reaches everywhere */
	JIT_VERSIONS = 4,        /* of one gpa and tier, with different guest code, that are kept */
	JIT_PAUSE_BUCKETS = 32,
};

struct jit_code_range {
	struct jit_range range; /* as in the unit */
	uint64_t gpa;           /* where the range starts, offset included */
	uint32_t next, prev;    /* of the same page, see jit_cache_page() */
	uint32_t owner, pad;
};

struct jit_code_exit {
	struct jit_exit exit; /* as in the unit */
	uint64_t diff;        /* what linking changed, exclusive or, in the 8 bytes at the site */
	uint32_t to;          /* 0: not linked */
	uint32_t next, prev;  /* links to the same code */
	uint32_t at;          /* offset of the site in code memory */
};

/* Read-only for users, but for the fields that say otherwise. */
struct jit_code {
	uint32_t size; /* of this record */
	uint8_t flags; /* enum jit_code_flags */
	uint8_t tier;
	uint8_t exit_count, range_count;
	const void *entry; /* first byte, executable */
	uint64_t gpa;      /* of the entry */
	uint64_t epoch;    /* the user's: code epoch that it is known good for; 0 at first */
	uint32_t heat;     /* the user's; 0 at first */
	uint32_t user;     /* the user's; 0 at first */
	uint32_t code_bytes;
	uint16_t insns, guest_bytes;
	uint8_t enter; /* as in the unit */
	uint32_t hash_next, links_in;
	struct jit_code_range ranges[]; /* then the exits, then the guest bytes of all ranges */
};

enum jit_code_flags {
	JIT_CODE_DEAD = 1,
	JIT_CODE_USED = 2,
	JIT_CODE_SUSPECT = 4,
	JIT_CODE_OLD = 8,
	JIT_CODE_COPYING = 16,
};

/* Where the dispatcher and the jump cache enter it. */
static inline const void *jit_code_enter(const struct jit_code *c)
{
	return (const uint8_t *)c->entry + c->enter;
}

static inline struct jit_code_exit *jit_code_exits(const struct jit_code *c)
{
	return (struct jit_code_exit *)(c->ranges + c->range_count);
}

/* The guest code that it was made from, all ranges one after the other; compare before use. */
static inline const uint8_t *jit_code_guest(const struct jit_code *c)
{
	return (const uint8_t *)(jit_code_exits(c) + c->exit_count);
}

enum jit_policy {
	JIT_ADAPTIVE,     /* one of the others, by measured pauses and deaths */
	JIT_GENERATIONAL, /* as much as 256 KiB at a time: least work */
	JIT_INCREMENTAL,  /* at each add as much as it needs */
	JIT_CONCURRENT,   /* incremental, and jit_cache_background() copies if it is ever called */
	JIT_POLICIES,
};

/* Why the user must forget every way to a piece of code (jump caches) but jit_cache_find(). */
enum jit_forget {
	JIT_SUSPECT, /* on probation */
	JIT_MOVED,   /* its entry is another one from now on; told before it moves */
	JIT_DROPPED, /* it is gone */
};

struct jit_cache_user {
	/* Must not call the cache. */
	void (*forget)(void *arg, struct jit_code *code, enum jit_forget why);
	/* After JIT_MOVED: `code` is in its new place.  Must not call the cache; NULL is fine. */
	void (*moved)(void *arg, const struct jit_code *code);
	/* There is something to do for jit_cache_background(); NULL: somebody calls it anyway. */
	void (*wake)(void *arg);
	void *arg;
};

enum jit_death {
	JIT_DEATH_UNUSED,  /* its turn had come and it was not in use */
	JIT_DEATH_FORCED,  /* in use, but keeping it would have taken too long or too much space */
	JIT_DEATH_VERSION, /* more than JIT_VERSIONS */
	JIT_DEATH_DROPPED, /* jit_cache_drop() */
	JIT_DEATH_FLUSHED,
	JIT_DEATHS,
};

struct jit_cache_stats {
	uint64_t bytes, bytes_peak; /* of code memory that live code has */
	uint64_t alive[3];          /* pieces of code, by tier */
	uint64_t added, died[JIT_DEATHS];
	uint64_t suspected, moved, moved_bytes;
	uint64_t moved_in_background; /* of those */
	uint64_t links_made, links_undone;
	/* Reclamation only.  Bucket n: pauses of [2^n, 2^(n+1)) ns. */
	uint64_t pauses, pause_max_ns, pause_total_ns, pause_histogram[JIT_PAUSE_BUCKETS];
	uint64_t pause_cpu_max_ns; /* CPU time of the thread: what others took is not in it */
};

/*
 * A cache of `bytes` (at least JIT_CACHE_MIN, at most JIT_CACHE_MAX, rounded down to pages) of
 * code. HULL_ENOTSUP: this host has no memory for code, HULL_ENOMEM, HULL_EINVAL.
 */
int jit_cache_new(const struct hull_hal *hal, uint64_t bytes, enum jit_policy policy,
                  const struct jit_cache_user *user, struct jit_cache **ret);
/* No thread may be in the cache's code or in jit_cache_background().  NULL is fine. */
void jit_cache_free(struct jit_cache *cache);

/*
 * Put a unit into the cache, ready to be entered, not linked.  range_gpas: guest-physical address
 * at which each range starts.  Everything is copied.
 * May reclaim other code.  *keep (keep and *keep may be NULL) is a code that the caller goes on
 * using: updated if it moved, NULL if it died.
 * NULL only if the unit can never fit, or makes no sense.
 */
struct jit_code *jit_cache_add(struct jit_cache *cache, const struct jit_unit *unit,
                               const uint64_t *range_gpas, struct jit_code **keep);

/*
 * The newest code whose entry is at gpa, or after `after` the next one: other tiers, and other
 * versions of the guest's code.  The caller compares the guest's memory with jit_code_guest().
 */
struct jit_code *jit_cache_find(struct jit_cache *cache, uint64_t gpa,
                                const struct jit_code *after);

/* The dispatcher enters this code: it is in use. */
static inline void jit_cache_touch(struct jit_code *code)
{
	code->flags |= JIT_CODE_USED;
}

/* Send an exit of `from` to the entry of `to` (may be `from`); touches `to`. */
void jit_cache_link(struct jit_cache *cache, struct jit_code *from, unsigned exit,
                    struct jit_code *to);
static inline bool jit_cache_is_linked(const struct jit_code *from, unsigned exit)
{
	return jit_code_exits(from)[exit].to != 0;
}
/* Let an exit, or all exits that go to `to`, go where they went at first. */
void jit_cache_unlink(struct jit_cache *cache, struct jit_code *from, unsigned exit);
void jit_cache_unlink_into(struct jit_cache *cache, struct jit_code *to);

/* Make code unfindable and undo its links.  Tells the user. */
void jit_cache_drop(struct jit_cache *cache, struct jit_code *code);
/* The same for all code, in short time; does not tell the user about each. */
void jit_cache_flush(struct jit_cache *cache);

/*
 * The code whose first byte is at `site` (engine_cpu.site); NULL if it was dropped.  Only for
 * code that was alive at the last jit_cache_add().
 */
struct jit_code *jit_cache_of(const struct jit_cache *cache, const void *site);

/*
 * Ranges in the guest-physical page of `gpa`, one after the other: `after` NULL gives the first.
 * A code with several ranges in the page comes several times.  To drop all: always ask for the
 * first one.
 */
struct jit_code_range *jit_cache_page(struct jit_cache *cache, uint64_t gpa,
                                      const struct jit_code_range *after);
struct jit_code *jit_cache_owner(const struct jit_cache *cache, const struct jit_code_range *r);

/*
 * The code as a unit again, as it was added, for storing it: its bytes without links are copied to
 * `code` (code->code_bytes), exits and ranges to arrays of JIT_EXITS and JIT_RANGES.  The guest
 * bytes are those of the cache.
 */
void jit_cache_unit(const struct jit_cache *cache, const struct jit_code *code, uint8_t *bytes,
                    struct jit_exit *exits, struct jit_range *ranges, struct jit_unit *ret);

/* Every code, in no order: `after` NULL gives the first, NULL is the end. */
struct jit_code *jit_cache_next(const struct jit_cache *cache, const struct jit_code *after);

/* JIT_CONCURRENT and JIT_ADAPTIVE: do what can be done now; one other thread, at any time. */
void jit_cache_background(struct jit_cache *cache);

const struct jit_cache_stats *jit_cache_stats(const struct jit_cache *cache);

#endif
