/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * bench [-t SECONDS] [-l] [GROUP | GROUP/PROGRAM]...
 *
 * Prints a line a program: its name, median and best seconds a unit, units timed, check value.
 * Each program is timed for about SECONDS, in several runs; one unit is the least, so that a slow
 * interpreter also ends.  A first and a last line tell when it begins and how long it took, so that
 * somebody outside can judge the clock.
 */
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define MOST_RUNS  15
#define LEAST_RUNS 3

char *bench_exec[4];

void bench_die(const char *text)
{
	fprintf(stderr, "bench: %s: %s\n", text, errno ? strerror(errno) : "wrong answer");
	exit(1);
}

void *bench_pages(size_t bytes)
{
	void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (at == MAP_FAILED)
		bench_die("mmap");
	return at;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_units(const struct bench *b, uint64_t n)
{
	double start = now();

	b->run(n);
	return now() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* How many units last for a fraction of the time; also warms caches and translators up. */
static uint64_t calibrate(const struct bench *b, double seconds)
{
	uint64_t n = 1;

	for (;;) {
		double took = time_units(b, n);

		if (took >= seconds / 10 || n >= (uint64_t)1 << 40)
			return n;
		double factor = took > 0 ? seconds / 8 / took : 8;
		n = factor < 8 ? (uint64_t)((double)n * factor) + 1 : n * 8;
	}
}

static void measure(const struct bench *b, double seconds)
{
	double runs[MOST_RUNS], total = 0;
	uint64_t check, n;
	int count = 0;

	if (b->setup)
		b->setup();
	check = b->run(1);
	n = calibrate(b, seconds);
	while (count < MOST_RUNS &&
	       (total < seconds || (count < LEAST_RUNS && total < 3 * seconds))) {
		double took = time_units(b, n);

		total += took;
		runs[count++] = took / (double)n;
	}
	if (b->finish)
		b->finish();
	qsort(runs, (size_t)count, sizeof(runs[0]), compare);
	printf("%s %.6g %.6g %llu %016llx\n", b->name, runs[count / 2], runs[0],
	       (unsigned long long)n * (unsigned)count, (unsigned long long)check);
	fflush(stdout);
}

/* Does the program or its group stand among the words?  No words mean all. */
static int wanted(const char *name, char **words)
{
	if (!*words)
		return 1;
	for (; *words; words++) {
		size_t length = strlen(*words);

		if (strncmp(name, *words, length) == 0 && (name[length] == '/' || !name[length]))
			return 1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static const struct bench *const groups[] = { bench_int, bench_ctl, bench_fp, bench_mem,
		                                      bench_sys };
	const char *runner = getenv("BENCH_RUNNER");
	double seconds = 0.3, start;
	int list = 0, option, found = 0, words = 0;

	if (argc == 2 && strcmp(argv[1], "leave") == 0)
		_exit(7);
	/* An emulator of user programs is put before the path; see sys/forkexec. */
	if (runner)
		bench_exec[words++] = (char *)(uintptr_t)runner;
	bench_exec[words++] = argv[0];
	bench_exec[words] = (char *)(uintptr_t)"leave";
	while ((option = getopt(argc, argv, "t:l")) != -1) {
		if (option == 't')
			seconds = strtod(optarg, NULL);
		else if (option == 'l')
			list = 1;
		else
			return 2;
	}
	if (!(seconds >= 0 && seconds < 1000))
		return 2;
	if (!list) {
		puts("# begin");
		fflush(stdout);
	}
	start = now();
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct bench *b = groups[g]; b->name; b++) {
			if (!wanted(b->name, argv + optind))
				continue;
			found = 1;
			if (list)
				puts(b->name);
			else
				measure(b, seconds);
		}
	}
	if (!list)
		printf("# end %.6f\n", now() - start);
	if (!found)
		fprintf(stderr, "bench: no such program; bench -l lists them\n");
	return found ? 0 : 2;
}
