/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Hosts without a code generator: no registers to allocate, so hull_engine_tiers() has no
 * translator and nothing below is called, except host_features().
 *
 * budget: host.h gives the parameters.
 */
#if !defined(__x86_64__) && !defined(__aarch64__)

#include "engine/jit/host.h"

const struct host_info host_info = { .name = "none" };

unsigned host_features(void)
{
	return 0;
}

void host_begin(struct host_emit *e, void *buffer, size_t size)
{
	*e = (struct host_emit){ .full = true };
}

bool host_end(struct host_emit *e)
{
	e->full = true;
	return false;
}

host_label host_new_label(struct host_emit *e)
{
	e->full = true;
	return 0;
}

void host_bind(struct host_emit *e, host_label l)
{
}

void host_mov(struct host_emit *e, host_reg d, struct host_operand a)
{
	e->full = true;
}

void host_set_state(struct host_emit *e, int32_t state, struct host_operand a)
{
	e->full = true;
}

void host_set_state8(struct host_emit *e, int32_t state, uint8_t v)
{
	e->full = true;
}

void host_alu(struct host_emit *e, enum host_alu op, bool w, host_reg d, struct host_operand a,
              struct host_operand b)
{
	e->full = true;
}

void host_shift(struct host_emit *e, enum host_shift op, bool w, host_reg d, struct host_operand a,
                struct host_operand b)
{
	e->full = true;
}

void host_add_shifted(struct host_emit *e, host_reg d, struct host_operand a, struct host_operand b,
                      unsigned shift)
{
	e->full = true;
}

bool host_compute(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
                  struct host_operand b)
{
	e->full = true;
	return false;
}

void host_divw(struct host_emit *e, enum hull_ir_op op, host_reg d, struct host_operand a,
               struct host_operand b)
{
	e->full = true;
}

void host_set(struct host_emit *e, enum host_cond cond, host_reg d, struct host_operand a,
              struct host_operand b)
{
	e->full = true;
}

void host_branch(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_label to)
{
	e->full = true;
}

void host_select(struct host_emit *e, enum host_cond cond, struct host_operand a,
                 struct host_operand b, host_reg d, struct host_operand yes, struct host_operand no)
{
	e->full = true;
}

void host_jump(struct host_emit *e, host_label to)
{
	e->full = true;
}

void host_branch_byte(struct host_emit *e, int32_t state, host_label if_zero)
{
	e->full = true;
}

void host_tlb(struct host_emit *e, bool write, struct host_operand base, int32_t lo, int32_t hi,
              host_reg addend, host_label slow)
{
	e->full = true;
}

bool host_site(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
               unsigned size, host_reg addend, host_label miss)
{
	e->full = true;
	return false;
}

void host_site_fill(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
                    host_reg addend)
{
	e->full = true;
}

void host_held(struct host_emit *e, unsigned n, host_reg base, host_reg addend, host_label miss)
{
	e->full = true;
}

void host_hold(struct host_emit *e, unsigned n, host_reg base, int32_t hi, host_reg addend)
{
	e->full = true;
}

void host_let_go(struct host_emit *e, unsigned n)
{
	e->full = true;
}

void host_check_aligned(struct host_emit *e, struct host_operand base, int32_t off, unsigned size,
                        host_label slow)
{
	e->full = true;
}

void host_load(struct host_emit *e, unsigned kind, host_reg d, host_reg addend,
               struct host_operand base, int32_t off)
{
	e->full = true;
}

void host_load_f(struct host_emit *e, unsigned bits, host_reg fd, host_reg addend,
                 struct host_operand base, int32_t off)
{
	e->full = true;
}

void host_store(struct host_emit *e, unsigned bits, struct host_operand v, host_reg addend,
                struct host_operand base, int32_t off)
{
	e->full = true;
}

void host_store_f(struct host_emit *e, unsigned bits, host_reg fs, host_reg addend,
                  struct host_operand base, int32_t off)
{
	e->full = true;
}

void host_atomic(struct host_emit *e, enum host_atomic op, unsigned bits, host_reg d,
                 struct host_operand v, host_reg addend, struct host_operand base)
{
	e->full = true;
}

void host_compare_swap(struct host_emit *e, unsigned bits, host_reg d, int32_t expected,
                       struct host_operand v, host_reg addend, struct host_operand base)
{
	e->full = true;
}

