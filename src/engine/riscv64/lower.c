/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the code generator has to know about riscv64: where the state is and what its helpers are.
 */
#include "engine/riscv64/jit.h"

#include "engine/riscv64/lift.h"

#define C_F(name, KIND, OP, BITS) [RV_CALL_##name] = { JIT_C_##KIND, OP, BITS, true }
#define C_X(name, KIND, OP, BITS) [RV_CALL_##name] = { JIT_C_##KIND, OP, BITS, false }
#define C_ARITH(N)                                                                            \
	C_F(f##N##_add, FOP, HOST_FADD, N), C_F(f##N##_sub, FOP, HOST_FSUB, N),               \
		C_F(f##N##_mul, FOP, HOST_FMUL, N), C_F(f##N##_div, FOP, HOST_FDIV, N),       \
		C_F(f##N##_sqrt, FSQRT, 0, N), C_F(f##N##_fma, FMA, 0, N),                    \
		C_F(f##N##_min, FMINMAX, 0, N), C_F(f##N##_max, FMINMAX, 1, N),               \
		C_X(f##N##_eq, FCMP, HOST_FEQ, N), C_X(f##N##_lt, FCMP, HOST_FLT, N),         \
		C_X(f##N##_le, FCMP, HOST_FLE, N), C_X(f##N##_to_i32, F_TO_INT, HOST_I32, N), \
		C_X(f##N##_to_u32, F_TO_INT, HOST_U32, N),                                    \
		C_X(f##N##_to_i64, F_TO_INT, HOST_I64, N),                                    \
		C_X(f##N##_to_u64, F_TO_INT, HOST_U64, N),                                    \
		C_F(f##N##_from_i32, F_FROM_INT, HOST_I32, N),                                \
		C_F(f##N##_from_u32, F_FROM_INT, HOST_U32, N),                                \
		C_F(f##N##_from_i64, F_FROM_INT, HOST_I64, N),                                \
		C_F(f##N##_from_u64, F_FROM_INT, HOST_U64, N)

/* Not named: an ordinary helper with an integer result. */
static const struct jit_call calls[RV_CALLS] = {
	[RV_CALL_amo] = { JIT_C_AMO, 0, 0, false },
	[RV_CALL_lr] = { JIT_C_LR, 0, 0, false },
	[RV_CALL_sc] = { JIT_C_SC, 0, 0, false },
	[RV_CALL_ecall] = { JIT_C_LEAVES, 0, 0, false },
	[RV_CALL_mret] = { JIT_C_LEAVES, 0, 0, false },
	[RV_CALL_sret] = { JIT_C_LEAVES, 0, 0, false },
	[RV_CALL_wfi] = { JIT_C_LEAVES, 0, 0, false },
	C_ARITH(32),
	C_ARITH(64),
	C_F(f32_to_f64, F_CONVERT, 0, 32),
	C_F(f64_to_f32, F_CONVERT, 0, 64),
	C_F(f16_to_f32, HELPER, 0, 32),
	C_F(f16_to_f64, HELPER, 0, 64),
};

/* sp, then what compilers take first for arguments, temporaries and saved values. */
static const uint8_t pin_order[] = { 2,  15, 14, 10, 8, 13, 11, 12, 9,  1,
	                             16, 17, 18, 5,  6, 7,  28, 19, 20, 29 };

#define X(n) [n] = offsetof(struct rv_hart, x[n])
#define F(n) [32 + n] = offsetof(struct rv_hart, f[n])

const struct jit_arch rv_jit_arch = {
	.ir = &rv_ir_arch,
	.calls = calls,
	.slot_state = { X(0),  X(1),  X(2),  X(3),  X(4),  X(5),  X(6),  X(7),  X(8),  X(9),  X(10),
	                X(11), X(12), X(13), X(14), X(15), X(16), X(17), X(18), X(19), X(20), X(21),
	                X(22), X(23), X(24), X(25), X(26), X(27), X(28), X(29), X(30), X(31), F(0),
	                F(1),  F(2),  F(3),  F(4),  F(5),  F(6),  F(7),  F(8),  F(9),  F(10), F(11),
	                F(12), F(13), F(14), F(15), F(16), F(17), F(18), F(19), F(20), F(21), F(22),
	                F(23), F(24), F(25), F(26), F(27), F(28), F(29), F(30), F(31) },
	.first_f = RV_SLOT_F,
	.cause = offsetof(struct rv_hart, cause),
	.tval = offsetof(struct rv_hart, tval),
	.rm = offsetof(struct rv_hart, fp.rm),
	.reserved = offsetof(struct rv_hart, reserved),
	.reserved_value = offsetof(struct rv_hart, reserved_value),
	.pin_order = pin_order,
	.pin_count = sizeof(pin_order),
};
