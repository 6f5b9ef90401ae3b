/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Running what the host layer of the JIT emits. */
#if defined(__x86_64__) || defined(__aarch64__)
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "base/bits.h"
#include "support/fp_operands.h"
#include "support/jithost.h"

struct state *st, before;

struct host_emit em;
uint8_t buffer[BUFFER_BYTES];
uint8_t *code, *site;
static uint64_t (*entry)(void *state, const void *at);
unsigned features, thunk_calls;
host_label slow;
host_reg changed, changed_too, changed_f; /* what the case writes */
uint8_t *other;                           /* a piece of code that leaves with OTHER */

/* --- running --- */

void *place(uint32_t at)
{
	memcpy(code + at, em.start, host_here(&em));
	host_sync_code(code + at, code + at, host_here(&em));
	return code + at;
}

static uint32_t pins(struct host_pin *pin)
{
	for (unsigned i = 0; i < host_info.gpr_count; i++)
		pin[i] = (struct host_pin){ host_info.gpr[i], (int32_t)(8 * i) };
	return host_info.gpr_count;
}

static void trash_registers(void)
{
	volatile double a[40];

	for (int i = 0; i < 40; i++)
		a[i] = i;
	for (int i = 1; i < 40; i++)
		a[i] = a[i] * a[i - 1] + a[(i + 7) % 40];
}

static bool thunk_done(void *state)
{
	struct state *s = state;

	assert_true(s == st);
	assert_int_equal((uintptr_t)__builtin_frame_address(0) % 16, 0);
	thunk_calls++;
	trash_registers();
	s->cpu.arg[3] = s->cpu.arg[0] + s->cpu.desc;
	s->cpu.fuel -= 5;
	return true;
}

static bool thunk_fails(void *state)
{
	(void)state;
	trash_registers();
	return false;
}

static void glue(void)
{
	struct host_pin pin[24];
	uint32_t count = pins(pin), at[8];
	unsigned n = 0;

	host_begin(&em, buffer, sizeof buffer);
	host_entry(&em, pin, count);
	for (unsigned reason = DONE; reason <= OTHER; reason++) {
		at[n++] = host_here(&em);
		host_exit(&em, pin, count, reason);
	}
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_done, false);
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_done, true);
	at[n++] = host_here(&em);
	host_thunk(&em, thunk_fails, true);
	assert_true(host_end(&em));
	entry = (uint64_t (*)(void *, const void *))(uintptr_t)place(0);
	for (unsigned i = 0; i < n; i++)
		st->cpu.stub[i + 1] = code + at[i];
	host_begin(&em, buffer, sizeof buffer);
	host_leave(&em, OTHER, DESC);
	assert_true(host_end(&em));
	other = place(2 * GLUE_BYTES);
}

int jithost_setup(void **unused)
{
	fp_test_init();
	st = mmap(NULL, sizeof *st, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	code = mmap(NULL, CODE_BYTES, PROT_READ | PROT_WRITE | PROT_EXEC,
	            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (st == MAP_FAILED || code == MAP_FAILED)
		return -1;
	glue();
	features = host_features();
	return 0;
}

/* The words that the code may change, among them all registers. */
uint64_t interesting(void)
{
	static const uint64_t v[] = {
		0,         1,          2,          UINT64_MAX,  INT64_MAX,      INT64_MIN,
		INT32_MAX, UINT32_MAX, 0x80000000, 0x7f,        0x80,           0xff,
		0x7fff,    0x8000,     0xffff,     0x7fffffff,  -0x80ull,       -2ull,
		63,        64,         31,         0x100000000, -0x80000000ull, -0x80000001ull
	};
	uint64_t r = fp_random();

	switch (r & 7) {
	case 0:
	case 1:
	case 2: return v[(r >> 8) % ARRAY_LEN(v)];
	case 3: return (r >> 8) % 256 - 128;
	case 4: return 1ull << (r >> 8) % 64;
	case 5: return fp_random() >> (r >> 8) % 64;
	case 6: return -(fp_random() >> (r >> 8) % 64);
	default: return (uint32_t)(r >> 8) | UINT64_MAX << 32;
	}
}

void begin(void)
{
	for (unsigned i = 0; i < WORDS; i++)
		st->w[i] = interesting();
	host_begin(&em, buffer, sizeof buffer);
	em.features = features;
	em.smp = fp_random() & 1;
	slow = host_new_label(&em);
	changed = changed_too = changed_f = HOST_NO_REG;
}

/* The floating-point registers from and to their words. */
void begin_f(void)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		host_fget(&em, 64, host_info.fpr[i], 8 * (FIRST_F + (int32_t)i));
}

void end_f(void)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		host_fput(&em, 64, 8 * (FIRST_F + (int32_t)i), host_info.fpr[i]);
}

