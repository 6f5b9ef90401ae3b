/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The commands that need no VM.  argv[0] is the command word.  Results go to
 * `out`, everything else to `err`; the return value is the exit code of the process.
 * The environment is that of the process.  One thread.
 */
#ifndef HULL_MANAGE_CMD_H
#define HULL_MANAGE_CMD_H

#include <stdio.h>

#include "manage/options.h"

int hull_cmd_config(int argc, char *const argv[], FILE *out, FILE *err);
int hull_cmd_help(int argc, char *const argv[], FILE *out, FILE *err);
int hull_cmd_explain(int argc, char *const argv[], FILE *out, FILE *err);
int hull_cmd_install(int argc, char *const argv[], FILE *out, FILE *err);
int hull_cmd_import(int argc, char *const argv[], FILE *out, FILE *err);
int hull_cmd_disk(int argc, char *const argv[], FILE *out, FILE *err);

/* The i-th command of commands.def: its name, or NULL behind the last. */
const char *hull_cmd_name(size_t i);

/* Complain about a word that is no command (E0008); returns the exit code. */
int hull_cmd_unknown(const char *word, unsigned style, FILE *err);

/* What all commands need: print `e` as these arguments want it, return its exit code. */
int hull_cmd_fail(const struct hull_options *o, int argc, char *const argv[], FILE *err,
                  const struct hull_err *e);

/*
 * Is argv[i] an option that every command accepts, such as --json?  Then it is read into `o`,
 * and i moves to its last word.  A wrong value is left for the caller to report.
 */
bool hull_cmd_is_global(struct hull_options *o, int argc, char *const argv[], int *i);

/* Describe a key; `o` NULL: without its present value. */
void hull_cmd_explain_key(enum hull_option id, const struct hull_options *o, bool json, FILE *out);

/* "riscv64|aarch64|x86_64": placeholder or choices in their main spelling; size >= 1. */
void hull_cmd_placeholder(enum hull_option id, char *dst, size_t size);

#endif
