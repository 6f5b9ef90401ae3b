/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What the tests of engine/jit/host.h share: a state, an emitter, and memory to run code in.
 *
 * Every allocatable register has a word of the state, from which the way in (or the beginning of
 * the code) loads it and to which the way out stores it: so each case also shows that nothing
 * else has changed.  One thread.  HULL_TEST_SEED and HULL_TEST_CASES as in support/fp_operands.h.
 */
#ifndef TESTS_SUPPORT_JITHOST_H
#define TESTS_SUPPORT_JITHOST_H

#include <stdbool.h>
#include <stdint.h>

#include "engine/jit/host.h"

enum { WORDS = ENGINE_CPU_AT / 8, FIRST_F = 24, FIRST_FREE = 56 };
enum { CODE_BYTES = 1 << 16, GLUE_BYTES = 1 << 14, BUFFER_BYTES = 1 << 16 };
enum { DONE = 1, SLOW = 2, OTHER = 3, DESC = 0x12345678 };

struct state {
	uint64_t w[WORDS];
	struct engine_cpu cpu;
};
extern struct state *st, before; /* now, and when run() began */
extern struct host_emit em;
extern uint8_t buffer[BUFFER_BYTES];
extern uint8_t *code, *site, *other; /* other: a piece of code that leaves with OTHER */
extern unsigned features, thunk_calls;
extern host_label slow;
extern host_reg changed, changed_too, changed_f; /* what the case writes; HOST_NO_REG: nothing */

int jithost_setup(void **unused);

/* Run f with all features, without each one, and without any. */
void with_features(void (*f)(void));

/* A new case: random words, an emitter, a label `slow`. */
void begin(void);
/* The floating-point registers from and to their words. */
void begin_f(void);
void end_f(void);
/* What host_entry() made. */
uint64_t enter(void *state, const void *at);
/* Copy what was emitted into executable memory. */
void *place(uint32_t at);
/* End the code, run it; the reason why it left: DONE, SLOW or OTHER. */
uint64_t run(bool floats);
/* Fails if anything but what the case writes has changed. */
void check_rest(const char *what);
/* Run; `changed` must be `want`, the rest as it was. */
void expect(const char *what, uint64_t a, uint64_t b, uint64_t want);

/* Random values, registers (often the same few, so that they coincide) and operands. */
uint64_t interesting(void);
host_reg any_gpr(void);
host_reg some_gpr(void);
host_reg any_fpr(void);
struct host_operand any_word(void);
struct host_operand operand(void);

uint64_t value(struct host_operand o); /* what it holds when the case begins */
uint64_t *word_of(host_reg r);
unsigned index_f(host_reg r);     /* of the word of a floating-point register */
uint64_t low(bool w, uint64_t v); /* w: low half, sign-extended */

#endif
