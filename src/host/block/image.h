/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Disk images: bytes with a format.
 *
 * An image is opened from a path by hull_image_open(), stands alone or on
 * others (a format on a file or NBD server, an overlay on its backing image),
 * and is read and written by synchronous calls.  disk.h makes a disk for a
 * device of it, with queues, threads and io_uring; jobs (convert, commit,
 * stream, mirror, backup) call the same functions beside a running guest.
 *
 * A format or protocol is one file with HULL_IMAGE_FORMAT(name) = {...}; tools/scan.py
 * finds it.  Images, servers and the files behind them are hostile: whatever
 * they hold gives data, or an error that names it.
 *
 * Threading: read, write, flush, discard, write_zeroes, map and direct from any number of threads
 * at once; everything else from one thread while nobody else uses the image, unless it says
 * otherwise.  A write that has returned is seen by every later read; flush makes all writes that
 * had returned before it stable.
 *
 * Lifetime: reference-counted; whoever opens or refs, unrefs.  The last
 * unref writes back and closes; it cannot fail: flush before.
 */
#ifndef HULL_HOST_BLOCK_IMAGE_H
#define HULL_HOST_BLOCK_IMAGE_H

#include <sys/uio.h>

#include <hull/error.h>
#include <hull/types.h>

#define HULL_IMAGE_FORMAT(id) const struct hull_image_format hull_image_format_##id

enum { HULL_IMAGE_PATH_MAX = 1024, HULL_IMAGE_DEPTH_MAX = 64 /* images of a chain */ };

struct hull_image;

/* How to open one.  Texts are copied. */
struct hull_image_options {
	const char *path; /* a file, a block device, or nbd:... (nbd.h) */
	/*
	 * Name of the format.  NULL: raw, unless `guess`, which looks at the first sector and must
	 * never be set for a file that a guest can write as raw.
	 */
	const char *format;
	bool guess;
	bool read_only;
	bool direct;     /* O_DIRECT: past the host's page cache */
	bool no_flush;   /* cache=unsafe: flush does nothing */
	bool shared;     /* without a lock: to look at an image that is in use; read_only only */
	bool no_backing; /* the header's backing image is not opened; reads of it are zeroes */
	bool for_check;  /* open it even if it is marked corrupt or its tables are damaged */
	/*
	 * Backing image to use instead of the header's; NULL: the header's.  The user named it: it
	 * may be anywhere, and be a block device.
	 */
	const char *backing, *backing_format;
	/* The user vouches for the names in the headers: as if he had given them himself. */
	bool trusted;
};

/* What a range of an image is.  VIRTIO and NBD know no more than this. */
enum {
	HULL_IMAGE_DATA = 1,       /* holds data (else reads as zero) */
	HULL_IMAGE_ZERO = 2,       /* known to read as zero */
	HULL_IMAGE_ALLOCATED = 4,  /* decided by the image at `depth`, 0 the top one */
	HULL_IMAGE_COMPRESSED = 8, /* no place in a file can be given */
};
struct hull_image_extent {
	uint64_t offset, len; /* bytes of the disk */
	unsigned flags;
	unsigned depth; /* which image of the chain */
	uint64_t at;    /* where in the file of that image; UINT64_MAX: nowhere */
};

/* A range of a host file that is the data of the image until it is given back. */
struct hull_image_direct {
	int fd;
	uint64_t at, len; /* `len` may be less than asked for */
	void *token;      /* the format's */
};

struct hull_image_snapshot {
	char id[64], name[256];
	uint64_t size;        /* bytes of the disk then */
	uint64_t state_bytes; /* of the VM state that it holds */
	int64_t date_ns;      /* since 1970 UTC */
	uint64_t vm_clock_ns;
};

struct hull_image_info {
	const char *format;
	uint64_t size;          /* bytes of the disk */
	uint64_t file_bytes;    /* end of the file */
	uint64_t used_bytes;    /* what the host says that it takes */
	uint32_t cluster_bytes; /* 0: none */
	char backing[HULL_IMAGE_PATH_MAX], backing_format[16]; /* as the header says */
	unsigned version;                                      /* of the format, 0: none */
	bool dirty, corrupt;                                   /* as the header says */
	bool lazy_refcounts, extended_l2;
	char compression[8]; /* "zlib", "zstd" or "" */
	unsigned refcount_bits, nsnapshots, nbitmaps;
};

/* What check found, and put right if it was asked to. */
struct hull_image_check {
	uint64_t corruptions, leaks;                       /* found and still there */
	uint64_t corruptions_fixed, leaks_fixed;           /* put right */
	uint64_t allocated, compressed, fragmented, total; /* clusters of the disk */
	uint64_t end; /* bytes: behind the last cluster in use */
	/* Called for each problem found, a text without newline; may be NULL. */
	void (*report)(void *arg, const char *problem);
	void *arg;
};

