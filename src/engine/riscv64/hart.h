/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A riscv64 hart of the CPU engine: its state, and what the interpreter, the
 * IR evaluator and the JIT share.
 *
 * Threading: a hart is touched only by the thread that runs its vCPU.  Others
 * reach it through struct hull_vcpu (core/vcpu.h).
 *
 * Translation contexts.  Address translation depends on satp, privilege, SUM
 * and MXR.  TLB entries carry a small number for that, so that switching
 * address spaces or privilege flushes nothing.  U-mode and M-mode have one for
 * each (satp, MXR).  S-mode has one for each MXR whatever satp and SUM are:
 * what it maps is global as a rule, the rest is taken out when satp changes,
 * and user pages when SUM is cleared (struct rv_local).  Forgetting a number
 * is how a context is flushed; when the numbers run out the TLB is wiped and
 * they start again.
 */
#ifndef HULL_ENGINE_RISCV64_HART_H
#define HULL_ENGINE_RISCV64_HART_H

#include "core/aspace.h"
#include "core/vcpu.h"
#include "engine/cpu.h"
#include "engine/stats.h"
#include "isa/fp.h"
#include "isa/riscv64/insn.h"
#include "isa/riscv64/regs.h"

enum {
	RV_FETCH_TLB_SIZE = 256,
	RV_CONTEXTS = 16, /* remembered combinations of U-mode and M-mode */
	RV_LOCAL = 64,
	RV_CONTEXT_LIMIT = ENGINE_CONTEXTS / 2, /* the upper half: sites with SUM set */
	RV_X_DISCARD = 32,                      /* writes to x0 go here */
	RV_TRAP_LOOP = 1000, /* traps in a row without a retired instruction: the caller may look */
	RV_PMP_COUNT = 16,
	RV_RANGES = 4,
	RV_WATCH_SIZE = 1 << 14,
	RV_WATCH_MAX = RV_WATCH_SIZE / 2,
	RV_WATCH_DIRTY = 128,
};

struct rv_block;
struct rv_cache;

struct rv_fetch_entry {
	uint64_t tag;
	uint64_t gpa;
	const uint8_t *hva; /* of the page */
};

struct rv_context {
	uint64_t satp;   /* 0: bare */
	uint8_t mode;    /* priv | MXR << 3 */
	uint16_t number; /* 0: free */
	uint32_t used;   /* for replacement */
};

/* Entries of the data TLB with S-mode's numbers that do not hold for every satp and SUM. */
struct rv_local {
	/* What entries for user pages took the place of, in that order, until SUM is cleared. */
	struct engine_tlb_entry kept[RV_LOCAL];
	uint16_t kept_at[RV_LOCAL];
	uint16_t kept_count;
	/* Where entries that are not global may be, also among `kept`; > RV_LOCAL: anywhere. */
	uint16_t count;
	uint16_t at[RV_LOCAL];
	bool fetch; /* pages that are not global were fetched */
};

/* Pages that code was fetched from, see watch.c. */
struct rv_watch {
	bool on;
	bool lost; /* not all of them are here, or dirty ones are not known */
	uint32_t count;
	uint64_t writes_seen; /* hull_aspace_watched_writes() */
	uint32_t dirty_count, granted_count;
	uint64_t dirty[RV_WATCH_DIRTY];   /* written since fence.i */
	uint16_t granted[RV_WATCH_DIRTY]; /* entries of the TLB through which they can be */
	uint64_t pages[RV_WATCH_SIZE];
};

struct rv_hart {
	uint64_t x[33]; /* x[32] swallows what is written to x0 */
	uint64_t f[32];
	uint64_t pc;         /* valid outside blocks */
	struct hull_fp fp;   /* flags = fflags; rm = the mode of the current instruction */
	uint8_t rm_table[8]; /* rm field -> mode; > 4: trap.  All > 4 while FS is off */
	uint8_t frm;
	bool fs_dirty; /* mstatus.FS is Dirty */
	uint8_t priv;
	bool sbi; /* Hull is the firmware */
	uint32_t fetch_context;
	uint64_t retired;      /* instructions, up to the last exit from a block */
	uint64_t retire_limit; /* leave when this is reached */
	uint64_t code_epoch;   /* translated code of an older one must be compared with memory */

