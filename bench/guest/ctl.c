/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Control flow: calls and returns, indirect jumps, conditions, much code, code that is rewritten.
 */
#include "bench.h"

#include <string.h>
#include <sys/mman.h>

/* --- fib: recursion --- */

static FAR uint32_t fib(uint32_t n)
{
	return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static uint64_t run_fib(uint64_t n)
{
	uint64_t value = 0;

	while (n--)
		value = fib(20);
	return value;
}

/* --- vm: a byte-code machine; the program counts primes below 200 by trial division --- */

enum { LOAD, ADD, REM, LESS, IFZERO, IFNONZERO, JUMP, MUL, STOP, OPCODES };

struct op {
	uint8_t code, to, a, b;
};

enum { I, D, COUNT, LIMIT, ONE, TWO, TEST, REGS };

static const struct op program[] = {
	{ LOAD, I, 2, 0 },          /* 0 */
	{ LOAD, COUNT, 0, 0 },      /* 1 */
	{ LOAD, LIMIT, 200, 0 },    /* 2 */
	{ LOAD, ONE, 1, 0 },        /* 3 */
	{ LOAD, D, 2, 0 },          /* 4: for each number */
	{ MUL, TEST, D, D },        /* 5: for each divisor whose square is not above it */
	{ LESS, TEST, I, TEST },    /* 6 */
	{ IFNONZERO, 12, TEST, 0 }, /* 7: prime */
	{ REM, TEST, I, D },        /* 8 */
	{ IFZERO, 13, TEST, 0 },    /* 9: no prime */
	{ ADD, D, D, ONE },         /* 10 */
	{ JUMP, 5, 0, 0 },          /* 11 */
	{ ADD, COUNT, COUNT, ONE }, /* 12 */
	{ ADD, I, I, ONE },         /* 13 */
	{ LESS, TEST, I, LIMIT },   /* 14 */
	{ IFNONZERO, 4, TEST, 0 },  /* 15 */
	{ STOP, 0, 0, 0 },          /* 16 */
};

static FAR uint64_t interpret(const struct op *start)
{
	static const void *const labels[OPCODES] = { &&load,      &&add,  &&rem, &&less, &&ifzero,
		                                     &&ifnonzero, &&jump, &&mul, &&stop };
	uint64_t r[REGS] = { 0 };
	const struct op *at = start;

	goto *labels[at->code];
load:
	r[at->to] = at->a;
	at++;
	goto *labels[at->code];
add:
	r[at->to] = r[at->a] + r[at->b];
	at++;
	goto *labels[at->code];
rem:
	r[at->to] = (uint32_t)r[at->a] % (uint32_t)r[at->b];
	at++;
	goto *labels[at->code];
less:
	r[at->to] = r[at->a] < r[at->b];
	at++;
	goto *labels[at->code];
mul:
	r[at->to] = r[at->a] * r[at->b];
	at++;
	goto *labels[at->code];
ifzero:
	at = r[at->a] ? at + 1 : start + at->to;
	goto *labels[at->code];
ifnonzero:
	at = r[at->a] ? start + at->to : at + 1;
	goto *labels[at->code];
jump:
	at = start + at->to;
	goto *labels[at->code];
stop:
	return r[COUNT];
}

static uint64_t run_vm(uint64_t n)
{
	uint64_t count = 0;

	while (n--)
		count = interpret(program);
	return count;
}

/* --- vcall: calls through the tables of objects of four kinds --- */

struct shape;

struct shape_ops {
	uint32_t (*area)(const struct shape *s);
	uint32_t (*edge)(const struct shape *s);
};

struct shape {
	const struct shape_ops *ops;
	uint32_t a, b;
};

static FAR uint32_t square_area(const struct shape *s)
{
	return s->a * s->a;
}

static FAR uint32_t square_edge(const struct shape *s)
{
	return 4 * s->a;
}

static FAR uint32_t box_area(const struct shape *s)
{
	return s->a * s->b;
}

static FAR uint32_t box_edge(const struct shape *s)
{
	return 2 * (s->a + s->b);
}

static FAR uint32_t wedge_area(const struct shape *s)
{
	return s->a * s->b / 2;
}

static FAR uint32_t wedge_edge(const struct shape *s)
{
	return s->a + 2 * s->b;
}

static FAR uint32_t round_area(const struct shape *s)
{
	return s->a * s->a * 22 / 7;
}

static FAR uint32_t round_edge(const struct shape *s)
{
	return s->a * 44 / 7;
}

#define SHAPES 128

static const struct shape_ops kinds[4] = {
	{ square_area, square_edge },
	{ box_area, box_edge },
	{ wedge_area, wedge_edge },
	{ round_area, round_edge },
};
static struct shape shapes[SHAPES];

static void setup_vcall(void)
{
	uint64_t seed = 9;

	for (int i = 0; i < SHAPES; i++) {
		uint64_t r = next_random(&seed) >> 16;

		shapes[i] = (struct shape){ &kinds[r & 3], r >> 8 & 1023, r >> 20 & 1023 };
	}
}

static uint64_t run_vcall(uint64_t n)
{
	uint64_t sum = 0;

	while (n--) {
		sum = 0;
		for (int i = 0; i < SHAPES; i++)
			sum += shapes[i].ops->area(&shapes[i]) ^ shapes[i].ops->edge(&shapes[i]);
	}
	return sum;
}

/* --- branch: conditions that nothing predicts; the numbers never come again --- */

static uint64_t branch_state;

static void setup_branch(void)
{
	branch_state = 17;
}

static uint64_t run_branch(uint64_t n)
{
	uint64_t a = 1, b = 2, c = 3;

	while (n--) {
		a = 1, b = 2, c = 3;
		for (int i = 0; i < 64; i++) {
			uint64_t r = next_random(&branch_state) >> 50;

			if (r & 1) {
				a += r;
				ARM(1);
			} else {
				b ^= a;
				ARM(2);
			}
			if (r & 2) {
				c -= b;
				ARM(3);
			} else {
				a ^= c << 1;
				ARM(4);
			}
			if (r & 4) {
				b += 5;
				ARM(5);
			}
		}
	}
	return fold(fold(a, b), c);
}

/* --- bigcode: 4096 functions in turn --- */

static uint64_t run_bigcode(uint64_t n)
{
	uint32_t x = 0;

	while (n--) {
		x = 1;
		for (int i = 0; i < 4096; i++)
			x = bench_big[i](x);
	}
	return x;
}

/* --- smc: two instructions are rewritten, the caches told, and called four times --- */

static uint8_t *code;

static void setup_smc(void)
{
	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
	            0);
	if (code == MAP_FAILED)
		bench_die("mmap of a page to write and execute");
}

