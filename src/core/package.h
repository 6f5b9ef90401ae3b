/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * A package: VMs with their files, in one piece of memory, for a hypervisor that reads no text.
 *
 * A header, then a section of fields for each VM and its parts (core/field.h: by name, so that an
 * older package loads in a newer Hull), then the files, each at a page.
 *
 * Whoever reads one does not trust it.  Threading: pure.
 */
#ifndef HULL_CORE_PACKAGE_H
#define HULL_CORE_PACKAGE_H

#include <hull/config.h>

enum {
	HULL_PACKAGE_VERSION = 1,
	HULL_PACKAGE_HEADER = 32,
	HULL_PACKAGE_VMS = 16, /* at most */
	HULL_PACKAGE_CMDLINE = 2048,
	HULL_PACKAGE_DISKS = 8, /* of a VM */
	HULL_PACKAGE_NETS = 4,
};

enum hull_package_kind {
	HULL_PACKAGE_KERNEL,
	HULL_PACKAGE_INITRD,
	HULL_PACKAGE_DTB,
	HULL_PACKAGE_FILES
};

/* A file; 0 bytes: there is none. */
struct hull_package_file {
	uint64_t offset, bytes; /* in the package */
	uint64_t at;            /* where the user wants it in the guest, if has_at */
	uint8_t has_at;
};

/* What is behind device number `device` of the configuration: an image in the package, */
struct hull_package_disk {
	uint32_t device;
	uint8_t read_only;      /* else the guest gets a copy */
	uint64_t offset, bytes; /* a multiple of 512, not 0 */
};

/* or a network that all VMs with a card in it share. */
struct hull_package_net {
	uint32_t device;
	char network[HULL_NAME_MAX];
	uint8_t mac[6]; /* all 0: none given */
	uint16_t mtu;   /* 0: 1500 */
};

struct hull_package_vm {
	struct hull_vm_config config; /* no regions: the board puts ram_bytes where it likes */
	uint64_t ram_bytes;
	char board[HULL_NAME_MAX]; /* empty: the first of the architecture */
	char cmdline[HULL_PACKAGE_CMDLINE];
	uint64_t entry; /* if has_entry */
	uint8_t has_entry, no_dtb;
	struct hull_package_file file[HULL_PACKAGE_FILES];
	uint32_t console; /* the device that leads to the VM's console, + 1; 0: its first serial
	                     port */
	uint32_t ndisks, nnets;
	struct hull_package_disk disks[HULL_PACKAGE_DISKS];
	struct hull_package_net nets[HULL_PACKAGE_NETS];
};

/* What a package begins with; its first 8 bytes. */
#define HULL_PACKAGE_MAGIC UINT64_C(0x31474b504c4c5548) /* "HULLPKG1" */

/*
 * Write header and sections of `n` VMs, whose files' offsets are already what they will be, into
 * buf; `total` bytes is the whole package.  *ret: how many bytes these took.  HULL_EOVERFLOW.
 */
int hull_package_write(const struct hull_package_vm *vms, uint32_t n, uint64_t total, uint8_t *buf,
                       size_t size, size_t *ret);

/* A package that passed hull_package_open(). */
struct hull_package {
	const uint8_t *data;
	uint64_t bytes;
	uint32_t nvms;
	uint32_t next; /* the VM that hull_package_next() reads */
	size_t pos;
};

/*
 * Check the header; `size` bytes are readable.  HULL_ENOENT: there is no package here.
 * HULL_EFORMAT (E1110), HULL_ENOTSUP (E1111: of another version).
 */
int hull_package_open(const void *data, uint64_t size, struct hull_package *ret,
                      struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Read the next VM, checked whole (hull_config_check(), files within the package).  E1110; if
 * `next` has moved, it can be read and is wrong: the next call is for the VM behind it.
 */
int hull_package_next(struct hull_package *p, struct hull_package_vm *ret,
                      struct hull_err *err) HULL_CHECK_RESULT;

#endif
