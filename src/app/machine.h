/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From options to a machine that is ready to boot: files, disks, serial
 * ports, configuration, accelerator, board.
 *
 * Threading: one thread.  Lifetime: open, use, close; close takes what a
 * failed open has left.
 */
#ifndef HULL_APP_MACHINE_H
#define HULL_APP_MACHINE_H

#include "app/disks.h"
#include "app/net.h"
#include "board/board.h"
#include "host/char/char.h"
#include "host/char/tap.h"
#include "host/file.h"
#include "host/vsock/vsock.h"
#include "manage/options.h"

enum { APP_CONSOLES = 8, APP_PORTS = APP_CONSOLES + HULL_PORTS, APP_SHARES = 8 };

struct app_machine {
	const struct hull_options *options;
	const struct hull_accel *accel;
	struct hull_err passed_over; /* why a better one was not taken; code 0: none was */
	struct hull_machine machine;
	struct hull_file kernel, initrd, dtb, firmware; /* while they are in memory */
	struct hull_open_file files[4];                 /* a reset of the guest reads them again */
	struct hull_char *ports[APP_PORTS];             /* of serial ports, consoles, channels */
	uint32_t nports, nserials, nconsoles;           /* in this order */
	struct app_disks disks;
	struct hull_ports channels;
	struct hull_vsock *vsock; /* NULL: none */
	struct hull_share *shares[APP_SHARES];
	uint32_t nshares;
	struct app_nets nets;
	void *backends[HULL_MAX_DEVICES];
	const struct app_role *role; /* NULL: as the options say */
	bool terminal_taken; /* a console leads to the terminal, not the first serial port */
	struct hull_tap tap; /* in front of the port that is watched */
};

/* What the user's escape key does. */
struct app_escape {
	uint8_t key; /* 0: there is none */
	void (*pressed)(void *arg);
	void *arg;
};

/* Where a machine is not what the options say: one of several that do the same. */
struct app_role {
	enum hull_engine_mode engine;
	bool silent; /* what the guest prints leads nowhere */
};

/* Everything up to and with hull_vm_seal().  Errors of every part.  `role` makes it deterministic.
 */
int hull_app_machine_open(struct app_machine *m, const struct hull_options *o,
                          const struct app_escape *escape, struct hull_err *err) HULL_CHECK_RESULT;
int hull_app_machine_open_as(struct app_machine *m, const struct hull_options *o,
                             const struct app_role *role, struct hull_err *err) HULL_CHECK_RESULT;

/* Take the terminal, before the guest runs. */
int hull_app_machine_prepare(struct app_machine *m, struct hull_err *err) HULL_CHECK_RESULT;

/* Begin to deliver input to ports and networks; end it and finish what the disks have to do. */
int hull_app_machine_start(struct app_machine *m, struct hull_err *err) HULL_CHECK_RESULT;
void hull_app_machine_quiet(struct app_machine *m);

/* Add a device with its backend to the configuration: for net.c and its like. */
int hull_app_add_device(struct app_machine *m, struct hull_vm_config *c, const char *type,
                        const char *name, void *backend, struct hull_err *err) HULL_CHECK_RESULT;

/* The device that was added last is reached as item `i` of option `id` says, unless that is auto.
 */
void hull_app_set_bus(const struct app_machine *m, struct hull_vm_config *c, enum hull_option id,
                      uint32_t i);

/* Destroy the VM, which has stopped, and close everything. */
void hull_app_machine_close(struct app_machine *m);

#endif
