/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The code generator's driver: blocks, exits, and the code behind the code. */
#include <stdlib.h>

#include "base/bits.h"
#include "base/mem.h"
#include "engine/jit/flow.h"
#include "engine/jit/gen_impl.h"

struct stub *gen_stub(struct jit_gen *g, enum stub_kind kind)
{
	struct stub *s = &g->stubs[g->stub_count];

	if (g->stub_count < GEN_STUBS)
		g->stub_count++;
	else
		g->bail = JIT_BAIL_TOO_LONG;
	memset(s, 0, sizeof(*s));
	s->kind = kind;
	s->at = host_new_label(&g->e);
	s->back = host_new_label(&g->e);
	return s;
}

static host_label leave_stub(struct jit_gen *g, unsigned number)
{
	struct stub *s = gen_stub(g, STUB_LEAVE);

	s->number = (uint8_t)number;
	s->desc = gen_desc(g);
	return s->at;
}

host_label gen_fault(struct jit_gen *g)
{
	if (!g->fault)
		g->fault = leave_stub(g, JIT_EXIT_FAULT);
	return g->fault;
}

host_label gen_step(struct jit_gen *g)
{
	if (!g->step)
		g->step = leave_stub(g, JIT_EXIT_STEP);
	return g->step;
}

/* --- exits --- */

/* Two registers that are temporaries whatever the pins. */
static host_reg never_pinned(unsigned i)
{
	return host_info.gpr[host_info.gpr_count - JIT_TEMPS_MIN + i];
}

static unsigned retired_here(const struct jit_gen *g)
{
	return HULL_IR_INSN_INDEX(g->insn) + 1;
}

/*
 * Go on at another block, number + 1, whose code may be in another page; `fall`: this is the last
 * code of its block.
 */
static void go_inside(struct jit_gen *g, unsigned inside, unsigned insns, bool fall)
{
	const struct jit_block *to = &g->in->blocks[inside - 1];
	struct stub *s = gen_stub(g, STUB_OVER);

	if (to->page != g->block->page) {
		host_page_address(&g->e, never_pinned(0), (to->page - g->block->page) * 4096);
		host_set_state(&g->e, ENGINE_STATE(page), host_r(never_pinned(0)));
	}
	s->desc = JIT_DESC(to->offset, JIT_EXITS);
	if (fall && inside == g->next_block) {
		host_fuel(&g->e, insns, s->at);
		return;
	}
	host_fuel_jump(&g->e, insns, g->block_label[inside - 1]);
	host_jump(&g->e, s->at);
}

/* Leave for page + target, or another block + 1, here. */
static void exit_to_page(struct jit_gen *g, int32_t target, unsigned inside, unsigned insns)
{
	struct stub *s, *miss;

	if (inside) {
		go_inside(g, inside, insns, true);
		return;
	}
	/*
	 * At the end of the page an instruction may go on in the next, which nothing but the jump
	 * cache knows; and links are for the page of the entry.
	 */
	if (target < 0 || target >= 4094 || g->block->page) {
		gen_glue_out(g);
		if (!g->in->hot && host_jump_shared(&g->e, insns, NULL, target, JIT_LOOKUP))
			return;
		s = gen_stub(g, STUB_OVER_PAGE);
		miss = gen_stub(g, STUB_MISS);
		s->offset = target;
		s->back = miss->at;
		host_fuel(&g->e, insns, s->at);
		host_jump_page(&g->e, target, miss->at);
		return;
	}
	s = gen_stub(g, STUB_UNLINKED);
	if (g->exit_count == JIT_EXITS) {
		g->bail = JIT_BAIL_TOO_LONG;
		return;
	}
	s->desc = JIT_DESC(target, g->exit_count);
	gen_glue_out(g);
	host_fuel(&g->e, insns, s->at);
	g->exits[g->exit_count++] = (struct jit_exit){
		.site = host_link(&g->e, s->at),
		.target = (uint16_t)target,
	};
}

