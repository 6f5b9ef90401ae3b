/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PLIC: RISC-V platform-level interrupt controller.
 *
 * Spec: RISC-V PLIC specification 1.0.0, ch. 3-9 (registers: ch. 3).
 *
 * Input n is source n (1 up to `sources`); output c is the line of context c.
 * All sources are level-triggered: the gateway latches a request while the
 * level is high and none is in service, and does not take it back (1.3).
 * Outputs are recomputed from pending, enable and priority after each change.
 *
 * Not modelled: edge-triggered gateways.
 */
#include "base/mem.h"
#include "core/dev_impl.h"

enum {
	PRIORITY = 0,
	PENDING = 0x1000,
	ENABLE = 0x2000,
	CONTEXT = 0x200000,
	ENABLE_STRIDE = 0x80,
	CONTEXT_STRIDE = 0x1000,
	THRESHOLD = 0,
	CLAIM = 4,
};
enum { WORDS = 32, MAX_CONTEXTS = HULL_DEV_IRQS, PRIORITY_MASK = 7 };
enum { SOURCES, CONTEXTS }; /* properties */

struct plic {
	struct hull_dev dev;
	uint8_t priority[32 * WORDS];
	uint8_t threshold[MAX_CONTEXTS];
	uint32_t level[WORDS];
	uint32_t pending[WORDS];
	uint32_t service[WORDS]; /* claimed, not yet completed */
	uint32_t enable[MAX_CONTEXTS * WORDS];
};

static unsigned words(const struct plic *s)
{
	return (unsigned)(s->dev.prop[SOURCES] / 32 + 1);
}

/* Bits of word `w` that are sources: 1 up to `sources`. */
static uint32_t valid_mask(const struct plic *s, unsigned w)
{
	uint64_t left = s->dev.prop[SOURCES] + 1 - 32 * (uint64_t)w;

	return (uint32_t)low_mask((unsigned)MIN(left, UINT64_C(32))) & ~(w ? 0u : 1u);
}

/* The pending, enabled source of highest priority above `floor`; lowest number first; 0: none. */
static unsigned best(const struct plic *s, unsigned ctx, unsigned floor)
{
	unsigned found = 0;

	for (unsigned w = 0; w < words(s); w++) {
		uint32_t m = s->pending[w] & s->enable[ctx * WORDS + w];

		for (unsigned n = 32 * w; m; m >>= 1, n++) {
			if (m & 1 && s->priority[n] > floor) {
				floor = s->priority[n];
				found = n;
			}
		}
	}
	return found;
}

static void update(struct plic *s)
{
	for (unsigned c = 0; c < s->dev.prop[CONTEXTS]; c++)
		hull_irq_set(s->dev.irq[c], best(s, c, s->threshold[c]) != 0);
}

static void gateway(struct plic *s, unsigned w)
{
	s->pending[w] |= s->level[w] & ~s->service[w];
}

static void plic_input(struct hull_dev *d, uint32_t n, bool level)
{
	struct plic *s = (struct plic *)d;
	unsigned w = n / 32;
	uint32_t bit = UINT32_C(1) << n % 32;

	if (!n || n > d->prop[SOURCES])
		return;
	s->level[w] = level ? s->level[w] | bit : s->level[w] & ~bit;
	if (!level)
		return;
	gateway(s, w);
	update(s);
}

/* Claims ignore the threshold (ch. 7). */
static unsigned claim(struct plic *s, unsigned ctx)
{
	unsigned n = best(s, ctx, 0);
	uint32_t bit = UINT32_C(1) << n % 32;

	if (n) {
		s->pending[n / 32] &= ~bit;
		s->service[n / 32] |= bit;
		update(s);
	}
	return n;
}

/* Ignored silently unless the source is enabled for the context (ch. 9). */
static void complete(struct plic *s, unsigned ctx, uint32_t n)
{
	uint32_t bit = UINT32_C(1) << n % 32;

	if (!n || n > s->dev.prop[SOURCES]) {
		hull_guest_error(&s->dev, "completion of a source that does not exist", n);
		return;
	}
	if (!(s->enable[ctx * WORDS + n / 32] & bit))
		return;
	s->service[n / 32] &= ~bit;
	gateway(s, n / 32);
	update(s);
}

static bool context_at(const struct plic *s, uint64_t off, unsigned *ret_ctx, unsigned *ret_reg)
{
	uint64_t c = (off - CONTEXT) / CONTEXT_STRIDE;

	if (off < CONTEXT || c >= s->dev.prop[CONTEXTS])
		return false;
	*ret_ctx = (unsigned)c;
	*ret_reg = (unsigned)(off % CONTEXT_STRIDE);
	return *ret_reg == THRESHOLD || *ret_reg == CLAIM;
}

