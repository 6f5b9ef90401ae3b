/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Guest memory, and the ways between pieces of code, on x86-64 hosts.
 * budget: host.h gives the parameters: an access has that many operands.
 */
#if defined(__x86_64__)
#include "base/bits.h"
#include "engine/jit/x86_64.h"

enum { TLB_ENTRY_SHIFT = 5, DIGIT_CALL = 2, DIGIT_JMP = 4, DIGIT_SHR = 5 };

_Static_assert(sizeof(struct engine_tlb_entry) == 1 << TLB_ENTRY_SHIFT, "shifts below");
_Static_assert(sizeof(struct engine_jump_entry) == 1 << TLB_ENTRY_SHIFT, "shifts below");

/* [state + index + offset] */
static struct x86_rm indexed_state(unsigned index, int32_t offset)
{
	return x86_mx(X86_STATE, index, offset - X86_STATE_BIAS);
}

static void set_desc(struct host_emit *e, uint32_t desc)
{
	if (desc)
		x86_const(e, RCX, desc);
	else
		x86_op(e, X86_XOR, false, RCX, x86_r(RCX));
}

void host_tlb(struct host_emit *e, bool write, struct host_operand base, int32_t lo, int32_t hi,
              host_reg addend, host_label slow)
{
	host_reg b = x86_in(e, base, RCX);

	x86_op(e, lo ? X86_LEA : X86_MOV, false, RAX, lo ? x86_m(b, lo) : x86_r(b));
	x86_op(e, X86_SHIFT_I, false, DIGIT_SHR, x86_r(RAX));
	x86_imm(e, 12 - TLB_ENTRY_SHIFT, 1);
	x86_alu_imm(e, X86_AND, false, x86_r(RAX), (ENGINE_TLB_SIZE - 1) << TLB_ENTRY_SHIFT);
	x86_op(e, hi ? X86_LEA : X86_MOV, true, RDX, hi ? x86_m(b, hi) : x86_r(b));
	x86_alu_imm(e, X86_AND, true, x86_r(RDX), -4096);
	x86_op(e, X86_OR, true, RDX, x86_state(ENGINE_STATE(data_context)));
	x86_op(e, X86_CMP, true, RDX,
	       indexed_state(RAX, write ? ENGINE_STATE(tlb[0].write) : ENGINE_STATE(tlb[0].read)));
	x86_jump(e, CC_NE, slow);
	x86_op(e, X86_MOV, true, addend, indexed_state(RAX, ENGINE_STATE(tlb[0].addend)));
}

static int32_t site_state(unsigned site, size_t field)
{
	return ENGINE_STATE(sites) + (int32_t)(site * sizeof(struct engine_site) + field);
}

/* rdx = the tag of the page at base + lo, bits of `keep` included */
static void site_tag(struct host_emit *e, struct host_operand base, int32_t lo, unsigned keep)
{
	host_reg b = x86_in(e, base, RCX);

	x86_op(e, lo ? X86_LEA : X86_MOV, true, RDX, lo ? x86_m(b, lo) : x86_r(b));
	x86_alu_imm(e, X86_AND, true, x86_r(RDX), (int32_t)(keep | ~0xfffu));
	x86_op(e, X86_OR, true, RDX, x86_state(ENGINE_STATE(site_context)));
}

bool host_site(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
               unsigned size, host_reg addend, host_label miss)
{
	site_tag(e, base, lo, size - 1);
	x86_op(e, X86_CMP, true, RDX,
	       x86_state(site_state(site, offsetof(struct engine_site, tag))));
	x86_jump(e, CC_NE, miss);
	x86_op(e, X86_MOV, true, addend,
	       x86_state(site_state(site, offsetof(struct engine_site, addend))));
	return true;
}

