/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * PCI functions: configuration space, BARs, INTx, MSI-X.
 *
 * Spec: PCI Local Bus 3.0, ch. 6; PCI Express Base 4.0, 7.5 (capability) and 6.6.2 (function level
 * reset).
 *
 * Whoever makes a function embeds struct hull_pci_fn, sets `dev` and `ops`, calls
 * hull_pci_fn_init(), adds BARs and capabilities, and gives it to a host bridge (host.h).  The
 * guest places BARs where it likes; where several meet, the function that was added first answers,
 * and what a host bridge does not forward (memory, other devices) nobody sees.
 *
 * Threading: configuration space and BARs under the lane of `dev`; hull_pci_intx() and
 * hull_pci_message() from any thread that holds no lock above HULL_RANK_SHARED.
 */
#ifndef HULL_DEV_PCI_PCI_H
#define HULL_DEV_PCI_PCI_H

#include "core/dev_impl.h"

#define HULL_PCI_NOWHERE UINT64_MAX

enum { HULL_PCI_CONFIG = 256, HULL_PCI_BARS = 6, HULL_PCI_VECTORS = 2048 };

/* A 64-bit BAR is prefetchable: guests place others below 4 GiB. */
enum hull_pci_space { HULL_PCI_IO, HULL_PCI_MEM32, HULL_PCI_MEM64, HULL_PCI_SPACES };

/* Configuration registers (PCI 3.0, 6.1). */
enum {
	HULL_PCI_COMMAND = 0x04,
	HULL_PCI_STATUS = 0x06,
	HULL_PCI_HEADER_TYPE = 0x0e,
	HULL_PCI_BAR0 = 0x10,
	HULL_PCI_CAPABILITIES = 0x34,
	HULL_PCI_INT_LINE = 0x3c,
	HULL_PCI_INT_PIN = 0x3d,
};

enum { /* of the command register */
       HULL_PCI_COMMAND_IO = 1,
       HULL_PCI_COMMAND_MEMORY = 2,
       HULL_PCI_COMMAND_MASTER = 4,
       HULL_PCI_COMMAND_INTX_OFF = 0x400,
};

struct hull_pci_fn;
struct hull_pci_host;

/* All but post under the lane of fn->dev; any may be NULL. */
struct hull_pci_fn_ops {
	/* Before the core looks at configuration space: true if this took care.  1, 2 or 4 bytes,
	 * aligned, off < 4096. */
	bool (*config_read)(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t *ret);
	bool (*config_write)(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t val);
	/* Within a BAR, but for its MSI-X structures. */
	uint64_t (*read)(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size);
	void (*write)(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
	              unsigned size);
	/* Before write, without the lane: true if this took care, for doorbells. */
	bool (*post)(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
	             unsigned size);
	/* A BAR answers elsewhere now, or HULL_PCI_NOWHERE: for those that map memory there. */
	void (*moved)(struct hull_pci_fn *fn, unsigned bar, uint64_t at);
	/* The command register was written. */
	void (*command)(struct hull_pci_fn *fn, uint16_t command);
	/* Function level reset: the configuration space is reset already. */
	void (*reset)(struct hull_pci_fn *fn);
};

struct hull_pci_bar {
	uint64_t size; /* a power of two; 0: there is none */
	uint64_t at;   /* atomic: the address where it answers, or HULL_PCI_NOWHERE */
	enum hull_pci_space space;
};

/* An MSI-X table entry as the guest wrote it; control: bit 0 masks. */
struct hull_pci_vector {
	uint64_t addr;
	uint32_t data, control;
};

/* Under fn->lock but for what never changes. */
struct hull_pci_msix {
	struct hull_pci_vector *table; /* n of them, the maker's */
	uint64_t *pending;             /* (n + 63) / 64 words, the maker's: the PBA */
	uint32_t table_at, pba_at;     /* within the BAR */
	uint16_t n;                    /* 0: no MSI-X */
	uint8_t bar, cap;
	bool on, masked;
};

struct hull_pci_id {
	uint16_t vendor, device, sub_vendor, sub_device;
	uint32_t class_code; /* class, subclass, interface: 24 bits */
	uint8_t revision;
	bool intx; /* has an interrupt pin: INTA */
};