	/* Entries of cpu.jumps without code have pc | 1: generated code does not take them. */
	struct engine_cpu cpu;

	/* Trap in flight: set by helpers that return false. */
	uint64_t cause, tval;

	/*
	 * LR/SC reservation: virtual address (all ones: none) and the value seen.  Given up when
	 * another address may be meant: by traps and fences, and when satp or the privilege of
	 * data accesses changes.
	 */
	uint64_t reserved, reserved_value;

	uint64_t mip; /* pending interrupts as of the last look, software bits included */
	struct {
		uint64_t mstatus, medeleg, mideleg, mie, mtvec, mcounteren, menvcfg, mcountinhibit;
		uint64_t mscratch, mepc, mcause, mtval;
		uint64_t stvec, scounteren, senvcfg, sscratch, sepc, scause, stval, satp, stimecmp;
		uint64_t soft_mip; /* SSIP STIP SEIP as software wrote them */
		uint64_t pmpaddr[RV_PMP_COUNT];
		uint8_t pmpcfg[RV_PMP_COUNT];
		uint64_t instret_base, cycle_base; /* added to `retired` */
	} csr;
	bool pmp_active; /* any entry is on */

	struct hull_vcpu *vcpu;
	struct hull_vm *vm;
	struct rv_cache *cache; /* decoded blocks of this hart */
	struct rv_jit *jit;     /* generated code; NULL: tier 0 only */
	/*
	 * rv_interpret() is to return RV_EXIT_HOT after one instruction: `retired` at which it
	 * was asked to, + 1; 0: not.
	 */
	uint64_t step_from;
	/*
	 * host_fp_flags() while exceptions of generated code may wait in the host's status
	 * register; else NULL.  The interpreter and hardfloat.h raise others there: not for them.
	 */
	unsigned (*host_flags)(void);
	uint64_t block_epoch; /* the same for decoded blocks: changes more often */
	uint64_t jump_epoch;  /* counted up to drop all jumps; part of cpu.jump_key */
	uint64_t trap_loop;   /* traps in a row without a retired instruction */
	uint64_t trap_mark;   /* `retired` at the last trap */
	uint64_t last_mmio;   /* guest-physical address of the last device access */

	struct rv_context contexts[RV_CONTEXTS];
	uint32_t next_context, context_clock;
	/* Numbers under the current satp; 0: not given yet.  [privilege][MXR] */
	uint16_t data_numbers[4][2], fetch_numbers[4];
	struct rv_local local;
	/* Pages that were mapped by a superpage: sfence.vma inside flushes everything.  Per half.
	 */
	uint64_t super_low[2], super_high[2];
	uint64_t code_pages[64]; /* Bloom filter of virtual pages in the jump cache */

	/*
	 * Mappings of guest memory in use, without those that a dirty log watches (length 0: free).
	 * Good as long as the TLB is as far as the host is concerned; sfence.vma is no reason to
	 * drop them.
	 */
	struct hull_ram_range ranges[RV_RANGES];
	uint32_t next_range;

	struct rv_fetch_entry fetch_tlb[RV_FETCH_TLB_SIZE];
	struct rv_watch watch;
	struct hull_engine_stats stats; /* since the VM was made */
};

_Static_assert(offsetof(struct rv_hart, cpu) == ENGINE_CPU_AT, "generated code knows the offset");

/* The entry of the jump cache for pc, with or without code; NULL if there is none. */
static inline const struct engine_jump_entry *rv_jump_find(const struct rv_hart *h, uint64_t pc)
{
	const struct engine_jump_entry *j = &h->cpu.jumps[engine_jump_index(pc)];

	return (j->pc | 1) == (pc | 1) && j->key == h->cpu.jump_key ? j : NULL;
}

/* --- hart.c: reset, registers, traps, interrupts --- */

