/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * ACLINT: machine software interrupts and the machine timer of RISC-V harts,
 * in the layout of the SiFive CLINT.
 *
 * Spec: RISC-V ACLINT specification 1.0-rc4, ch. 2 (MTIMER) and 3 (MSWI), and
 * 1.1 for how the CLINT's layout maps to them.
 *
 * Nothing ticks.  mtime is guest time in units of 100 ns plus `offset`, which
 * a write to mtime changes.  Invariant: the one timer is armed for the
 * earliest mtimecmp that has not been reached.
 *
 * A reset leaves mtime alone, against ch. 2, so that it stays equal to the
 * harts' time CSR as long as the guest does not write it.
 */
#include "base/mem.h"
#include "core/dev_impl.h"

enum { MSIP = 0, MTIMECMP = 0x4000, MTIME = 0xbff8, END = 0xc000 };
enum { TICK_NS = 100 }; /* 10 MHz: the board's timebase-frequency */
enum { HARTS };         /* property */

struct aclint {
	struct hull_dev dev;
	uint64_t offset; /* mtime - guest time, ticks */
	uint64_t mtimecmp[HULL_MAX_VCPUS];
	uint8_t msip[HULL_MAX_VCPUS];
};

static uint64_t mtime(struct aclint *s)
{
	return hull_dev_now(&s->dev) / TICK_NS + s->offset;
}

static void update(struct aclint *s)
{
	uint64_t now = mtime(s), wait = UINT64_MAX;

	for (unsigned h = 0; h < s->dev.prop[HARTS]; h++) {
		bool due = now >= s->mtimecmp[h];

		hull_irq_set(s->dev.irq[2 * h], s->msip[h]);
		hull_irq_set(s->dev.irq[2 * h + 1], due);
		if (!due)
			wait = MIN(wait, s->mtimecmp[h] - now);
	}
	now -= s->offset; /* guest time in ticks */
	if (wait >= UINT64_MAX / TICK_NS - now)
		hull_timer_at_ns(&s->dev, HULL_NEVER);
	else
		hull_timer_at_ns(&s->dev, (now + wait) * TICK_NS);
}

/* The 64-bit register at `off` and where it begins; NULL: there is none. */
static uint64_t *cmp_at(struct aclint *s, uint64_t off)
{
	uint64_t hart = (off - MTIMECMP) / 8;

	return off >= MTIMECMP && hart < s->dev.prop[HARTS] ? &s->mtimecmp[hart] : NULL;
}

static uint32_t word_read(struct aclint *s, uint64_t off, uint64_t now)
{
	const uint64_t *cmp = cmp_at(s, off);

	if (off / 4 < s->dev.prop[HARTS])
		return s->msip[off / 4];
	if (cmp)
		return (uint32_t)(*cmp >> 8 * (off & 4));
	if (off >= MTIME && off < END)
		return (uint32_t)(now >> 8 * (off & 4));
	hull_guest_error(&s->dev, "read of a reserved register", off);
	return 0;
}

static void word_write(struct aclint *s, uint64_t off, uint32_t val, uint64_t *now)
{
	uint64_t *cmp = cmp_at(s, off);
	uint64_t *reg = off >= MTIME && off < END ? now : cmp;
	unsigned shift = 8 * (off & 4);

	if (off / 4 < s->dev.prop[HARTS])
		s->msip[off / 4] = val & 1;
	else if (reg)
		*reg = (*reg & ~(low_mask(32) << shift)) | (uint64_t)val << shift;
	else
		hull_guest_error(&s->dev, "write to a reserved register", off);
}

static uint64_t aclint_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct aclint *s = (struct aclint *)d;
	uint64_t now = mtime(s), val;

	val = word_read(s, off, now);
	if (size == 8)
		val |= (uint64_t)word_read(s, off + 4, now) << 32;
	return val;
}

static void aclint_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct aclint *s = (struct aclint *)d;
	uint64_t before = mtime(s), now = before;

	word_write(s, off, (uint32_t)val, &now);
	if (size == 8)
		word_write(s, off + 4, (uint32_t)(val >> 32), &now);
	s->offset += now - before;
	update(s);
}

static void aclint_timer(struct hull_dev *d)
{
	update((struct aclint *)d);
}

static void aclint_reset(struct hull_dev *d)
{
	struct aclint *s = (struct aclint *)d;

	s->offset = 0;
	memset(s->msip, 0, sizeof(s->msip));
	memset(s->mtimecmp, 0xff, sizeof(s->mtimecmp));
	update(s);
}

static const struct hull_field aclint_fields[] = {
	HULL_FIELD(struct aclint, offset),
	HULL_FIELD_ARRAY(struct aclint, mtimecmp),
	HULL_FIELD_ARRAY(struct aclint, msip),
};

static void aclint_restored(struct hull_dev *d)
{
	struct aclint *s = (struct aclint *)d;

	for (unsigned h = 0; h < HULL_MAX_VCPUS; h++)
		s->msip[h] &= 1;
	update(s);
}

static const struct hull_prop aclint_props[] = {
	{ "harts", "number of harts; outputs 2h and 2h+1 are MSIP and MTIP of hart h", 1, 1,
	  HULL_MAX_VCPUS },
};

HULL_DEVICE(aclint) = {
	.name = "aclint",
	.summary = "RISC-V ACLINT: machine timer and software interrupts, CLINT layout",
	.compatible = "sifive,clint0;riscv,clint0",
	.node = "clint",
	.state_size = sizeof(struct aclint),
	.region_size = 0x10000,
	.access_sizes = 4 | 8,
	.irqs = 2 * HULL_MAX_VCPUS,
	.reset = aclint_reset,
	.read = aclint_read,
	.write = aclint_write,
	.timer = aclint_timer,
	.restored = aclint_restored,
	.fields = aclint_fields,
	.nfields = ARRAY_LEN(aclint_fields),
	.props = aclint_props,
	.nprops = ARRAY_LEN(aclint_props),
};
