/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * `hull install`: a Debian machine on a disk image, made without root.
 *
 * Phases: resolve (which packages), fetch, verify (their hashes), build (the disk,
 * install/unpack.c), first boot (the packages configure themselves inside the VM), configure (user,
 * key, names), prove (a second boot, with a login).  Everything is made in a folder beside the
 * result, which takes the result's name at the end; whatever ends the command early leaves only
 * fetched packages behind.
 *
 * One thread.  This header is for the files of src/manage/install only.
 */
#ifndef HULL_MANAGE_INSTALL_INSTALL_H
#define HULL_MANAGE_INSTALL_INSTALL_H

#include <stdio.h>

#include <hull/config.h>
#include "base/sha256.h"
#include "manage/install/ext4.h"
#include "manage/install/phase.h"

enum { HULL_INSTALL_PATH = 1024 };

/* One package that is to be installed. */
struct hull_install_package {
	const char *name;
	const char *uri, *file; /* where it is, and what apt calls its file */
	char sha256[HULL_SHA256_TEXT];
	uint64_t size;
	bool cached;
};

/* What the user wants. */
struct hull_install_options {
	const char *vm, *suite, *mirror, *hostname, *user, *password, *ssh_key, *timezone, *locale;
	const char *packages; /* a,b,c */
	const char *into, *user_data, *publish, *format;
	enum hull_isa isa;
	uint64_t memory, disk;
	uint32_t cpus;
	bool cloud_init, dry_run, keep, prove, no_input, verbose, qcow2;
};

/* One run of the command. */
struct hull_install {
	struct hull_install_options o;
	struct hull_pool pool;
	const char *deb_arch;
	char dir[HULL_INSTALL_PATH];  /* the result */
	char work[HULL_INSTALL_PATH]; /* where it is made */
	char cache[HULL_INSTALL_PATH];
	char fetching[HULL_INSTALL_PATH]; /* half-fetched packages, inside the cache */
	char apt_env[HULL_INSTALL_PATH + 32];
	int cancel; /* can be read when the user wants to stop */
	int work_lock, cache_lock;
	char mirror[512], security[512]; /* addresses of the archive; "": none */
	bool salvaging;                  /* although the user wants to stop */
	bool no_updates;                 /* of the suite: they cannot be had now */
	struct hull_install_package *packages;
	size_t npackages, capacity;
	uint64_t fetch_bytes, package_bytes;
	struct hull_phase progress;
	char key[1024];                   /* the line for authorized_keys */
	char key_file[HULL_INSTALL_PATH]; /* private key; "": none is known */
	char password[128];
	bool key_made, ssh_proved;
	uint16_t port; /* of this machine that leads to the guest's ssh; 0: there is no card */
	char host_key[1024]; /* "ssh-ed25519 AAAA...": what the new machine proves itself with */
	char part_uuid[37];
	uint8_t uuids[3][16];
	uint32_t time;    /* of all files that we make */
	char kernel[256]; /* its name in /boot; "": none was unpacked */
	struct hull_ext4 fs;
	uint8_t *busybox;
	size_t busybox_len;
	struct hull_install_module *modules;
	size_t nmodules;
	int log; /* what programs and the guest say */
	uint64_t log_mark;
	bool style_tail; /* print its end after a failure */
	unsigned style;  /* of notes, see report.h */
	FILE *notes;
};

/* A kernel module for the first boot, as the package has it. */
struct hull_install_module {
	const char *name;
	uint8_t *data;
	size_t len;
};

/* apt.c: a private apt.  Each says E06xx, or HULL_ESTATE (E0611) when the user stops it. */
int hull_install_resolve(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_fetch(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_verify(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
/* Path of a verified package; `dst` has HULL_INSTALL_PATH bytes. */
void hull_install_deb(const struct hull_install *in, const struct hull_install_package *p,
                      char *dst);

/* unpack.c: the disk with everything unpacked, nothing configured. */
int hull_install_build(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;

/*
 * ahead.c: what the host's tools can do before the first boot, onto the disk that is being built;
 * nothing where they are missing.  HULL_ESTATE, or what writing the disk says.
 */
int hull_install_ahead(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
/* The disk in the format that the user wants.  E0610; HULL_ESTATE. */
int hull_install_convert(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;

/* boot.c: both boots inside Hull. */
int hull_install_first_boot(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_prove(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
/* Does this build run such guests? */
bool hull_install_can_run(enum hull_isa isa);

/* password.c: as --password says.  E0615; E0220: its file cannot be read; HULL_ESTATE. */
int hull_install_password(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;

/* result.c: hull.toml, keys, seed and the note of what was made. */
int hull_install_port(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_keys(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_write_toml(struct hull_install *in, FILE *out,
                            struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_write_seed(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;
int hull_install_write_results(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;

/* ssh_config and known_hosts, when the host key is known. */
int hull_install_write_ssh(struct hull_install *in, struct hull_err *err) HULL_CHECK_RESULT;

/* How to log in by ssh.  What the phases after fetching will take, as measured elsewhere. */
void hull_install_print_ssh(const struct hull_install *in, FILE *out);
uint32_t hull_install_expected_s(const struct hull_install *in);

/* Helpers: "WORK/NAME" into `dst` of HULL_INSTALL_PATH bytes; write a file of ours there. */
void hull_install_path(const struct hull_install *in, const char *name, char *dst);
int hull_install_write(const struct hull_install *in, const char *name, unsigned mode,
                       const void *data, size_t len, struct hull_err *err) HULL_CHECK_RESULT;
/* Is the host's file system full?  Then `err` says so (E0610). */
bool hull_install_full(const struct hull_install *in, struct hull_err *err);
/* Remove a folder and all below it; "": nothing. */
void hull_install_remove(const char *path);
/* The user wants to stop: always HULL_ESTATE. */
int hull_install_stopped(struct hull_err *err);
/* The first line of the log since the mark that begins with `prefix`; "" if none. */
void hull_install_log_mark(struct hull_install *in);
void hull_install_log_line(const struct hull_install *in, const char *prefix, char *dst,
                           size_t size);
/* Does the user want to stop? */
bool hull_install_cancelled(const struct hull_install *in);

#endif
