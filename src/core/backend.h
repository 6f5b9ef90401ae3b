/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Backends: the host things behind devices.
 *
 * A backend embeds one of these as its first member.  Devices call it under
 * their lane; callbacks towards the device come without any lane held, and
 * the device takes its own.
 */
#ifndef HULL_CORE_BACKEND_H
#define HULL_CORE_BACKEND_H

#include <hull/error.h>
#include <hull/types.h>

/* A byte stream: terminal, file, buffer. */
struct hull_char {
	/* Write up to `len` bytes; returns how many were taken, 0 if it would block. */
	size_t (*write)(struct hull_char *c, const void *buf, size_t len);
	/* Take up to `len` bytes that have arrived; 0 if there are none. */
	size_t (*read)(struct hull_char *c, void *buf, size_t len);
	/* Set by the device: called by the backend's thread when bytes have arrived. */
	void (*readable)(void *arg);
	void *readable_arg;
	/* Columns and rows of the terminal that it leads to; 0: it is none.  May be NULL. */
	void (*size)(struct hull_char *c, uint16_t *ret_cols, uint16_t *ret_rows);
	/* Set by the device, may be NULL: size() says something else; like readable(). */
	void (*resized)(void *arg);
};

/* Byte streams with names, for one device. */
enum { HULL_PORTS = 8 };

struct hull_ports {
	unsigned n; /* 1 to HULL_PORTS */
	struct hull_named_port {
		const char *name; /* that the guest sees; at most 255 characters */
		struct hull_char *chr;
	} port[HULL_PORTS];
};

enum hull_block_op {
	HULL_BLOCK_READ,
	HULL_BLOCK_WRITE,
	HULL_BLOCK_FLUSH,
	HULL_BLOCK_DISCARD,
	HULL_BLOCK_WRITE_ZEROES,
};

struct hull_block_seg {
	void *hva;
	uint64_t len;
};

/*
 * One request.  The device owns it before submit() and after done(); the
 * backend in between.  `offset` and `len` are multiples of 512 and within the
 * capacity: the device has checked that.
 */
struct hull_block_req {
	enum hull_block_op op;
	bool fua;                          /* WRITE, WRITE_ZEROES: stable before done() */
	bool unmap;                        /* WRITE_ZEROES: the range need not stay allocated */
	uint16_t queue;                    /* of the device: a backend may serve each on its own */
	uint64_t offset;                   /* bytes */
	uint64_t len;                      /* bytes: all segments together, or the range */
	const struct hull_block_seg *segs; /* READ and WRITE */
	unsigned nsegs;
	int status; /* result: 0 or HULL_E... */
	/* Called once, from any thread without a lane, unless submit answered at once. */
	void (*done)(struct hull_block_req *req);
	bool batched; /* set by the backend before done(): settled() of the queue follows */
	/*
	 * Set by a device whose segments hold the guest's memory map in place; else NULL.  A
	 * backend that keeps a request for long says so (`rest`), and does not touch the segments
	 * then. Before it does again, it says that, too: false: their memory is no more, the
	 * request fails.  From submit() on until done(), any thread; saying the same twice is
	 * harmless. To rest does not wait; to go on may, for a change of the map: with no lock that
	 * done() needs.
	 */
	bool (*rest)(struct hull_block_req *req, bool rest);
	struct hull_block_req *next; /* the backend's */
};

struct hull_block {
	uint64_t size; /* bytes, a multiple of 512 */
	bool read_only;
	bool can_discard;
	char serial[21];              /* VIRTIO 1.3, 5.2.6: 20 bytes, NUL-padded */
	uint32_t physical_size;       /* bytes that are best written at once, 0: 512 */
	uint32_t discard_granularity; /* bytes, 0: 512 */
	unsigned queues;              /* how many the device should offer, 0: one */
	/* 1: finished, req->status is set and done() will not be called.  0: done() comes later. */
	int (*submit)(struct hull_block *b, struct hull_block_req *req);
	/* After a batch of submit() of one queue: the host may be told of them all now.  May be
	 * NULL. */
	void (*kick)(struct hull_block *b, unsigned queue);
	/* Wait until every request that was submitted is done.  Not under the device's lane. */
	void (*drain)(struct hull_block *b);
	/*
	 * Set by the device, or NULL: a batch of requests of one queue is done.  After each batched
	 * done(), by the same thread, before drain() of the batch returns.
	 */
	void (*settled)(void *arg, unsigned queue);
	void *settled_arg;
	/* Set by the device: `size` is another; called from any thread without a lane. */
	void (*resized)(void *arg);
	void *resized_arg;
};

