/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* The virtio-pci transport: virtio-rng, -blk and -net behind PCI functions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "core/aspace.h"
#include "dev/virtio/virtio.h"
#include "support/backends.h"
#include "support/pcirig.h"
#include "support/vdriver.h"

enum { RNG = 1 << 3, BLK = 2 << 3 };
enum { COMMON = 1, NOTIFY, ISR, DEVICE, PCI, VENDOR = 0x09, MSIX = 0x11, EXPRESS = 0x10 };
enum { CONFIG_VECTOR = 0x10, NUM_QUEUES = 0x12, QUEUE_SIZE = 0x18, QUEUE_VECTOR = 0x1a };
enum { QUEUE_ENABLE = 0x1c, NOTIFY_OFF = 0x1e, NONE = 0xffff };

#define BUF (RIG_RAM + 0x10000)

struct env {
	struct pcirig *p;
	struct rig_dev *rng, *blk;
	void *disk;
	struct vqueue q;
	unsigned msix;
};

static int start(void **state)
{
	struct env *e = calloc(1, sizeof(*e));

	assert_non_null(e);
	e->p = pcirig_new();
	e->rng = pcirig_add_virtio(e->p, "virtio-rng", RNG, NULL);
	e->disk = backends_new(hull_dev_type_find("virtio-blk"));
	e->blk = pcirig_add_virtio(e->p, "virtio-blk", BLK, e->disk);
	e->msix = pci_cap(e->p, RNG, MSIX, 0);
	*state = e;
	return 0;
}

static int stop(void **state)
{
	struct env *e = *state;

	pcirig_free(e->p);
	backends_free(hull_dev_type_find("virtio-blk"), e->disk);
	free(e);
	return 0;
}

static uint64_t get(struct env *e, unsigned off, unsigned size)
{
	return pci_read(e->p, e->rng->pci_regs + off, size);
}

static void set(struct env *e, unsigned off, unsigned size, uint64_t val)
{
	pci_write(e->p, e->rng->pci_regs + off, size, val);
}

/* The capability that says where structure `type` is; 0: there is none. */
static unsigned structure(struct env *e, unsigned devfn, uint8_t type)
{
	unsigned at;

	for (unsigned i = 0; (at = pci_cap(e->p, devfn, VENDOR, i)); i++)
		if (pci_get(e->p, devfn, at + 3, 1) == type)
			return at;
	return 0;
}

/* Ask for `len` random bytes; how many came? */
static uint32_t ask(struct env *e, uint32_t len)
{
	const struct vbuf b = { BUF, len, true };
	uint32_t id, got;
	uint16_t want = v_post(&e->q, &b, 1, 0);

	v_kick(&e->q);
	if (!v_used(&e->q, &id, &got))
		return 0;
	assert_int_equal(id, want);
	return got;
}

static bool line(struct env *e)
{
	return e->p->host->irq.level[1];
}

static void identification(void **state)
{
	struct env *e = *state;
	unsigned at;

	assert_int_equal(pci_get(e->p, RNG, 0, 4), 0x10441af4);
	assert_int_equal(pci_get(e->p, BLK, 0, 4), 0x10421af4);
	assert_int_equal(pci_get(e->p, BLK, 8, 4), 0x01800001);
	at = structure(e, BLK, COMMON);
	assert_int_equal(pci_get(e->p, BLK, at + 2, 1), 16);
	assert_int_equal(pci_get(e->p, BLK, at + 4, 1), 0);
	assert_int_equal(pci_get(e->p, BLK, at + 8, 4), 0);
	assert_int_equal(pci_get(e->p, BLK, at + 12, 4), 0x3c);
	at = structure(e, BLK, NOTIFY);
	assert_int_equal(pci_get(e->p, BLK, at + 2, 1), 20);
	assert_int_equal(pci_get(e->p, BLK, at + 16, 4), 4);
	assert_int_not_equal(structure(e, BLK, ISR), 0);
	at = structure(e, BLK, DEVICE);
	assert_int_equal(pci_get(e->p, BLK, at + 12, 4), 60);
	assert_int_equal(structure(e, RNG, DEVICE), 0); /* it has no configuration */
	assert_int_not_equal(pci_cap(e->p, RNG, EXPRESS, 0), 0);
	assert_int_equal(get(e, NUM_QUEUES, 2), 1);
	assert_int_equal(pci_get(e->p, RNG, e->msix + 2, 2), 1); /* two vectors */
}

