/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ISA strings: one list, two spellings (Linux riscv/extensions.yaml names). */
#include "isa/riscv64/isa.h"

#define SINGLE(X) X("i") X("m") X("a") X("f") X("d") X("c")
/* The formatter would indent each line more than the last. */
/* clang-format off */
#define MULTI(X) \
	X("zicbom") X("zicboz") X("zicntr") X("zicond") X("zicsr") X("zifencei") X("zihintpause") \
	X("zihpm") X("zawrs") X("zfh") X("zfhmin") X("zba") X("zbb") X("zbc") X("zbs") X("sstc") \
	X("svadu") X("svinval") X("svnapot") X("svpbmt")
/* clang-format on */

#define JOIN(s)   s
#define UNDER(s)  "_" s
#define LISTED(s) s "\0"

const char *hull_riscv64_isa_string(void)
{
	return "rv64" SINGLE(JOIN) MULTI(UNDER);
}

const char *hull_riscv64_isa_extensions(size_t *ret_len)
{
	static const char list[] = SINGLE(LISTED) MULTI(LISTED);

	*ret_len = sizeof(list) - 1;
	return list;
}
