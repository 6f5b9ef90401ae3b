/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* A peer at a stream socket: what it sends, in chunks whose lengths are in the input. */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/net/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(void *arg, uint8_t *data, uint32_t len)
{
	uint32_t *sum = arg;

	if (len < 14 || len > HULL_NET_FRAME_MAX)
		abort();
	/* Touch all of it: the sanitizer knows where the buffer ends. */
	for (uint32_t i = 0; i < len; i++)
		*sum += data[i];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct hull_net_stream s;
	uint32_t sum = 0;
	bool good = true;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 0;
	if (hull_net_stream_init(&s, pair[0]))
		abort();
	while (good && size) {
		size_t n = MIN((size_t)data[0] * 16 + 1, size - 1);

		if (send(pair[1], data + 1, n, MSG_DONTWAIT) < 0)
			break;
		data += 1 + n;
		size -= 1 + n;
		good = hull_net_stream_read(&s, check, &sum);
	}
	close(pair[1]);
	while (good)
		good = hull_net_stream_read(&s, check, &sum);
	hull_net_stream_fini(&s);
	return 0;
}