static void requests_by_line(void **state)
{
	struct env *e = *state;

	v_start(e->rng, VF_EVENT_IDX | VF_PACKED, 8, &e->q);
	assert_int_equal(get(e, QUEUE_SIZE, 2), 8);
	assert_int_equal(get(e, NOTIFY_OFF, 2), 0);
	assert_int_equal(get(e, 0x20, 8), RIG_RAM);
	assert_int_equal(get(e, 0x0c, 4), VF_PACKED >> 32 | VF_VERSION_1 >> 32);
	assert_int_equal(ask(e, 100), 100);
	assert_true(line(e));
	assert_int_equal(pci_get(e->p, RNG, HULL_PCI_STATUS, 2) & 8, 8);
	assert_int_equal(v_get(e->rng, V_INT_STATUS), 1);
	assert_false(line(e));
	assert_int_equal(v_get(e->rng, V_INT_STATUS), 0);
	assert_int_equal(e->p->nsent, 0);
}

static void vector_set(struct env *e, unsigned n, uint32_t data)
{
	hull_gpa at = PCI_MEM + RNG * 0x1000 + 16 * n;

	pci_write(e->p, at, 8, 0xfee00000);
	pci_write(e->p, at + 8, 8, data);
}

static void requests_by_message(void **state)
{
	struct env *e = *state;

	pci_set(e->p, RNG, e->msix + 2, 2, 0x8000);
	vector_set(e, 0, 0x40);
	vector_set(e, 1, 0x41);
	v_start(e->rng, 0, 8, &e->q);
	assert_int_equal(get(e, QUEUE_VECTOR, 2), NONE);
	assert_int_equal(ask(e, 10), 10); /* nobody wants to know */
	assert_int_equal(e->p->nsent, 0);
	assert_false(line(e));
	set(e, QUEUE_VECTOR, 2, 1);
	set(e, CONFIG_VECTOR, 2, 0);
	assert_int_equal(get(e, QUEUE_VECTOR, 2), 1);
	assert_int_equal(ask(e, 10), 10);
	assert_int_equal(ask(e, 10), 10);
	assert_int_equal(e->p->nsent, 2);
	assert_int_equal(e->p->sent[1].data, 0x41);
	assert_int_equal(e->p->sent[1].requester, RNG);
	assert_false(line(e));
	assert_int_equal(v_get(e->rng, V_INT_STATUS), 0);
	/* A broken ring is told by the other one. */
	v_write16(e->p->rig, e->q.avail + 2, 500);
	v_kick(&e->q);
	assert_int_equal(e->p->nsent, 3);
	assert_int_equal(e->p->sent[2].data, 0x40);
	assert_int_equal(get(e, 0x14, 1), 0x4f);
	/* Out of range: refused by reading back. */
	set(e, QUEUE_VECTOR, 2, 2);
	assert_int_equal(get(e, QUEUE_VECTOR, 2), NONE);
	set(e, CONFIG_VECTOR, 2, 0x7fff);
	assert_int_equal(get(e, CONFIG_VECTOR, 2), NONE);
	set(e, CONFIG_VECTOR, 2, 1);
	set(e, 0x14, 1, 0);
	assert_int_equal(get(e, CONFIG_VECTOR, 2), NONE);
}

/* Masked while a request completes: pending, and sent at once when it is unmasked. */
static void masked(void **state)
{
	struct env *e = *state;

	pci_set(e->p, RNG, e->msix + 2, 2, 0x8000);
	v_start(e->rng, 0, 8, &e->q);
	set(e, QUEUE_VECTOR, 2, 0);
	assert_int_equal(ask(e, 10), 10);
	assert_int_equal(e->p->nsent, 0);
	assert_int_equal(pci_read(e->p, PCI_MEM + RNG * 0x1000 + 0x800, 4), 1);
	vector_set(e, 0, 0x40);
	assert_int_equal(e->p->nsent, 1);
}

