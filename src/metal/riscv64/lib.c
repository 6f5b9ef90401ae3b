/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What compilers call where Zbb is not assumed. */
int __clzdi2(unsigned long x);
int __ctzdi2(unsigned long x);

int __clzdi2(unsigned long x)
{
	int n = 0;

	for (; n < 64 && !(x >> 63); x <<= 1)
		n++;
	return n;
}

int __ctzdi2(unsigned long x)
{
	int n = 0;

	for (; n < 64 && !(x & 1); x >>= 1)
		n++;
	return n;
}
