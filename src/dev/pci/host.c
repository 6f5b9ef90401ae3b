/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The host bridge.  Function 00.0 is the bridge itself: it says nothing but its name.
 *
 * A window looks for the first BAR that contains the address.  Each place of a BAR is one atomic
 * value, so moving one while others access it needs no lock.
 */
#include "dev/pci/host.h"

#include "base/assert.h"
#include "base/atomic.h"
#include "base/checked.h"

/* Windows are parts of the device: kind `k` from offset (k + 1) << WINDOW_SHIFT on. */
enum { DEVFNS = 256, MAX_BARS = 256, CONFIG_BYTES = 4096, WINDOW_SHIFT = 56 };

/* Red Hat's id for generic host bridges, as other emulators use it. */
enum { VENDOR = 0x1b36, DEVICE = 0x0008, CLASS_HOST_BRIDGE = 0x060000 };

struct route {
	struct hull_pci_fn *fn;
	struct hull_pci_bar *bar;
};

struct hull_pci_host {
	struct hull_dev dev;
	struct hull_pci_fn self;
	struct hull_pci_window window[HULL_PCI_SPACES]; /* size 0: closed */
	struct hull_pci_fn *fn[DEVFNS];
	struct route routes[MAX_BARS];
	unsigned nroutes;
	struct hull_lock lock;
	uint16_t asserted[HULL_PCI_PINS]; /* by how many functions; under `lock` */
};

/* Configuration space at `off` of the ECAM, and the function that it is of; NULL: none is. */
static struct hull_pci_fn *ecam_function(struct hull_pci_host *h, uint64_t off, unsigned *ret_reg)
{
	*ret_reg = off % CONFIG_BYTES;
	return h->fn[off / CONFIG_BYTES % DEVFNS];
}

static uint64_t ecam_read(struct hull_pci_host *h, uint64_t off, unsigned size)
{
	unsigned reg;
	struct hull_pci_fn *fn = ecam_function(h, off, &reg);
	uint64_t val;

	if (!fn)
		return UINT64_MAX;
	hull_dev_enter(fn->dev);
	val = hull_pci_config_read(fn, reg, MIN(size, 4U));
	if (size == 8)
		val |= (uint64_t)hull_pci_config_read(fn, reg + 4, 4) << 32;
	hull_dev_leave(fn->dev);
	return val;
}

static void ecam_write(struct hull_pci_host *h, uint64_t off, uint64_t val, unsigned size)
{
	unsigned reg;
	struct hull_pci_fn *fn = ecam_function(h, off, &reg);

	if (!fn)
		return;
	hull_dev_enter(fn->dev);
	hull_pci_config_write(fn, reg, MIN(size, 4U), (uint32_t)val);
	if (size == 8)
		hull_pci_config_write(fn, reg + 4, 4, (uint32_t)(val >> 32));
	hull_dev_leave(fn->dev);
}

/* The BAR that answers all of the access at offset `off` of the device; NULL: none. */
static const struct route *find(const struct hull_pci_host *h, uint64_t off, unsigned size,
                                uint64_t *ret_off)
{
	unsigned kind = (unsigned)(off >> WINDOW_SHIFT) - 1;
	uint64_t addr = h->window[kind].pci + (off & low_mask(WINDOW_SHIFT));

	for (unsigned i = 0; i < h->nroutes; i++) {
		const struct hull_pci_bar *b = h->routes[i].bar;
		uint64_t at = hull_load_relaxed(&b->at);

		if (at > addr || addr - at >= b->size ||
		    (b->space == HULL_PCI_IO) != (kind == HULL_PCI_IO))
			continue;
		*ret_off = addr - at;
		return b->size - *ret_off < size ? NULL : &h->routes[i];
	}
	return NULL;
}

static unsigned bar_number(const struct route *r)
{
	return (unsigned)(r->bar - r->fn->bar);
}

static bool fetch(struct hull_dev *d, uint64_t off, unsigned size, uint64_t *ret)
{
	struct hull_pci_host *h = (struct hull_pci_host *)d;
	const struct route *r;

	if (off < HULL_PCI_ECAM_BYTES) {
		*ret = ecam_read(h, off, size);
		return true;
	}
	r = find(h, off, size, &off);
	*ret = UINT64_MAX;
	if (!r)
		return true;
	hull_dev_accessed(r->fn->dev, off);
	hull_dev_enter(r->fn->dev);
	*ret = hull_pci_bar_read(r->fn, bar_number(r), off, size);
	hull_dev_leave(r->fn->dev);
	return true;
}

static bool post(struct hull_dev *d, uint64_t off, uint64_t val, unsigned size)
{
	struct hull_pci_host *h = (struct hull_pci_host *)d;
	const struct hull_pci_fn_ops *ops;
	const struct route *r;

	if (off < HULL_PCI_ECAM_BYTES) {
		ecam_write(h, off, val, size);
		return true;
	}
	r = find(h, off, size, &off);
	if (!r)
		return true;
	ops = r->fn->ops;
	hull_dev_accessed(r->fn->dev, off);
	if (ops->post && ops->post(r->fn, bar_number(r), off, val, size))
		return true;
	hull_dev_enter(r->fn->dev);
	hull_pci_bar_write(r->fn, bar_number(r), off, val, size);
	hull_dev_leave(r->fn->dev);
	return true;
}