void host_site_fill(struct host_emit *e, unsigned site, struct host_operand base, int32_t lo,
                    host_reg addend)
{
	site_tag(e, base, lo, 0);
	x86_op(e, X86_MOV_MR, true, addend,
	       x86_state(site_state(site, offsetof(struct engine_site, addend))));
	x86_op(e, X86_MOV_MR, true, RDX,
	       x86_state(site_state(site, offsetof(struct engine_site, tag))));
	x86_op(e, X86_MOV_MR, true, RDX, x86_state(ENGINE_STATE(sites_used)));
}

static struct x86_rm held_state(unsigned n, size_t field)
{
	return x86_state(ENGINE_STATE(held) + (int32_t)(n * sizeof(struct engine_held) + field));
}

void host_held(struct host_emit *e, unsigned n, host_reg base, host_reg addend, host_label miss)
{
	x86_op(e, X86_CMP, true, base, held_state(n, offsetof(struct engine_held, end)));
	x86_jump(e, CC_AE, miss);
	x86_op(e, X86_MOV, true, addend, held_state(n, offsetof(struct engine_held, addend)));
}

/* The end is what base + hi may reach in its page, less hi. */
void host_hold(struct host_emit *e, unsigned n, host_reg base, int32_t hi, host_reg addend)
{
	host_label last = host_new_label(e);

	x86_alu_imm(e, X86_CMP, true, x86_r(base), -ENGINE_HELD_LAST);
	x86_jump(e, CC_AE, last);
	x86_op(e, X86_LEA, true, RDX, x86_m(base, hi));
	x86_alu_imm(e, X86_AND, true, x86_r(RDX), -4096);
	x86_alu_imm(e, X86_ADD, true, x86_r(RDX), 4096 - hi);
	x86_op(e, X86_MOV_MR, true, addend, held_state(n, offsetof(struct engine_held, addend)));
	x86_op(e, X86_MOV_MR, true, RDX, held_state(n, offsetof(struct engine_held, end)));
	host_bind(e, last);
}

void host_let_go(struct host_emit *e, unsigned n)
{
	x86_op(e, X86_MOV_MI, true, 0, held_state(n, offsetof(struct engine_held, end)));
	x86_imm(e, 0, 4);
}

/* rax may be the addend. */
void host_check_aligned(struct host_emit *e, struct host_operand base, int32_t off, unsigned size,
                        host_label slow)
{
	unsigned mask = size - 1;
	struct x86_rm m = x86_rm(e, base, RCX);

	if (!mask)
		return;
	if (off & (int32_t)mask) {
		x86_op(e, X86_LEA, false, RCX, x86_m(x86_in(e, base, RCX), off));
		m = x86_r(RCX);
	}
	x86_op(e, X86_TEST8_I, false, 0, m);
	x86_imm(e, mask, 1);
	x86_jump(e, CC_NE, slow);
}

/* May take rcx. */
static struct x86_rm address(struct host_emit *e, host_reg addend, struct host_operand base,
                             int32_t off)
{
	return x86_mx(addend, x86_in(e, base, RCX), off);
}

void host_load(struct host_emit *e, unsigned kind, host_reg d, host_reg addend,
               struct host_operand base, int32_t off)
{
	static const struct {
		uint8_t insn, w;
	} how[HULL_IR_LOADS] = {
		[HULL_IR_u8] = { X86_MOVZX8, 0 },  [HULL_IR_u16] = { X86_MOVZX16, 0 },
		[HULL_IR_u32] = { X86_MOV, 0 },    [HULL_IR_u64] = { X86_MOV, 1 },
		[HULL_IR_s8] = { X86_MOVSX8, 1 },  [HULL_IR_s16] = { X86_MOVSX16, 1 },
		[HULL_IR_s32] = { X86_MOVSXD, 1 },
	};

	x86_op(e, how[kind].insn, how[kind].w, d, address(e, addend, base, off));
}

static void store_const(struct host_emit *e, unsigned bits, uint64_t v, struct x86_rm to)
{
	enum x86_insn op = bits == 8 ? X86_MOV_MI8 : bits == 16 ? X86_MOV_MI16 : X86_MOV_MI;

	x86_op(e, op, bits == 64, 0, to);
	x86_imm(e, v, bits == 8 ? 1 : bits == 16 ? 2 : 4);
}

