/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * What people see when something fails: the catalogue of errors, their text
 * and JSON forms, and the exit code of the process.
 */
#ifndef HULL_MANAGE_REPORT_H
#define HULL_MANAGE_REPORT_H

#include <stdio.h>

#include <hull/error.h>

/* How to print: a set of bits. */
enum { HULL_REPORT_JSON = 1, HULL_REPORT_COLOR = 2, HULL_REPORT_QUIET = 4 };

/* One row of errors.def. */
struct hull_error_entry {
	uint16_t id;
	uint8_t exit; /* 0: by the HULL_E code */
	const char *title;
	const char *explanation; /* lines without the last newline */
};

/* The row of an id; NULL if the catalogue has none. */
const struct hull_error_entry *hull_report_find(unsigned id);

/* Row `i` of the catalogue in the order of the ids; NULL behind the last. */
const struct hull_error_entry *hull_report_entry(size_t i);

/* Print an error on `f`: at most six lines of text, or one JSON object in one line. */
void hull_report_error(FILE *f, unsigned style, const struct hull_err *err);

/* Print a one-line remark ("note: ..."); nothing if QUIET; a JSON object under JSON. */
void hull_report_note(FILE *f, unsigned style, const char *format, ...) HULL_PRINTF(3, 4);

/* The exit code for an error: its catalogue row's, else one that fits the HULL_E code. */
int hull_report_exit_code(const struct hull_err *err);

/*
 * May `f` be coloured?  `when` is "auto", "always" or "never"; auto means that `f` is a
 * terminal and neither NO_COLOR nor CLICOLOR=0 nor TERM=dumb is in the environment.
 */
bool hull_report_wants_color(FILE *f, const char *when);

#endif
