/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Writing ACPI Machine Language: names, values and resources, one after the other.
 *
 * Spec: ACPI 6.5, chapters 6.4 (resource descriptors) and 20 (encoding).
 *
 * What does not fit, or is nested wrongly, makes hull_aml_finish() fail; until then nothing needs
 * to be checked.  Paths are names of up to four capitals, digits and underscores, separated by
 * dots, absolute with a leading backslash ("\\_SB_.PCI0").
 *
 * Threading: pure.
 */
#ifndef HULL_FW_AML_H
#define HULL_FW_AML_H

#include <hull/error.h>
#include <hull/types.h>

enum { HULL_AML_DEPTH = 8 };

struct hull_aml {
	uint8_t *buf;
	size_t size, len;
	bool broken;
	unsigned depth;
	struct {
		size_t at; /* of the package length */
		bool resources;
	} open[HULL_AML_DEPTH];
};

/* Begin in an empty buffer; finish: the length, HULL_EOVERFLOW if it was too small or misused. */
void hull_aml_begin(struct hull_aml *a, void *buf, size_t size);
int hull_aml_finish(const struct hull_aml *a, size_t *ret_len) HULL_CHECK_RESULT;

/* What contains others, up to its hull_aml_end(). */
void hull_aml_scope(struct hull_aml *a, const char *path);
void hull_aml_device(struct hull_aml *a, const char *name);
void hull_aml_method(struct hull_aml *a, const char *name, unsigned nargs);
void hull_aml_package(struct hull_aml *a, uint8_t elements);
void hull_aml_resources(struct hull_aml *a); /* a buffer of descriptors; ends with the end tag */
void hull_aml_end(struct hull_aml *a);

/* A named object; its value follows. */
void hull_aml_name(struct hull_aml *a, const char *name);
/* In a method: its value follows. */
void hull_aml_return(struct hull_aml *a);

void hull_aml_int(struct hull_aml *a, uint64_t value);
void hull_aml_string(struct hull_aml *a, const char *text);
void hull_aml_ref(struct hull_aml *a, const char *path);
void hull_aml_arg(struct hull_aml *a, unsigned n); /* of the method, 0 to 6 */

/* Resource descriptors; between hull_aml_resources() and its end. */
void hull_aml_memory32(struct hull_aml *a, uint32_t base, uint32_t length);
void hull_aml_io(struct hull_aml *a, uint16_t base, uint8_t length);
void hull_aml_isa_irq(struct hull_aml *a, unsigned irq); /* edge, active high */
void hull_aml_interrupt(struct hull_aml *a, uint32_t gsi, bool level, bool shared);

/* What a bridge passes on: `base` on its far side, `base + shift` on the near one. */
enum hull_aml_window { HULL_AML_MEMORY, HULL_AML_IO, HULL_AML_BUS };
void hull_aml_window(struct hull_aml *a, enum hull_aml_window kind, uint64_t base, uint64_t length,
                     uint64_t shift);

#endif