void host_store(struct host_emit *e, unsigned bits, struct host_operand v, host_reg addend,
                struct host_operand base, int32_t off)
{
	struct x86_rm to = address(e, addend, base, off);
	enum x86_insn op = bits == 8 ? X86_MOV_MR8 : bits == 16 ? X86_MOV_MR16 : X86_MOV_MR;

	if (v.kind == HOST_IMM && (bits < 64 || x86_fits32(v.imm)))
		store_const(e, bits, v.imm, to);
	else
		x86_op(e, op, bits == 64, x86_in(e, v, RDX), to);
}

/* d = base + addend, a host address */
static void place(struct host_emit *e, host_reg d, host_reg addend, struct host_operand base)
{
	x86_op(e, X86_LEA, true, d, address(e, addend, base, 0));
}

/* --- atomics: the address in rcx, the old value in rax, the new one in rdx --- */

static void locked(struct host_emit *e, enum x86_insn op, bool w, unsigned reg, struct x86_rm rm)
{
	if (e->smp)
		x86_lock_op(e, op, w, reg, rm);
	else
		x86_op(e, op, w, reg, rm);
}

static void result(struct host_emit *e, unsigned bits, host_reg d, host_reg from)
{
	if (bits == 32)
		x86_op(e, X86_MOVSXD, true, d, x86_r(from));
	else
		x86_move(e, d, from);
}

/* rdx = rax op v */
static void combine(struct host_emit *e, enum host_atomic op, bool w, struct host_operand v)
{
	static const uint8_t alu[] = { [HOST_A_ADD] = X86_ADD,
		                       [HOST_A_XOR] = X86_XOR,
		                       [HOST_A_AND] = X86_AND,
		                       [HOST_A_OR] = X86_OR };
	static const uint8_t keep[] = {
		[HOST_A_MIN] = CC_L, [HOST_A_MAX] = CC_G, [HOST_A_MINU] = CC_B, [HOST_A_MAXU] = CC_A
	};

	x86_move(e, RDX, x86_in(e, v, RDX));
	if (op == HOST_A_SWAP)
		return;
	if (op <= HOST_A_OR) {
		x86_op(e, alu[op], w, RDX, x86_r(RAX));
	} else {
		x86_op(e, X86_CMP, w, RAX, x86_r(RDX));
		x86_cc_op(e, X86_CMOVCC, keep[op], w, RDX, x86_r(RAX));
	}
}

/* Nobody wants the old value. */
static void combine_memory(struct host_emit *e, enum host_atomic op, bool w, struct host_operand v,
                           struct x86_rm to)
{
	static const struct {
		uint8_t insn, digit;
	} how[] = { [HOST_A_ADD] = { X86_ADD_MR, 0 },
		    [HOST_A_XOR] = { X86_XOR_MR, 6 },
		    [HOST_A_AND] = { X86_AND_MR, 4 },
		    [HOST_A_OR] = { X86_OR_MR, 1 } };

	if (v.kind == HOST_IMM && !w)
		v.imm = (uint64_t)(int32_t)v.imm;
	if (v.kind == HOST_IMM && x86_fits32(v.imm)) {
		bool small = x86_fits8((int64_t)v.imm);

		locked(e, small ? X86_GROUP1_I8 : X86_GROUP1_I32, w, how[op].digit, to);
		x86_imm(e, v.imm, small ? 1 : 4);
	} else {
		host_reg x = x86_in(e, v, RDX);

		locked(e, how[op].insn, w, x, to);
	}
}

void host_atomic(struct host_emit *e, enum host_atomic op, unsigned bits, host_reg d,
                 struct host_operand v, host_reg addend, struct host_operand base)
{
	bool w = bits == 64;
	host_reg old = RAX;

