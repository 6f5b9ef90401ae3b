/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * The commands that main() calls itself.  Each gets the arguments from its own
 * name on and returns the exit code of the process.
 */
#ifndef HULL_APP_APP_H
#define HULL_APP_APP_H

#include <hull/types.h>

/* `started_ns`: HAL time at which the process began, for --timing. */
int hull_app_run(int argc, char *const argv[], char *const envp[], uint64_t started_ns);
int hull_app_jit(int argc, char *const argv[], char *const envp[], uint64_t started_ns);
int hull_app_doctor(int argc, char *const argv[]);

int hull_app_build(int argc, char *const argv[], char *const envp[]);

#endif
