/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A VM without a CPU, for tests of devices: stepped clock, two adjacent pieces
 * of RAM, a ROM, devices whose lines and backends the test holds in its hand.
 *
 * Threading: the rig belongs to one thread; backends may use others.
 */
#ifndef TESTS_SUPPORT_RIG_H
#define TESTS_SUPPORT_RIG_H

#include <hull/vm.h>
#include "core/dev_impl.h"
#include "support/fake_hal.h"

enum { RIG_DEVS = 4, RIG_CHARS = 4096, RIG_MSIS = 64 };

#define RIG_RAM      UINT64_C(0x80000000)
#define RIG_RAM_SIZE UINT64_C(0x80000) /* the second half is a region of its own */
#define RIG_RAM_HALF UINT64_C(0x40000)
#define RIG_ROM      UINT64_C(0x20000000)
#define RIG_ROM_SIZE UINT64_C(0x10000)
#define RIG_MMIO     UINT64_C(0x40000000) /* device i is at RIG_MMIO + i * RIG_STRIDE */
#define RIG_STRIDE   UINT64_C(0x8000000)

struct rig_char {
	struct hull_char c;
	uint8_t in[RIG_CHARS], out[RIG_CHARS];
	size_t in_len, out_len;
	size_t room; /* how much write() takes until told otherwise */
};

struct rig_irq {
	struct hull_irq_sink sink;
	bool level[HULL_DEV_IRQS];
	unsigned rises[HULL_DEV_IRQS];
};

/* Messages that the device has sent, the oldest first; those beyond RIG_MSIS are lost. */
struct rig_msi {
	struct hull_msi_sink sink;
	uint64_t addr[RIG_MSIS];
	uint32_t data[RIG_MSIS];
	unsigned n;
};

struct rig_dev {
	struct rig *rig;
	struct hull_dev *dev;
	struct rig_irq irq;
	struct rig_msi msi;
	struct rig_char ch;
	uint64_t features; /* virtio: as last negotiated (vdriver.h) */
	hull_gpa pci_regs; /* virtio: BAR 0 of its PCI function (pcirig.h); 0: it is on mmio */
};

struct rig {
	struct fake_hal hal;
	struct hull_vm *vm;
	struct rig_dev devs[RIG_DEVS];
	unsigned ndevs;
	bool off_bus; /* devices that are added now have no registers of their own, nor lines */
};

struct rig *rig_new(void);
void rig_free(struct rig *r);

/*
 * Add a device; `backend` is for those that are no character devices, of the kind that the type
 * wants.  Aborts the test on failure.
 */
struct rig_dev *rig_add(struct rig *r, const struct hull_dev_type *type, const uint64_t *args,
                        unsigned nargs, void *backend);

/* Registers by offset; false: bus error. */
bool rig_read(struct rig_dev *d, uint64_t off, unsigned size, uint64_t *ret);
bool rig_write(struct rig_dev *d, uint64_t off, unsigned size, uint64_t val);

/* Move guest time and fire what is due. */
void rig_clock(struct rig *r, uint64_t ns);
void rig_reset(struct rig_dev *d);
void rig_input(struct rig_dev *d, uint32_t n, bool level);

/* The device's state as a snapshot holds it; returns the length. */
size_t rig_save(struct rig_dev *d, uint8_t *buf, size_t size);
int rig_load(struct rig_dev *d, const uint8_t *buf, size_t len);

/* Bytes arrive at the device's character backend. */
void rig_char_in(struct rig_dev *d, const void *buf, size_t len);

#endif
