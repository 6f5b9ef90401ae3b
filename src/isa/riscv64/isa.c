/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* ISA strings: one list, two spellings (Linux riscv/extensions.yaml names). */
#include "isa/riscv64/isa.h"

#include "base/bits.h"
#include "base/text.h"

#define SINGLE(X) X("i") X("m") X("a") X("f") X("d") X("c")
/* The formatter would indent each line more than the last. */
/* clang-format off */
#define MULTI(X) \
	X("zicbom") X("zicboz") X("zicntr") X("zicond") X("zicsr") X("zifencei") X("zihintpause") \
	X("zihpm") X("zawrs") X("zfh") X("zfhmin") X("zba") X("zbb") X("zbc") X("zbs") X("sstc") \
	X("svadu") X("svinval") X("svnapot") X("svpbmt")
/* clang-format on */

#define ROW(s) s,

static const char *const names[] = { SINGLE(ROW) MULTI(ROW) };

const char *hull_riscv64_isa_extension(unsigned n)
{
	return n < ARRAY_LEN(names) ? names[n] : NULL;
}

size_t hull_riscv64_isa_string(uint64_t have, char dst[HULL_RV_ISA_MAX])
{
	size_t n = hull_format(dst, HULL_RV_ISA_MAX, "rv64");

	_Static_assert(ARRAY_LEN(names) <= HULL_RV_EXTENSIONS_MAX, "a bit for each extension");
	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (have >> i & 1)
			n += hull_format(dst + n, HULL_RV_ISA_MAX - n, "%s%s",
			                 names[i][1] ? "_" : "", names[i]);
	return n;
}

size_t hull_riscv64_isa_extensions(uint64_t have, char dst[HULL_RV_ISA_MAX])
{
	size_t n = 0;

	for (unsigned i = 0; i < ARRAY_LEN(names); i++)
		if (have >> i & 1)
			n += hull_format(dst + n, HULL_RV_ISA_MAX - n, "%s", names[i]) + 1;
	return n;
}