/*
 * Ethernet frames.  What a frame still needs is said as VIRTIO 1.3, 5.1.6 does: a checksum to be
 * filled in, or to be cut into segments.  A side gets only what it said that it can do.
 */
enum {
	HULL_NET_CSUM = 1, /* frames whose checksum is not filled in (or, on arrival, known good) */
	HULL_NET_TSO4 = 2, /* large TCP frames, IPv4; needs CSUM */
	HULL_NET_TSO6 = 4,
	HULL_NET_USO = 8, /* large UDP frames; needs CSUM */
};

enum { HULL_NET_FRAME_MAX = 65535 + 14 + 4 }; /* bytes: the largest to be segmented */

/* Values of struct hull_net_frame: those of struct virtio_net_hdr. */
enum { HULL_NET_NEEDS_CSUM = 1, HULL_NET_DATA_VALID = 2 };
enum {
	HULL_NET_GSO_NONE = 0,
	HULL_NET_GSO_TCPV4 = 1,
	HULL_NET_GSO_TCPV6 = 4,
	HULL_NET_GSO_UDP = 5
};

struct hull_net_frame {
	const struct hull_block_seg *segs; /* the frame from its destination address on, no FCS */
	unsigned nsegs;
	uint32_t len;            /* bytes of all segments: 14 to HULL_NET_FRAME_MAX */
	uint8_t flags, gso_type; /* HULL_NET_NEEDS_CSUM...; within `len`, checked by the sender */
	uint16_t gso_size, hdr_len; /* if gso_type: payload of a segment, bytes of all headers */
	uint16_t csum_start, csum_offset; /* if NEEDS_CSUM: both within the frame */
};

/*
 * One end of a network.  A frame may be looked at during the call only; the receiver copies.
 * Contents come from hostile peers: whoever reads a field reads it once, from a copy.
 */
struct hull_net {
	uint8_t mac[6]; /* of the guest; all 0: the device makes one up */
	uint16_t mtu;   /* bytes of payload, 0: 1500 */
	unsigned takes; /* HULL_NET_*: what send() can deal with */
	/*
	 * From the guest.  False: no room now; nothing was taken, and writable() will be called.
	 * Under the device's lane: it copies the frame for a thread of its own and calls no device.
	 */
	bool (*send)(struct hull_net *n, const struct hull_net_frame *f);
	/* Set by the device during a batch of send(), of which kick() is the end, if it is there.
	 */
	bool sending;
	void (*kick)(struct hull_net *n);
	/* The guest has buffers again, after receive() said false.  Under the lane.  May be NULL.
	 */
	void (*ready)(struct hull_net *n);
	/* Set by the device, in its init(): */
	unsigned gives; /* HULL_NET_*: what receive() can deal with; may change with a reset */
	/*
	 * Towards the guest; from any thread without a lane.  False: no buffers, nothing was taken:
	 * keep the frame until ready(), or drop it.
	 */
	bool (*receive)(void *arg, const struct hull_net_frame *f);
	/*
	 * Set by a backend that calls arrived() soon after each batch of receive(), by the same
	 * thread: the driver is told of them all then.
	 */
	bool receiving;
	void (*arrived)(void *arg);
	void (*writable)(void *arg);              /* send() has room again */
	void (*link_changed)(void *arg, bool up); /* may be NULL */
	void *arg;
};

