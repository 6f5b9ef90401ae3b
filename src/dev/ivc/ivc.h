/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Channels between VMs as guests see them: shared pages that have a key, and doorbells.
 *
 * A VM publishes a channel, others subscribe to its key.  Each is a member with a slot of its own:
 * what it rings by, and the bit by which it is rung.  A channel lives until its last member leaves
 * it; a VM that is reset or ends leaves all.
 *
 * Threading: an exchange is used by all its VMs at once.  Calls on a vCPU's thread, without a lane.
 */
#ifndef HULL_DEV_IVC_IVC_H
#define HULL_DEV_IVC_IVC_H

#include "core/dev.h"
#include "core/ivc.h"
#include "core/lane.h"

enum { HULL_IVC_CHANNELS = 16, HULL_IVC_MEMBERS = 8, HULL_IVC_SLOTS = 16 };

/* Registers, of 64 bits. */
enum {
	HULL_IVC_ID = 0x00,     /* HULL_IVC_MAGIC */
	HULL_IVC_WINDOW = 0x08, /* where channels appear: address and bytes */
	HULL_IVC_BYTES = 0x10,
	HULL_IVC_PENDING = 0x18,  /* bit n: slot n was rung; writing 1 takes it back */
	HULL_IVC_DOORBELL = 0x20, /* write a slot: ring the other members */
};
#define HULL_IVC_MAGIC UINT64_C(0x3156434c4c5548) /* "HULLCV1" */

/* What a guest asks for; the numbers of SMCCC calls are these above HULL_IVC_CALL. */
enum hull_ivc_call {
	HULL_IVC_PUBLISH,   /* key, bytes: a new channel; slot, address, bytes */
	HULL_IVC_SUBSCRIBE, /* key: slot, address, bytes */
	HULL_IVC_LEAVE,     /* slot */
	HULL_IVC_RING,      /* slot */
	HULL_IVC_ACK,       /* bits: those of PENDING that were set */
	HULL_IVC_CALLS,
};
#define HULL_IVC_CALL UINT32_C(0xc6000010) /* vendor specific hypervisor service, SMC64 */

/* Answers below 0. */
enum {
	HULL_IVC_NOT_SUPPORTED = -1,
	HULL_IVC_INVALID = -2,
	HULL_IVC_EXISTS = -3,
	HULL_IVC_NO_ROOM = -4,
	HULL_IVC_UNKNOWN = -5,
};

struct ivc_member {
	struct hull_dev *dev; /* NULL: free */
	bool live;            /* else it is coming or going */
	uint8_t slot;
	hull_gpa gpa;
};

struct ivc_channel {
	bool used, open; /* open: there is something to subscribe to */
	uint64_t key;
	struct hull_ivc_pages *pages;
	struct ivc_member members[HULL_IVC_MEMBERS];
};

/* Zeroed, then hull_ivc_exchange_init(). */
struct hull_ivc_exchange {
	struct hull_lock lock;
	struct ivc_channel channels[HULL_IVC_CHANNELS];
};

void hull_ivc_exchange_init(struct hull_ivc_exchange *x, const struct hull_hal *hal);

/* Do what a guest asks; `ret` gets up to three values.  HULL_IVC_NOT_SUPPORTED without backend. */
void hull_ivc_call(struct hull_dev *d, enum hull_ivc_call call, const uint64_t args[2],
                   uint64_t ret[3]);

#endif