static void branch(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);
	int32_t target = g->block->offset + (int32_t)node->imm;
	unsigned inside = jit_block_at(g->in->blocks, g->in->block_count, g->block, target,
	                               g->block->context);
	struct host_operand oa, ob;
	enum host_cond cond;
	struct stub *s;
	unsigned a, b;

	gen_condition(g, node->a, &cond, &a, &b);
	gen_eval(g, a);
	gen_eval(g, b);
	gen_operands(g, a, b, &oa, &ob);
	if (inside && (g->placed & BIT(inside - 1)) &&
	    g->in->blocks[inside - 1].page == g->block->page) {
		host_label on = host_new_label(&g->e); /* most of the time a loop goes round */

		host_branch(&g->e, (enum host_cond)(cond ^ 1), oa, ob, on);
		go_inside(g, inside, retired_here(g), false);
		host_bind(&g->e, on);
		gen_release(g, node->a);
		return;
	}
	s = gen_stub(g, STUB_TAKEN);
	s->offset = target;
	s->insns = (uint16_t)retired_here(g);
	s->block = g->block;
	s->number = (uint8_t)inside;
	host_branch(&g->e, cond, oa, ob, s->at);
	gen_release(g, node->a);
}

static void go(struct jit_gen *g, unsigned n)
{
	int32_t target = g->block->offset + (int32_t)gen_node(g, n)->imm;

	exit_to_page(g, target,
	             jit_block_after(g->in->blocks, g->in->block_count, g->block, target),
	             retired_here(g));
}

/* A jump to `a` + add goes where its block comes back, if it is that address. */
static void return_inside(struct jit_gen *g, struct host_operand a, int32_t add)
{
	const struct jit_block *to;
	host_label elsewhere;

	if (!g->block->back)
		return;
	to = &g->in->blocks[g->block->back - 1];
	elsewhere = host_new_label(&g->e);
	host_page_address(&g->e, never_pinned(0),
	                  (to->page - g->block->page) * 4096 + to->offset - add);
	host_branch(&g->e, HOST_NE, a, host_r(never_pinned(0)), elsewhere);
	go_inside(g, g->block->back, retired_here(g), false);
	host_bind(&g->e, elsewhere);
}

static void jump(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n), *add;
	unsigned a = node->a;
	struct stub *s, *miss;
	struct host_operand to;
	uint64_t k;
	int32_t offset = 0;

	/* (x + constant) & ~1 is what the host's function does. */
	if (gen_node(g, a)->op == HULL_IR_AND && !g->v[a].done &&
	    gen_const(g, gen_node(g, a)->b, &k) && k == ~UINT64_C(1)) {
		a = gen_node(g, a)->a;
		add = gen_node(g, a);
		if (add->op == HULL_IR_ADD && !g->v[a].done && gen_const(g, add->b, &k) &&
		    k + 4096 < 8192) {
			offset = (int32_t)k;
			a = add->a;
		}
	}
	to = host_r(gen_in_reg(g, a));
	if (g->regional) { /* the pins change: the target goes along */
		host_mov(&g->e, never_pinned(1), to);
		to = host_r(never_pinned(1));
		return_inside(g, to, offset);
		gen_glue_out(g);
	}
	gen_release(g, node->a);
	if (!g->in->hot && host_jump_shared(&g->e, retired_here(g), &to, offset, JIT_LOOKUP))
		return;
	s = gen_stub(g, STUB_OVER_JUMP);
	miss = gen_stub(g, STUB_MISS);
	s->a = to;
	s->offset = offset;
	s->d = never_pinned(0);
	s->back = miss->at;
	host_fuel(&g->e, retired_here(g), s->at);
	host_jump_guest(&g->e, s->a, offset, miss->at);
}

static void trap(struct jit_gen *g, unsigned n)
{
	const struct hull_ir_node *node = gen_node(g, n);

	gen_put(g, g->arch->tval, node->a);
	host_set_state(&g->e, g->arch->cause, host_i(node->imm));
	gen_glue_out(g);
	host_leave(&g->e, JIT_EXIT_FAULT, gen_desc(g));
	gen_release(g, node->a);
}

