/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What lockstep.c finds out and lockstep_report.c prints. */
#ifndef HULL_APP_LOCKSTEP_IMPL_H
#define HULL_APP_LOCKSTEP_IMPL_H

#include "app/machine.h"

enum { LOCKSTEP_REGS = 512, LOCKSTEP_TRACE = 80, LOCKSTEP_SHOWN = 12, LOCKSTEP_DIFFERENT = 80 };

enum lockstep_kind {
	LOCKSTEP_SAME,
	LOCKSTEP_REGISTERS,
	LOCKSTEP_COUNT,  /* a, b: instructions of the vCPU */
	LOCKSTEP_MEMORY, /* a, b: the words at gpa */
	LOCKSTEP_END,    /* a, b: does it still run */
};

struct lockstep_difference {
	enum lockstep_kind kind;
	uint32_t vcpu;
	hull_gpa gpa;
	uint64_t a, b;
};

struct lockstep_insn {
	uint32_t vcpu;
	uint64_t pc;
	char text[64];
};

struct lockstep {
	const struct hull_options *options;
	unsigned style;
	const char *name[2]; /* of the engines; the second is the reference */
	struct app_role role[2];
	struct app_machine m[2];
	bool open[2];
	uint64_t slice, ram_every, limit; /* instructions; limit 0: none */
	const char *exit_on;              /* NULL: no text is waited for */
	uint64_t inject_at;               /* HULL_NEVER: nowhere */
	bool inject_block, injected, stepped_by_inject;

	unsigned nregs;
	uint32_t regs[LOCKSTEP_REGS];
	uint64_t done;     /* instructions of each since the start */
	uint64_t ram_good; /* `done` when all memory agreed */
	uint64_t watch;    /* word of memory that every comparison looks at; HULL_NEVER: none */
	struct lockstep_difference found;

	uint64_t first_bad; /* end of the slice in which they differed at first */
	bool exact;         /* the last instruction is the one that differs */
	bool repeats;       /* the difference came again */
	uint64_t done_at;   /* `done` at the difference */
	unsigned ndifferent;
	struct {
		uint32_t reg;
		uint64_t a, b;
	} different[LOCKSTEP_DIFFERENT];
	uint64_t traced; /* free-running */
	struct lockstep_insn trace[LOCKSTEP_TRACE];
	char text[HULL_MAX_VCPUS][64];
};

uint64_t lockstep_register(const struct lockstep *l, unsigned side, uint32_t cpu, uint32_t reg);

/* Keep what differs now for the report. */
void lockstep_remember(struct lockstep *l);
/* On stderr, or as JSON on stdout: the difference, or that there was none. */
void lockstep_print(const struct lockstep *l);
void lockstep_print_same(const struct lockstep *l);

#endif