/* Called now and then by long operations; true: stop, the operation fails with HULL_EAGAIN. */
typedef bool hull_image_progress(void *arg, uint64_t done, uint64_t total);

struct hull_image_create {
	const char *path; /* must not exist, unless `overwrite` */
	bool overwrite;
	uint64_t size; /* bytes, a multiple of 512; with a backing image 0 means its size */
	const char *backing, *backing_format; /* NULL: none */
	uint32_t cluster_bytes;               /* 0: the format's usual */
	enum {
		HULL_PREALLOC_NONE,
		HULL_PREALLOC_METADATA,
		HULL_PREALLOC_FALLOC,
		HULL_PREALLOC_FULL
	} prealloc;
	const char *compression; /* NULL: the format's usual */
	bool lazy_refcounts, extended_l2;
	unsigned version;       /* of the format, 0: the usual */
	unsigned refcount_bits; /* 0: the usual */
};

/* Members that a format lacks are NULL; the functions below say HULL_ENOTSUP then. */
struct hull_image_format {
	const char *name, *summary;
	bool protocol;      /* stands on no other image: opens o->path itself */
	const char *prefix; /* protocol: paths that begin so are its own, such as "nbd:" */
	/* Does a file that begins like this look like it?  `n` is at least 512. */
	bool (*probe)(const uint8_t *head, size_t n);
	/*
	 * Open.  Formats get `file` (and take the reference only on success).  They allocate an
	 * object that begins with struct hull_image, zeroed, and fill in size, read_only and file.
	 */
	int (*open)(const struct hull_image_options *o, struct hull_image *file,
	            struct hull_image **ret, struct hull_err *err);
	int (*create)(const struct hull_image_create *c, struct hull_err *err);
	/* Bytes of the file of a new image that will hold data in `data_bytes` of its disk. */
	uint64_t (*measure)(const struct hull_image_create *c, uint64_t data_bytes);
	/* Write back and free everything but the object's `file` and `backing`, then the object. */
	void (*close)(struct hull_image *img);

	/* Ranges are within the image, multiples of 512; iov covers `len` bytes.  0 or HULL_E... */
	int (*read)(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
	            uint64_t len);
	int (*write)(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
	             uint64_t len, bool fua);
	int (*write_zeroes)(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
	                    bool fua);
	/* A hint.  Afterwards the range reads as anything the guest wrote before, or zero. */
	int (*discard)(struct hull_image *img, uint64_t off, uint64_t len);
	int (*flush)(struct hull_image *img);
	/*
	 * Without waiting: copy what is in memory, 1; or 0 if it would wait (nothing is
	 * known about the buffers then).  NULL: it always would.
	 */
	int (*read_now)(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
	                uint64_t len);
	/* Without waiting: 1, *ret is a place for reading or writing; or 0: use read or write. */
	int (*direct)(struct hull_image *img, bool write, uint64_t off, uint64_t len,
	              struct hull_image_direct *ret);
	void (*direct_end)(struct hull_image *img, struct hull_image_direct *d, int status);

	/* The extent that begins at `off`: this image alone, depth 0; no flags: ask the backing
	 * image. */
	int (*map)(struct hull_image *img, uint64_t off, uint64_t len,
	           struct hull_image_extent *ret);
	/* Beside running requests.  A smaller size drops what is behind it. */
	int (*resize)(struct hull_image *img, uint64_t size, struct hull_err *err);
	int (*info)(struct hull_image *img, struct hull_image_info *ret, struct hull_err *err);
	/* See hull_image_nameless().  Protocols. */
	int (*nameless)(struct hull_image *img);
	int (*check)(struct hull_image *img, bool repair_leaks, bool repair_all,
	             struct hull_image_check *ret, struct hull_err *err);
	/* Write a whole cluster compressed, where nothing is allocated; HULL_EAGAIN: write it
	 * plainly. */
	int (*write_compressed)(struct hull_image *img, uint64_t off, const void *buf,
	                        uint64_t len);
	/* Everything allocated in this image is given up: after commit. */
	int (*make_empty)(struct hull_image *img, struct hull_err *err);
	int (*set_backing)(struct hull_image *img, const char *path, const char *format,
	                   struct hull_err *err);
	int (*snapshot_at)(struct hull_image *img, unsigned i, struct hull_image_snapshot *ret);
	int (*snapshot_create)(struct hull_image *img, const struct hull_image_snapshot *s,
	                       struct hull_err *err);
	/* `which`: id or name. */
	int (*snapshot_apply)(struct hull_image *img, const char *which, struct hull_err *err);
	int (*snapshot_delete)(struct hull_image *img, const char *which, struct hull_err *err);
};