static void look(struct jit_gen *g, unsigned n)
{
	int32_t target = g->block->offset + (int32_t)gen_node(g, n)->imm;
	struct stub *s = gen_stub(g, STUB_OVER_PAGE);
	struct stub *miss = gen_stub(g, STUB_MISS);

	s->offset = target;
	s->back = miss->at;
	gen_glue_out(g);
	host_fuel(&g->e, retired_here(g), s->at);
	host_call(&g->e, JIT_LOOK, 0, false);
	host_call_done(&g->e, HOST_NO_REG, s->at);
	host_jump_page(&g->e, target, miss->at);
}

/* --- code behind the code --- */

static void slow_load(struct jit_gen *g, const struct stub *s)
{
	struct host_emit *e = &g->e;

	gen_site_missed(g, s, false, hull_ir_load_bits(s->number) / 8);
	host_set_state(e, ENGINE_STATE(arg[0]), s->a);
	host_set_state(e, ENGINE_STATE(arg[2]), host_i((uint64_t)(int64_t)s->offset));
	host_call(e, JIT_SLOW_LOAD + s->number + (s->keep_f ? JIT_KEEP_F : 0), s->desc, s->keep_f);
	host_call_done(e, s->f_bits ? HOST_NO_REG : s->d, (host_label)s->imm);
	if (s->f_bits)
		host_fget(e, s->f_bits, s->d, ENGINE_STATE(arg[3]));
	host_jump(e, s->back);
}

static void slow_store(struct jit_gen *g, const struct stub *s)
{
	unsigned thunk = JIT_SLOW_STORE + (unsigned)__builtin_ctz(s->number / 8);
	struct host_emit *e = &g->e;

	gen_site_missed(g, s, true, s->number / 8);
	host_set_state(e, ENGINE_STATE(arg[0]), s->a);
	if (s->b_is_f)
		host_fput(e, s->f_bits, ENGINE_STATE(arg[1]), s->d);
	else
		host_set_state(e, ENGINE_STATE(arg[1]), s->b);
	host_set_state(e, ENGINE_STATE(arg[2]), host_i((uint64_t)(int64_t)s->offset));
	host_call(e, thunk + (s->keep_f ? JIT_KEEP_F : 0), s->desc, s->keep_f);
	host_call_done(e, HOST_NO_REG, (host_label)s->imm);
	host_jump(e, s->back);
}

static void slow_call(struct jit_gen *g, const struct stub *s)
{
	struct host_emit *e = &g->e;

	if (s->a_is_f)
		host_fput(e, s->number, ENGINE_STATE(arg[0]), s->a.reg);
	else
		host_set_state(e, ENGINE_STATE(arg[0]), s->a);
	if (s->b_is_f)
		host_fput(e, s->number, ENGINE_STATE(arg[1]), s->b.reg);
	else if (!s->a_is_f)
		host_set_state(e, ENGINE_STATE(arg[1]), s->b);
	host_set_state(e, ENGINE_STATE(arg[3]), host_i(s->imm));
	if (s->a_is_f)
		host_set_state8(e, g->arch->rm, s->insns == 7 ? 0 : (uint8_t)s->insns);
	host_call(e, JIT_HELPER + (s->keep_f ? JIT_KEEP_F : 0), s->desc, s->keep_f);
	host_call_done(e, s->f_bits ? HOST_NO_REG : s->d, (host_label)s->offset);
	if (s->f_bits)
		host_fget(e, s->f_bits, s->d, ENGINE_STATE(arg[3]));
	host_jump(e, s->back);
}

static void over_jump(struct jit_gen *g, const struct stub *s)
{
	struct host_emit *e = &g->e;

	host_alu(e, HOST_ADD, false, s->d, s->a, host_i((uint64_t)(int64_t)s->offset));
	host_alu(e, HOST_AND, false, s->d, host_r(s->d), host_i(~UINT64_C(1)));
	host_set_state(e, ENGINE_STATE(target), host_r(s->d));
	host_jump(e, s->back);
}