/* The enable word at `off`, or NULL; *ret_w is its number in the context. */
static uint32_t *enable_at(struct plic *s, uint64_t off, unsigned *ret_w)
{
	uint64_t c = (off - ENABLE) / ENABLE_STRIDE;

	if (off < ENABLE || c >= s->dev.prop[CONTEXTS])
		return NULL;
	*ret_w = (unsigned)(off % ENABLE_STRIDE / 4);
	return *ret_w < words(s) ? &s->enable[c * WORDS + *ret_w] : NULL;
}

static uint64_t plic_read(struct hull_dev *d, uint64_t off, unsigned size)
{
	struct plic *s = (struct plic *)d;
	unsigned ctx, reg, w;
	const uint32_t *en = enable_at(s, off, &w);

	(void)size;
	if (off / 4 <= d->prop[SOURCES])
		return s->priority[off / 4];
	if (off >= PENDING && (off - PENDING) / 4 < words(s))
		return s->pending[(off - PENDING) / 4];
	if (en)
		return *en;
	if (context_at(s, off, &ctx, &reg))
		return reg == THRESHOLD ? s->threshold[ctx] : claim(s, ctx);
	hull_guest_error(d, "read of a reserved register", off);
	return 0;
}

static void plic_write(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct plic *s = (struct plic *)d;
	unsigned ctx, reg, w;
	uint32_t *en = enable_at(s, off, &w);

	(void)size;
	if (off && off / 4 <= d->prop[SOURCES]) {
		s->priority[off / 4] = val & PRIORITY_MASK;
		update(s);
	} else if (en) {
		*en = (uint32_t)val & valid_mask(s, w);
		update(s);
	} else if (context_at(s, off, &ctx, &reg)) {
		if (reg == CLAIM) {
			complete(s, ctx, (uint32_t)val);
		} else {
			s->threshold[ctx] = val & PRIORITY_MASK;
			update(s);
		}
	} else {
		hull_guest_error(d, "write to a read-only or reserved register", off);
	}
}

/* Levels belong to the devices that drive them: they survive. */
static void plic_reset(struct hull_dev *d)
{
	struct plic *s = (struct plic *)d;

	memset(s->priority, 0, sizeof(s->priority));
	memset(s->threshold, 0, sizeof(s->threshold));
	memset(s->service, 0, sizeof(s->service));
	memset(s->enable, 0, sizeof(s->enable));
	memcpy(s->pending, s->level, sizeof(s->pending));
	update(s);
}

static const struct hull_field plic_fields[] = {
	HULL_FIELD_ARRAY(struct plic, priority), HULL_FIELD_ARRAY(struct plic, threshold),
	HULL_FIELD_ARRAY(struct plic, level),    HULL_FIELD_ARRAY(struct plic, pending),
	HULL_FIELD_ARRAY(struct plic, service),  HULL_FIELD_ARRAY(struct plic, enable),
};

/* A snapshot may hold anything: drop what the registers could not. */
static void plic_restored(struct hull_dev *d)
{
	struct plic *s = (struct plic *)d;

	for (unsigned w = 0; w < WORDS; w++) {
		uint32_t m = w < words(s) ? valid_mask(s, w) : 0;

		s->level[w] &= m;
		s->pending[w] &= m;
		s->service[w] &= m;
		for (unsigned c = 0; c < MAX_CONTEXTS; c++)
			s->enable[c * WORDS + w] &= c < d->prop[CONTEXTS] ? m : 0;
	}
	for (unsigned i = 0; i < ARRAY_LEN(s->priority); i++)
		s->priority[i] &= i && i <= d->prop[SOURCES] ? PRIORITY_MASK : 0;
	for (unsigned i = 0; i < ARRAY_LEN(s->threshold); i++)
		s->threshold[i] &= i < d->prop[CONTEXTS] ? PRIORITY_MASK : 0;
	update(s);
}

static const struct hull_prop plic_props[] = {
	{ "sources", "number of interrupt sources (riscv,ndev)", 95, 1, 1023 },
	{ "contexts", "number of contexts, usually two for each hart", 2, 1, MAX_CONTEXTS },
};

HULL_DEVICE(plic) = {
	.name = "plic",
	.summary = "RISC-V platform-level interrupt controller",
	.compatible = "sifive,plic-1.0.0;riscv,plic0",
	.node = "plic",
	.state_size = sizeof(struct plic),
	.region_size = 0x4000000,
	.access_sizes = 4,
	.irqs = MAX_CONTEXTS,
	.irqchip = true,
	.reset = plic_reset,
	.read = plic_read,
	.write = plic_write,
	.input = plic_input,
	.restored = plic_restored,
	.fields = plic_fields,
	.nfields = ARRAY_LEN(plic_fields),
	.props = plic_props,
	.nprops = ARRAY_LEN(plic_props),
};
