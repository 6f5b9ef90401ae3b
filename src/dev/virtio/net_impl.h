/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The parts of virtio-net: net.c moves frames, net_ctrl.c is the control queue and what it sets
 * up, net_steer.c says which receive queue a frame goes to.
 *
 * Spec: VIRTIO 1.3, 5.1.  Threading: under the device's lane.
 */
#ifndef HULL_DEV_VIRTIO_NET_IMPL_H
#define HULL_DEV_VIRTIO_NET_IMPL_H

#include "core/frame.h"
#include "dev/virtio/virtio.h"

/* Memory: the rings are the guest's; a device has one frame and three chains of its own. */
enum { NET_PAIRS = 8, NET_QUEUES = 2 * NET_PAIRS + 1, NET_QUEUE_SIZE = 256 };

/* 5.1.3: feature bits. */
enum {
	NET_F_CSUM = 0,
	NET_F_GUEST_CSUM = 1,
	NET_F_CTRL_GUEST_OFFLOADS = 2,
	NET_F_MTU = 3,
	NET_F_MAC = 5,
	NET_F_GUEST_TSO4 = 7,
	NET_F_GUEST_TSO6 = 8,
	NET_F_HOST_TSO4 = 11,
	NET_F_HOST_TSO6 = 12,
	NET_F_MRG_RXBUF = 15,
	NET_F_STATUS = 16,
	NET_F_CTRL_VQ = 17,
	NET_F_CTRL_RX = 18,
	NET_F_CTRL_VLAN = 19,
	NET_F_CTRL_RX_EXTRA = 20,
	NET_F_GUEST_ANNOUNCE = 21,
	NET_F_MQ = 22,
	NET_F_CTRL_MAC_ADDR = 23,
	NET_F_GUEST_USO4 = 54,
	NET_F_GUEST_USO6 = 55,
	NET_F_HOST_USO = 56,
	NET_F_HASH_REPORT = 57,
	NET_F_RSS = 60,
	NET_F_SPEED_DUPLEX = 63,
};

enum { NET_MACS = 64, NET_VLANS = 4096 };
enum { NET_KEY = 40, NET_TABLE = 128, NET_FLOWS = 256 };
/* 5.1.6.4.3.1: IPv4, TCP over it, UDP over it, and the same of IPv6. */
enum { NET_HASH_TYPES = 0x3f };

/* CTRL_RX modes: bit n is command n of that class. */
enum {
	NET_PROMISC = 1,
	NET_ALLMULTI = 2,
	NET_ALLUNI = 4,
	NET_NOMULTI = 8,
	NET_NOUNI = 16,
	NET_NOBCAST = 32
};

/* A table of addresses; one with more entries than fit lets all pass. */
struct net_macs {
	uint8_t n, all;
	uint8_t addr[NET_MACS * 6];
};

/* RSS, or hash reports alone (5.1.6.5.6). */
struct net_rss {
	uint32_t types;
	uint16_t mask, unclassified;
	uint8_t steers;   /* the table decides, not the flows that the driver sends */
	uint8_t reserved; /* 0 */
	uint16_t table[NET_TABLE];
	uint8_t key[NET_KEY];
};

struct net {
	struct hull_virtio v;
	struct hull_virtq queues[NET_QUEUES];
	uint8_t mac[6];
	uint8_t link;     /* 1: up */
	uint8_t announce; /* the driver should tell the network where it is; not saved */
	uint8_t modes;    /* NET_PROMISC... */
	uint16_t pairs;   /* in use: 1 to the property */
	uint64_t off;     /* offloads that the driver negotiated and does not want now */
	struct net_macs unicast, multicast;
	uint64_t vlans[NET_VLANS / 64];
	struct net_rss rss;
	uint8_t flows[NET_FLOWS]; /* 1 + the pair that a flow was last sent by; 0: none */
	uint16_t cut[NET_PAIRS];  /* segments that were sent of the first frame of each queue */
	uint64_t dropped;         /* frames towards the guest that it had no fitting buffer for */

	bool starved;  /* receive() said false */
	unsigned pair; /* where the frame that is being received goes */
	uint32_t hash;
	uint8_t hash_type;              /* of `hash`, as reported */
	uint8_t *frame;                 /* HULL_NET_FRAME_MAX */
	struct hull_virtq_chain *chain; /* the request at hand */
	struct hull_virtq_chain *first; /* receive: that with the header */
};

static inline struct hull_net *net_backend(struct net *s)
{
	return s->v.dev.backend;
}

/* How many pairs the device has. */
static inline unsigned net_pairs(const struct net *s)
{
	return (unsigned)s->v.dev.prop[0];
}

/* net_ctrl.c */
void hull_net_ctrl_notify(struct net *s, unsigned q);
void hull_net_ctrl_reset(struct net *s);
/* Offloads towards the driver that it can take and wants: bits as in its features. */
uint64_t hull_net_guest_offloads(const struct net *s);
/* Does a frame with this beginning (14 bytes, with a VLAN tag 18) pass the filters? */
bool hull_net_wanted(const struct net *s, const uint8_t *head, size_t len);
/* A snapshot may hold anything. */
void hull_net_ctrl_restored(struct net *s);

/* net_steer.c */
/* Remember that the driver sends this flow by `pair`. */
void hull_net_steer_sent(struct net *s, unsigned pair, const uint8_t *head, size_t len);
/* Sets pair, hash and hash_type for a frame that arrives. */
void hull_net_steer(struct net *s, const uint8_t *head, size_t len);
/* The Toeplitz hash (5.1.6.4.3) of at most NET_KEY - 4 bytes. */
uint32_t hull_net_toeplitz(const uint8_t key[NET_KEY], const uint8_t *input, size_t len);

#endif