static void widths(void **state)
{
	struct env *e = *state;
	uint64_t before = e->rng->dev->guest_errors;

	assert_int_equal(get(e, 0x14, 4), 0);
	assert_int_equal(get(e, 0x04, 2), 0);
	assert_int_equal(get(e, 0x38, 4), 0);
	set(e, QUEUE_ENABLE, 4, 1);
	assert_int_equal(get(e, 0x100, 4), 0);
	assert_int_equal(get(e, 0x1004, 4), 0);
	assert_int_equal(get(e, 0x2000, 4), 0);
	set(e, 0x3002, 2, 0);
	set(e, 0x3004, 2, 0); /* there is one queue */
	set(e, NUM_QUEUES, 2, 5);
	assert_int_equal(e->rng->dev->guest_errors, before + 10);
	assert_int_equal(pci_read(e->p, PCI_MEM + RNG * 0x1000 + 0x900, 4), 0);
	set(e, 0x20, 8, UINT64_C(0x1122334455667788));
	assert_int_equal(get(e, 0x24, 4), 0x11223344);
	assert_int_equal(get(e, 0x20, 8), UINT64_C(0x1122334455667788));
}

static void queues(void **state)
{
	struct env *e = *state;

	assert_true(v_negotiate(e->rng, VF_RING_RESET));
	set(e, 0x16, 2, 1);
	assert_int_equal(get(e, QUEUE_SIZE, 2), 0);
	assert_int_equal(get(e, QUEUE_ENABLE, 2), 0);
	set(e, QUEUE_SIZE, 2, 8);
	set(e, QUEUE_ENABLE, 2, 1);
	set(e, QUEUE_VECTOR, 2, 0);
	assert_int_equal(get(e, QUEUE_VECTOR, 2), 0);
	set(e, 0x16, 2, 0);
	assert_int_equal(get(e, QUEUE_SIZE, 2), 64);
	assert_true(v_queue(e->rng, 0, RIG_RAM, 16, &e->q));
	set(e, 0x14, 1, 15);
	set(e, QUEUE_VECTOR, 2, 1);
	set(e, QUEUE_SIZE, 2, 4); /* in use */
	assert_int_equal(get(e, QUEUE_SIZE, 2), 16);
	set(e, QUEUE_ENABLE, 2, 0); /* no way to disable one */
	assert_int_equal(get(e, QUEUE_ENABLE, 2), 1);
	set(e, 0x3a, 2, 1);
	assert_int_equal(get(e, 0x3a, 2), 0);
	assert_int_equal(get(e, QUEUE_ENABLE, 2), 0);
	assert_int_equal(get(e, QUEUE_VECTOR, 2), NONE);
	/* With the size that the device proposed. */
	set(e, 0x20, 8, RIG_RAM);
	set(e, 0x28, 8, RIG_RAM + 0x1000);
	set(e, 0x30, 8, RIG_RAM + 0x2000);
	set(e, QUEUE_ENABLE, 2, 1);
	assert_int_equal(get(e, QUEUE_ENABLE, 2), 1);
	assert_int_equal(get(e, QUEUE_SIZE, 2), 64);
}

/* Requests wait while the function is no bus master. */
static void bus_master(void **state)
{
	struct env *e = *state;

	v_start(e->rng, 0, 8, &e->q);
	pci_set(e->p, RNG, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY);
	assert_int_equal(ask(e, 10), 0);
	assert_false(line(e));
	pci_set(e->p, RNG, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY | HULL_PCI_COMMAND_MASTER);
	rig_clock(e->p->rig, 1);
	assert_true(v_used(&e->q, &(uint32_t){ 0 }, &(uint32_t){ 0 }));
	assert_true(line(e));
}

/* 4.1.4.9: the BARs through configuration space. */
static void config_window(void **state)
{
	struct env *e = *state;
	unsigned at = structure(e, RNG, PCI), data = at + 16;

	assert_int_not_equal(at, 0);
	assert_int_equal(pci_get(e->p, RNG, data, 4), 0); /* length 0: leads nowhere */
	pci_set(e->p, RNG, at + 8, 4, NUM_QUEUES);
	pci_set(e->p, RNG, at + 12, 4, 2);
	assert_int_equal(pci_get(e->p, RNG, data, 4), 1);
	pci_set(e->p, RNG, at + 8, 4, 0x14);
	pci_set(e->p, RNG, at + 12, 4, 1);
	pci_set(e->p, RNG, data, 4, 0xffffff03);
	assert_int_equal(get(e, 0x14, 1), 3);
	/* MSI-X is in another BAR. */
	pci_set(e->p, RNG, at + 4, 1, 2);
	pci_set(e->p, RNG, at + 8, 4, 8);
	pci_set(e->p, RNG, at + 12, 4, 4);
	pci_set(e->p, RNG, data, 4, 0x99);
	assert_int_equal(pci_read(e->p, PCI_MEM + RNG * 0x1000 + 8, 4), 0x99);
	/* It works with memory off, and leads nowhere else. */
	pci_set(e->p, RNG, HULL_PCI_COMMAND, 2, 0);
	assert_int_equal(pci_get(e->p, RNG, data, 4), 0x99);
	pci_set(e->p, RNG, at + 8, 4, 0xfffffffc);
	assert_int_equal(pci_get(e->p, RNG, data, 4), UINT32_MAX);
	pci_set(e->p, RNG, at + 4, 1, 0xff);
	pci_set(e->p, RNG, data, 4, 1);
	assert_int_equal(pci_get(e->p, RNG, data, 4), UINT32_MAX);
	pci_set(e->p, RNG, at + 12, 4, 3);
	assert_int_equal(pci_get(e->p, RNG, data, 4), 0);
}