int hull_pci_host_window(struct hull_dev *host, const struct hull_pci_window *w,
                         struct hull_err *err)
{
	struct hull_pci_host *h = (struct hull_pci_host *)host;
	const struct hull_dev_place place = { .space = w->space,
		                              .base = w->base,
		                              .size = w->size,
		                              .offset = (w->kind + UINT64_C(1)) << WINDOW_SHIFT };

	HULL_ASSERT(!h->window[w->kind].size && hull_range_valid(w->pci, w->size));
	HULL_ASSERT(w->size <= BIT(WINDOW_SHIFT));
	h->window[w->kind] = *w;
	return hull_bus_attach_part(host->vm, &place, host, err);
}

const struct hull_pci_window *hull_pci_host_window_of(struct hull_dev *host,
                                                      enum hull_pci_space kind)
{
	struct hull_pci_host *h = (struct hull_pci_host *)host;

	return h->window[kind].size ? &h->window[kind] : NULL;
}

struct hull_msi_sink *hull_pci_host_msi(struct hull_pci_host *host)
{
	return host->dev.msi;
}

/* Device 1 to 31, function 0; then their functions 1, and so on; 0: the bus is full. */
static unsigned free_place(const struct hull_pci_host *h)
{
	for (unsigned function = 0; function < 8; function++)
		for (unsigned slot = 1; slot < HULL_PCI_SLOTS; slot++)
			if (!h->fn[slot * 8 + function])
				return slot * 8 + function;
	return 0;
}

static void publish(struct hull_pci_host *h, struct hull_pci_fn *fn, unsigned devfn)
{
	const uint8_t multifunction = 0x80;
	struct hull_pci_fn *first;

	fn->host = h;
	fn->requester = (uint16_t)devfn;
	h->fn[devfn] = fn;
	for (unsigned i = 0; i < HULL_PCI_BARS; i++)
		if (fn->bar[i].size)
			h->routes[h->nroutes++] = (struct route){ fn, &fn->bar[i] };
	first = h->fn[devfn & ~7U];
	if (devfn % 8 && first) {
		first->initial[HULL_PCI_HEADER_TYPE] |= multifunction;
		first->config[HULL_PCI_HEADER_TYPE] |= multifunction;
	}
}

int hull_pci_host_add(struct hull_dev *host, struct hull_pci_fn *fn, unsigned devfn,
                      struct hull_err *err)
{
	struct hull_pci_host *h = (struct hull_pci_host *)host;

	if (!devfn)
		devfn = free_place(h);
	if (!devfn || devfn >= DEVFNS || h->nroutes + HULL_PCI_BARS > MAX_BARS)
		return hull_fail(err, HULL_EOVERFLOW, 906,
		                 "the PCI bus has no place for device '%s'", fn->dev->name);
	if (h->fn[devfn])
		return hull_fail(err, HULL_EEXIST, 906,
		                 "devices '%s' and '%s' cannot both be at PCI device %u.%u",
		                 h->fn[devfn]->dev->name, fn->dev->name, devfn / 8, devfn % 8);
	publish(h, fn, devfn);
	return 0;
}

void hull_pci_host_intx(struct hull_pci_host *host, const struct hull_pci_fn *fn, bool level)
{
	unsigned pin = fn->initial[HULL_PCI_INT_PIN] - 1U;
	unsigned n = hull_pci_swizzle(fn->requester / 8 % HULL_PCI_SLOTS, pin);

	hull_lock_acquire(&host->lock);
	if (level ? !host->asserted[n]++ : !--host->asserted[n])
		hull_irq_set(host->dev.irq[n], level);
	hull_lock_release(&host->lock);
}

static int init(struct hull_dev *d, struct hull_err *err)
{
	static const struct hull_pci_fn_ops nothing;
	static const struct hull_pci_id id = { .vendor = VENDOR,
		                               .device = DEVICE,
		                               .sub_vendor = VENDOR,
		                               .sub_device = DEVICE,
		                               .class_code = CLASS_HOST_BRIDGE };
	struct hull_pci_host *h = (struct hull_pci_host *)d;

	(void)err;
	hull_lock_init(&h->lock, d->lane.hal, HULL_RANK_PCI_HOST);
	h->self.dev = d;
	h->self.ops = &nothing;
	hull_pci_fn_init(&h->self, &id);
	publish(h, &h->self, 0);
	return 0;
}

static void reset(struct hull_dev *d)
{
	hull_pci_reset(&((struct hull_pci_host *)d)->self);
}

static void restored(struct hull_dev *d)
{
	hull_pci_restored(&((struct hull_pci_host *)d)->self);
}

static const struct hull_field fields[] = {
	HULL_PCI_FN_FIELDS(struct hull_pci_host, self),
};

HULL_DEVICE(pci_host) = {
	.name = "pci-host",
	.summary = "PCI host bridge with one bus, configured through ECAM",
	.state_size = sizeof(struct hull_pci_host),
	.region_size = HULL_PCI_ECAM_BYTES,
	.access_sizes = 1 | 2 | 4 | 8,
	.irqs = HULL_PCI_PINS,
	.init = init,
	.reset = reset,
	.fetch = fetch,
	.post = post,
	.restored = restored,
	.fields = fields,
	.nfields = ARRAY_LEN(fields),
};