	if (d == HOST_NO_REG && op >= HOST_A_ADD && op <= HOST_A_OR) {
		combine_memory(e, op, w, v, address(e, addend, base, 0));
		return;
	}
	if (e->smp && (op == HOST_A_SWAP || op == HOST_A_ADD)) {
		x86_move(e, RDX, x86_in(e, v, RDX));
		locked(e, op == HOST_A_ADD ? X86_XADD : X86_XCHG, w, RDX,
		       address(e, addend, base, 0));
		old = RDX;
	} else {
		uint32_t again;

		place(e, RCX, addend, base);
		x86_op(e, X86_MOV, w, RAX, x86_m(RCX, 0));
		again = host_here(e);
		combine(e, op, w, v);
		if (e->smp) {
			x86_lock_op(e, X86_CMPXCHG, w, RDX, x86_m(RCX, 0));
			x86_bytes(e, 0x75 | (again - (host_here(e) + 2)) << 8, 2); /* jne */
		} else {
			x86_op(e, X86_MOV_MR, w, RDX, x86_m(RCX, 0));
		}
	}
	if (d != HOST_NO_REG)
		result(e, bits, d, old);
}

void host_compare_swap(struct host_emit *e, unsigned bits, host_reg d, int32_t expected,
                       struct host_operand v, host_reg addend, struct host_operand base)
{
	place(e, RCX, addend, base);
	x86_op(e, X86_MOV, bits == 64, RAX, x86_state(expected));
	locked(e, X86_CMPXCHG, bits == 64, x86_in(e, v, RDX), x86_m(RCX, 0));
	x86_cc_op(e, X86_SETCC, CC_NE, false, 0, x86_r(RAX));
	x86_op(e, X86_MOVZX8, false, d, x86_r(RAX));
}

/* The only order that the host does not keep by itself is that of a store and a later load. */
void host_fence(struct host_emit *e, bool store_load)
{
	if (!store_load)
		return;
	x86_lock_op(e, X86_GROUP1_I8, false, 1, x86_m(RSP, 0)); /* faster than mfence */
	x86_imm(e, 0, 1);
}

/* --- control --- */

void host_fuel(struct host_emit *e, unsigned insns, host_label over)
{
	x86_alu_imm(e, X86_SUB, true, x86_r(X86_FUEL), (int32_t)insns);
	x86_jump(e, CC_S, over);
}

void host_fuel_jump(struct host_emit *e, unsigned insns, host_label to)
{
	x86_alu_imm(e, X86_SUB, true, x86_r(X86_FUEL), (int32_t)insns);
	x86_jump(e, CC_NS, to);
}

void host_fuel_add(struct host_emit *e, int32_t delta)
{
	if (delta)
		x86_alu_imm(e, X86_ADD, true, x86_r(X86_FUEL), delta);
}

void host_page_address(struct host_emit *e, host_reg d, int32_t offset)
{
	host_alu(e, HOST_ADD, false, d, host_s(ENGINE_STATE(page)),
	         host_i((uint64_t)(int64_t)offset));
}

/* To the address in rax. */
static void jump_cached(struct host_emit *e, host_label miss)
{
	uint8_t *wrong, *stale;

	x86_op(e, X86_MOV, false, RCX, x86_r(RAX));
	x86_alu_imm(e, X86_AND, false, x86_r(RCX), (ENGINE_JUMP_SIZE - 1) << 1);
	x86_op(e, X86_SHIFT_I, false, 4, x86_r(RCX)); /* shl */
	x86_imm(e, TLB_ENTRY_SHIFT - 1, 1);
	x86_op(e, X86_MOV, true, RDX, x86_state(ENGINE_STATE(jump_key)));
	x86_op(e, X86_CMP, true, RAX, indexed_state(RCX, ENGINE_STATE(jumps[0].pc)));
	wrong = x86_skip(e, CC_NE);
	x86_op(e, X86_CMP, true, RDX, indexed_state(RCX, ENGINE_STATE(jumps[0].key)));
	stale = x86_skip(e, CC_NE);
	x86_alu_imm(e, X86_AND, true, x86_r(RAX), -4096);
	x86_op(e, X86_MOV_MR, true, RAX, x86_state(ENGINE_STATE(page)));
	x86_op(e, X86_GROUP5, false, DIGIT_JMP, indexed_state(RCX, ENGINE_STATE(jumps[0].code)));
	x86_land(e, wrong);
	x86_land(e, stale);
	x86_op(e, X86_MOV_MR, true, RAX, x86_state(ENGINE_STATE(target)));
	x86_jump(e, CC_ALWAYS, miss);
}

