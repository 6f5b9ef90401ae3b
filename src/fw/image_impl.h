/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/* What the image planners of the different formats share.  Pure; any thread. */
#ifndef HULL_FW_IMAGE_IMPL_H
#define HULL_FW_IMAGE_IMPL_H

#include "fw/image.h"

/* One planning job. */
struct image_job {
	const uint8_t *data;
	size_t size;
	const struct hull_image_target *t;
	const char *name; /* never NULL */
	struct hull_image_plan *plan;
	struct hull_err *err;
};

/* Add a segment after checking it against the file, RAM and the others; 0 or the error. */
int hull_image_add(struct image_job *job, const struct hull_image_segment *s) HULL_CHECK_RESULT;

/* Check the entry point and compute low and span; the last step of every planner. */
int hull_image_seal(struct image_job *job, hull_gpa entry) HULL_CHECK_RESULT;

/* The first 2 MiB boundary of RAM; false if there is none below 2^64. */
bool hull_image_base(const struct hull_image_target *t, hull_gpa *ret) HULL_CHECK_RESULT;

/* Set the remedy to the next power of two of memory above `have` that holds `need` bytes. */
void hull_image_suggest_memory(uint64_t need, uint64_t have, struct hull_err *err);

#endif
