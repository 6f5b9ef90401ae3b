/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Benchmark programs that run in a guest and natively.
 *
 * A benchmark is a function that does n equal units of work.  After setup(), run(1) gives the check
 * value, which must be the same on every machine; further calls may go on from where the last one
 * ended (a pointer chase), so only the first value is compared.
 */
#ifndef HULL_BENCH_GUEST_BENCH_H
#define HULL_BENCH_GUEST_BENCH_H

#include <stddef.h>
#include <stdint.h>

struct bench {
	const char *name;            /* "group/program"; NULL ends a table */
	uint64_t (*run)(uint64_t n); /* n units; the check value of the last one */
	void (*setup)(void);         /* or NULL; not timed, called once before run */
	void (*finish)(void);        /* or NULL */
};

extern const struct bench bench_int[], bench_ctl[], bench_fp[], bench_mem[], bench_sys[];

/* What to execute this program with, its path, and a word that makes it leave at once. */
extern char *bench_exec[4];

/* The 4096 functions of ctl/bigcode, in their own file because they are large. */
typedef uint32_t bench_small(uint32_t x);
extern bench_small *const bench_big[4096];

/* Not inlined, not cloned, nothing assumed about it. */
#if __has_attribute(noipa)
#define FAR __attribute__((noipa))
#else
#define FAR __attribute__((noinline))
#endif

/* The compiler must take both arms of a condition as different code. */
#define ARM(n) __asm__ volatile("/* " #n " */")

/* Folds a value into a check value. */
static inline uint64_t fold(uint64_t check, uint64_t value)
{
	check = (check ^ value) * 0x9e3779b97f4a7c15;
	return check ^ check >> 29;
}

/* Numbers that look random and are the same everywhere; the state must not be 0. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state * 0x2545f4914f6cdd1d;
}

/* Stops with a message: the machine lacks what a benchmark needs, or gave a wrong answer. */
void bench_die(const char *text) __attribute__((noreturn));

/* Memory that stays until the program ends, whole pages at the start of a page. */
void *bench_pages(size_t bytes);

#endif
