/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The network cards of a machine, from options to backends.  Called by machine.c
 * and run.c; one thread.
 *
 * A machine has a card for each --net; --publish and --capture alone mean one in user mode.
 * Deterministic runs have none that leads anywhere: E0108.
 */
#ifndef HULL_APP_NET_H
#define HULL_APP_NET_H

#include "host/net/net.h"

struct app_machine;
struct hull_vm_config;

enum { APP_NICS = 6, APP_PUBLISHED = 64 };

struct app_nets {
	struct hull_net_end *ends[APP_NICS];
	unsigned n;
	char published[APP_PUBLISHED][96]; /* what is said about ports */
	unsigned npublished;
};

/* Open the backends and add the devices to `c`; hull_app_net_close() is due even after an error. */
int hull_app_net_add(struct app_machine *m, struct hull_vm_config *c,
                     struct hull_err *err) HULL_CHECK_RESULT;

int hull_app_net_start(struct app_nets *n, struct hull_err *err) HULL_CHECK_RESULT;
void hull_app_net_stop(struct app_nets *n);

/* Why a capture ended before the run, for its user; NULL: that of card `i` did not. */
const char *hull_app_net_note(const struct app_nets *n, unsigned i);
void hull_app_net_close(struct app_nets *n); /* after the VM */

#endif