uint64_t *word_of(host_reg r)
{
	for (unsigned i = 0; i < host_info.gpr_count; i++)
		if (host_info.gpr[i] == r)
			return &st->w[i];
	fail_msg("register %u", r);
	return NULL;
}

unsigned index_f(host_reg r)
{
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		if (host_info.fpr[i] == r)
			return FIRST_F + i;
	fail_msg("register %u", r);
	return 0;
}

void check_rest(const char *what)
{
	for (unsigned i = 0; i < WORDS; i++) {
		if (changed != HOST_NO_REG && &st->w[i] == word_of(changed))
			continue;
		if (changed_too != HOST_NO_REG && &st->w[i] == word_of(changed_too))
			continue;
		if (changed_f != HOST_NO_REG && i == index_f(changed_f))
			continue;
		if (st->w[i] != before.w[i])
			fail_msg("%s, features %x: word %u was %llx, is %llx", what, em.features, i,
			         (unsigned long long)before.w[i], (unsigned long long)st->w[i]);
	}
}

/* Generated code has no type for -fsanitize=function to look at. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
uint64_t
enter(void *state, const void *at)
{
	return entry(state, at);
}

/* End the code, run it; the reason why it left. */
uint64_t run(bool floats)
{
	uint64_t why;

	if (floats)
		end_f();
	host_leave(&em, DONE, DESC);
	host_bind(&em, slow);
	if (floats)
		end_f();
	host_leave(&em, SLOW, DESC + 1);
	assert_true(host_end(&em));
	site = place(GLUE_BYTES);
	memcpy(before.w, st->w, sizeof before.w);
	why = enter(st, site);
	assert_true(st->cpu.site == (why == OTHER && st->cpu.site == other ? other : site));
	assert_int_equal(st->cpu.desc, DESC + (why == SLOW));
	return why;
}

/* --- operands --- */

host_reg any_gpr(void)
{
	return host_info.gpr[fp_random() % host_info.gpr_count];
}

/* Often the same few, so that operands coincide. */
host_reg some_gpr(void)
{
	static host_reg few[2];

	if (fp_random() % 4 == 0)
		few[fp_random() & 1] = any_gpr();
	return fp_random() & 1 && few[0] && few[1] ? few[fp_random() & 1] : any_gpr();
}

struct host_operand any_word(void)
{
	return host_s(8 * (int32_t)(FIRST_FREE + fp_random() % (WORDS - FIRST_FREE)));
}

struct host_operand operand(void)
{
	uint64_t r = fp_random() % 4;

	return r < 2 ? host_r(some_gpr()) : r == 2 ? any_word() : host_i(interesting());
}

uint64_t value(struct host_operand o)
{
	if (o.kind == HOST_REG)
		return *word_of(o.reg);
	return o.kind == HOST_IMM ? o.imm : st->w[o.state / 8];
}

void expect(const char *what, uint64_t a, uint64_t b, uint64_t want)
{
	uint64_t got;

	assert_int_equal(run(false), DONE);
	got = *word_of(changed);
	if (got != want)
		fail_msg("%s %llx %llx, features %x: want %llx, got %llx", what,
		         (unsigned long long)a, (unsigned long long)b, em.features,
		         (unsigned long long)want, (unsigned long long)got);
	check_rest(what);
}

/* Run f, then again without each feature, and without any. */
void with_features(void (*f)(void))
{
	unsigned all = host_features();

	features = all;
	f();
	for (unsigned bit = 1; bit; bit <<= 1)
		if (all & bit) {
			features = all & ~bit;
			f();
		}
	features = 0;
	f();
	features = all;
}

host_reg any_fpr(void)
{
	return host_info.fpr[fp_random() % (fp_random() & 1 ? 3 : host_info.fpr_count)];
}

uint64_t low(bool w, uint64_t v)
{
	return w ? (uint64_t)(int32_t)v : v;
}

#endif