static void emit_stub(struct jit_gen *g, const struct stub *s)
{
	struct host_emit *e = &g->e;

	host_bind(e, s->at);
	switch (s->kind) {
	case STUB_TAKEN:
		g->block = s->block;
		exit_to_page(g, s->offset, s->number, s->insns);
		return;
	case STUB_UNLINKED: host_leave(e, JIT_EXIT_LINK, s->desc); return;
	case STUB_MISS: host_leave(e, JIT_EXIT_JUMP, 0); return;
	case STUB_OVER:
		gen_glue_out(g);
		host_leave(e, JIT_EXIT_LINK, s->desc);
		return;
	case STUB_LEAVE:
		if (!s->canonical)
			gen_glue_out(g);
		host_leave(e, s->number, s->desc);
		return;
	case STUB_OVER_PAGE:
		host_page_address(e, never_pinned(0), s->offset);
		host_set_state(e, ENGINE_STATE(target), host_r(never_pinned(0)));
		host_jump(e, s->back);
		return;
	case STUB_OVER_JUMP: over_jump(g, s); return;
	case STUB_LOAD: slow_load(g, s); return;
	case STUB_STORE: slow_store(g, s); return;
	case STUB_GROUP:
		if (s->held)
			gen_hold(g, s);
		gen_group_slow(g, (unsigned)s->offset, s->insns, s->a, s->keep_f);
		host_jump(e, s->back);
		return;
	case STUB_CALL: slow_call(g, s); return;
	case STUB_NAN:
		host_fnan(e, s->f_bits, s->d);
		host_jump(e, s->back);
		return;
	default: return;
	}
}

static void emit_stubs(struct jit_gen *g)
{
	/* Stubs may ask for more of them. */
	for (unsigned i = 0; i < g->stub_count && !g->bail; i++) {
		struct stub s = g->stubs[i];

		emit_stub(g, &s);
	}
}

/* --- blocks --- */

/* The slot that the value of node i is SET to in the same instruction, if it is a load or a call.
 */
uint8_t gen_destination(const struct jit_gen *g, unsigned i)
{
	const struct hull_ir_node *nodes = g->ir->nodes;
	unsigned boxed = 0;

	for (unsigned k = i + 1; k < g->ir->count && nodes[k].op != HULL_IR_INSN; k++) {
		if (nodes[k].op == HULL_IR_BOX32 && nodes[k].a == i)
			boxed = k;
		if (nodes[k].op == HULL_IR_SET && g->v[k].dead)
			return 0;
		if (nodes[k].op == HULL_IR_SET && nodes[k].a == i)
			return (uint8_t)(nodes[k].imm + 1);
		if (nodes[k].op == HULL_IR_SET && boxed && nodes[k].a == boxed &&
		    nodes[k].imm >= g->arch->first_f)
			return (uint8_t)(nodes[k].imm + 1);
	}
	return 0;
}

static void get(struct jit_gen *g, unsigned i)
{
	unsigned slot = (unsigned)gen_node(g, i)->imm;
	struct value *v = &g->v[i];

	v->done = true;
	g->slot_value[slot] = (uint16_t)i;
	if (g->pin_reg[slot] == HOST_NO_REG) {
		v->home = (uint8_t)(slot + 1);
	} else if (slot < g->arch->first_f) {
		v->reg = g->pin_reg[slot];
	} else {
		v->freg = g->pin_reg[slot];
		v->f_bits = g->pin_bits[slot];
		v->boxed = v->f_bits == 32;
	}
}