struct hull_pci_fn {
	struct hull_dev *dev; /* whose lane it is under, and who is to blame */
	const struct hull_pci_fn_ops *ops;
	struct hull_pci_host *host; /* NULL: not on a bus yet */
	uint16_t requester;         /* bus, device, function */
	struct hull_pci_bar bar[HULL_PCI_BARS];
	struct hull_pci_msix msix;
	struct hull_lock lock;
	uint8_t intx;          /* asserted by the function */
	bool intx_shown;       /* as the host bridge was told */
	bool intx_off, master; /* of the command register */
	uint8_t cap_end, cap_last, express;
	uint8_t config[HULL_PCI_CONFIG];
	uint8_t initial[HULL_PCI_CONFIG];  /* after a reset */
	uint8_t writable[HULL_PCI_CONFIG]; /* bits that the guest may change */
};

/* The saved state of member `fn` of `type`, and of its MSI-X structures. */
#define HULL_PCI_FN_FIELDS(type, fn) HULL_FIELD_ARRAY(type, fn.config), HULL_FIELD(type, fn.intx)
#define HULL_PCI_MSIX_FIELDS(type, table, pending)                              \
	HULL_FIELD_EACH(type, table, addr), HULL_FIELD_EACH(type, table, data), \
		HULL_FIELD_EACH(type, table, control), HULL_FIELD_ARRAY(type, pending)

/* Type 0 header; `fn` is zeroed but for dev and ops.  In the build phase, like the next four. */
void hull_pci_fn_init(struct hull_pci_fn *fn, const struct hull_pci_id *id);

/* BAR `n`; a 64-bit one takes n + 1, too.  `size`: a power of two, from 16 (I/O: 4 to 256). */
void hull_pci_add_bar(struct hull_pci_fn *fn, unsigned n, enum hull_pci_space space, uint64_t size);

/*
 * A capability of 2 + `len` bytes; `body` and `writable` (NULL: nothing) begin behind its id and
 * link.  Returns its offset.
 */
unsigned hull_pci_add_cap(struct hull_pci_fn *fn, uint8_t id, const uint8_t *body,
                          const uint8_t *writable, unsigned len);

/* The PCI Express capability of a root complex integrated endpoint, with function level reset. */
void hull_pci_add_express(struct hull_pci_fn *fn);

/* MSI-X as `msix` says: table, pending, n, bar, table_at and pba_at; the BAR is big enough. */
void hull_pci_add_msix(struct hull_pci_fn *fn, const struct hull_pci_msix *msix);

/* Accesses of the guest.  Configuration: 1, 2 or 4 bytes, aligned.  BAR: within its size. */
uint32_t hull_pci_config_read(struct hull_pci_fn *fn, unsigned off, unsigned size);
void hull_pci_config_write(struct hull_pci_fn *fn, unsigned off, unsigned size, uint32_t val);
uint64_t hull_pci_bar_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size);
void hull_pci_bar_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                        unsigned size);

/* As after power-on; ops->reset is not called.  Under the lane, or while nothing runs. */
void hull_pci_reset(struct hull_pci_fn *fn);

/* The saved fields were loaded, from wherever. */
void hull_pci_restored(struct hull_pci_fn *fn);

/* Assert or release the interrupt pin; the line follows unless MSI-X is on or INTx is off. */
void hull_pci_intx(struct hull_pci_fn *fn, bool level);

/*
 * Send the message of `vector`, or keep it pending while it is masked.  False: MSI-X is off, use
 * hull_pci_intx().  A vector that does not exist sends nothing.
 */
bool hull_pci_message(struct hull_pci_fn *fn, unsigned vector);

/* Of the host bridge; fn->lock is held. */
void hull_pci_host_intx(struct hull_pci_host *host, const struct hull_pci_fn *fn, bool level);
struct hull_msi_sink *hull_pci_host_msi(struct hull_pci_host *host);

/* For the files of this directory. */
void hull_pci_update_intx(struct hull_pci_fn *fn); /* fn->lock is held */
void hull_pci_msix_control(struct hull_pci_fn *fn);
void hull_pci_msix_restored(struct hull_pci_fn *fn);
void hull_pci_msix_reset(struct hull_pci_fn *fn);
void hull_pci_msix_flush(struct hull_pci_fn *fn); /* fn->lock is held */
bool hull_pci_msix_read(struct hull_pci_fn *fn, unsigned bar, uint64_t off, unsigned size,
                        uint64_t *ret);
bool hull_pci_msix_write(struct hull_pci_fn *fn, unsigned bar, uint64_t off, uint64_t val,
                         unsigned size);

#endif
