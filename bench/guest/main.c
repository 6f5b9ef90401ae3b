/* SPDX-License-Identifier: MIT OR Apache-2.0 */
/*
 * bench [-t SECONDS] [-w WORKERS] [-l] [GROUP | GROUP/PROGRAM]...
 *
 * Prints a line a program: its name, median and best seconds a unit, units timed, check value.
 * Each program is timed for about SECONDS, in several runs; one unit is the least, so that a slow
 * interpreter also ends.  A first and a last line tell when it begins and how long it took, so that
 * somebody outside can judge the clock; a line before each program tells which one a machine did
 * not survive.  With -w, so many processes, each on a CPU of its own, do the same at the same time
 * for SECONDS, and the time of a unit is that of all of them together.
 */
#include "bench.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MOST_RUNS    15
#define LEAST_RUNS   3
#define MOST_WORKERS 16

/* What a worker tells. */
struct work {
	double seconds;
	uint64_t units, check;
};

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
	do {
		double took = time_units(b, n);

		total += took;
		runs[count++] = took / (double)n;
	} while (count < MOST_RUNS &&
	         (total < seconds || (count < LEAST_RUNS && total < 3 * seconds)));
	if (b->finish)
		b->finish();
	qsort(runs, (size_t)count, sizeof(runs[0]), compare);
	printf("%s %.6g %.6g %llu %016llx\n", b->name, runs[count / 2], runs[0],
	       (unsigned long long)n * (unsigned)count, (unsigned long long)check);
	fflush(stdout);
}

/* Stays on one of the CPUs that this process may use, counted from 0. */
static void pin(int number)
{
	cpu_set_t set;

	if (sched_getaffinity(0, sizeof(set), &set))
		bench_die("sched_getaffinity");
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &set) || number--)
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			bench_die("sched_setaffinity");
		return;
	}
	bench_die("more workers than CPUs");
}

/* Gets ready, says so, waits until the other end of go is closed, works, tells the result. */
static void be_worker(const struct bench *b, double seconds, const int ready[2], int go)
{
	struct work done = { 0 };
	uint64_t n;
	char byte = 0;

	if (b->setup)
		b->setup();
	done.check = b->run(1);
	n = calibrate(b, seconds / 4);
	if (write(ready[1], &byte, 1) != 1 || read(go, &byte, 1) != 0)
		bench_die("pipe");
	do {
		done.seconds += time_units(b, n);
		done.units += n;
	} while (done.seconds < seconds);
	if (b->finish)
		b->finish();
	if (write(ready[1], &done, sizeof(done)) != sizeof(done))
		bench_die("pipe");
	_exit(0);
}

static void measure_workers(const struct bench *b, double seconds, int workers)
{
	struct work done, all = { 0 };
	double rate = 0;
	int ready[2], go[2];
	char byte;

	if (pipe(ready) || pipe(go))
		bench_die("pipe");
	for (int i = 0; i < workers; i++) {
		pid_t child = fork();

		if (child < 0)
			bench_die("fork");
		if (child == 0) {
			close(go[1]);
			pin(i);
			be_worker(b, seconds, ready, go[0]);
		}
	}
	close(ready[1]);
	close(go[0]);
	for (int i = 0; i < workers; i++)
		if (read(ready[0], &byte, 1) != 1)
			bench_die("a worker ended early");
	close(go[1]);
	for (int i = 0; i < workers; i++) {
		if (read(ready[0], &done, sizeof(done)) != sizeof(done))
			bench_die("a worker ended early");
		if (i && done.check != all.check)
			bench_die("workers disagree");
		all.check = done.check;
		all.units += done.units;
		rate += (double)done.units / done.seconds;
	}
	close(ready[0]);
	while (wait(NULL) > 0)
		;
	printf("%s %.6g %.6g %llu %016llx\n", b->name, 1 / rate, 1 / rate,
	       (unsigned long long)all.units, (unsigned long long)all.check);
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

struct request {
	double seconds;
	int list, workers;
	char **words;
};

static int parse(int argc, char **argv, struct request *r)
{
	int option;

	while ((option = getopt(argc, argv, "t:w:l")) != -1) {
		if (option == 't')
			r->seconds = strtod(optarg, NULL);
		else if (option == 'w')
			r->workers = (int)strtol(optarg, NULL, 10);
		else if (option == 'l')
			r->list = 1;
		else
			return -1;
	}
	r->words = argv + optind;
	if (!(r->seconds >= 0 && r->seconds < 1000) || r->workers < 0 || r->workers > MOST_WORKERS)
		return -1;
	return 0;
}

static void do_one(const struct request *r, const struct bench *b)
{
	if (r->list) {
		puts(b->name);
		return;
	}
	printf("# run %s\n", b->name);
	fflush(stdout);
	if (r->workers)
		measure_workers(b, r->seconds, r->workers);
	else
		measure(b, r->seconds);
}

int main(int argc, char **argv)
{
	static const struct bench *const groups[] = { bench_int, bench_ctl, bench_fp, bench_mem,
		                                      bench_sys };
	struct request r = { .seconds = 0.3 };
	const char *runner = getenv("BENCH_RUNNER");
	int found = 0, words = 0;
	double start;

	if (argc == 2 && strcmp(argv[1], "leave") == 0)
		_exit(7);
	/* An emulator of user programs is put before the path; see sys/forkexec. */
	if (runner)
		bench_exec[words++] = (char *)(uintptr_t)runner;
	bench_exec[words++] = argv[0];
	bench_exec[words] = (char *)(uintptr_t)"leave";
	if (parse(argc, argv, &r))
		return 2;
	if (!r.list) {
		puts("# begin");
		fflush(stdout);
	}
	start = now();
	for (size_t g = 0; g < sizeof(groups) / sizeof(groups[0]); g++) {
		for (const struct bench *b = groups[g]; b->name; b++) {
			if (!wanted(b->name, r.words))
				continue;
			found = 1;
			do_one(&r, b);
		}
	}
	if (!r.list)
		printf("# end %.6f\n", now() - start);
	if (!found)
		fprintf(stderr, "bench: no such program; bench -l lists them\n");
	return found ? 0 : 2;
}
