/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/drivers/pl011.h"

#include "metal/aarch64/sysreg.h"

enum { DR = 0, FR = 0x18, CR = 0x30, IMSC = 0x38, FR_RXFE = 1 << 4, FR_TXFF = 1 << 5 };
enum { CR_RXE = 1 << 9, INT_RX = 1 << 4, INT_RT = 1 << 6 };

void metal_pl011_write(uint64_t base, const char *text, size_t len)
{
	for (; len; len--, text++) {
		while (mmio_read32(base + FR) & FR_TXFF)
			;
		mmio_write32(base + DR, (uint8_t)*text);
	}
}

int metal_pl011_read(uint64_t base)
{
	return mmio_read32(base + FR) & FR_RXFE ? -1 : (int)(mmio_read32(base + DR) & 0xff);
}

void metal_pl011_listen(uint64_t base)
{
	mmio_write32(base + CR, mmio_read32(base + CR) | CR_RXE);
	mmio_write32(base + IMSC, INT_RX | INT_RT);
}
