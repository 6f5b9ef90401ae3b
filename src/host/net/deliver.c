/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "host/net/deliver.h"

#include "base/atomic.h"
#include "core/frame.h"

bool hull_net_deliver(struct hull_net *n, const struct hull_net_packet *p, uint8_t *linear,
                      uint16_t *segment)
{
	struct hull_frame_way way = { hull_load_relaxed(&n->gives), linear, n->receive, n->arg };
	struct hull_block_seg seg;
	struct hull_net_frame f = hull_net_packet_frame(p, &seg);
	bool bad = false;

	return !n->receive || hull_frame_pass(&way, &f, segment, &bad);
}
