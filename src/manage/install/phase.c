/* SPDX-License-Identifier: MIT OR Apache-2.0 */
#include "manage/install/phase.h"

#include <string.h>

#include <hull/host.h>
#include "base/text.h"

#define SECOND UINT64_C(1000000000)

static uint64_t now_ns(void)
{
	return hull_host_hal()->now_ns(hull_host_hal());
}

static void show(struct hull_phase *p, bool force)
{
	uint64_t now = now_ns(), pause = p->tty ? SECOND / 10 : 15 * SECOND;

	if (!p->out || !p->phase || (!force && now - p->said_ns < pause))
		return;
	p->said_ns = now;
	if (p->json)
		fprintf(p->out,
		        "{\"schema\":\"hull.progress/1\",\"phase\":\"%s\",\"elapsed_ns\":%llu}\n",
		        p->phase, (unsigned long long)(now - p->begun_ns));
	else
		fprintf(p->out, p->tty ? "\r\033[K%-10s %4llu s  %.60s" : "%-10s %4llu s  %s\n",
		        p->phase, (unsigned long long)((now - p->begun_ns) / SECOND), p->note);
	fflush(p->out);
}

void hull_phase_end(struct hull_phase *p, bool well)
{
	uint64_t now = now_ns(), ds = (now - p->begun_ns) / (SECOND / 10);

	if (!p->phase)
		return;
	if (p->out && p->json)
		fprintf(p->out,
		        "{\"schema\":\"hull.progress/1\",\"phase\":\"%s\",\"elapsed_ns\":%llu,"
		        "\"ended\":%s}\n",
		        p->phase, (unsigned long long)(now - p->begun_ns), well ? "true" : "false");
	else if (p->out)
		fprintf(p->out, "%s%-10s %4llu.%llu s  %s%s%s\n", p->tty ? "\r\033[K" : "",
		        p->phase, (unsigned long long)ds / 10, (unsigned long long)ds % 10,
		        well ? "done" : "not done", p->note[0] ? ", " : "", p->note);
	p->phase = NULL;
	p->total_ns = now - p->first_ns;
}

void hull_phase_begin(struct hull_phase *p, const char *phase)
{
	hull_phase_end(p, true);
	p->phase = phase;
	p->begun_ns = now_ns();
	if (!p->first_ns)
		p->first_ns = p->begun_ns;
	p->said_ns = p->begun_ns;
	p->note[0] = '\0';
	if (p->tty)
		show(p, true);
}

void hull_phase_count(struct hull_phase *p, uint64_t done, uint64_t total, const char *unit)
{
	hull_format(p->note, sizeof(p->note), "%llu of %llu %s", (unsigned long long)done,
	            (unsigned long long)total, unit);
	show(p, false);
}

void hull_phase_bytes(struct hull_phase *p, uint64_t done, uint64_t total)
{
	uint64_t d = done * 10 >> 20, t = total * 10 >> 20;

	hull_format(p->note, sizeof(p->note), "%llu.%llu of %llu.%llu MiB",
	            (unsigned long long)d / 10, (unsigned long long)d % 10,
	            (unsigned long long)t / 10, (unsigned long long)t % 10);
	show(p, false);
}

void hull_phase_seen(struct hull_phase *p, const char *text)
{
	size_t i;

	for (i = 0; text[i] && i < sizeof(p->note) - 1; i++)
		p->note[i] = text[i] < ' ' || text[i] > '~' ? ' ' : text[i];
	p->note[i] = '\0';
	show(p, false);
}