void rv_hart_reset(struct rv_hart *h);
int rv_reg_get(struct rv_hart *h, uint32_t reg, uint64_t *ret);
int rv_reg_set(struct rv_hart *h, uint32_t reg, uint64_t value);

/* Enter the handler of exception `cause`, h->pc being the instruction's. */
void rv_trap(struct rv_hart *h, uint64_t cause, uint64_t tval);

/* Look at lines and requests, then take the most urgent enabled interrupt.  True if one was taken.
 */
bool rv_poll(struct rv_hart *h);
/* Take a pending enabled interrupt without looking at the lines again. */
bool rv_take_interrupt(struct rv_hart *h);
/* Bring h->mip up to date with the lines, the timer and the software bits. */
void rv_update_mip(struct rv_hart *h);

/* ecall to Hull as the firmware: the exit, h being behind the instruction then.  Returns 0. */
int rv_hypercall(struct rv_hart *h, struct hull_exit *exit);

/*
 * Perform the exception in h->cause, h->tval.  True if the caller should return now: a handler that
 * itself faults at once retires nothing, and somebody has to look now and then.  *exit is set then.
 */
bool rv_take_trap(struct rv_hart *h, struct hull_exit *exit);

/* Report a trap to the caller: set cause and tval and return false. */
static inline bool rv_raise(struct rv_hart *h, uint64_t cause, uint64_t tval)
{
	h->cause = cause;
	h->tval = tval;
	return false;
}

/*
 * Deterministic runs: guest time follows the instruction count, so the core
 * is told it before it looks at the clock, and may shorten the run when a
 * timer is set.
 */
void rv_tell_budget(struct rv_hart *h);
void rv_heed_budget(struct rv_hart *h);

uint64_t rv_time(struct rv_hart *h);
void rv_set_stimecmp(struct rv_hart *h, uint64_t value);
void rv_timer_fired(struct hull_timer *t);

/* mstatus.FS and frm changed: rebuild rm_table. */
void rv_fp_changed(struct rv_hart *h);
/*
 * These or fs_dirty changed: bring cpu.fp_fast up to date.  Instructions that make fs_dirty true
 * do not call it, so fp_fast may be 0 too long, but never 1.
 */
void rv_fp_mode_changed(struct rv_hart *h);
/* Move the exceptions of generated code to h->fp.flags, where they are read and written. */
static inline void rv_fp_collect(struct rv_hart *h)
{
	if (h->host_flags)
		h->fp.flags |= (uint8_t)h->host_flags();
}
/* Forget exceptions that other code raised since rv_fp_collect(). */
static inline void rv_fp_discard(const struct rv_hart *h)
{
	if (h->host_flags)
		(void)h->host_flags();
}

/* --- csr.c --- */

enum rv_csr_op { RV_CSR_write, RV_CSR_set, RV_CSR_clear };

/* One access: the instruction's CSR and operation, and whether it reads and writes. */
static inline unsigned rv_csr_request(unsigned csr, enum rv_csr_op op, bool read, bool write)
{
	return csr | (unsigned)op << 12 | (unsigned)read << 14 | (unsigned)write << 15;
}

/* Access checks of 2.1 and the CSR's own; false with a trap (cause set, tval 0: fill in the bits).
 */
bool rv_csr_access(struct rv_hart *h, unsigned request, uint64_t operand, uint64_t *ret_old);
/* Without privilege checks, for reg_get and reg_set.  False: no such CSR. */
bool rv_csr_peek(struct rv_hart *h, unsigned csr, uint64_t *ret);
bool rv_csr_poke(struct rv_hart *h, unsigned csr, uint64_t value);
/* May code go on after accessing this CSR, or does the machine have to be looked at? */
bool rv_csr_is_simple(unsigned csr);

/* mstatus as software sees it (SD, FS). */
uint64_t rv_mstatus(const struct rv_hart *h);
void rv_set_mstatus(struct rv_hart *h, uint64_t value);

/* --- mmu.c --- */

enum rv_access { RV_READ, RV_WRITE, RV_FETCH };

