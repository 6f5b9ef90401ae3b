/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * i8042 keyboard controller with nothing plugged in.
 *
 * Spec: Intel 8042 universal peripheral interface as in the IBM PS/2 hardware interface technical
 * reference, "Keyboard and auxiliary device controller".
 *
 * It is there because PCs are reset by it, and because software that finds none waits for it.
 * Offset 0 is port 60h, offset 4 port 64h.
 */
#include "core/dev_impl.h"
#include <hull/vm.h>

enum { DATA = 0, COMMAND = 4 };
enum { ST_OUTPUT = 1, ST_SYSTEM = 4, ST_COMMAND = 8, ST_UNLOCKED = 0x10 };
enum { CTR_KNOWN = 0x7f, PORT_RESET = 1, PORT_A20 = 2 };
enum {
	READ_CTR = 0x20,
	WRITE_CTR = 0x60,
	DISABLE_AUX = 0xa7,
	ENABLE_AUX = 0xa8,
	TEST_AUX = 0xa9,
	TEST_SELF = 0xaa,
	TEST_KBD = 0xab,
	DISABLE_KBD = 0xad,
	ENABLE_KBD = 0xae,
	READ_PORT = 0xd0,
	WRITE_PORT = 0xd1,
	LOOP_KBD = 0xd2,
	LOOP_AUX = 0xd3,
	WRITE_AUX = 0xd4,
	PULSE = 0xf0,
};

struct i8042 {
	struct hull_dev dev;
	uint8_t ctr, port;
	uint8_t out, full; /* the output buffer */
	uint8_t pending;   /* a command that waits for its byte; 0: none */
	uint8_t last;      /* what came last was a command */
};

static void answer(struct i8042 *s, uint8_t val)
{
	s->out = val;
	s->full = 1;
}

static void write_port(struct i8042 *s, uint8_t val)
{
	s->port = val | PORT_RESET;
	if (!(val & PORT_RESET))
		hull_vm_system_event(s->dev.vm, HULL_SYSTEM_RESET, 0);
}

static void command(struct i8042 *s, uint8_t cmd)
{
	s->pending = 0;
	switch (cmd) {
	case READ_CTR: answer(s, s->ctr); return;
	case TEST_SELF: answer(s, 0x55); return;
	case TEST_KBD:
	case TEST_AUX: answer(s, 0x00); return;
	case READ_PORT: answer(s, s->port); return;
	case DISABLE_AUX: s->ctr |= 0x20; return;
	case ENABLE_AUX: s->ctr &= (uint8_t)~0x20; return;
	case DISABLE_KBD: s->ctr |= 0x10; return;
	case ENABLE_KBD: s->ctr &= (uint8_t)~0x10; return;
	case WRITE_CTR:
	case WRITE_PORT:
	case LOOP_KBD:
	case LOOP_AUX:
	case WRITE_AUX: s->pending = cmd; return;
	}
	/* Bits of the output port that are 0 in the command pulse low; bit 0 is the reset line. */
	if (cmd < PULSE)
		hull_guest_error(&s->dev, "unknown command", cmd);
	else if (!(cmd & PORT_RESET))
		hull_vm_system_event(s->dev.vm, HULL_SYSTEM_RESET, 0);
}

static void data(struct i8042 *s, uint8_t val)
{
	switch (s->pending) {
	case WRITE_CTR: s->ctr = val & CTR_KNOWN; break;
	case WRITE_PORT: write_port(s, val); break;
	case LOOP_KBD:
	case LOOP_AUX: answer(s, val); break;
	default: break; /* to a device that is not there */
	}
	s->pending = 0;
}

static uint64_t i8042_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct i8042 *s = (struct i8042 *)d;

	(void)size;
	if (off == COMMAND)
		return ST_UNLOCKED | (s->ctr & ST_SYSTEM) | (s->full ? ST_OUTPUT : 0) |
		       (s->last ? ST_COMMAND : 0);
	if (off != DATA) {
		hull_guest_error(d, "read of a reserved register", off);
		return 0xff;
	}
	s->full = 0;
	return s->out;
}

static void i8042_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct i8042 *s = (struct i8042 *)d;

	(void)size;
	if (off != DATA && off != COMMAND) {
		hull_guest_error(d, "write to a reserved register", off);
		return;
	}
	s->last = off == COMMAND;
	if (s->last)
		command(s, (uint8_t)val);
	else
		data(s, (uint8_t)val);
}

static void i8042_reset(struct hull_dev *d)
{
	struct i8042 *s = (struct i8042 *)d;

	s->ctr = ST_SYSTEM;
	s->port = PORT_RESET | PORT_A20;
	s->out = s->full = s->pending = s->last = 0;
}

static const struct hull_field i8042_fields[] = {
	HULL_FIELD(struct i8042, ctr),  HULL_FIELD(struct i8042, port),
	HULL_FIELD(struct i8042, out),  HULL_FIELD(struct i8042, full),
	HULL_FIELD(struct i8042, last), HULL_FIELD(struct i8042, pending),
};

static void i8042_restored(struct hull_dev *d)
{
	struct i8042 *s = (struct i8042 *)d;

	s->ctr &= CTR_KNOWN;
	s->full = !!s->full;
	s->last = !!s->last;
}

HULL_DEVICE(i8042) = {
	.name = "i8042",
	.summary = "PC keyboard controller without a keyboard: resets the machine",
	.state_size = sizeof(struct i8042),
	.region_size = 5,
	.access_sizes = 1,
	.reset = i8042_reset,
	.read = i8042_read,
	.write = i8042_write,
	.restored = i8042_restored,
	.fields = i8042_fields,
	.nfields = ARRAY_LEN(i8042_fields),
};