void gen_perform(struct jit_gen *g, unsigned i)
{
	const struct hull_ir_node *node = gen_node(g, i);

	if (node->op == HULL_IR_LOAD || node->op == HULL_IR_CALL)
		g->v[i].set = gen_destination(g, i);
	switch (node->op) {
	case HULL_IR_GET: get(g, i); return;
	case HULL_IR_INSN:
		g->insn = node->imm;
		g->spills &= ~g->spills_over;
		g->spills_over = 0;
		g->fault = g->step = 0;
		return;
	case HULL_IR_SET:
		if (!g->v[i].dead)
			gen_set_slot(g, (unsigned)node->imm, node->a);
		return;
	case HULL_IR_KEEP: gen_keep(g, i); return;
	case HULL_IR_LOAD: gen_load(g, i); return;
	case HULL_IR_STORE: gen_store(g, i); return;
	case HULL_IR_FENCE: host_fence(&g->e, node->imm); return;
	case HULL_IR_FP_ON: gen_fp_on(g); return;
	case HULL_IR_FP_ROUND:
		if (node->imm == 5 || node->imm == 6) /* reserved: the other tier raises it */
			host_jump(&g->e, gen_step(g));
		gen_fp_on(g);
		g->rm = (uint8_t)node->imm;
		return;
	case HULL_IR_CALL: gen_call(g, i); return;
	case HULL_IR_BRANCH: branch(g, i); return;
	case HULL_IR_GOTO: go(g, i); return;
	case HULL_IR_LOOK: look(g, i); return;
	case HULL_IR_JUMP: jump(g, i); return;
	case HULL_IR_TRAP: trap(g, i); return;
	default:
		if (hull_ir_ops[node->op].kind != HULL_IR_PURE)
			g->bail = JIT_BAIL_UNKNOWN_OP;
	}
}

static void generate_block(struct jit_gen *g, unsigned b)
{
	g->block = &g->in->blocks[b];
	g->ir = g->block->ir;
	g->insn = 0;
	g->fault = g->step = 0;
	g->fp_checked = g->block->fp_on;
	g->in_group = false;
	g->rm = 7;
	host_bind(&g->e, g->block_label[b]);
	gen_values_begin(g);
	for (unsigned i = 1; i < g->ir->count && !g->bail && !g->e.full;) {
		unsigned next = g->ir->nodes[i].op == HULL_IR_INSN ? gen_group(g, i) : i;

		if (next == i)
			gen_perform(g, next++);
		i = next;
	}
}

/* The block that the end of b goes on at, number + 1; 0: none. */
static unsigned following(const struct jit_gen *g, unsigned b)
{
	const struct jit_block *block = &g->in->blocks[b];
	const struct hull_ir_node *last = &block->ir->nodes[block->ir->count - 1];

	if (last->op != HULL_IR_GOTO)
		return last->op == HULL_IR_JUMP ? block->back : 0;
	return jit_block_after(g->in->blocks, g->in->block_count, block,
	                       block->offset + (int32_t)last->imm);
}

/* Each before the one that it goes on at, if that has no place yet. */
static void generate_blocks(struct jit_gen *g)
{
	unsigned b = 0;

	g->placed = 0;
	for (unsigned n = 1; !g->bail && !g->e.full; n++) {
		g->placed |= BIT(b);
		g->next_block = following(g, b);
		if (!g->next_block || (g->placed & BIT(g->next_block - 1)))
			g->next_block = (unsigned)__builtin_ctzll(~g->placed) + 1;
		generate_block(g, b);
		b = g->next_block - 1;
		g->next_block = 0;
		if (n == g->in->block_count)
			break;
	}
}

/* --- pins --- */

unsigned jit_canonical_pins(const struct jit_arch *arch, struct jit_pin *ret, unsigned max)
{
	unsigned room = (unsigned)host_info.gpr_count - JIT_TEMPS_MIN;
	unsigned n = MIN(arch->pin_count, max);

	n = MIN(n, room);
	for (unsigned i = 0; i < n; i++)
		ret[i] = (struct jit_pin){ arch->pin_order[i], host_info.gpr[i], 0 };
	return n;
}