void host_jump_guest(struct host_emit *e, struct host_operand a, int32_t add, host_label miss)
{
	host_alu(e, HOST_ADD, false, RAX, a, host_i((uint64_t)(int64_t)add));
	x86_alu_imm(e, X86_AND, true, x86_r(RAX), -2);
	jump_cached(e, miss);
}

void host_jump_page(struct host_emit *e, int32_t offset, host_label miss)
{
	host_page_address(e, RAX, offset & -2);
	jump_cached(e, miss);
}

/* keep_f is a matter of the thunk. */
void host_call(struct host_emit *e, unsigned number, uint32_t desc, bool keep_f)
{
	(void)keep_f;
	set_desc(e, desc);
	x86_op(e, X86_GROUP5, false, DIGIT_CALL,
	       x86_state(ENGINE_STATE(stub[0]) + 8 * (int)number));
}

void host_call_done(struct host_emit *e, host_reg d, host_label failed)
{
	x86_bytes(e, 0xc084, 2); /* test al, al */
	x86_jump(e, CC_E, failed);
	if (d != HOST_NO_REG)
		host_mov(e, d, host_s(ENGINE_STATE(arg[3])));
}

static void jump_stub(struct host_emit *e, unsigned number)
{
	x86_op(e, X86_GROUP5, false, DIGIT_JMP, x86_state(ENGINE_STATE(stub[0]) + 8 * (int)number));
}

bool host_jump_shared(struct host_emit *e, unsigned insns, const struct host_operand *a,
                      int32_t add, unsigned number)
{
	if (a)
		host_alu(e, HOST_ADD, false, RAX, *a, host_i((uint64_t)(int64_t)add));
	else
		host_page_address(e, RAX, add);
	x86_alu_imm(e, X86_SUB, true, x86_r(X86_FUEL), (int32_t)insns);
	jump_stub(e, number); /* the flags go along */
	return true;
}

bool host_jump_glue(struct host_emit *e, unsigned exit)
{
	host_label over = host_new_label(e), miss = host_new_label(e);

	x86_jump(e, CC_S, over);
	host_jump_guest(e, host_r(RAX), 0, miss);
	host_bind(e, over);
	x86_alu_imm(e, X86_AND, true, x86_r(RAX), -2);
	x86_op(e, X86_MOV_MR, true, RAX, x86_state(ENGINE_STATE(target)));
	host_bind(e, miss);
	x86_op(e, X86_XOR, false, RDX, x86_r(RDX)); /* nobody's: no site */
	x86_op(e, X86_XOR, false, RCX, x86_r(RCX));
	jump_stub(e, exit);
	return true;
}

void host_leave(struct host_emit *e, unsigned number, uint32_t desc)
{
	x86_bytes(e, 0x158d48, 3); /* lea rdx, [rip + distance] */
	x86_imm(e, (uint64_t)0 - (host_here(e) + 4), 4);
	set_desc(e, desc);
	x86_op(e, X86_GROUP5, false, DIGIT_JMP, x86_state(ENGINE_STATE(stub[0]) + 8 * (int)number));
}

/* --- glue --- */

static void push(struct host_emit *e, unsigned reg)
{
	if (reg >= R8)
		x86_bytes(e, 0x5041 | (reg & 7) << 8, 2);
	else
		x86_bytes(e, 0x50 | reg, 1);
}

