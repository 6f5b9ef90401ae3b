/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The program is a chain: each call is compared in turn, its conditions stand right behind the
 * comparison and end in a verdict.  The kernel keeps the answer for calls without conditions in a
 * bitmap, so that the length of the chain costs them nothing.
 */
#include "host/sandbox/filter.h"

#include <linux/seccomp.h>
#include <stdbool.h>

#include "base/bits.h"

struct program {
	struct sock_filter *at;
	unsigned n, room;
	const struct hull_jail_place *place;
};

static void put(struct program *p, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	if (p->n < p->room)
		p->at[p->n] = (struct sock_filter){ code, yes, no, k };
	p->n++;
}

static void load(struct program *p, size_t offset)
{
	put(p, BPF_LD | BPF_W | BPF_ABS, 0, 0, (uint32_t)offset);
}

static void verdict(struct program *p, const struct hull_jail_rule *r)
{
	uint32_t error = r->error == HULL_JAIL_ZERO ? 0 : r->error;

	put(p, BPF_RET | BPF_K, 0, 0, r->error ? SECCOMP_RET_ERRNO | error : SECCOMP_RET_ALLOW);
}

/* Where the low half of an argument lies: all hosts are little-endian. */
static size_t argument(unsigned i)
{
	return offsetof(struct seccomp_data, args) + i * sizeof(uint64_t);
}

enum { PER_CONDITION = 3 }; /* instructions */

static bool counts(const struct hull_jail_rule *r, uint32_t needs)
{
	return !r->needs || r->needs & needs;
}

/* One way in which the call is allowed; falls behind itself if it is not. */
static bool put_rule(struct program *p, const struct hull_jail_rule *r)
{
	unsigned left = 1;

	for (unsigned i = 0; i < HULL_JAIL_CONDITIONS; i++)
		left += r->conditions[i].mask ? PER_CONDITION : 0;
	for (unsigned i = 0; i < HULL_JAIL_CONDITIONS; i++) {
		const struct hull_jail_condition *c = &r->conditions[i];

		if (c->arg > 5 || (c->value & ~c->mask))
			return false;
		if (!c->mask)
			continue;
		left -= PER_CONDITION;
		load(p, argument(c->arg));
		put(p, BPF_ALU | BPF_AND | BPF_K, 0, 0, c->mask);
		put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, (uint8_t)left,
		    c->own ? p->place->pid : c->value);
	}
	verdict(p, r);
	return true;
}

static bool is_unconditional(const struct hull_jail_rule *r)
{
	uint32_t any = 0;

	for (unsigned i = 0; i < HULL_JAIL_CONDITIONS; i++)
		any |= r->conditions[i].mask;
	return !any;
}

/* Everything that `call` is allowed for, from all parts. */
static bool put_call(struct program *p, const struct hull_jail_rules *parts, unsigned nparts,
                     uint16_t call)
{
	unsigned jump = p->n;
	bool always = false;

	put(p, BPF_JMP | BPF_JEQ | BPF_K, 0, 0, call);
	for (unsigned i = 0; i < nparts; i++)
		for (unsigned k = 0; k < parts[i].n && !always; k++) {
			const struct hull_jail_rule *r = &parts[i].rules[k];

			if (r->call != call || !counts(r, p->place->needs))
				continue;
			if (!put_rule(p, r))
				return false;
			always = is_unconditional(r);
		}
	if (!always)
		put(p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
	if (p->n - jump - 1 > UINT8_MAX)
		return false;
	if (jump < p->room)
		p->at[jump].jf = (uint8_t)(p->n - jump - 1);
	return true;
}

/* Is rule k of part i the first one for its call? */
static bool is_first(const struct hull_jail_rules *parts, unsigned i, unsigned k, uint32_t needs)
{
	const struct hull_jail_rule *r = &parts[i].rules[k];

	if (!counts(r, needs))
		return false;
	for (unsigned j = 0; j <= i; j++)
		for (unsigned n = 0; n < (j < i ? parts[j].n : k); n++)
			if (parts[j].rules[n].call == r->call && counts(&parts[j].rules[n], needs))
				return false;
	return true;
}

unsigned hull_jail_count(const struct hull_jail_rules *parts, unsigned nparts, uint32_t needs)
{
	unsigned count = 0;

	for (unsigned i = 0; i < nparts; i++)
		for (unsigned k = 0; k < parts[i].n; k++)
			count += !parts[i].rules[k].error && is_first(parts, i, k, needs);
	return count;
}

unsigned hull_jail_compile(const struct hull_jail_rules *parts, unsigned nparts,
                           const struct hull_jail_place *place, struct sock_filter *dst,
                           unsigned room)
{
	struct program p = { dst, 0, room, place };

	load(&p, offsetof(struct seccomp_data, arch));
	put(&p, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, place->arch);
	put(&p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
	load(&p, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < nparts; i++)
		for (unsigned k = 0; k < parts[i].n; k++)
			if (is_first(parts, i, k, place->needs) &&
			    !put_call(&p, parts, nparts, parts[i].rules[k].call))
				return 0;
	put(&p, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_TRAP);
	return p.n <= room ? p.n : 0;
}