void host_fence(struct host_emit *e, bool store_load)
{
	e->full = true;
}

void host_fget(struct host_emit *e, unsigned bits, host_reg fd, int32_t state)
{
	e->full = true;
}

void host_fput(struct host_emit *e, unsigned bits, int32_t state, host_reg fs)
{
	e->full = true;
}

void host_fmov(struct host_emit *e, host_reg fd, host_reg fs)
{
	e->full = true;
}

void host_f_from_gpr(struct host_emit *e, unsigned bits, host_reg fd, struct host_operand a)
{
	e->full = true;
}

void host_f_to_gpr(struct host_emit *e, unsigned bits, host_reg d, host_reg fs)
{
	e->full = true;
}

void host_branch_unboxed(struct host_emit *e, int32_t state, host_label to)
{
	e->full = true;
}

void host_fop(struct host_emit *e, enum host_fop op, unsigned bits, host_reg fd, host_reg fa,
              host_reg fb, host_label nan)
{
	e->full = true;
}

void host_fsqrt(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_label nan)
{
	e->full = true;
}

bool host_fma(struct host_emit *e, unsigned bits, host_reg fd, host_reg fa, host_reg fb,
              host_reg fc, bool negate_product, bool negate_c, host_label nan)
{
	e->full = true;
	return false;
}

void host_fnan(struct host_emit *e, unsigned bits, host_reg fd)
{
	e->full = true;
}

void host_fcompare(struct host_emit *e, enum host_fcmp op, unsigned bits, host_reg d, host_reg fa,
                   host_reg fb)
{
	e->full = true;
}

void host_fminmax(struct host_emit *e, bool max, unsigned bits, host_reg fd, host_reg fa,
                  host_reg fb, host_label slow)
{
	e->full = true;
}

void host_f_to_int(struct host_emit *e, unsigned bits, enum host_int to, host_reg d, host_reg fa,
                   host_label slow)
{
	e->full = true;
}

bool host_f_from_int(struct host_emit *e, unsigned bits, enum host_int from, host_reg fd,
                     struct host_operand a)
{
	e->full = true;
	return false;
}

void host_fconvert(struct host_emit *e, unsigned from, host_reg fd, host_reg fa, host_label nan)
{
	e->full = true;
}

void host_fuel(struct host_emit *e, unsigned insns, host_label over)
{
	e->full = true;
}

void host_fuel_jump(struct host_emit *e, unsigned insns, host_label to)
{
	e->full = true;
}

void host_fuel_add(struct host_emit *e, int32_t delta)
{
	e->full = true;
}

void host_page_address(struct host_emit *e, host_reg d, int32_t offset)
{
	e->full = true;
}

uint32_t host_link(struct host_emit *e, host_label to)
{
	e->full = true;
	return 0;
}

void host_patch(void *rw, const void *rx, const void *target)
{
}

void host_jump_guest(struct host_emit *e, struct host_operand a, int32_t add, host_label miss)
{
	e->full = true;
}

void host_jump_page(struct host_emit *e, int32_t offset, host_label miss)
{
	e->full = true;
}

bool host_jump_shared(struct host_emit *e, unsigned insns, const struct host_operand *a,
                      int32_t add, unsigned number)
{
	e->full = true;
	return false;
}

bool host_jump_glue(struct host_emit *e, unsigned exit)
{
	e->full = true;
	return false;
}

void host_call(struct host_emit *e, unsigned number, uint32_t desc, bool keep_f)
{
	e->full = true;
}

void host_call_done(struct host_emit *e, host_reg d, host_label failed)
{
	e->full = true;
}

void host_leave(struct host_emit *e, unsigned number, uint32_t desc)
{
	e->full = true;
}

void host_entry(struct host_emit *e, const struct host_pin *pins, unsigned count)
{
	e->full = true;
}

void host_exit(struct host_emit *e, const struct host_pin *pins, unsigned count, uint64_t reason)
{
	e->full = true;
}

void host_thunk(struct host_emit *e, bool (*fn)(void *state), bool keep_f)
{
	e->full = true;
}

unsigned host_fp_flags(void)
{
	return 0;
}

void host_sync_code(const void *rw, const void *rx, size_t bytes)
{
}

#endif