struct hull_image {
	const struct hull_image_format *format;
	char *path;    /* as it was opened, for messages; hull_image_open() sets it */
	uint64_t size; /* bytes of the disk, a multiple of 512; atomic */
	bool read_only;
	/*
	 * A file below a format: what is written past its end makes it larger, what is read there
	 * is zero, and offsets and lengths are any.  A format whose disk is the file clears it.
	 */
	bool grows;
	uint32_t align; /* offsets, lengths and buffers that are fastest, for O_DIRECT; 0: any */
	unsigned refs;  /* atomic */
	struct hull_image *file;    /* what the format stands on; NULL for protocols */
	struct hull_image *backing; /* what shows where this image has nothing; NULL: zeroes */
};

/* The registered formats, ending with NULL; the one called `name`, or NULL. */
extern const struct hull_image_format *const hull_image_formats[];
const struct hull_image_format *hull_image_format_find(const char *name);

/*
 * Open an image with everything below it.  `format` may also name a protocol:
 * the file itself, for a format's own tools.
 *
 * Backing images are opened read-only, in the format that the header or the
 * user names (raw if none, E0305 if that looks wrong).  A name in a header is
 * relative to the directory of the image and must lead to a regular file in or
 * below it, links followed (E0312), unless the user named it or vouched for
 * it.  A chain that is longer than HULL_IMAGE_DEPTH_MAX or contains a file
 * twice is refused (E0311).
 * HULL_ENOENT, HULL_EPERM, HULL_EBUSY (E0412), HULL_EINVAL, HULL_EFORMAT, HULL_ENOTSUP, HULL_EIO,
 * HULL_ENOMEM.
 */
int hull_image_open(const struct hull_image_options *o, struct hull_image **ret,
                    struct hull_err *err) HULL_CHECK_RESULT;
struct hull_image *hull_image_ref(struct hull_image *img);
void hull_image_unref(struct hull_image *img); /* NULL is fine */

/*
 * Make a new image file; `format` may name a protocol: an empty file for a
 * format to write into.  HULL_EEXIST (E0310) if the path exists.
 */
int hull_image_make(const char *format, const struct hull_image_create *c,
                    struct hull_err *err) HULL_CHECK_RESULT;

/*
 * The vtable with range checks and defaults.  Offsets and lengths are bytes;
 * if the image does not grow, parts of a sector are read, changed and written
 * back, which is not atomic beside others who write the same sector.
 * HULL_EINVAL outside the image, HULL_EPERM if it is read-only, HULL_ENOSPC if
 * the host has no room, HULL_EIO, HULL_ENOMEM.
 */
int hull_image_read(struct hull_image *img, uint64_t off, void *buf,
                    uint64_t len) HULL_CHECK_RESULT;
int hull_image_write(struct hull_image *img, uint64_t off, const void *buf,
                     uint64_t len) HULL_CHECK_RESULT;
int hull_image_readv(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                     uint64_t len) HULL_CHECK_RESULT;
int hull_image_writev(struct hull_image *img, uint64_t off, const struct iovec *iov, int n,
                      uint64_t len, bool fua) HULL_CHECK_RESULT;
int hull_image_write_zeroes(struct hull_image *img, uint64_t off, uint64_t len, bool unmap,
                            bool fua) HULL_CHECK_RESULT;
int hull_image_discard(struct hull_image *img, uint64_t off, uint64_t len) HULL_CHECK_RESULT;
int hull_image_flush(struct hull_image *img) HULL_CHECK_RESULT;

/*
 * The extent at `off` through the whole chain: at most `len` bytes, at least
 * one sector.  What no image has is ZERO at depth 0, without ALLOCATED.
 */
int hull_image_map(struct hull_image *img, uint64_t off, uint64_t len,
                   struct hull_image_extent *ret) HULL_CHECK_RESULT;

/* Another size, a multiple of 512 unless the image grows. */
int hull_image_resize(struct hull_image *img, uint64_t size,
                      struct hull_err *err) HULL_CHECK_RESULT;
int hull_image_get_info(struct hull_image *img, struct hull_image_info *ret,
                        struct hull_err *err) HULL_CHECK_RESULT;

/*
 * The descriptor of the file below an image that had a name when it was opened and has none any
 * more: it was removed, or another has its place, and it is gone when it is closed.  -1: all is
 * well, or nothing is known.
 */
int hull_image_nameless(struct hull_image *img);

/* Copy `len` bytes from byte `skip` of the segments on, or to them; or zero them.  For formats. */
void hull_iov_get(const struct iovec *iov, int n, uint64_t skip, void *dst, uint64_t len);
void hull_iov_put(const struct iovec *iov, int n, uint64_t skip, const void *src, uint64_t len);
void hull_iov_zero(const struct iovec *iov, int n, uint64_t skip, uint64_t len);
/* The part of `len` bytes from byte `skip` on, in `ret`, which has room for n; how many segments.
 */
int hull_iov_slice(const struct iovec *iov, int n, uint64_t skip, uint64_t len, struct iovec *ret);

#endif
