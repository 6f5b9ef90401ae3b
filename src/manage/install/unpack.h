/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * One package onto the disk, as `dpkg --unpack` would leave it: its files, with
 * configuration files beside their names (.dpkg-new), its scripts and lists in dpkg's
 * database, its status "unpacked".  Nothing of the package is run.
 */
#ifndef HULL_MANAGE_INSTALL_UNPACK_H
#define HULL_MANAGE_INSTALL_UNPACK_H

#include "manage/install/install.h"

/* Texts that grow. */
struct hull_unpack_text {
	char *data;
	size_t len, size;
};

int hull_unpack_append(struct hull_unpack_text *t, const char *data, size_t len,
                       struct hull_err *err) HULL_CHECK_RESULT;

/* dpkg's database while packages are added to it. */
struct hull_unpack_db {
	struct hull_unpack_text status, triggers, preinst;
	struct { /* triggers by name, and who is interested */
		char name[128];
		struct hull_unpack_text interested;
	} named[64];
	size_t nnamed;
};

/* Unpack one package; E0606 to E0610, HULL_ESTATE when stopped. */
int hull_unpack_package(struct hull_install *in, struct hull_unpack_db *db,
                        const struct hull_install_package *p,
                        struct hull_err *err) HULL_CHECK_RESULT;

/* Write what the database has collected.  `db` is to be freed even on failure. */
int hull_unpack_finish(struct hull_install *in, struct hull_unpack_db *db,
                       struct hull_err *err) HULL_CHECK_RESULT;
void hull_unpack_free(struct hull_unpack_db *db);

#endif