/*
 * Streams between the guest and programs of the host (VIRTIO 1.3, 5.10).  The backend owns the
 * connections and numbers them; the device says how much may be under way and when one ends.
 *
 * The functions below are called under the device's lane: they copy, do not wait, and call no
 * device.  After reset() or close(), a number may be used again for another connection.
 */
enum {
	HULL_VSOCK_CONNS = 256,       /* connections at a time, numbered 0 to that - 1 */
	HULL_VSOCK_BUFFER = 64 << 10, /* bytes per connection from the guest, not yet taken */
	HULL_VSOCK_END = -1,          /* the program sends no more */
	HULL_VSOCK_GONE = -2,         /* nor does it take anything */
};

struct hull_vsock {
	uint64_t cid; /* of the guest: 3 to 2^32 - 2 */
	/* The guest connects to `port` of the host.  The number of the connection, or HULL_E... */
	int (*connect)(struct hull_vsock *b, uint32_t port);
	/* The guest has taken a connection that opened() announced; `port`: ours, for the program.
	 */
	void (*accepted)(struct hull_vsock *b, unsigned id, uint32_t port);
	/*
	 * Bytes from the program: how many were put into `buf`; 0: none now, ready() tells of
	 * more; or HULL_VSOCK_END, HULL_VSOCK_GONE.  With `len` 0 only the latter can be told.
	 */
	int (*read)(struct hull_vsock *b, unsigned id, void *buf, uint32_t len);
	/*
	 * Bytes for the program.  All are taken: the device sees to it that no more than
	 * HULL_VSOCK_BUFFER are unsent.
	 */
	void (*write)(struct hull_vsock *b, unsigned id, const void *buf, uint32_t len);
	uint32_t (*unsent)(struct hull_vsock *b, unsigned id);
	/* The guest sends no more: tell the program after what is unsent. */
	void (*finish)(struct hull_vsock *b, unsigned id);
	/* The end.  `now`: what is unsent is lost; else the program may still take it. */
	void (*close)(struct hull_vsock *b, unsigned id, bool now);
	/* Set by the device, in its init(); called from any thread without a lane: */
	/* A program connects to `port` of the guest.  False: no, and the number is free again. */
	bool (*opened)(void *arg, unsigned id, uint32_t port);
	/* Look at a connection: there may be something to read, or less that is unsent. */
	void (*ready)(void *arg, unsigned id);
	void *arg;
};

/*
 * One 9P message to a shared directory and its answer.  The device owns it before submit() and
 * after done(); the server in between.  Bulk data do not pass through `msg` and `reply`: the data
 * of Twrite and the place for those of Rread are `segs`, in guest memory.
 */
struct hull_share_req {
	const uint8_t *msg; /* a copy of the T-message, without the data of Twrite */
	uint32_t msg_len;
	const struct hull_block_seg *segs;
	unsigned nsegs;
	uint32_t data_len;   /* bytes of all segments together */
	uint8_t *reply;      /* for the R-message, without the data of Rread */
	uint32_t reply_max;  /* bytes: at least HULL_SHARE_REPLY_MIN */
	uint32_t reply_len;  /* result; 0: flushed, the client expects no answer */
	uint32_t data_moved; /* result: bytes put into `segs`, to follow the reply */
	/* Called once, from any thread without a lane, unless submit answered at once. */
	void (*done)(struct hull_share_req *req);
	/* The server's: */
	struct hull_share_req *next, *prev, *waiting, *flushes;
	uint16_t tag;
};

enum { HULL_SHARE_REPLY_MIN = 11, HULL_SHARE_TAG_MAX = 36 };

/* A shared directory: a 9P2000.L server.  Messages of any contents are answered. */
struct hull_share {
	char tag[HULL_SHARE_TAG_MAX + 1]; /* by which the guest mounts it */
	/* 1: answered, done() will not be called.  0: done() comes later.  Never waits for a file.
	 */
	int (*submit)(struct hull_share *s, struct hull_share_req *req);
	/* Wait until every request that was submitted is done.  Not under the device's lane. */
	void (*drain)(struct hull_share *s);
	/* The client has gone: forget its session.  After drain(). */
	void (*reset)(struct hull_share *s);
};

#endif
