/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * From the start of a process to the first byte on its standard output, which the guest's first
 * instructions print: start RUNS KILOBYTES_OUT COMMAND...  Prints the median and the smallest time
 * in microseconds, and the private memory of the process at that time without the mapping of
 * `KILOBYTES_OUT` (the guest's memory), in KiB.
 */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUNS_MAX = 201 };

extern char **environ;

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Private pages of all mappings but the guest's memory, which may be two: the first of 2 MiB. */
static long private_kib(pid_t pid, long without)
{
	enum { FIRST = 2048 };
	char path[64], line[256];
	long sum = 0, size = 0, before = 0, first = 0, kib;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
	f = fopen(path, "r");
	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %ld", &kib) == 1) {
			before = size;
			size = kib;
			first = size == FIRST ? 0 : first;
			if (before == FIRST && size == without - FIRST)
				sum -= first;
		}
		if (sscanf(line, "Private_Clean: %ld", &kib) != 1 &&
		    sscanf(line, "Private_Dirty: %ld", &kib) != 1)
			continue;
		if (size == FIRST)
			first += kib;
		if (size != without && !(before == FIRST && size == without - FIRST))
			sum += kib;
	}
	if (f)
		fclose(f);
	return sum;
}

static double once(char **command, long without, long *ret_kib)
{
	posix_spawn_file_actions_t actions;
	int out[2], null = open("/dev/null", O_RDWR | O_CLOEXEC);
	double start, took;
	pid_t pid;
	char byte;

	if (null < 0 || pipe2(out, O_CLOEXEC))
		exit(1);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, null, 0);
	posix_spawn_file_actions_adddup2(&actions, out[1], 1);
	posix_spawn_file_actions_adddup2(&actions, null, 2);
	start = now_us();
	if (posix_spawnp(&pid, command[0], &actions, NULL, command, environ))
		exit(1);
	close(out[1]);
	if (read(out[0], &byte, 1) != 1) {
		fprintf(stderr, "start: %s printed nothing\n", command[0]);
		exit(1);
	}
	took = now_us() - start;
	*ret_kib = private_kib(pid, without);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(out[0]);
	close(null);
	posix_spawn_file_actions_destroy(&actions);
	return took;
}

int main(int argc, char *argv[])
{
	double times[RUNS_MAX];
	int runs = argc > 3 ? (int)strtol(argv[1], NULL, 10) : 0;
	long kib = 0;

	if (runs < 1 || runs > RUNS_MAX) {
		fprintf(stderr, "start RUNS KILOBYTES_OUT COMMAND...\n");
		return 2;
	}
	for (int i = 0; i < runs; i++)
		times[i] = once(argv + 3, strtol(argv[2], NULL, 10), &kib);
	qsort(times, (size_t)runs, sizeof(times[0]), compare);
	printf("start_median %.0f us\nstart_least %.0f us\nprivate %ld KiB\n", times[runs / 2],
	       times[0], kib);
	return 0;
}