static void function_reset(void **state)
{
	struct env *e = *state;
	unsigned express = pci_cap(e->p, RNG, EXPRESS, 0);

	v_start(e->rng, 0, 8, &e->q);
	assert_int_equal(ask(e, 10), 10);
	assert_true(line(e));
	pci_set(e->p, RNG, express + 8, 2, 0x8000);
	assert_false(line(e));
	assert_int_equal(get(e, 0x14, 1), 0xff); /* memory is off */
	pci_set(e->p, RNG, HULL_PCI_BAR0 + 4, 4, (uint32_t)(PCI_HIGH >> 32));
	pci_set(e->p, RNG, HULL_PCI_BAR0, 4, RNG * 0x4000);
	pci_set(e->p, RNG, HULL_PCI_COMMAND, 2, HULL_PCI_COMMAND_MEMORY | HULL_PCI_COMMAND_MASTER);
	assert_int_equal(get(e, 0x14, 1), 0);
	v_start(e->rng, 0, 8, &e->q);
	assert_int_equal(ask(e, 20), 20);
}

/* A device whose queues have lanes of their own: its doorbell does not take the device's. */
static void disk(void **state)
{
	struct env *e = *state;
	struct vbuf b[] = { { BUF, 16, false },
		            { BUF + 0x1000, 512, true },
		            { BUF + 16, 1, true } };
	static const uint8_t zero[17];
	uint32_t id, len;

	assert_true(hull_vm_write(e->p->rig->vm, BUF, zero, sizeof(zero)) == 0);
	v_start(e->blk, VF_EVENT_IDX, 8, &e->q);
	v_post(&e->q, b, 3, 0);
	v_kick(&e->q);
	assert_true(v_used(&e->q, &id, &len));
	assert_int_equal(len, 513);
	assert_int_not_equal(v_get(e->blk, V_CONFIG), 0); /* capacity */
	assert_int_equal(v_get(e->blk, V_INT_STATUS), 1);
}

static void snapshot(void **state)
{
	struct env *e = *state;
	struct hull_dev *pci = hull_dev_find(e->p->rig->vm, "dev1.pci");
	struct rig_dev fn = { .rig = e->p->rig, .dev = pci };
	static uint8_t a[16384], b[16384], v[16384];
	size_t len, vlen;

	assert_non_null(pci);
	pci_set(e->p, RNG, e->msix + 2, 2, 0x8000);
	vector_set(e, 1, 0x41);
	v_start(e->rng, 0, 8, &e->q);
	set(e, QUEUE_VECTOR, 2, 1);
	len = rig_save(&fn, a, sizeof(a));
	vlen = rig_save(e->rng, v, sizeof(v));
	rig_reset(e->rng);
	rig_reset(&fn);
	assert_int_equal(get(e, 0x14, 1), 0xff);
	assert_int_equal(rig_load(e->rng, v, vlen), 0);
	assert_int_equal(rig_load(&fn, a, len), 0);
	assert_int_equal(rig_save(&fn, b, sizeof(b)), len);
	assert_memory_equal(a, b, len);
	rig_clock(e->p->rig, 1);
	assert_int_equal(ask(e, 10), 10);
	assert_int_equal(e->p->sent[e->p->nsent - 1].data, 0x41);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, start, stop)
	const struct CMUnitTest tests[] = {
		T(identification), T(requests_by_line), T(requests_by_message),
		T(masked),         T(widths),           T(queues),
		T(bus_master),     T(config_window),    T(function_reset),
		T(disk),           T(snapshot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
