/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * An accelerator for tests: vCPUs run a script instead of a processor.
 *
 * It keeps the contract of accel.h (requests, lines, stop, budget) and records
 * its mappings.  Threading: as for any accelerator; scripts are set while the
 * vCPU does not run.
 */
#ifndef HULL_ACCEL_FAKE_FAKE_H
#define HULL_ACCEL_FAKE_FAKE_H

#include <hull/accel.h>
#include "core/vcpu.h"

enum hull_fake_kind {
	HULL_FAKE_EXIT,  /* return `exit`; reads store their answer in register 0 */
	HULL_FAKE_WORK,  /* execute `n` instructions */
	HULL_FAKE_SPIN,  /* execute instructions for ever */
	HULL_FAKE_WAIT,  /* halt until a line is high or an edge arrives; takes the edges */
	HULL_FAKE_CALL,  /* call `fn` from within vcpu_run */
	HULL_FAKE_TIMER, /* arm the vCPU's timer `n` ns from now; it raises line 7 */
	HULL_FAKE_LOWER, /* lower line 7 */
	HULL_FAKE_JUMP,  /* continue at operation `n` */
};

struct hull_fake_op {
	enum hull_fake_kind kind;
	struct hull_exit exit;
	uint64_t n;
	void (*fn)(struct hull_vcpu *vcpu, void *arg);
	void *arg;
};

enum { HULL_FAKE_REGS = 8, HULL_FAKE_OTHERS = 96, HULL_FAKE_MAPS = 64 };

struct hull_fake_vcpu {
	const struct hull_fake_op *ops;
	uint32_t nops, pc;
	uint64_t done; /* instructions of the current WORK */
	uint64_t regs[HULL_FAKE_REGS];
	struct hull_reg_value others[HULL_FAKE_OTHERS]; /* registers of any number, once set */
	uint32_t nothers;
	uint64_t flushes, resets; /* atomic: performed requests, vcpu_reset calls */
	uint64_t failed_io;       /* exits that nobody answered */
	uint32_t in_guest;        /* atomic: executing */
};

struct hull_fake_map {
	hull_gpa gpa;
	uint64_t len;
	void *hva;
	unsigned attr;
};

struct hull_fake_vm {
	struct hull_fake_map maps[HULL_FAKE_MAPS];
	uint32_t nmaps;
	uint32_t fail_maps;     /* refuse map() when not 0 */
	uint32_t fail_protects; /* refuse protect() when not 0 */
};

/* Give a vCPU a script; it starts at its first operation, again after each reset. */
void hull_fake_script(struct hull_vcpu *vcpu, const struct hull_fake_op *ops, uint32_t n);

#endif