static void pop(struct host_emit *e, unsigned reg)
{
	if (reg >= R8)
		x86_bytes(e, 0x5841 | (reg & 7) << 8, 2);
	else
		x86_bytes(e, 0x58 | reg, 1);
}

static const uint8_t callee_saved[] = { RBP, RBX, R12, R13, R14, R15 };

void host_entry(struct host_emit *e, const struct host_pin *pins, unsigned count)
{
	for (unsigned i = 0; i < ARRAY_LEN(callee_saved); i++)
		push(e, callee_saved[i]);
	x86_alu_imm(e, X86_SUB, true, x86_r(RSP), 8);
	x86_op(e, X86_LEA, true, X86_STATE, x86_m(RDI, X86_STATE_BIAS));
	x86_move(e, RAX, RSI);
	x86_op(e, X86_MOV, true, X86_FUEL, x86_state(ENGINE_STATE(fuel)));
	for (unsigned i = 0; i < count; i++)
		host_mov(e, pins[i].reg, host_s(pins[i].state));
	x86_op(e, X86_GROUP5, false, DIGIT_JMP, x86_r(RAX));
}

void host_exit(struct host_emit *e, const struct host_pin *pins, unsigned count, uint64_t reason)
{
	x86_op(e, X86_MOV_MR, true, RDX, x86_state(ENGINE_STATE(site)));
	x86_op(e, X86_MOV_MR, false, RCX, x86_state(ENGINE_STATE(desc)));
	x86_op(e, X86_MOV_MR, true, X86_FUEL, x86_state(ENGINE_STATE(fuel)));
	for (unsigned i = 0; i < count; i++)
		host_set_state(e, pins[i].state, host_r(pins[i].reg));
	host_mov(e, RAX, host_i(reason));
	x86_alu_imm(e, X86_ADD, true, x86_r(RSP), 8);
	for (unsigned i = ARRAY_LEN(callee_saved); i--;)
		pop(e, callee_saved[i]);
	x86_bytes(e, 0xc3, 1); /* ret */
}

void host_thunk(struct host_emit *e, bool (*fn)(void *state), bool keep_f)
{
	/* The return address and the pushes are 7 words, the rest makes it a multiple of 16. */
	int32_t room = 8 + (keep_f ? (host_info.fpr_count + 1) / 2 * 16 : 0);
	unsigned saved = host_info.gpr_saved, gprs = host_info.gpr_count;

	x86_op(e, X86_MOV_MR, false, RCX, x86_state(ENGINE_STATE(desc)));
	x86_op(e, X86_MOV_MR, true, X86_FUEL, x86_state(ENGINE_STATE(fuel)));
	for (unsigned i = saved; i < gprs; i++)
		push(e, host_info.gpr[i]);
	x86_alu_imm(e, X86_SUB, true, x86_r(RSP), room);
	for (unsigned i = 0; keep_f && i < host_info.fpr_count; i++)
		x86_op(e, X86_MOVSD_MR, false, host_info.fpr[i], x86_m(RSP, (int32_t)(8 * i)));
	x86_op(e, X86_LEA, true, RDI, x86_m(X86_STATE, -X86_STATE_BIAS));
	x86_const(e, RAX, (uintptr_t)fn);
	x86_op(e, X86_GROUP5, false, DIGIT_CALL, x86_r(RAX));
	x86_op(e, X86_MOV, true, X86_FUEL, x86_state(ENGINE_STATE(fuel)));
	for (unsigned i = 0; keep_f && i < host_info.fpr_count; i++)
		x86_op(e, X86_MOVSD, false, host_info.fpr[i], x86_m(RSP, (int32_t)(8 * i)));
	x86_alu_imm(e, X86_ADD, true, x86_r(RSP), room);
	for (unsigned i = gprs; i-- > saved;)
		pop(e, host_info.gpr[i]);
	x86_bytes(e, 0xc3, 1); /* ret */
}

#endif
