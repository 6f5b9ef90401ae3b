/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "metal/common/console.h"

#include "base/bits.h"
#include "base/text.h"
#include "metal/common/spin.h"

static void (*sink)(const char *text, size_t len);
static struct metal_spin spin;
static bool broken;

void metal_console_set(void (*write)(const char *text, size_t len))
{
	sink = write;
}

void metal_console_break(void)
{
	broken = true;
}

void metal_console_write(const char *text, size_t len)
{
	if (!sink)
		return;
	if (!broken)
		metal_spin_lock(&spin);
	sink(text, len);
	if (!broken)
		metal_spin_unlock(&spin);
}

void metal_say(const char *format, ...)
{
	char line[256];
	va_list args;
	size_t n;

	va_start(args, format);
	n = hull_vformat(line, sizeof(line) - 2, format, args);
	va_end(args);
	n = MIN(n, sizeof(line) - 3);
	line[n] = '\r';
	line[n + 1] = '\n';
	metal_console_write(line, n + 2);
}
