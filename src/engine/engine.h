/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The CPU engine, for those who choose how it runs. */
#ifndef HULL_ENGINE_ENGINE_H
#define HULL_ENGINE_ENGINE_H

#include <hull/config.h>
#include <hull/vm.h>

#include "engine/ir/ir.h"

/* Ways to run guest code; bits. */
enum hull_engine_tier {
	HULL_TIER_INTERP = 1,
	HULL_TIER_EVAL = 2,   /* the IR, node by node */
	HULL_TIER_BLOCK = 4,  /* translated blocks */
	HULL_TIER_REGION = 8, /* translated and optimised regions */
};

/* The tiers that this build has and this host can run.  Any thread. */
unsigned hull_engine_tiers(void);

/* The highest tier that `mode` allows; 0 if this build or host does not have what it names. */
enum hull_engine_tier hull_engine_tier_of(enum hull_engine_mode mode);

/*
 * The guest's instruction at virtual address `pc` as text, in dst (size > 0).  Returns its length
 * in bytes, 0 if no code is mapped there.  The vCPU is one of this engine and does not run.
 */
unsigned hull_engine_disasm(struct hull_vcpu *vcpu, hull_va pc, char *dst, size_t size);

/*
 * hull_engine_config.cache_dir: why code of an earlier run was not taken; NULL: it was, or there is
 * none.  The VM is one of this engine.
 */
const char *hull_engine_store_note(struct hull_vm *vm);
/*
 * Keep translated code for later runs; no vCPU runs.  0 if that was not asked for.  HULL_EIO,
 * HULL_EBUSY (E1104), HULL_ENOMEM: what an earlier run kept is still there.
 */
int hull_engine_save_code(struct hull_vm *vm, struct hull_err *err) HULL_CHECK_RESULT;

/* `begins` is called in each thread that the engine starts, with the thread's name; NULL: nothing.
 */
void hull_engine_thread_hook(void (*begins)(const char *name));

/* A piece of code that the engine has, decoded or translated. */
struct hull_code {
	hull_va pc; /* of its first instruction */
	hull_gpa gpa;
	enum hull_engine_tier tier;
	unsigned insns, guest_bytes;
	unsigned pieces;      /* of guest code in the same host code, this one included; 0: as 1 */
	const uint8_t *guest; /* the guest's code as it was when the engine read it */
	const struct hull_ir *ir; /* NULL: not known */
	const uint8_t *host;      /* NULL: there is none */
	size_t host_bytes;
	uint64_t executions; /* as far as they were counted; 0: not at all */
};

/* `code` is valid during the call. */
typedef void (*hull_code_fn)(void *arg, const struct hull_code *code);

/*
 * Give fn each piece of this vCPU's code that has an instruction at `address`, virtual or
 * physical.  `room` is overwritten.  Returns how many there are.  The vCPU does not run.
 */
unsigned hull_engine_describe(struct hull_vcpu *vcpu, uint64_t address, struct hull_ir *room,
                              hull_code_fn fn, void *arg);

/* An instruction out of hull_code.guest as text; returns its length, 0 if `avail` is too short. */
unsigned hull_engine_disasm_bytes(struct hull_vcpu *vcpu, const uint8_t *code, size_t avail,
                                  hull_va pc, char *dst, size_t size);

#endif
