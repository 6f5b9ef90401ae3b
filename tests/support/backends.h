/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* Backends of every kind, for tests of any device. */
#ifndef TESTS_SUPPORT_BACKENDS_H
#define TESTS_SUPPORT_BACKENDS_H

#include "support/rig.h"

/* What rig_add() wants for a device of this type; NULL if that has it itself or there is none. */
void *backends_new(const struct hull_dev_type *type);
void backends_free(const struct hull_dev_type *type, void *backend);

#endif
