/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Interrupt lines.
 *
 * A line is a small value that a board wires up once: "when somebody raises
 * me, call this sink with this input number".  Devices see only the line;
 * they never learn which controller is behind it, or where it lives.
 *
 * Threading: hull_irq_set() may be called from any lane.  The sink must not
 * call back into the device that raised the line.
 * Lifetime: the sink outlives every line that points at it.
 */
#ifndef HULL_CORE_IRQ_H
#define HULL_CORE_IRQ_H

#include <stdbool.h>
#include <stdint.h>

struct hull_irq_sink {
	void (*set)(struct hull_irq_sink *sink, uint32_t input, bool level);
};

struct hull_irq {
	struct hull_irq_sink *sink; /* NULL: unconnected, all calls are no-ops */
	uint32_t input;
};

/*
 * Message-signalled interrupts: a write of `data` to `addr` that goes to whoever delivers
 * interrupts instead of memory.  Any lane or thread; the sink takes no device's lane.
 */
struct hull_msi_sink {
	void (*send)(struct hull_msi_sink *sink, uint64_t addr, uint32_t data);
	/* In place of send(), for controllers that tell senders apart.  May be NULL. */
	void (*send_from)(struct hull_msi_sink *sink, uint32_t requester, uint64_t addr,
	                  uint32_t data);
};

struct hull_msi {
	struct hull_msi_sink *sink; /* NULL: unconnected, sending is a no-op */
	uint64_t addr;
	uint32_t data;
	uint32_t requester; /* PCI: bus, device and function of the sender, 8 + 5 + 3 bits */
};

static inline void hull_msi_send(struct hull_msi m)
{
	if (m.sink && m.sink->send_from)
		m.sink->send_from(m.sink, m.requester, m.addr, m.data);
	else if (m.sink)
		m.sink->send(m.sink, m.addr, m.data);
}

/* Drive the line to `level`.  Repeating a level is free. */
static inline void hull_irq_set(struct hull_irq line, bool level)
{
	if (line.sink)
		line.sink->set(line.sink, line.input, level);
}

#endif