/* Bring the context numbers up to date after priv, SUM, MXR, MPRV or MPP changed. */
void rv_update_contexts(struct rv_hart *h);
/* The same after satp changed. */
void rv_satp_changed(struct rv_hart *h, uint64_t old);
static inline void rv_drop_held(struct rv_hart *h)
{
	__builtin_memset(h->cpu.held, 0, sizeof(h->cpu.held));
}
/* Whenever entries of the TLB are dropped other than by forgetting their context. */
static inline void rv_drop_sites(struct rv_hart *h)
{
	rv_drop_held(h);
	if (!h->cpu.sites_used)
		return;
	h->cpu.sites_used = 0;
	__builtin_memset(h->cpu.sites, 0, sizeof(h->cpu.sites));
}
/* Drop all translations and jump targets. */
void rv_flush_tlb(struct rv_hart *h);
/* The same and what is known of the host's mappings: the host changed them. */
void rv_flush_host(struct rv_hart *h);
/* sfence.vma; a register number of 0 means all. */
void rv_sfence(struct rv_hart *h, bool all_addresses, uint64_t va, bool all_asids, uint64_t asid);
/* Drop the targets of jumps only. */
static inline void rv_flush_jumps(struct rv_hart *h)
{
	h->jump_epoch++;
	h->cpu.jump_key = h->jump_epoch << 12 | h->fetch_context;
}

/*
 * Slow paths of memory access: any alignment, RAM or device.  `bits` is 8 to
 * 64.  False with the trap set.
 */
bool rv_load_slow(struct rv_hart *h, uint64_t va, unsigned bits, uint64_t *ret);
bool rv_store_slow(struct rv_hart *h, uint64_t va, unsigned bits, uint64_t value);

/* Fetch one instruction at h->pc into *ret (2 or 4 bytes); false with the trap set. */
bool rv_fetch(struct rv_hart *h, uint64_t pc, uint32_t *ret);
/*
 * The RAM page behind pc for execution; NULL with the trap set.  A tag of 0: PMP splits the
 * page, the answer is for the two bytes at pc only.
 */
const struct rv_fetch_entry *rv_fetch_page(struct rv_hart *h, uint64_t pc);

/* The same if it was asked for before, else NULL; no trap. */
static inline const struct rv_fetch_entry *rv_fetch_known(const struct rv_hart *h, uint64_t pc)
{
	const struct rv_fetch_entry *e = &h->fetch_tlb[pc >> 12 & (RV_FETCH_TLB_SIZE - 1)];

	return e->tag == ((pc & ~HULL_PAGE_MASK) | h->fetch_context) ? e : NULL;
}

/* A naturally aligned RAM address for an atomic access; NULL with the trap set. */
void *rv_atomic_address(struct rv_hart *h, uint64_t va, unsigned bits, enum rv_access kind,
                        uint64_t *ret_gpa);
enum rv_amo {
	RV_AMO_swap,
	RV_AMO_add,
	RV_AMO_xor,
	RV_AMO_and,
	RV_AMO_or,
	RV_AMO_min,
	RV_AMO_max,
	RV_AMO_minu,
	RV_AMO_maxu,
};
bool rv_amo(struct rv_hart *h, enum rv_amo op, unsigned bits, uint64_t va, uint64_t operand,
            uint64_t *ret_old);
bool rv_lr(struct rv_hart *h, unsigned bits, uint64_t va, uint64_t *ret);
bool rv_sc(struct rv_hart *h, unsigned bits, uint64_t va, uint64_t value, uint64_t *ret_failed);

enum rv_cbo { RV_CBO_inval, RV_CBO_clean, RV_CBO_flush, RV_CBO_zero };
bool rv_cbo(struct rv_hart *h, enum rv_cbo op, uint64_t va);

/* Translate for the debugger and firmware, without side effects; false if unmapped. */
bool rv_translate(struct rv_hart *h, uint64_t va, enum rv_access kind, uint64_t *ret_gpa);