static bool pins_use(const struct jit_gen *g, host_reg r, bool is_f)
{
	for (unsigned i = 0; i < g->pin_count; i++)
		if (g->pins[i].reg == r && (g->pins[i].f_bits != 0) == is_f)
			return true;
	for (unsigned i = 0; i < g->in->kept_count; i++)
		if (g->in->kept[i] == r && !is_f)
			return true;
	return false;
}

static void set_pins(struct jit_gen *g, const struct jit_pin *pins, unsigned count)
{
	memset(g->pin_reg, HOST_NO_REG, sizeof(g->pin_reg));
	g->pin_count = count;
	for (unsigned i = 0; i < count; i++) {
		g->pins[i] = pins[i];
		g->pin_reg[pins[i].slot] = pins[i].reg;
		g->pin_bits[pins[i].slot] = pins[i].f_bits;
	}
	g->temp_count = g->f_temp_count = 0;
	for (unsigned i = 0; i < host_info.gpr_count; i++)
		if (!pins_use(g, host_info.gpr[i], false))
			g->temps[g->temp_count++] = host_info.gpr[i];
	for (unsigned i = 0; i < host_info.fpr_count; i++)
		if (!pins_use(g, host_info.fpr[i], true))
			g->f_temps[g->f_temp_count++] = host_info.fpr[i];
}

struct jit_gen *jit_gen_new(const struct jit_arch *arch, bool smp)
{
	struct jit_gen *g = calloc(1, sizeof(*g));

	if (!g)
		return NULL;
	g->arch = arch;
	g->smp = smp;
	g->features = ~0u;
	g->canonical_count = jit_canonical_pins(arch, g->canonical, HULL_IR_SLOTS);
	return g;
}

void jit_gen_free(struct jit_gen *g)
{
	free(g);
}

/*
 * What spans pages must be entered through the jump cache, which knows how they are mapped: links
 * come by here.  Returns where the jump cache enters.
 */
static unsigned front(struct jit_gen *g)
{
	unsigned b = 0;
	struct stub *s;

	while (b < g->in->block_count && !g->in->blocks[b].page)
		b++;
	if (b == g->in->block_count)
		return 0;
	s = gen_stub(g, STUB_MISS);
	host_jump_page(&g->e, g->in->blocks[0].offset, s->at);
	return host_here(&g->e);
}

enum jit_bail jit_generate(struct jit_gen *g, const struct jit_input *in, struct jit_unit *ret)
{
	unsigned enter;

	if (in->block_count > JIT_BLOCKS)
		return JIT_BAIL_TOO_LONG;
	g->in = in;
	g->bail = JIT_BAIL_NONE;
	g->exit_count = g->stub_count = g->member_count = 0;
	g->site_salt = in->blocks[0].offset;
	g->locked = HOST_NO_REG;
	g->f_locked = 0;
	g->regional = in->pins != NULL;
	set_pins(g, in->pins ? in->pins : g->canonical,
	         in->pins ? in->pin_count : g->canonical_count);
	host_begin(&g->e, g->buffer, sizeof(g->buffer));
	g->e.smp = g->smp;
	g->e.features &= g->features;
	for (unsigned b = 0; b < in->block_count; b++)
		g->block_label[b] = host_new_label(&g->e);
	enter = front(g);
	gen_hold_pages(g);
	if (g->regional) {
		gen_find_dirty(g);
		gen_glue_in(g);
	}
	generate_blocks(g);
	emit_stubs(g);
	if (!g->bail && (!host_end(&g->e) || enter > UINT8_MAX))
		g->bail = JIT_BAIL_TOO_LONG;
	if (g->bail)
		return g->bail;
	*ret = (struct jit_unit){
		.code = g->buffer,
		.code_bytes = host_here(&g->e),
		.tier = in->hot ? 2 : 1,
		.enter = (uint8_t)enter,
		.exit_count = (uint8_t)g->exit_count,
		.insns = in->blocks[0].insns,
		.offset = in->blocks[0].offset,
		.exits = g->exits,
	};
	return JIT_BAIL_NONE;
}
