/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/progress.h"

#include <time.h>
#include <unistd.h>

#include "base/bits.h"
#include "host/os/os.h"

enum { EVERY_MS = 100, WIDTH = 24 };

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void hull_progress_begin(struct hull_progress *p, FILE *out, bool quiet, const char *label,
                         uint64_t total)
{
	*p = (struct hull_progress){ .label = label, .total = total };
	pthread_mutex_init(&p->lock, NULL);
	p->begun_ms = p->shown_ms = now_ms();
	if (!quiet && isatty(fileno(out)))
		p->out = out;
	hull_signals_watch(-1);
}

static void show(const struct hull_progress *p, int64_t now)
{
	uint64_t done = MIN(p->done, p->total), ms = (uint64_t)MAX(now - p->begun_ms, (int64_t)1);
	unsigned filled = p->total ? (unsigned)(done * WIDTH / p->total) : WIDTH;
	uint64_t rate = (p->done >> 10) * 1000 / ms; /* KiB/s */
	uint64_t left = rate ? ((p->total - done) >> 10) / rate : 0;

	fprintf(p->out, "\r%s [", p->label);
	for (unsigned i = 0; i < WIDTH; i++)
		fputc(i < filled ? '#' : '.', p->out);
	fprintf(p->out, "] %llu of %llu MiB, %llu MiB/s, %llu s left\033[K",
	        (unsigned long long)(done >> 20), (unsigned long long)(p->total >> 20),
	        (unsigned long long)(rate >> 10), (unsigned long long)left);
	fflush(p->out);
}

bool hull_progress_step(struct hull_progress *p, uint64_t bytes)
{
	int64_t now;

	pthread_mutex_lock(&p->lock);
	p->done += bytes;
	now = p->out ? now_ms() : 0;
	if (p->out && now - p->shown_ms >= EVERY_MS) {
		p->shown_ms = now;
		show(p, now);
	}
	pthread_mutex_unlock(&p->lock);
	return !hull_signals_taken();
}

void hull_progress_end(struct hull_progress *p)
{
	if (p->out)
		fputs("\r\033[K", p->out);
	if (p->out)
		fflush(p->out);
	pthread_mutex_destroy(&p->lock);
}
