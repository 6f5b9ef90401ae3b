/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * Other programs: started without a shell, read with a time limit, ended with
 * everything that they have started.  A child dies with this process, however that ends.
 *
 * Threading: one thread per child; start from a process with one thread.
 */
#ifndef HULL_HOST_PROC_H
#define HULL_HOST_PROC_H

#include <sys/types.h>

#include <hull/error.h>

struct hull_proc {
	pid_t pid; /* 0: none */
	int in;    /* to its standard input, or -1 */
	int out;   /* from its standard output */
};

struct hull_proc_spec {
	const char *const *argv; /* ends with NULL; argv[0] is looked up in PATH */
	const char *const *env;  /* "KEY=VALUE" besides the environment of this process, or NULL */
	const char *folder;      /* where it works; NULL: here */
	bool feed;               /* its standard input is a pipe; else it is empty */
	int log;                 /* descriptor for its standard error; -1: nobody reads it */
	bool log_out;            /* ... and that takes its standard output, too; `out` is -1 */
};

/* Is there such a program in PATH? */
bool hull_proc_found(const char *program);

/* Start a program.  HULL_ENOENT (E0602): there is none; HULL_ENOMEM (E0120). */
int hull_proc_start(struct hull_proc *p, const struct hull_proc_spec *spec,
                    struct hull_err *err) HULL_CHECK_RESULT;

/*
 * Read what it prints, at most `len` bytes: how many, 0 at the end.  HULL_EAGAIN after
 * `wait_ms` without any (-1: wait for ever), HULL_ESTATE as soon as `cancel_fd` can be read.
 */
ssize_t hull_proc_read(struct hull_proc *p, void *buf, size_t len, int cancel_fd, int wait_ms);

/* Wait for its end; `kill`: make it end, and all that it has started.  As waitpid()'s status. */
int hull_proc_end(struct hull_proc *p, bool kill);

#endif