/* Take back what S-mode was given of user pages because of SUM. */
void rv_end_user_access(struct rv_hart *h);

/* --- watch.c --- */

/* Code will be read from this page; shared: others can write it unseen. */
void rv_watch_code(struct rv_hart *h, uint64_t gpa, bool shared);
/* May the page only be written by way of rv_watch_written()? */
bool rv_is_watched(struct rv_hart *h, uint64_t gpa);
/* This hart writes a page, or gives itself the right to: `e` is the TLB entry. */
void rv_watch_written(struct rv_hart *h, uint64_t gpa);
void rv_watch_granted(struct rv_hart *h, const struct engine_tlb_entry *e);
/* All code may have changed, in ways that were not watched. */
void rv_suspect_code(struct rv_hart *h);
void rv_sys_fence_i(struct rv_hart *h);

/* --- sys.c: system instructions.  They set h->pc; false with the trap set. --- */

enum rv_after { RV_AFTER_GO, RV_AFTER_HALT };

bool rv_sys_mret(struct rv_hart *h);
bool rv_sys_sret(struct rv_hart *h);
bool rv_sys_wfi(struct rv_hart *h, enum rv_after *ret);
bool rv_sys_sfence_vma(struct rv_hart *h, bool rs1_zero, uint64_t va, bool rs2_zero, uint64_t asid);
bool rv_sys_sfence_order(struct rv_hart *h);

/* --- pmp.c --- */

/* rv_pmp_check() when an entry is on. */
bool rv_pmp_match(const struct rv_hart *h, uint64_t gpa, unsigned len, enum rv_access kind,
                  unsigned priv, bool *ret_page);
/* May [gpa, gpa + len) be accessed?  *ret_page: the answer holds for the whole 4 KiB page. */
static inline bool rv_pmp_check(const struct rv_hart *h, uint64_t gpa, unsigned len,
                                enum rv_access kind, unsigned priv, bool *ret_page)
{
	*ret_page = true;
	if (h->pmp_active)
		return rv_pmp_match(h, gpa, len, kind, priv, ret_page);
	return priv == RV_PRIV_M || h->sbi; /* without M-mode software there is no PMP */
}
void rv_pmp_write_cfg(struct rv_hart *h, unsigned reg, uint64_t value);
uint64_t rv_pmp_read_cfg(const struct rv_hart *h, unsigned reg);
void rv_pmp_write_addr(struct rv_hart *h, unsigned i, uint64_t value);

/* --- interp.c --- */

/*
 * A further exit->kind, which never leaves the engine: h->pc is a place for generated code.  Either
 * it has been entered often enough for that (rv_cache.profile), or cpu.jumps has its code.
 */
#define RV_EXIT_HOT 0x100

/* Run decoded blocks until something must be done. */
int rv_interpret(struct rv_hart *h, struct hull_exit *exit);

/* --- jit.c --- */

/* Run generated code and, for what is not hot, rv_interpret().  h->jit is there. */
int rv_jit_run(struct rv_hart *h, struct hull_exit *exit);

/* After fence.i, with h->jit: jumps of the key before it to code that is still good stay. */
void rv_jit_fence(struct rv_hart *h, uint64_t was_key);

struct hull_err;
struct hull_engine_config;
/*
 * Create h->jit with a code cache of `bytes`; after rv_cache_init().  HULL_ENOTSUP: this host has
 * no memory for code; HULL_ENOMEM.
 */
int rv_jit_init(struct rv_hart *h, const struct hull_engine_config *config, uint64_t bytes,
                struct hull_err *err);
void rv_jit_fini(struct rv_hart *h);
/* Units that differ from memory in this page are good no more.  False: it is no memory. */
bool rv_jit_recheck(struct rv_hart *h, uint64_t page);

/* --- block.c --- */

/* Create and give back the cache of decoded blocks; HULL_ENOMEM. */
int rv_cache_init(struct rv_hart *h, const struct hull_hal *hal, uint64_t bytes);
void rv_cache_fini(struct rv_hart *h, const struct hull_hal *hal);

#endif
