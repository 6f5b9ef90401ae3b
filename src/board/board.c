/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Finding boards. */
#include "board/board.h"
#include "base/mem.h"

const struct hull_board *hull_board_find(enum hull_isa isa, const char *name)
{
	for (const struct hull_board *const *b = hull_boards; *b; b++) {
		if ((*b)->isa != isa)
			continue;
		if (!name || hull_text_eq(name, "virt") || hull_text_eq(name, (*b)->name))
			return *b;
	}
	return NULL;
}