/* A function that returns value, which is below 2048. */
static size_t write_code(uint8_t *at, uint32_t value)
{
#if defined(__x86_64__)
	uint8_t words[6] = { 0xb8, (uint8_t)value, (uint8_t)(value >> 8), 0, 0, 0xc3 };
#elif defined(__riscv)
	uint32_t words[2] = { 0x00000513 | value << 20, 0x00008067 };
#elif defined(__aarch64__)
	uint32_t words[2] = { 0x52800000 | value << 5, 0xd65f03c0 };
#else
#error "write_code needs two instructions of this machine"
#endif
	memcpy(at, words, sizeof(words));
	return sizeof(words);
}

static uint64_t run_smc(uint64_t n)
{
	union {
		uint8_t *bytes;
		uint32_t (*call)(void);
	} to = { .bytes = code };
	uint64_t done = 0;

	for (uint64_t i = 0; i < n; i++) {
		uint32_t value = (uint32_t)i * 7 % 2000;
		size_t size = write_code(code, value);

		__builtin___clear_cache((char *)code, (char *)code + size);
		for (int j = 0; j < 4; j++)
			done += to.call() == value;
	}
	if (done != 4 * n)
		bench_die("ctl/smc");
	return 4;
}

const struct bench bench_ctl[] = {
	{ "ctl/fib", run_fib, NULL, NULL },
	{ "ctl/vm", run_vm, NULL, NULL },
	{ "ctl/vcall", run_vcall, setup_vcall, NULL },
	{ "ctl/branch", run_branch, setup_branch, NULL },
	{ "ctl/bigcode", run_bigcode, NULL, NULL },
	{ "ctl/smc", run_smc, setup_smc, NULL },
	{ NULL, NULL, NULL, NULL },
};
